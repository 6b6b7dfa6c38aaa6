"""The data set: reproducible samples, whole batches, and errors that travel instead of raising."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from one_peace.data.dataset import ManifestDataset, stable_hash
from one_peace.data.errors import DataError, SampleError
from one_peace.data.manifest import Manifest
from one_peace.data.masking import MaskRule
from one_peace.data.target import ClassTarget
from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.modalities.image.reader import ImageReader
from one_peace.modalities.reader import Reader
from one_peace.modalities.text.reader import TextReader

CAPTIONS = [f"a {colour} {shape}" for colour in ("red", "green", "blue") for shape in ("dot", "bar", "ring", "star")]
PLAN = {
    ("text",): {"text": MaskRule("whole_word", 0.15)},
    ("image",): {"image": MaskRule("random", 0.75)},
    ("text", "image"): {"text": MaskRule("outside_previous", 0.4), "image": MaskRule("cover_previous", 0.6875)},
}
COLUMNS = {"text": "caption", "image": "image"}


class NumberReader(Reader):
    """A modality of one number a sample: fails, expectedly or not, where the cell says so."""

    def load(self, cell: str, root: Path, generator: torch.Generator | None = None) -> torch.Tensor:
        if cell == "corrupt":
            raise SampleError("the cell says corrupt")
        if cell == "bug":
            raise ZeroDivisionError("oops")
        noise = torch.rand(2, generator=generator) if generator else torch.zeros(2)
        return float(cell) + noise

    def num_units(self, value: torch.Tensor) -> int:
        return len(value)


def numbers(tmp_path, cells, train=True, seed=1):
    path = tmp_path / "numbers.tsv"
    path.write_text("number\n" + "".join(f"{cell}\n" for cell in cells))
    return ManifestDataset(
        Manifest(path, ["number"]),
        {"number": "number"},
        {"number": NumberReader(NumberReader.Config())},
        {("number",): {"number": MaskRule("random", 0.5)}},
        seed=seed,
        train=train,
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    train_tokenizer(CAPTIONS * 5, folder / "bpe", 64)
    draws = np.random.default_rng(0)
    rows = []
    for number, caption in enumerate(CAPTIONS):
        Image.fromarray(draws.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}\t{number}.png\t{caption}{' with a long tail' * (number % 3)}\n")
    (folder / "train.tsv").write_text("image_id\timage\tcaption\n" + "".join(rows))
    options = {"bpe_dir": str(folder / "bpe"), "patch_image_size": 64}
    readers = {"text": TextReader.from_options(options, {}), "image": ImageReader.from_options(options, {})}

    def build(train=True, plan=PLAN, seed=1):
        manifest = Manifest(folder / "train.tsv", ["image", "caption"])
        return ManifestDataset(manifest, COLUMNS, readers, plan, seed=seed, train=train)

    return build


def flatten(batch, prefix=""):
    if isinstance(batch, dict):
        return {k: v for key, value in batch.items() for k, v in flatten(value, f"{prefix}/{key}").items()}
    return {prefix: batch}


def same(a, b):
    a, b = flatten(a), flatten(b)
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a
    )


def test_a_batch_holds_what_the_model_reads(world):
    dataset = world()
    batch = dataset.collater([dataset[i] for i in (3, 0, 2)])
    assert batch["id"].tolist() == [3, 0, 2] and batch["nsentences"] == 3 and batch["skipped"] == []
    inputs, masks = batch["net_input"]["inputs"], batch["net_input"]["masks"]
    assert set(masks) == {"text", "image", "text+image"}
    assert {name: set(rules) for name, rules in masks.items()}["text+image"] == {"text", "image"}
    padding = inputs["text"]["padding_mask"]
    assert batch["ntokens"] == int((~padding).sum()) - 3 + 3 * 16
    for name, modality in (("text", "text"), ("text+image", "text"), ("image", "image"), ("text+image", "image")):
        mask = masks[name][modality]["mask_indices"]
        assert mask.shape == inputs[modality]["padding_mask"].shape
        assert not (mask & inputs[modality]["padding_mask"]).any()
    assert masks["image"]["image"]["mask_indices"].sum(1).tolist() == [12] * 3
    assert masks["text+image"]["image"]["mask_indices"].sum(1).tolist() == [11] * 3
    assert not (masks["text"]["text"]["mask_indices"] & masks["text+image"]["text"]["mask_indices"]).any()
    kept_alone = ~masks["image"]["image"]["mask_indices"][:, 1:]
    assert masks["text+image"]["image"]["mask_indices"][:, 1:][kept_alone].all()
    assert batch["item_keys"]["text"].tolist() == [stable_hash(dataset.manifest[i][1]) for i in (3, 0, 2)]


def test_rows_are_looked_at_before_training(world):
    dataset = world(train=False, plan={})
    dataset.check_rows()
    path = dataset.manifest.path.with_name("valid.tsv")
    for line, reason in (("9\tnone.png\tx", "no such file"), ("9\t0.png", "2 cells"), ("9\t\tx", "path is empty")):
        path.write_text(f"image_id\timage\tcaption\n0\t0.png\ta\n{line}\n")
        broken = ManifestDataset(Manifest(path, ["image", "caption"]), COLUMNS, dataset.readers)
        with pytest.raises(DataError, match=rf"valid\.tsv, row 2 \(line 3\): .*{reason}"):
            broken.check_rows()


def test_answers_are_looked_at_before_training(tmp_path):
    (tmp_path / "valid.tsv").write_text("number\tlabel\n1\t0\n2\t9\n")
    manifest, reader = Manifest(tmp_path / "valid.tsv", ["number", "label"]), NumberReader(NumberReader.Config())
    target = ClassTarget("label", 4, ())
    dataset = ManifestDataset(manifest, {"number": "number"}, {"number": reader}, target=target)
    with pytest.raises(DataError, match=r"row 2 \(line 3\): column 'label': class 9 is out of range"):
        dataset.check_rows()


def test_texts_that_are_read_as_the_same_have_equal_keys(world):
    dataset = world(train=False, plan={})
    same = [dataset.key("text", {"caption": text}) for text in ("A  red dog.", "a red dog.", "\tA red dog. ")]
    assert same == [stable_hash("a red dog.")] * 3 and dataset.key("text", {"caption": "a red dog"}) not in same
    assert dataset.key("image", {"image": "A.png"}) != dataset.key("image", {"image": "a.png"})


def test_equal_cells_have_equal_keys_and_keys_are_stable():
    assert stable_hash("a cat") == 0x33FAEFDA0591EED1  # of any process, on any machine
    assert stable_hash("a cat") != stable_hash("a dog")
    assert 0 <= stable_hash("") < 2**63


def test_validation_has_no_randomness_and_keeps_the_order(world):
    dataset = world(train=False, plan={})
    first = dataset.collater([dataset[i] for i in range(4)])
    dataset.set_epoch(7)
    assert same(first, dataset.collater([dataset[i] for i in range(4)]))
    assert first["net_input"]["masks"] == {}
    plain = [dataset.readers["image"].load(f"{i}.png", dataset.root) for i in range(4)]
    assert torch.equal(first["net_input"]["inputs"]["image"]["values"], torch.stack(plain))
    assert dataset.ordered_indices().tolist() == list(range(len(CAPTIONS)))
    assert dataset.can_reuse_epoch_itr_across_epochs and not world().can_reuse_epoch_itr_across_epochs


def test_randomness_is_a_function_of_seed_epoch_and_index(world):
    def batch(seed=1, epoch=1, index=5):
        dataset = world(seed=seed)
        dataset.set_epoch(epoch)
        torch.rand(3)  # global randomness does not matter
        return dataset.collater([dataset[0], dataset[index]])

    assert same(batch(), batch())
    for other in (batch(seed=2), batch(epoch=2)):
        assert not same(batch()["net_input"]["masks"], other["net_input"]["masks"])
        assert not same(batch()["net_input"]["inputs"], other["net_input"]["inputs"])


def test_order_is_shuffled_by_seed_and_epoch(tmp_path):
    def order(seed, epoch):
        dataset = numbers(tmp_path, range(50), seed=seed)
        dataset.set_epoch(epoch)
        return dataset.ordered_indices().tolist()

    assert order(1, 1) == order(1, 1)
    assert sorted(order(1, 1)) == list(range(50))
    assert len({tuple(order(*key)) for key in ((1, 1), (1, 2), (2, 1))}) == 3


@pytest.mark.parametrize(("workers", "start"), [(2, "fork"), (1, "spawn")])
def test_workers_give_what_the_main_process_gives(world, workers, start):
    def batches(**options):
        dataset = world()
        dataset.set_epoch(3)
        sampler = [[0, 1, 2], [3, 4, 5], [6, 7]]
        return list(DataLoader(dataset, batch_sampler=sampler, collate_fn=dataset.collater, **options))

    apart = batches(num_workers=workers, multiprocessing_context=start)
    assert all(same(a, b) for a, b in zip(batches(num_workers=0), apart, strict=True))


def test_a_corrupt_sample_is_replaced_counted_and_named(tmp_path):
    dataset = numbers(tmp_path, ["1", "corrupt", "3", "4\textra", "5"])
    batch = dataset.collater([dataset[i] for i in range(5)])
    assert batch["nsentences"] == 5 and not {1, 3} & set(batch["id"].tolist())
    assert len(batch["skipped"]) >= 2
    text = "\n".join(batch["skipped"])
    assert "numbers.tsv, row 2 (line 3): column 'number': the cell says corrupt" in text
    assert "numbers.tsv, row 4 (line 5): the line has 2 cells" in text
    assert same(batch, dataset.collater([dataset[i] for i in range(5)]))


def test_nothing_but_corrupt_samples_is_an_error(tmp_path):
    dataset = numbers(tmp_path, ["corrupt"] * 5)
    assert "11 samples drawn in a row" in dataset.collater([dataset[0]])["error"]


def test_a_corrupt_sample_in_validation_is_an_error(tmp_path):
    dataset = numbers(tmp_path, ["1", "corrupt"], train=False)
    batch = dataset.collater([dataset[0], dataset[1]])
    assert set(batch) == {"error"} and "row 2 (line 3)" in batch["error"] and "corrupt" in batch["error"]


@pytest.mark.parametrize("train", [True, False])
def test_an_unexpected_error_travels_with_file_row_and_type(tmp_path, train):
    dataset = numbers(tmp_path, ["1", "bug"], train=train)
    loader = DataLoader(dataset, batch_size=2, collate_fn=dataset.collater, num_workers=1)
    (batch,) = list(loader)
    for word in ("numbers.tsv", "row 2 (line 3)", "ZeroDivisionError", "oops", "test_dataset.py"):
        assert word in batch["error"]


def test_an_error_while_collating_travels_too(tmp_path, monkeypatch):
    dataset = numbers(tmp_path, ["1", "2"])
    monkeypatch.setattr(NumberReader, "collate", lambda self, values: 1 / 0)
    assert "batch of rows 1, 2: ZeroDivisionError" in dataset.collater([dataset[0], dataset[1]])["error"]


def test_of_no_samples_a_stand_in_is_asked_for(tmp_path):
    assert numbers(tmp_path, ["1"]).collater([]) == {"stand_in": True}


def test_parts_that_do_not_fit_are_refused_at_once(tmp_path):
    manifest = numbers(tmp_path, ["1"]).manifest
    reader = NumberReader(NumberReader.Config())
    for columns, readers, plan, words in (
        ({"number": "other"}, {"number": reader}, {}, "column 'other'"),
        ({"number": "number"}, {}, {}, "no reader for modality 'number'"),
        ({"number": "number"}, {"number": reader}, {("text",): {"text": MaskRule("random", 0.1)}}, "mask plan of text"),
        ({"number": "number"}, {"number": reader}, {("number",): {"number": MaskRule("rand", 0.1)}}, "mean 'random'"),
    ):
        with pytest.raises(ValueError, match=words):
            ManifestDataset(manifest, columns, readers, plan)


class LengthReader(NumberReader):
    """The cell is the length of the sample."""

    def estimate_units(self, cell: str, root: Path, duration: float | None = None) -> int:
        return int(cell)


def lengths(tmp_path, cells, train=True, seed=1):
    dataset = numbers(tmp_path, cells, train, seed)
    dataset.readers["number"] = LengthReader(LengthReader.Config())
    dataset.by_length = True
    return dataset


def test_without_a_budget_samples_count_one_and_nothing_is_counted(tmp_path):
    dataset = lengths(tmp_path, [5, 6, 7])
    dataset.by_length = False
    rows = dataset.ordered_indices()
    assert dataset.num_tokens_vec(rows).tolist() == [1, 1, 1] and dataset.num_tokens(2) == dataset.size(2) == 1
    assert sorted(rows.tolist()) == [0, 1, 2] and "units" not in vars(dataset)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(50, 200), st.booleans(), st.integers(1, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_batches_stay_within_the_budget_and_lose_nothing(tmp_path, units, budget, train, epoch):
    dataset = lengths(tmp_path, units, train)
    dataset.set_epoch(epoch)
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_tokens=budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(units)))
    for batch in batches:
        own = [units[row] for row in batch]
        assert len(own) * max(own) <= budget
        assert dataset.num_tokens_vec(np.array(batch)).tolist() == own == [dataset.size(row) for row in batch]
    if not train:
        assert [row for batch in batches for row in batch] == list(range(len(units)))


def test_what_replaces_a_corrupt_sample_fits_into_its_batch(tmp_path):
    dataset = lengths(tmp_path, [5] * 30 + [300] * 10)
    drawn = {dataset._replacement(3, torch.Generator().manual_seed(seed)) for seed in range(50)}
    assert len(drawn) > 10 and max(drawn) < 30
    dataset.by_length = False
    assert max(dataset._replacement(3, torch.Generator().manual_seed(seed)) for seed in range(50)) >= 30


def test_where_nothing_fits_a_short_sample_replaces_a_corrupt_one(tmp_path):
    dataset = lengths(tmp_path, [1] + [5] * 30 + [300] * 10)
    drawn = {dataset._replacement(0, torch.Generator().manual_seed(seed)) for seed in range(50)}
    assert len(drawn) > 10 and max(drawn) <= 30


def test_training_batches_hold_similar_lengths_and_differ_by_epoch_and_seed(tmp_path):
    units = np.random.default_rng(0).integers(10, 1000, 400)

    def batches(seed=1, epoch=1):
        dataset = lengths(tmp_path, units, seed=seed)
        dataset.set_epoch(epoch)
        return [tuple(batch) for batch in dataset.batch_by_size(dataset.ordered_indices(), max_sentences=8)]

    spread = [units[list(batch)].max() / units[list(batch)].min() for batch in batches()]
    assert np.median(spread) < 1.15 and len(batches()) == 50
    assert batches() == batches()
    for other in (batches(seed=2), batches(epoch=2)):
        assert len(set(batches()) & set(other)) < 10
