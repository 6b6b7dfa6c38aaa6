"""Real ``fairseq-train`` and ``fairseq-validate`` processes of the downstream tasks, on a few generated samples."""

import csv
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.small_data import COLOURS
from tests.tasks.cli import SMALL, USER_MODULE, command, logged, run, train_flags, two_ranks
from tests.tasks.downstream_data import COLOUR_OF, ROWS, SOUNDS, VALID, write_manifest

CLASSIFY = {"arch": "one_peace_classify_tiny", "criterion": "classify_criterion"}
RETRIEVAL = {"arch": "one_peace_retrieval_tiny", "copy_rel_pos_table": True}
MULTI = CLASSIFY | {"use_multi_label": True}
SPEECH = {"max_duration": 1}
SIGHT = {"patch_image_size": 32}
# task -> what it is trained with, options of the task, and its metric
TASKS = {
    "vqa": (MULTI | {"use_pooler": True}, SIGHT | {"ans2label": "ans2label.json"}, "vqa_score"),
    "fsd50k": (MULTI, SPEECH | {"num_classes": 6}, "map"),
    "aqa": (CLASSIFY | {"criterion": "hinge_loss"}, SPEECH, "accuracy"),
    "refcoco": (
        CLASSIFY | {"criterion": "refcoco_criterion", "use_image_features": True},
        SIGHT | {"patch_image_width": 48},
        "acc_iou50",
    ),
    "audio_text_retrieval": (
        RETRIEVAL | {"criterion": "audio_text_retrieval_criterion"},
        SPEECH | {"candidates": "audio_text_retrieval/candidates.json"},
        "txt_r1",
    ),
}
FILES = ("ans2label", "candidates", "labels")


def task_options(data: Path, options: dict) -> dict:
    return {key: data / value if key in FILES else value for key, value in options.items()}


def train_command(data: Path, task: str, save_dir: Path, **more) -> list[str]:
    training, options, metric = TASKS[task]
    flags = {
        **training,
        **task_options(data, options),
        "encoder": SMALL,
        "optimizer": "adjust_adam",
        "lr": 1e-3,
        "lr_scheduler": "adjust_cosine",
        "warmup_ratio": 0.1,
        "max_update": 2,
        "batch_size_valid": 1,  # nothing depends on how samples are grouped, not even rounding
        "best_checkpoint_metric": metric,
        "maximize_best_checkpoint_metric": True,
        "save_dir": save_dir,
        "no_epoch_checkpoints": True,
    }
    return command("train", data / task, task, **flags | more)


def validate(data: Path, task: str, checkpoint: Path, results: Path | None = None, **options) -> dict:
    flags = {"path": checkpoint, "batch_size": 1, "results_dir": results, "bpe_dir": data / "bpe"}
    split = options.get("valid_subset", "valid")
    return logged(run(command("validate", data / task, task, **flags | options)), split)[0]


@pytest.fixture(scope="module")
def trained(data) -> Callable[[str], tuple[Path, dict]]:
    """Task -> checkpoint of a run, and what its last validation logged."""

    @cache
    def train(task: str) -> tuple[Path, dict]:
        save_dir = data.parent / task
        output = run(train_command(data, task, save_dir))
        steps = logged(output, "train_inner")
        assert len(steps) == 2 and all(float(step["loss"]) > 0 for step in steps), output[-3000:]
        return save_dir / "checkpoint_best.pt", logged(output, "valid")[-1]

    return train


def metrics_of(logs: dict, results: Path) -> dict[str, float]:
    """The metrics of a results folder, which must be those that were logged, rounded."""
    metrics = json.loads((results / "valid_metrics.json").read_text())
    assert metrics and {f"valid_{name}" for name in metrics} <= logs.keys()
    for name, value in metrics.items():
        assert float(logs[f"valid_{name}"]) == pytest.approx(value, abs=0.0051)
    return metrics


