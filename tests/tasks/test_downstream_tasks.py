"""The downstream tasks one by one: what a batch holds, that models learn from it, what is measured, what is refused."""

import json
from pathlib import Path

import pytest
import torch
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY

from one_peace.data.errors import DataError
from tests.small_data import COLOURS
from tests.tasks.downstream_data import COLOUR_OF, PICTURES, ROWS, SOUNDS, VALID, write_manifest
from tests.tasks.in_process import batch_of, make_model, make_task, validate

SIGHT, SPEECH = {"patch_image_size": 32}, {"max_duration": 1}
VIDEO = {**SIGHT, **SPEECH, "visual": True, "num_frames": 3}
MULTI = {"use_multi_label": True}
# name -> task, its options, criterion and its options, the model's options
CASES = {
    "vqa": ("vqa", {**SIGHT, "ans2label": "ans2label.json"}, "classify_criterion", MULTI, {"use_pooler": True}),
    "nlvr2": ("nlvr2", SIGHT, "classify_criterion", {}, {}),
    "refcoco": ("refcoco", SIGHT, "refcoco_criterion", {}, {"use_image_features": True}),
    "fsd50k": ("fsd50k", {**SPEECH, "num_classes": 6}, "classify_criterion", MULTI, {}),
    "vggsound": ("vggsound", {**SPEECH, "label_file": "colours.txt"}, "classify_criterion", {}, {}),
    "vggsound with frames": ("vggsound", {**VIDEO, "num_classes": 4}, "classify_criterion", {}, {}),
    "aqa": ("aqa", SPEECH, "hinge_loss", {}, {}),
    "aqa with frames": ("aqa", VIDEO, "hinge_loss", {}, {}),
    "image_classify": ("image_classify", {**SIGHT, "label_file": "colours.txt"}, "classify_criterion", {}, {}),
    "mixed": (
        "image_classify",
        {**SIGHT, "label_file": "colours.txt", "mixup_alpha": 0.8, "cutmix_alpha": 1.0},
        "classify_criterion",
        {},
        {},
    ),
}


def make(case: str, data: Path, split: str = "valid", **more):
    """Task, model and criterion of a case."""
    name, options, criterion, criterion_options, model_options = CASES[case]
    options = {k: str(data / v) if k in ("ans2label", "label_file") else v for k, v in options.items()}
    task = make_task(name, data / name, split, **options | more)
    config = CRITERION_DATACLASS_REGISTRY[criterion](**criterion_options)
    criterion = CRITERION_REGISTRY[criterion].build_criterion(config, task)
    return task, make_model("one_peace_classify", task, **model_options), criterion


@pytest.mark.parametrize("case", CASES)
def test_a_model_learns_from_a_training_batch(case, data) -> None:
    torch.manual_seed(0)
    task, model, criterion = make(case, data, "train")
    batch = batch_of(task, range(6), "train")
    assert tuple(batch["net_input"]["inputs"]) == task.modalities == model.modalities
    assert len(batch["net_input"]["others"]) == task.num_passes - 1 and "reference" not in batch
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=3e-3), []
    for _ in range(8):
        loss, sample_size, _ = criterion(model, batch)
        losses.append(loss.item() / sample_size)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert min(losses[2:]) < losses[1], losses  # of the first boxes most are none, which GIoU leaves out
    assert all(p.grad is not None for name, p in model.named_parameters() if "type_embedding" not in name)


@pytest.mark.parametrize("case", [case for case in CASES if case != "mixed"])
def test_a_samples_logits_do_not_depend_on_its_batch(case, data) -> None:
    torch.manual_seed(0)
    task, model, criterion = make(case, data)
    model.eval()
    with torch.no_grad():
        whole = criterion.compute(model, batch_of(task, [0, 2, 4]))[2]["logits"]
        single = [criterion.compute(model, batch_of(task, [row]))[2]["logits"] for row in (0, 2, 4)]
    torch.testing.assert_close(whole, torch.cat(single), atol=1e-5, rtol=1e-4)
    assert len(whole) == 3 * (4 if task.modalities[:2] == ("text", "audio") else 1)
    assert not torch.allclose(single[0], single[1], atol=1e-7)


