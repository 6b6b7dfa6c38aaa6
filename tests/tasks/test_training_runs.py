"""Real ``fairseq-train`` and ``fairseq-validate`` processes: resume, ranks, bad data, a modality of the user's own."""

import os
import platform
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from one_peace.data.train_tokenizer import main as train_tokenizer
from tests.small_data import write_pictures, write_sounds
from tests.tasks.cli import ROOT, command, logged, run, start, train_flags, two_ranks


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder / "data")
    assert (
        train_tokenizer([str(folder / "data" / "train.tsv"), "--out", str(folder / "bpe"), "--vocab-size", "60"]) == 0
    )
    return folder / "data"


@pytest.fixture(scope="module")
def stage1(pictures) -> tuple[Path, str]:
    """An uninterrupted run, and what it printed."""
    save_dir = pictures.parent / "stage1"
    options = train_flags(
        save_dir, "image_text_pretrain", patch_image_size=32, save_interval_updates=1, batch_size_valid=1
    )
    return save_dir, run(command("train", pictures, "image_text_pretrain", **options))


def test_training_reports_every_loss_and_recall(stage1) -> None:
    save_dir, output = stage1
    steps, valid = logged(output, "train_inner"), logged(output, "valid")
    assert [step["num_updates"] for step in steps] == [str(i) for i in range(1, 7)]
    for name in ("loss", "itc_loss", "dcl_text_loss", "dcl_image_loss", "dcl_vl_text_loss", "dcl_vl_image_loss"):
        assert all(float(step[name]) > 0 for step in steps), name
    assert {f"valid_{d}_r{k}" for d in ("txt", "img") for k in (1, 5, 10)} <= valid[-1].keys()
    assert (save_dir / "checkpoint_best.pt").is_file()


def test_bfloat16_trains_says_where_the_cpu_emulates_it_and_resumes_the_same_run(pictures, tmp_path) -> None:
    options = {"patch_image_size": 32, "bf16": True, "max_update": 3, "save_interval_updates": 1}
    whole, resumed = (train_flags(tmp_path / name, "image_text_pretrain", **options) for name in ("whole", "resumed"))
    output = run(command("train", pictures, "image_text_pretrain", **whole))
    assert [float(step["loss"]) > 0 for step in logged(output, "train_inner")] == [True] * 3
    (tmp_path / "resumed").mkdir()
    shutil.copy(tmp_path / "whole" / "checkpoint_1_1.pt", tmp_path / "resumed" / "checkpoint_last.pt")
    run(command("train", pictures, "image_text_pretrain", **resumed))
    last = [torch.load(tmp_path / d / "checkpoint_last.pt", weights_only=True) for d in ("whole", "resumed")]
    for key, value in last[0]["model"].items():
        assert torch.equal(value, last[1]["model"][key]), key
    for own, other in zip(*(state["last_optimizer_state"]["float32"] for state in last), strict=True):
        assert own.dtype == torch.float32 and torch.equal(own, other)
    has = torch.cpu.get_capabilities() if platform.machine() == "x86_64" else {"amx_bf16": True}
    emulated = not (has.get("avx512_bf16") or has.get("amx_bf16"))
    assert output.count("no instructions for bfloat16") == int(emulated)


def test_resume_after_sigkill_gives_the_same_run(pictures, stage1, tmp_path) -> None:
    options = train_flags(tmp_path / "run", "image_text_pretrain", patch_image_size=32, save_interval_updates=1)
    words = command("train", pictures, "image_text_pretrain", **options)
    process = start(words, start_new_session=True)
    while not (tmp_path / "run" / "checkpoint_1_2.pt").is_file():
        assert process.poll() is None, process.communicate()[0][-4000:]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    output = run(words)
    updates = [int(step["num_updates"]) for step in logged(output, "train_inner")]
    # killed before it became checkpoint_last, the second update is made again
    assert updates and updates[0] > 1, "the run started anew"
    ours, reference = (torch.load(d / "checkpoint_last.pt", weights_only=True) for d in (tmp_path / "run", stage1[0]))
    for key, value in reference["model"].items():
        assert torch.equal(value, ours["model"][key]), key
    assert ours["optimizer_history"][-1]["num_updates"] == 6


