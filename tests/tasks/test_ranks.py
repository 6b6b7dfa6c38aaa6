"""Ranks with shards of unequal length, in runs of two gloo processes or in fairseq's loops."""

import json
import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from one_peace.criterions.contrastive import ImageTextRetrievalCriterion
from tests.small_data import train_vocabulary, write_pictures
from tests.tasks.cli import SMALL, command, logged, run, two_ranks
from tests.tasks.in_process import make_model, make_task

STILL = SMALL.replace("0.2", "0.0")  # no drop path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    write_pictures(folder / "data")
    train_vocabulary(folder / "bpe")
    return folder / "data"


def test_batches_of_a_short_rank_count_in_an_update_of_several(pictures, tmp_path) -> None:
    """Three batches in one update, of one process or of two, the second of which has a batch less."""
    rows = [f"{i}\t{pictures}/images/{i:04d}.jpg\t{i % 4}" for i in range(1, 7)]
    (tmp_path / "train.tsv").write_text("\n".join(["image_id\timage\tlabel", *rows]) + "\n")
    options = {
        "arch": "one_peace_classify_tiny",
        "encoder": STILL,
        "criterion": "classify_criterion",
        "optimizer": "adjust_adam",
        "lr": 1e-3,
        "lr_scheduler": "adjust_cosine",
        "max_epoch": 1,
        "save_dir": tmp_path / "run",
        "no_save": True,
        "disable_validation": True,
        "patch_image_size": 32,
        "num_classes": 4,
        "min_scale": 1.0,
        "batch_size": 2,
        "bpe_dir": None,
    }
    one = run(command("train", tmp_path, "image_classify", **options, update_freq=3))
    two = run(*[command("train", tmp_path, "image_classify", **options, update_freq=2, **r) for r in two_ranks()])
    (alone,), (shared,) = (logged(output, "train_inner") for output in (one, two))
    assert float(alone["bsz"]) == float(shared["bsz"]) == 6
    for name in ("loss", "gnorm"):
        assert float(shared[name]) == pytest.approx(float(alone[name]), rel=2e-3), name


def _validate(rank: int, world: int, data: Path) -> dict[str, float]:
    """The loop of ``fairseq-validate``."""
    task = make_task("image_text_retrieval", data, patch_image_size=32)
    torch.manual_seed(0)
    model = make_model("one_peace_retrieval", task).eval()
    criterion = ImageTextRetrievalCriterion(task)
    task.begin_measuring("valid")
    shard = {"num_shards": world, "shard_id": rank, "num_workers": 0}
    for sample in task.get_batch_iterator(task.datasets["valid"], max_sentences=2, **shard).next_epoch_itr(False):
        task.valid_step(sample, model, criterion)
    return task.report()


def _join(rank: int, data: Path, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    (folder / f"{rank}.json").write_text(json.dumps(_validate(rank, 2, data)))


def test_validation_of_pairs_ends_where_a_rank_has_fewer_batches(pictures, tmp_path) -> None:
    """Three batches on two ranks, whose losses take part in one another's."""
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=_join, args=(rank, pictures, tmp_path)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0, 0]
    reports = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert reports[0] == reports[1] == _validate(0, 1, pictures)