class Answers:
    """In place of a criterion: the logits that it is given, by row of the manifest."""

    def __init__(self, logits: torch.Tensor):
        self.logits = logits

    def compute(self, model, sample: dict) -> tuple[torch.Tensor, dict, dict]:
        return torch.zeros(()), {"sample_size": 1}, {"logits": torch.cat([self.logits[i] for i in sample["id"]])}


def measured(task, logits: torch.Tensor) -> dict[str, float]:
    """What the task reports when the model gives these logits, rows x (samples' rows) x classes."""
    batches = [batch_of(task, rows) for rows in ([0, 1], [2, 3], [4], [0, 1])]  # the last one again: a stand-in
    return validate(task, batches, torch.nn.Linear(1, 1), Answers(logits))


def one_hot(classes: list[int], number: int) -> torch.Tensor:
    return torch.eye(number)[classes][:, None]


@pytest.mark.parametrize("case", ["vggsound", "vggsound with frames", "image_classify"])
def test_accuracy_counts_each_row_once(case, data) -> None:
    task, *_ = make(case, data)
    right = [COLOUR_OF[row] for row in VALID]
    assert measured(task, one_hot(right, 4)) == {"accuracy": 100.0}
    assert measured(task, one_hot([(right[0] + 1) % 4, *right[1:]], 4)) == {"accuracy": 80.0}


def test_aqa_takes_the_best_of_four_rows(data) -> None:
    task, *_ = make("aqa", data)
    right = [COLOUR_OF[row] for row in VALID]
    logits = torch.full((5, 4, 1), -3.0)
    logits[range(5), right] = -2.0
    assert measured(task, logits) == {"accuracy": 100.0}
    logits[4] = torch.tensor([0.0, 1, 0, 0])[:, None]
    assert right[4] != 1 and measured(task, logits) == {"accuracy": 80.0}


def test_aqa_reads_each_answer_with_the_question(data) -> None:
    task, *_ = make("aqa", data)
    text = batch_of(task, [0, 3])["net_input"]["inputs"]["text"]
    reader = task.readers["text"]
    wanted = reader.collate([reader.load(f"which colour? answer: {c}", Path()) for c in COLOURS * 2])
    assert torch.equal(text["values"], wanted["values"]) and torch.equal(text["padding_mask"], wanted["padding_mask"])


def test_vqa_is_worth_what_annotators_said(data) -> None:
    task, *_ = make("vqa", data)
    right = [COLOUR_OF[row] for row in VALID]
    near = [(colour + 1) % 4 for colour in right]
    assert measured(task, one_hot(right, 4)) == {"vqa_score": 100.0}
    assert measured(task, one_hot([*near[:2], *right[2:4], (right[4] + 2) % 4], 4)) == {
        "vqa_score": pytest.approx(100 * (0.3 + 0.3 + 1 + 1 + 0) / 5, abs=1e-9)
    }


def test_half_precision_does_not_round_what_is_measured(data) -> None:
    """The trainer casts batches to the model's precision before a validation step."""
    task, *_ = make("vqa", data)
    logits = one_hot([(COLOUR_OF[row] + 1) % 4 for row in VALID], 4)
    batch = batch_of(task, range(5))
    batch["target"] = {"scores": batch["target"]["scores"].bfloat16()}
    model = torch.nn.Linear(1, 1).bfloat16()
    assert validate(task, [batch], model, Answers(logits.bfloat16())) == {"vqa_score": pytest.approx(30, abs=1e-9)}


def test_nlvr2_reads_both_pictures_and_writes_the_official_file(data, tmp_path) -> None:
    task, *_ = make("nlvr2", data, results_dir=str(tmp_path))
    batch = batch_of(task, range(5))
    first, (second,) = batch["net_input"]["inputs"], batch["net_input"]["others"]
    assert set(second) == {"image"}
    for i, row in enumerate(VALID):
        for values, path in ((first, PICTURES[row]), (second, PICTURES[(row + 5) % ROWS])):
            wanted = task.readers["image"].load(path, task.datasets["valid"].root)
            assert torch.equal(values["image"]["values"][i], wanted)
    assert batch["target"]["labels"].tolist() == [1] * 5
    assert measured(task, one_hot([1, 1, 0, 1, 1], 2)) == {"accuracy": 80.0}
    assert (tmp_path / "valid_nlvr2.csv").read_text() == "t-0,True\nt-2,True\nt-4,False\nt-6,True\nt-8,True\n"


