"""Candidates of retrieval, and classes by their names, against what one computes by hand."""

import json
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from one_peace.data.errors import DataError
from one_peace.tasks.texts import embed_texts
from one_peace.tasks.zero_shot_classify import read_prompts
from tests.small_data import COLOURS
from tests.tasks.downstream_data import CAPTIONS, COLOUR_OF, PICTURES, VALID, write_manifest
from tests.tasks.in_process import batch_of, make_model, make_task, validate


@pytest.fixture(scope="module")
def model(data):
    torch.manual_seed(0)
    return make_model("one_peace_retrieval", retrieval(data)).eval()


def retrieval(data: Path, **options):
    folder = data / "image_text_retrieval"
    return make_task("image_text_retrieval", folder, patch_image_size=32, **options)


def embed(task, model, modality: str, cells: list[str]) -> torch.Tensor:
    reader = task.readers[modality]
    with torch.no_grad():
        return torch.cat(
            [model.embed(modality, **reader.collate([reader.load(c, task.datasets["valid"].root)])) for c in cells]
        )


def test_candidates_are_the_texts_and_rows_the_pictures(data, model) -> None:
    path = data / "image_text_retrieval" / "candidates.json"
    task = retrieval(data, candidates=path)
    batch = batch_of(task, range(3))
    assert list(batch["net_input"]["inputs"]) == ["image"]
    calls = []
    embed_of_model = model.embed
    model.embed = lambda name, **raw: calls.append((name, len(raw["values"]))) or embed_of_model(name, **raw)
    try:
        report = validate(task, [batch, batch_of(task, [3, 4]), batch_of(task, [0])], model, None)
    finally:
        del model.embed
    candidates = json.loads(path.read_text())
    texts = list(dict.fromkeys(text for own in candidates.values() for text in own))
    # ten texts, each once although two pictures share some; the last picture is a stand-in's
    assert sum(n for name, n in calls if name == "text") == len(texts) == 10
    assert [n for name, n in calls if name == "image"] == [3, 2, 1]

    scores = embed(task, model, "image", [PICTURES[row] for row in VALID]) @ embed(task, model, "text", texts).T
    right = torch.tensor([[text in candidates[f"i{row}"] for text in texts] for row in VALID])
    best = scores.masked_fill(~right, -9).max(dim=1).values
    beaten = ((scores >= best[:, None]) & ~right).sum(dim=1)
    assert report["txt_r1"] == pytest.approx(100 * float((beaten < 1).double().mean()))
    assert report["txt_r5"] == pytest.approx(100 * float((beaten < 5).double().mean()))
    asked = right.any(dim=0)  # the texts of i11 have no picture
    best = scores.masked_fill(~right, -9).max(dim=0).values
    beaten = ((scores >= best) & ~right).sum(dim=0)[asked]
    assert int(asked.sum()) == 8 and report["img_r1"] == pytest.approx(100 * float((beaten < 1).double().mean()))


def test_training_with_candidates_reads_the_rows_texts(data) -> None:
    task = retrieval(data, candidates=data / "image_text_retrieval" / "candidates.json")
    task.load_dataset("train")
    text, reader = batch_of(task, range(4), "train")["net_input"]["inputs"]["text"], task.readers["text"]
    wanted = reader.collate([reader.load(caption, Path()) for caption in CAPTIONS[:4]])
    assert torch.equal(text["values"], wanted["values"])


def test_a_second_split_starts_anew(data, model) -> None:
    task = retrieval(data, candidates=data / "image_text_retrieval" / "candidates.json")
    first = validate(task, [batch_of(task, range(5))], model, None)
    assert validate(task, [batch_of(task, range(5))], model, None) == first and task.report() is task.report()
    task.begin_measuring("valid")
    with pytest.raises(ValueError, match="no retrieval pair"):
        task.report()


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        ("image_id,image", [("i0", "a.png"), ("i1", "b.png")], r"row 2 \(line 3\): 'i1' has no candidates"),
        ("image", [("a.png",)], "no column 'image_id': candidates are found by it"),
    ],
)
def test_a_row_without_candidates_is_refused_before_anything_runs(columns, rows, words, data, tmp_path) -> None:
    write_manifest(tmp_path / "valid.tsv", columns, rows)
    for picture in ("a.png", "b.png"):
        (tmp_path / picture).touch()
    task = make_task(
        "image_text_retrieval",
        data / "image_text_retrieval",
        None,
        candidates=data / "image_text_retrieval" / "candidates.json",
    )
    task.cfg.data = str(tmp_path)
    with pytest.raises(DataError, match=words):
        task.load_dataset("valid")


def test_the_best_checkpoint_cannot_be_that_of_least_loss_where_there_is_none(data, model) -> None:
    with pytest.raises(ValueError, match="has no loss"):
        retrieval(data, candidates=data / "image_text_retrieval" / "candidates.json").begin_epoch(1, model)
    retrieval(data).begin_epoch(1, model)


