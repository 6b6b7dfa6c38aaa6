"""Samples of several inputs of a kind, and with answers."""

import pytest
import torch

from one_peace.data.dataset import ManifestDataset
from one_peace.data.manifest import Manifest
from one_peace.data.mixing import Mixing
from one_peace.data.sources import Source
from one_peace.data.target import ClassTarget, MultiLabelTarget
from tests.data.test_dataset import LengthReader, NumberReader, same


class Listed(Source):
    """A cell of two numbers, as two rows."""

    def split(self, cells, generator=None):
        return [cell.split() for cell in cells]


READER = NumberReader(NumberReader.Config())


def build(tmp_path, rows, train=False, columns=None, target=None, **options):
    path = tmp_path / "numbers.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in [("a", "b", "label"), *rows]))
    columns = columns or {"pair": Source(("a", "b")), "one": "a"}
    return ManifestDataset(
        Manifest(path, ["a", "b", "label"]),
        columns,
        dict.fromkeys(columns, READER),
        train=train,
        target=target,
        **options,
    )


def test_instances_are_batches_of_their_own(tmp_path):
    dataset = build(tmp_path, [("1", "2", "0"), ("3", "4", "1")])
    batch = dataset.collater([dataset[1], dataset[0]])
    inputs, (other,) = batch["net_input"]["inputs"], batch["net_input"]["others"]
    assert set(inputs) == {"pair", "one"} and set(other) == {"pair"}
    assert inputs["pair"]["values"][:, 0].tolist() == inputs["one"]["values"][:, 0].tolist() == [3, 1]
    assert other["pair"]["values"][:, 0].tolist() == [4, 2]
    assert batch["ntokens"] == 2 * 3 * 2 and "target" not in batch
    assert dataset.cells(1) == {"a": "3", "b": "4", "label": "1"}


def test_rows_of_an_instance_follow_one_another(tmp_path):
    dataset = build(
        tmp_path, [("1 2", "x", "0"), ("3 4", "x", "1")], columns={"listed": Listed(("a",)), "one": "label"}
    )
    inputs = dataset.collater([dataset[0], dataset[1]])["net_input"]["inputs"]
    assert inputs["listed"]["values"][:, 0].tolist() == [1, 2, 3, 4]
    assert inputs["one"]["values"][:, 0].tolist() == [0, 1]


def test_a_bad_instance_is_named_by_its_own_column(tmp_path):
    dataset = build(tmp_path, [("1", "corrupt", "0")])
    assert "row 1 (line 2): column 'b': the cell says corrupt" in dataset[0]["error"]


def test_evaluation_has_the_target_twice_and_training_once(tmp_path):
    rows = [("1", "2", "0,1"), ("3", "4", "1")]
    dataset = build(tmp_path, rows, target=MultiLabelTarget("label", 2))
    batch = dataset.collater([dataset[0], dataset[1]])
    assert batch["target"]["scores"].dtype == torch.float32 and batch["reference"]["scores"].dtype == torch.float64
    assert batch["target"]["scores"].tolist() == batch["reference"]["scores"].tolist() == [[1, 1], [0, 1]]
    dataset = build(tmp_path, rows, target=MultiLabelTarget("label", 2), train=True)
    batch = dataset.collater([dataset[0], dataset[1]])
    assert batch["target"]["scores"].tolist() == [[1, 1], [0, 1]] and "reference" not in batch


class PictureReader(NumberReader):
    """A picture of one colour."""

    def load(self, cell, root, generator=None):
        return torch.full((3, 4, 4), float(cell))


def test_only_training_batches_are_mixed_and_by_seed_epoch_and_rows(tmp_path):
    def batch(train=True, epoch=1, rows=(0, 1, 2), seed=1):
        dataset = build(
            tmp_path,
            [(str(i), "0", str(i % 2)) for i in range(3)],
            train=train,
            columns={"image": "a"},
            target=ClassTarget("label", 2),
            mixing=Mixing("image", 2, 1.0, 1.0),
            seed=seed,
        )
        dataset.readers["image"] = PictureReader(PictureReader.Config())
        dataset.set_epoch(epoch)
        torch.rand(2)
        return dataset.collater([dataset[row] for row in rows])

    assert set(batch(train=False)["target"]) == {"labels"}
    mixed = batch()
    assert set(mixed["target"]) == {"scores"} and same(mixed, batch())
    for other in (batch(epoch=2), batch(seed=2), batch(rows=(1, 0, 2))):
        assert not same(mixed["net_input"], other["net_input"])
    assert batch(rows=(0,))["target"]["scores"].tolist() == [[1, 0]]  # mixed with itself


def test_lengths_count_every_instance_and_row(tmp_path):
    dataset = build(tmp_path, [("5", "6", "0"), ("7", "1", "0")])
    dataset.readers = dict.fromkeys(dataset.readers, LengthReader(LengthReader.Config()))
    assert dataset.units.tolist() == [5 + 6 + 5, 7 + 1 + 7]


def test_parts_that_do_not_fit_are_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="column 'c' of modality 'pair'"):
        build(tmp_path, [("1", "2", "0")], columns={"pair": Source(("a", "c"))})
    with pytest.raises(ValueError, match="column 'class' of the target"):
        build(tmp_path, [("1", "2", "0")], target=ClassTarget("class", 2))