def test_a_truncated_last_checkpoint_does_not_stop_a_resume(pictures, tmp_path) -> None:
    options = train_flags(tmp_path / "run", "image_text_pretrain", patch_image_size=32, max_epoch=1)
    run(command("train", pictures, "image_text_pretrain", **options))
    last = tmp_path / "run" / "checkpoint_last.pt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    output = run(command("train", pictures, "image_text_pretrain", **{**options, "max_epoch": 2}))
    assert "is truncated; resuming from checkpoint" in output
    assert int(logged(output, "train_inner")[0]["num_updates"]) == 4


RECALLS = [f"valid_{name}" for d in ("txt", "img") for name in (f"{d}_r1", f"{d}_r5", f"{d}_r10", f"{d}_r_mean")]


def validate(data: Path, save_dir: Path, bpe: Path) -> dict:
    # one sample a batch: nothing depends on how samples are grouped, not even rounding
    options = {"path": save_dir / "checkpoint_last.pt", "patch_image_size": 32, "bpe_dir": bpe, "batch_size": 1}
    return logged(run(command("validate", data, "image_text_pretrain", **options)), "valid")[0]


def test_validation_after_training_gives_the_recall_that_training_reported(pictures, stage1) -> None:
    alone, trained = validate(pictures, stage1[0], pictures.parent / "bpe"), logged(stage1[1], "valid")[-1]
    assert {name: alone[name] for name in RECALLS} == {name: trained[name] for name in RECALLS}


def test_two_ranks_report_the_recall_of_one_process(pictures, tmp_path) -> None:
    """Five validation rows on two ranks: shards of unequal length, and each row counts once."""
    data = tmp_path / "data"
    data.mkdir()
    for split, rows in (("train", 12), ("valid", 5)):
        lines = (pictures / f"{split}.tsv").read_text().splitlines()
        (data / f"{split}.tsv").write_text("\n".join(lines[: rows + 1]) + "\n")
    options = train_flags(
        tmp_path / "run",
        "image_text_pretrain",
        bpe_dir=pictures.parent / "bpe",
        patch_image_size=32,
        media_root=pictures,
        batch_size=2,
        batch_size_valid=1,
        max_epoch=1,
    )
    ranks = [command("train", data, "image_text_pretrain", **options, **rank) for rank in two_ranks()]
    double = logged(run(*ranks), "valid")[-1]
    (data / "images").symlink_to(pictures / "images")
    single = validate(data, tmp_path / "run", pictures.parent / "bpe")
    assert {name: double[name] for name in RECALLS} == {name: single[name] for name in RECALLS}


def test_stage_two_leaves_the_shared_parts_untouched(pictures, stage1, tmp_path) -> None:
    write_sounds(tmp_path / "sounds")
    options = train_flags(
        tmp_path / "stage2",
        "audio_text_pretrain",
        bpe_dir=pictures.parent / "bpe",
        stage2_pretrain=True,
        reset_logit_scale=True,
        finetune_from_model=stage1[0] / "checkpoint_last.pt",
        max_epoch=1,
    )
    output = run(command("train", tmp_path / "sounds", "audio_text_pretrain", **options))
    assert all(float(step["dcl_al_audio_loss"]) > 0 for step in logged(output, "train_inner"))
    before = torch.load(stage1[0] / "checkpoint_last.pt", weights_only=True)["model"]
    after = torch.load(tmp_path / "stage2" / "checkpoint_last.pt", weights_only=True)["model"]
    shared = [key for key in before if key.startswith(("encoder_wrapper", "text_proj")) and "image" not in key]
    assert shared and all(torch.equal(before[key], after[key]) for key in shared)
    assert not torch.equal(before["text_mask_head.weight"], after["text_mask_head.weight"])


