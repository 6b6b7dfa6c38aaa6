"""Separate attention against the shared one, and the three commands on a few generated stamps."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from one_peace.data.manifest import Manifest
from one_peace.examples.tuxpaint.ablation import prepare, report
from one_peace.examples.tuxpaint.ablation.separate import SeparatePretrainModel
from one_peace.models.pretrain import PretrainModel, PretrainModelConfig
from tests.small_data import train_vocabulary, write_pictures

FOLDER = Path(prepare.__file__).parent
VARIANTS = ("alone", "both_separate")


def build(model, seed=0):
    torch.manual_seed(seed)
    settings = {"text": {"vocab_size": 20, "pad": 1}, "image": {"rel_bucket_size": 2}}
    task = SimpleNamespace(modalities=("text", "image"), adapter_settings=lambda: settings)
    return model.build_model(OmegaConf.structured(PretrainModelConfig(size="tiny")), task)


INPUTS = {
    "text": {
        "values": torch.tensor([[5, 6, 2, 1], [8, 7, 9, 2]]),
        "padding_mask": torch.tensor([[0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=torch.bool),
    },
    "image": {"values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))},
}


def test_equal_weights_give_what_shared_attention_gives():
    shared, separate = build(PretrainModel).eval(), build(SeparatePretrainModel).eval()
    for inputs in (INPUTS, {"image": INPUTS["image"]}):
        expected, found = shared.encode(inputs), separate.encode(inputs)
        assert all(torch.allclose(expected[name], found[name], atol=1e-5) for name in inputs)


def test_each_modality_moves_only_by_its_own_attention():
    model = build(SeparatePretrainModel).eval()
    before = {name: model.encode({name: INPUTS[name]})[name] for name in INPUTS}
    joint = model.encode(INPUTS)
    own = model.encoder_wrapper.fusion_model.layers[0].self_attn.own
    torch.nn.init.normal_(own["image"].v_proj.weight)
    after = {name: model.encode({name: INPUTS[name]})[name] for name in INPUTS}
    assert torch.equal(before["text"], after["text"]) and not torch.allclose(before["image"], after["image"])
    assert not torch.allclose(joint["text"], model.encode(INPUTS)["text"]), "in a pair, text attends to pictures"


def test_gradients_reach_every_projection():
    model = build(SeparatePretrainModel)
    out = model(INPUTS)["embeddings"]
    (out["text"][:, 0].sum() + out["image"][:, 1].sum()).backward()
    weights = {name: p for name, p in model.named_parameters() if ".self_attn.own." in name and p.ndim == 2}
    assert len(weights) == 4 * 2 * 4
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights.values())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    data = folder / "tuxpaint/data"
    write_pictures(data)
    train_vocabulary(data / "bpe")
    run("prepare.sh", folder)
    return folder


def run(script, folder, *flags, **variables):
    environment = {**os.environ, "OUT": str(folder / "out"), "TUXPAINT": str(folder / "tuxpaint"), **variables}
    answer = subprocess.run(["bash", FOLDER / script, *flags], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    return answer.stdout


def test_no_held_out_caption_is_trained_on(made):
    found = {}
    for split in ("train", "valid", "held_out"):
        table = Manifest(made / f"out/data/{split}.tsv", prepare.COLUMNS)
        found[split] = {table[number][2] for number in range(len(table))}
    assert found["train"] == found["valid"] and not found["train"] & found["held_out"]
    assert len(found["train"]) + len(found["held_out"]) == 12 and found["held_out"]


def test_commands_train_and_table_every_variant(made):
    settings = {"VARIANTS": " ".join(VARIANTS), "UPDATES": "2", "ALONE_UPDATES": "3", "BATCH": "4", "IMAGE_SIZE": "32"}
    flags = ("--cpu", "--num-workers", "0", "--log-interval", "1")
    run("train.sh", made, *flags, SEEDS="1", **settings)
    assert "done training" not in run("train.sh", made, *flags, SEEDS="1", **settings), "what is done stays"
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in run("evaluate.sh", made).splitlines()]
    rows = {line[0]: line for line in lines if line and line[0] in VARIANTS}
    assert set(rows) == set(VARIANTS)
    assert [rows[name][1:3] for name in VARIANTS] == [["1", "3"], ["1", "2"]]
    for name in VARIANTS:
        results = made / f"out/runs/{name}-1/results"
        metrics = [json.loads((results / f"{split}_metrics.json").read_text()) for split in report.SPLITS]
        assert rows[name][4:] == [f"{each[metric]:.1f}" for each in metrics for metric in report.METRICS]
    assert (made / "out/curves.png").is_file()
    alone, both = (report.flops_of_update(made / f"out/runs/{name}-1") for name in VARIANTS)
    assert 0 < 2 * alone < both, "denoising adds a joint pass and three of what is kept"


def test_spread_is_the_samples():
    assert report.spread([1.0, 2.0, 6.0]) == "3.0 ± 2.6" and report.spread([4.0]) == "4.0"


@pytest.mark.parametrize("script", ["prepare.sh", "train.sh", "evaluate.sh"])
def test_scripts_explain_themselves_from_anywhere(script, tmp_path):
    command = ["bash", FOLDER / script, "--help"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("Usage: ") and "outputs/tuxpaint_ablation" in answer.stdout