@pytest.mark.parametrize(
    ("metric", "maximize", "message"),
    [("r_mean", False, "--maximize-best-checkpoint-metric"), ("r_means", True, "did you mean r_mean?")],
)
def test_what_could_not_pick_the_best_checkpoint_is_refused_before_training(data, model, metric, maximize, message):
    task = retrieval(data)
    task.cfg.best_checkpoint_metric, task.cfg.maximize_best_checkpoint_metric = metric, maximize
    with pytest.raises(ValueError, match=re.escape(message)):
        task.begin_epoch(1, model)
    for known in ("loss", "itc_loss", "batch_accuracy"):
        task.cfg.best_checkpoint_metric = known
        task.begin_epoch(1, model)
    task.cfg.best_checkpoint_metric, task.meter.larger_is_better = "r_mean", False
    task.begin_epoch(1, model)


def test_pairs_are_named_by_their_first_row(data, model, tmp_path) -> None:
    task = retrieval(data, results_dir=tmp_path)

    class Aligned:
        def compute(self, model, sample):
            inputs = sample["net_input"]["inputs"]
            return torch.zeros(()), {"sample_size": 1}, model(inputs)["embeddings"]

    validate(task, [batch_of(task, range(5))], model, Aligned())
    lines = [line.split("\t") for line in (tmp_path / "valid_predictions.tsv").read_text().splitlines()]
    assert [line[:2] for line in lines[1:]] == [[m, f"i{row}"] for m in ("text", "image") for row in VALID]
    assert all(sorted(line[2:7]) == ["i0", "i2", "i4", "i6", "i8"] and len(line) == 12 for line in lines[1:])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_the_texts_and_embed_them_in_the_same_batches(world, data, model) -> None:
    reader = retrieval(data).readers["text"]
    texts = [f"{a} {n}" for n in range(50) for a in ("red", "a large blue", "x")]
    whole = list(embed_texts(model, reader, texts))
    assert [len(batch) for batch, _ in whole] == [64, 64, 22]
    assert [text for batch, _ in whole for text in batch] == texts
    shares = [list(embed_texts(model, reader, texts, rank, world)) for rank in range(world)]
    for number, (batch, embeddings) in enumerate(whole):
        found, same = shares[number % world][number // world]
        assert found == batch and torch.equal(same, embeddings)


def zero_shot(data: Path, folder: Path, **options):
    (folder / "labels.txt").write_text("\n".join(COLOURS))
    return make_task(
        "zero_shot_classify",
        data / "image_classify",
        **{"labels": folder / "labels.txt", "modalities": "text,image", "selected_cols": "image_id,image,label"},
        patch_image_size=32,
        **options,
    )


def test_several_prompts_are_averaged(data, model, tmp_path) -> None:
    prompts = ["a photo of {label}", "{label} is what {label} is"]
    (tmp_path / "prompts.txt").write_text("\n".join(prompts) + "\n")
    task = zero_shot(data, tmp_path, prompts=tmp_path / "prompts.txt", results_dir=tmp_path)
    report = validate(task, [batch_of(task, [0, 1, 2]), batch_of(task, [3, 4])], model, None)
    texts = [[prompt.replace("{label}", name) for name in COLOURS] for prompt in prompts]
    classes = F.normalize(torch.stack([embed(task, model, "text", own) for own in texts]).mean(0), dim=-1)
    scores = embed(task, model, "image", [PICTURES[row] for row in VALID]) @ classes.T
    found = [COLOURS[i] for i in scores.argmax(dim=1)]
    right = [COLOURS[COLOUR_OF[row]] for row in VALID]
    assert report == {"accuracy": pytest.approx(20.0 * sum(a == b for a, b in zip(found, right, strict=True)))}
    lines = [f"i{row}\t{a}\t{b}\n" for row, a, b in zip(VALID, found, right, strict=True)]
    assert (tmp_path / "valid_predictions.tsv").read_text() == "id\tpredicted\tlabel\n" + "".join(lines)


def test_zero_shot_does_not_train(data, tmp_path) -> None:
    with pytest.raises(ValueError, match="evaluates only"):
        zero_shot(data, tmp_path).load_dataset("train")


def test_prompts_come_from_a_text_or_a_file(tmp_path) -> None:
    assert read_prompts("This is a sound of {label}") == ["This is a sound of {label}"]
    (tmp_path / "prompts.json").write_text(json.dumps(["{label}", "a {label}"]))
    assert read_prompts(str(tmp_path / "prompts.json")) == ["{label}", "a {label}"]
    (tmp_path / "prompts.txt").write_text("{label}\na photo\n")
    with pytest.raises(ValueError, match=r"'a photo': \{label\} must stand"):
        read_prompts(str(tmp_path / "prompts.txt"))
    with pytest.raises(ValueError, match=r"'a photo': neither a text with \{label\} in it nor a file"):
        read_prompts("a photo")


def test_stage_two_begins_with_what_stage_one_has_learnt(data) -> None:
    task = make_task("audio_text_pretrain", data / "audio_text_retrieval", None, selected_cols="uniq_id,audio,text")
    model = make_model("one_peace_pretrain", task, stage2_pretrain=True)
    with pytest.raises(ValueError, match="nothing has been loaded: name stage 1's checkpoint"):
        task.begin_epoch(1, model)
    model.load_state_dict(model.state_dict())
    task.begin_epoch(1, model)