def test_corrupt_samples_are_replaced_counted_and_reported(pictures, tmp_path) -> None:
    data = tmp_path / "data"
    write_pictures(data)
    (data / "images" / "0003.jpg").write_bytes(b"no picture")
    (data / "images" / "0008.jpg").unlink()
    (data / "valid.tsv").write_text("image_id\timage\tcaption\n1\timages/0001.jpg\ta red square\n")
    options = train_flags(tmp_path / "run", "image_text_pretrain", bpe_dir=pictures.parent / "bpe", patch_image_size=32)
    output = run(command("train", data, "image_text_pretrain", **{**options, "max_epoch": 1}))
    assert float(logged(output, "train")[0]["train_skipped"]) >= 2
    for place in ("row 3", "row 8", "train.tsv", "corrupt samples were replaced"):
        assert place in output, place


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid": "image_id\timage\tcaption\n1\timages/none.jpg\tx\n"}, "none.jpg"),
        ({"train": "image_id\tpicture\tcaption\n1\timages/0001.jpg\tx\n"}, "no column 'image'"),
        ({"train": "image_id\timage\tcaption\n1\tx\n"}, "the line has 2 cells, the header 3"),
        ({"flags": {"text_mask_ratio": 1.5}}, "mask ratio 1.5"),
        ({"flags": {"bpe_dir": "/nowhere"}}, "/nowhere"),
        ({"flags": {"encoder": "{layer: 2}"}}, "did you mean layers?"),
        ({"flags": {"encoder": "{txt_adapter: {}}"}}, "unknown modality 'txt'"),
        ({"flags": {"readers": "{audio: {max_duration: 3}}"}}, "readers: audio is none of this task's modalities"),
    ],
)
def test_bad_input_gives_one_clear_message(pictures, tmp_path, change, message) -> None:
    data = tmp_path / "data"
    write_pictures(data)
    for split in ("train", "valid"):
        if split in change:
            (data / f"{split}.tsv").write_text(change[split])
    options = train_flags(tmp_path / "run", "image_text_pretrain", patch_image_size=32, bpe_dir=pictures.parent / "bpe")
    output = run(command("train", data, "image_text_pretrain", **{**options, **change.get("flags", {})}), ok=False)
    assert message in output.strip().splitlines()[-1]
    assert "valid" not in change or "begin training epoch" not in output, "it is known before an epoch is lost"


@pytest.mark.parametrize("start", ["resumed", "restored", "fine-tuned"])
def test_another_vocabulary_than_that_of_the_start_is_refused(pictures, stage1, tmp_path, start) -> None:
    shutil.copytree(pictures.parent / "bpe", tmp_path / "bpe")
    first, second, *rest = (tmp_path / "bpe" / "dict.txt").read_text().splitlines()
    (tmp_path / "bpe" / "dict.txt").write_text("\n".join([second, first, *rest]) + "\n")
    (tmp_path / "run").mkdir()
    options = train_flags(tmp_path / "run", "image_text_pretrain", patch_image_size=32, bpe_dir=tmp_path / "bpe")
    if start == "resumed":
        shutil.copy(stage1[0] / "checkpoint_last.pt", tmp_path / "run")
    else:
        flag = "restore_file" if start == "restored" else "finetune_from_model"
        options[flag] = stage1[0] / "checkpoint_last.pt"
    output = run(command("train", pictures, "image_text_pretrain", **options), ok=False)
    assert "not the vocabulary of the checkpoint" in output.strip().splitlines()[-1]


def test_a_modality_of_the_users_own_trains_with_text(pictures, tmp_path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = [f"{i}\tcurve number {i}\t{' '.join(str((i * k) % 7) for k in range(8 + i))}" for i in range(1, 9)]
    for split in ("train", "valid"):
        (data / f"{split}.tsv").write_text("\n".join(["id\tcaption\tcurve", *rows]) + "\n")
    options = train_flags(
        tmp_path / "run",
        "pretrain",
        user_dir=Path(__file__).parent / "toy_modality",
        bpe_dir=pictures.parent / "bpe",
        modalities="text,curve",
        selected_cols="id,caption,curve",
        mask_ratio="{text: 0.3, curve: 0.5, joint: {text: 0.4}}",
        dcl_alphas="{text: 0.5}",
        readers="{curve: {max_units: 6}}",
        encoder="{layers: 1, embed_dim: 32, ffn_embed_dim: 32, attention_heads: 2, curve_adapter: {max_positions: 9}}",
    )
    output = run(command("train", data, "pretrain", **options))
    steps = logged(output, "train_inner")
    for name in ("ctc_loss", "dcl_text_loss", "dcl_curve_loss", "dcl_joint_text_loss", "dcl_joint_curve_loss"):
        assert all(float(step[name]) > 0 for step in steps), name
    assert "valid_curve_r1" in logged(output, "valid")[-1]
    state = torch.load(tmp_path / "run" / "checkpoint_last.pt", weights_only=True)["model"]
    assert "encoder_wrapper.fusion_model.layers.0.curve_ffn.0.wi_0.weight" in state
    assert not any("image" in key or "audio" in key for key in state)


def test_the_core_names_no_modality_of_the_test() -> None:
    for room in ("models", "criterions", "tasks", "data", "modalities", "metrics", "optim", "user_module"):
        for path in (ROOT / room).rglob("*.py"):
            assert "curve" not in path.read_text().lower(), path