def test_refcoco_maps_boxes_back_to_pixels(data, tmp_path) -> None:
    task, *_ = make("refcoco", data, results_dir=str(tmp_path))
    batch = batch_of(task, range(5))
    sizes = torch.tensor([[41 + row, 48] * 2 for row in VALID]).double()
    boxes = torch.tensor([[row + 0.5, 3, row + 20, 40.25] for row in VALID]).double()
    torch.testing.assert_close(batch["target"]["boxes"], (boxes / sizes).float())
    torch.testing.assert_close(batch["reference"]["sizes"], sizes[:, :2])
    found = boxes.clone()
    found[0, 2] = boxes[0, 0] + (boxes[0, 2] - boxes[0, 0]) * 0.51  # IoU 0.51
    found[1, 2] = boxes[1, 0] + (boxes[1, 2] - boxes[1, 0]) * 0.49
    found[2] = found[2, [2, 1, 0, 3]]  # no box
    logits = (found / sizes).logit().float()[:, None]
    assert measured(task, logits) == {"acc_iou50": 60.0}
    lines = [json.loads(line) for line in (tmp_path / "valid_refcoco.jsonl").read_text().splitlines()]
    torch.testing.assert_close(torch.tensor([line["box"] for line in lines]).double(), found, atol=0.006, rtol=0)


def test_refcoco_blurs_and_never_crops_or_turns_pictures(data) -> None:
    task = make("refcoco", data, "train")[0]
    assert task.readers["image"].config.blur_prob == 0.5 and task.readers["image"].config.no_crop
    assert make("refcoco", data, blur_prob=0.0)[0].readers["image"].config.blur_prob == 0
    changes = [{"flip_prob": 0.5}, {"rand_augment": 9}, {"crop_pct": 0.9}, {"readers": {"image": {"no_crop": False}}}]
    for change in changes:
        with pytest.raises(ValueError, match="the box would not move"):
            make("refcoco", data, **change)


def test_fsd50k_ranks_samples_by_class(data) -> None:
    task, *_ = make("fsd50k", data)
    labels = batch_of(task, range(5))["reference"]["scores"]
    assert measured(task, labels.float()[:, None]) == {"map": pytest.approx(100)}
    # classes 0, 1 and 2 are had by samples 0-1, 2 and 3-4, class 4 by all; 3 and 5 by none and left out
    scores = torch.zeros(5, 1, 6)
    scores[:, 0, 0] = torch.tensor([4.0, 1, 3, 2, 0])  # right ones at 1 and 4: (1 + 2/4) / 2
    scores[:, 0, 1] = torch.tensor([4.0, 3, 2, 1, 0])  # at 3: 1/3
    scores[:, 0, 2] = torch.tensor([0.0, 1, 2, 3, 4])  # at 1 and 2
    expected = (0.75 + 1 / 3 + 1 + 1) / 4
    assert measured(task, scores) == {"map": pytest.approx(100 * expected)}