def predictions(results: Path) -> list[dict[str, str]]:
    with (results / "valid_predictions.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_vqa_is_answered_for_the_server(data, trained, tmp_path) -> None:
    checkpoint, logs = trained("vqa")
    metrics = metrics_of(validate(data, "vqa", checkpoint, tmp_path), tmp_path)
    assert metrics == metrics_of(logs, tmp_path)
    rows, answers = predictions(tmp_path), json.loads((tmp_path / "valid_vqa.json").read_text())
    assert answers == [{"question_id": int(row["id"]), "answer": row["predicted"]} for row in rows]
    assert [answer["question_id"] for answer in answers] == [100 + row for row in VALID]
    assert {row["predicted"] for row in rows} <= set(COLOURS)
    assert metrics["vqa_score"] == pytest.approx(100 * sum(float(row["worth"]) for row in rows) / len(rows))


def test_fsd50k_gives_each_class_a_probability(data, trained, tmp_path) -> None:
    checkpoint, logs = trained("fsd50k")
    assert metrics_of(validate(data, "fsd50k", checkpoint, tmp_path), tmp_path) == metrics_of(logs, tmp_path)
    rows = predictions(tmp_path)
    assert [row["id"] for row in rows] == [f"s{row}" for row in VALID] and list(rows[0]) == ["id", "label", *"012345"]
    assert all(0 < float(row[c]) < 1 for row in rows for c in "012345")


def test_an_option_that_a_checkpoint_does_not_know_is_taken(data, trained, tmp_path) -> None:
    state = torch.load(trained("fsd50k")[0], weights_only=True)
    for option in ("results_dir", "train_manifests", "crop_pct"):
        del state["cfg"]["task"][option]
    torch.save(state, tmp_path / "old.pt")
    assert metrics_of(validate(data, "fsd50k", tmp_path / "old.pt", tmp_path), tmp_path)


def test_aqa_chooses_an_answer(data, trained, tmp_path) -> None:
    checkpoint, logs = trained("aqa")
    metrics = metrics_of(validate(data, "aqa", checkpoint, tmp_path), tmp_path)
    rows = predictions(tmp_path)
    assert metrics == metrics_of(logs, tmp_path) and {row["predicted"] for row in rows} <= set("0123")
    assert metrics["accuracy"] == 100 * sum(row["predicted"] == row["label"] for row in rows) / len(rows)


def test_refcoco_writes_boxes_in_pixels(data, trained, tmp_path) -> None:
    checkpoint, logs = trained("refcoco")
    assert metrics_of(validate(data, "refcoco", checkpoint, tmp_path), tmp_path) == metrics_of(logs, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "valid_refcoco.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"r{row}" for row in VALID]
    for row, line in zip(VALID, lines, strict=True):
        assert all(0 < x < side for x, side in zip(line["box"], (41 + row, 48) * 2, strict=True))
    assert [[float(row[x]) for x in ("x0", "y0", "x1", "y1")] for row in predictions(tmp_path)] == [
        line["box"] for line in lines
    ]


def test_retrieval_searches_all_candidates(data, trained, tmp_path) -> None:
    checkpoint, logs = trained("audio_text_retrieval")
    metrics = metrics_of(validate(data, "audio_text_retrieval", checkpoint, tmp_path), tmp_path)
    assert metrics == metrics_of(logs, tmp_path) and metrics["audio_r5"] == 100  # of five sounds
    found = {(row["modality"], row["id"]): [row[f"best{i}"] for i in range(1, 11)] for row in predictions(tmp_path)}
    # "some red thing" belongs to s0 and s2, one text; s11 has no sound, its texts are there to be found by mistake
    texts = ["s0#0", "s0#1", "s2#0", "s4#0", "s4#1", "s6#0", "s6#1", "s8#0", "s11#0", "s11#1"]
    assert [id for modality, id in found if modality == "text"] == texts
    assert all(sorted(found["audio", f"s{row}"]) == sorted(texts) for row in VALID)
    assert all(sorted(found["text", text]) == ["", "", "", "", "", "s0", "s2", "s4", "s6", "s8"] for text in texts)
    own = {f"s{row}": {f"s{row}#0", f"s{row}#1"} for row in VALID}
    own["s2"], own["s8"] = {"s2#0", "s0#1"}, {"s8#0", "s6#1"}
    hits = [found["audio", id][0] in mine for id, mine in own.items()]
    assert metrics["txt_r1"] == 100 * sum(hits) / 5


def test_a_retrieval_checkpoint_classifies_by_the_names_of_the_classes(data, trained, tmp_path) -> None:
    """Another task than the checkpoint's, with options it never had, and its own numbers by another order of labels."""
    checkpoint, _ = trained("audio_text_retrieval")
    folder, results = data / "zero_shot_classify", []
    rows = [(f"s{row}", SOUNDS[row], COLOURS[COLOUR_OF[row]]) for row in range(ROWS)]
    write_manifest(folder / "named.tsv", "uniq_id,audio,label", rows)
    for order in (COLOURS, COLOURS[::-1]):
        (tmp_path / "names.json").write_text(json.dumps(order))
        options = {"labels": tmp_path / "names.json", "prompts": "This is a sound of {label}"}
        validate(data, "zero_shot_classify", checkpoint, tmp_path, valid_subset="named", **options)
        results.append((tmp_path / "named_predictions.tsv").read_text())
    assert results[0] == results[1] and len(results[0].splitlines()) == 1 + ROWS


def test_a_pretrained_checkpoint_retrieves_without_being_tuned(data, tmp_path) -> None:
    folder = data / "image_text_retrieval"
    flags = train_flags(tmp_path / "save", "image_text_pretrain", max_update=1, bpe_dir=data / "bpe", **SIGHT)
    run(command("train", folder, "image_text_pretrain", **flags))
    options = {"candidates": folder / "candidates.json"}
    logs = validate(data, "image_text_retrieval", tmp_path / "save" / "checkpoint_last.pt", tmp_path, **options)
    metrics_of(logs, tmp_path)
    assert {row["id"] for row in predictions(tmp_path)} > {"i11#0", "i0", "i8"}


def test_two_ranks_give_the_results_of_one(data, tmp_path) -> None:
    """Five validation rows on two ranks: shards of unequal length, and each row counts once."""
    for task in ("vqa", "audio_text_retrieval"):
        save_dir, double, single = (tmp_path / task / name for name in ("save", "double", "single"))
        options = {"results_dir": double, "max_update": 1, "batch_size": 2, "encoder": SMALL}
        output = run(*(train_command(data, task, save_dir, **options, **rank) for rank in two_ranks()))
        logs = validate(data, task, save_dir / "checkpoint_last.pt", single)
        assert metrics_of(logged(output, "valid")[-1], double) == metrics_of(logs, single)
        names = sorted(path.name for path in single.iterdir())
        assert names == sorted(path.name for path in double.iterdir()) and len(names) >= 2
        for name in names:
            assert (single / name).read_text() == (double / name).read_text(), name


HYDRA = """
common: {{user_dir: {user_dir}, cpu: true, log_format: json, log_interval: 1, reset_logging: true}}
task:
  _name: image_classify
  data: {data}/image_classify
  label_file: {data}/colours.txt
  patch_image_size: 32
  mixup_alpha: 0.8
  cutmix_alpha: 1.0
  flip_prob: 0.5
  rand_augment: 9
  color_jitter: 0.4
  blur_prob: 0.1
  erase_prob: 0.25
model: {{_name: one_peace_classify, size: tiny, encoder: {encoder}}}
criterion: {{_name: classify_criterion, label_smoothing: 0.1}}
optimizer: {{_name: adjust_adam, layer_decay: 0.9}}
lr_scheduler: {{_name: adjust_cosine, warmup_ratio: 0.1}}
optimization: {{max_update: 2, lr: [1e-3]}}
dataset: {{batch_size: 4, batch_size_valid: 1}}
checkpoint:
  save_dir: {out}/save
  best_checkpoint_metric: accuracy
  maximize_best_checkpoint_metric: true
hydra: {{job: {{chdir: false}}, run: {{dir: "{out}/hydra"}}}}
"""


def test_a_hydra_run_with_every_augmentation_is_validated_by_flags(data, tmp_path) -> None:
    (tmp_path / "run.yaml").write_text(HYDRA.format(user_dir=USER_MODULE, data=data, encoder=SMALL, out=tmp_path))
    words = [sys.executable, "-m", "fairseq_cli.hydra_train", "--config-dir", str(tmp_path), "--config-name", "run"]
    logs = logged(run(words), "valid")[-1]
    checkpoint = tmp_path / "save" / "checkpoint_best.pt"
    again = validate(data, "image_classify", checkpoint, tmp_path)
    assert metrics_of(again, tmp_path) == metrics_of(logs, tmp_path)
    assert {row["predicted"] for row in predictions(tmp_path)} <= set(COLOURS)
    assert [row["label"] for row in predictions(tmp_path)] == [COLOURS[row // 3] for row in VALID]