@pytest.mark.parametrize(
    ("case", "column", "cell", "words"),
    [
        ("image_classify", "label", "purple", "column 'label': unknown class 'purple'"),
        ("image_classify", "label", "4", "column 'label': class 4 is out of range"),
        ("vggsound", "text", "", "unknown class ''"),
        ("fsd50k", "text", "1,,2", "column 'text': unknown class ''"),
        ("fsd50k", "text", "1,6", "class 6 is out of range"),
        ("nlvr2", "label", "Maybe", "column 'label': unknown class 'Maybe'"),
        ("nlvr2", "image2", "images/none.jpg", "column 'image2': .*none.jpg.*no such file"),
        ("vqa", "refs", "red|!+0", r"column 'refs': 'red\|!\+0': expected answer"),
        ("vqa", "refs", "red|!+0|!+2", "a score of 0 to 1"),
        ("vqa", "refs", "red|!+0|!+nan", "a score of 0 to 1"),
        ("vqa", "refs", "red|!+4|!+1", "class 4 is out of range"),
        ("vqa", "refs", "green|!+0|!+1", "class 0 is the answer 'red', not 'green'"),
        ("refcoco", "region_coord", "1,2,3", "column 'region_coord': '1,2,3' is no box"),
        ("refcoco", "region_coord", "1,2,inf,4", "is no box"),
        ("refcoco", "region_coord", "5,2,3,4", "x0 < x1 and y0 < y1"),
        ("refcoco", "region_coord", "5,2,80,40", "outside the picture, which has 41 x 48 pixels"),
        ("refcoco", "region_coord", "-3,2,10,40", "outside the picture"),
        ("aqa", "text", "q&&&a&&&b&&&c&&&d&&&4", "column 'text': index '4' of the right answer"),
        ("aqa", "text", "q&&&a&&&b&&&c&&&1", "5 parts separated by '&&&'"),
        ("aqa with frames", "frames", " | ", "column 'frames': no frame"),
        ("aqa with frames", "frames", "images/none.jpg", "column 'frames': .*no such file"),
    ],
)
def test_a_bad_answer_is_named_with_row_and_column(case, column, cell, words, data, tmp_path) -> None:
    source = data / CASES[case][0]
    header, *rows = [line.split("\t") for line in (source / "valid.tsv").read_text().splitlines()]
    rows[0][header.index(column)] = cell
    write_manifest(tmp_path / "bad.tsv", ",".join(header), rows[:3])
    task, *_ = make(case, data, None)
    task.cfg.data, task.cfg.media_root = str(tmp_path), str(source)
    with pytest.raises(DataError, match=words) as error:
        task.load_dataset("bad")  # sees what can be seen without opening files
        batch = batch_of(task, range(3), "bad")
        assert set(batch) == {"error"}
        task.valid_step(batch, None, None)
    assert str(error.value).startswith(f"{tmp_path}/bad.tsv, row 1 (line 2): ")


def test_in_training_a_bad_answer_is_replaced(data, tmp_path) -> None:
    task, *_ = make("vggsound", data, None)
    task.cfg.data, task.cfg.media_root = str(tmp_path), str(data / "vggsound")
    write_manifest(tmp_path / "train.tsv", "uniq_id,audio,text", [("a", SOUNDS[0], 1), ("b", SOUNDS[1], "x")])
    task.load_dataset("train")
    batch = batch_of(task, [0, 1], "train")
    assert batch["target"]["labels"].tolist() == [1, 1] and "unknown class 'x'" in batch["skipped"][0]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("image_classify", {"label_file": "colours.txt", "num_classes": 5}, "num_classes=5, but .* names 4"),
        ("vqa", {"ans2label": "ans2label.json", "num_classes": 5}, "num_classes=5, but .* has 4 answers"),
        ("image_classify", {"label_file": "none.txt"}, "none.txt: cannot be read"),
        ("image_classify", {"selected_cols": "image_id,image"}, "name a column each for id, image, label"),
        ("vggsound", {"visual": True, "num_frames": 0}, "0 frames"),
        ("zero_shot_classify", {"labels": "colours.txt", "modalities": "audio"}, "name text and another one"),
        ("zero_shot_classify", {"labels": "colours.txt", "prompts": "colours.txt"}, "must stand where the label goes"),
        ("audio_text_retrieval", {"candidates": "colours.txt"}, "no JSON"),
        ("pretrain", {"modalities": "text,image,image"}, "name two different modalities"),
    ],
)
def test_wrong_options(name, options, words, data) -> None:
    files = {k: data / v for k, v in options.items() if k in ("label_file", "ans2label", "labels", "candidates")}
    if options.get("prompts"):
        files["prompts"] = data / options["prompts"]
    with pytest.raises(ValueError, match=words):
        make_task(name, data / name, **options | files)


@pytest.mark.parametrize("name", ["fsd50k", "vggsound", "image_classify"])
def test_labels_beside_the_manifests_name_the_classes(name, tmp_path) -> None:
    (tmp_path / "labels.txt").write_text("dog\ncat\nowl\n")
    task = make_task(name, tmp_path, None)
    assert task.num_classes == 3 and task.name(2) == "owl"
    assert task.target().number("owl") == task.target().number("2") == 2
    with pytest.raises(ValueError, match=r"num_classes=5, but .*labels.txt names 3"):
        make_task(name, tmp_path, None, num_classes=5)


def test_defaults_are_the_releases_numbers(data) -> None:
    numbers = {"vqa": 3129, "fsd50k": 200, "vggsound": 309, "image_classify": 1000, "aqa": 1, "nlvr2": 2, "refcoco": 4}
    assert {name: make_task(name, data / name, None).num_classes for name in numbers} == numbers
