"""Batches within a budget of units (``--max-tokens``), by fairseq's own iterators and in a real run."""

import gc
import multiprocessing
import threading
import time
from weakref import WeakSet

import numpy as np
import pytest
import soundfile
from torch import nn

from one_peace.data.dataset import ManifestDataset
from one_peace.data.errors import DataError
from one_peace.data.lengths import DURATION
from one_peace.data.manifest import Manifest
from one_peace.metrics import AccuracyMeter
from one_peace.modalities.audio.reader import AudioReader
from one_peace.tasks.manifest_task import ManifestTask
from one_peace.tasks.options import ManifestTaskConfig
from tests.small_data import train_vocabulary, write_sounds
from tests.tasks.cli import command, logged, run, train_flags

BUDGET = 200


class AudioTask(ManifestTask):
    """Of a task, only what makes batches."""

    def __init__(self):
        super(ManifestTask, self).__init__(ManifestTaskConfig())
        self.meter = AccuracyMeter()
        self.datasets = {}
        self._iterators = WeakSet()


@pytest.fixture
def task():
    return AudioTask()


def sounds(tmp_path, seconds, train=True):
    path = tmp_path / "sounds.tsv"
    rows = [f"{i}.wav\t{duration}" for i, duration in enumerate(seconds)]
    path.write_text("\n".join(["audio\tduration", *rows]))
    readers = {"audio": AudioReader.from_options({})}
    return ManifestDataset(Manifest(path, ["audio"], [DURATION]), {"audio": "audio"}, readers, train=train)


def read(task, dataset, epoch=1, shuffle=True, **options):
    """The batches of an epoch, in the order in which a run reads them."""
    iterator = task.get_batch_iterator(dataset, epoch=epoch, **options)
    return [tuple(map(int, batch)) for batch in iterator.ordered_batches(epoch, False, shuffle)]


def test_fairseq_reads_batches_within_the_budget_in_another_order_every_epoch(task, tmp_path):
    seconds = np.random.default_rng(0).uniform(1, 4, 100)
    dataset = sounds(tmp_path, seconds)
    epochs = {epoch: read(task, dataset, epoch, max_tokens=5 * BUDGET) for epoch in (1, 2)}
    for batches in epochs.values():
        assert sorted(row for batch in batches for row in batch) == list(range(100))
        longest = [max(dataset.units[list(batch)]) for batch in batches]
        assert all(len(batch) * units <= 5 * BUDGET for batch, units in zip(batches, longest, strict=True))
        assert longest != sorted(longest)  # batches of a length do not come one after another
    assert len(set(epochs[1]) & set(epochs[2])) < len(epochs[1]) / 2
    assert epochs[1] == read(task, sounds(tmp_path, seconds), 1, max_tokens=5 * BUDGET)


def test_without_a_budget_batches_are_what_they_were(task, tmp_path):
    dataset = sounds(tmp_path, range(1, 11))
    read(task, dataset, max_tokens=BUDGET * 10)
    batches = read(task, dataset, shuffle=False, max_sentences=4)
    order = [3, 7, 6, 2, 8, 4, 1, 0, 9, 5]  # of seed 1, epoch 1, for ever
    assert [row for batch in batches for row in batch] == order and [len(batch) for batch in batches] == [4, 4, 2]


def test_no_thread_is_left_when_a_run_ends_within_an_epoch(task, tmp_path):
    dataset = sounds(tmp_path, [1] * 40)
    for row in range(40):
        soundfile.write(tmp_path / f"{row}.wav", np.zeros(16000), 16000)
    before = threading.active_count()
    batches = task.get_batch_iterator(dataset, max_sentences=1, data_buffer_size=2).next_epoch_itr()
    next(iter(batches))
    assert threading.active_count() == before


def test_worker_processes_end_with_their_epoch(task, tmp_path):
    dataset = sounds(tmp_path, [1] * 8)
    for row in range(8):
        soundfile.write(tmp_path / f"{row}.wav", np.zeros(16000), 16000)
    gc.disable()  # which might find them by chance
    workers = set()
    try:
        for epoch in range(1, 5):  # as a run does it
            iterator = task.get_batch_iterator(dataset, epoch=epoch, max_sentences=2, num_workers=1)
            batches = iterator.next_epoch_itr()
            task.begin_epoch(epoch, nn.Linear(1, 1))
            workers |= set(multiprocessing.active_children())
            assert len(list(batches)) == 4
            deadline = time.monotonic() + 60  # a process takes a moment to end
            while len(multiprocessing.active_children()) > 1 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert len(multiprocessing.active_children()) == 1
    finally:
        gc.enable()
    assert len(workers) == 4 and all(worker.exitcode in (0, None) for worker in workers), "one had to be killed"


def test_a_sample_beyond_the_budget_is_left_out_or_named(task, tmp_path, caplog):
    seconds = [1, 2, 9, 3, 5]
    batches = read(task, sounds(tmp_path, seconds), max_tokens=BUDGET, ignore_invalid_inputs=True)
    assert sorted(row for batch in batches for row in batch) == [0, 1, 3]
    assert "left out" in caplog.text and "2 of 5 samples" in caplog.text and "sounds.tsv, row 3 (line 4)" in caplog.text
    for rows, ignore in ((seconds, False), ([9, 5], True)):
        with pytest.raises(DataError, match=r"sounds\.tsv, row .* --max-tokens 449 takes all of them"):
            read(task, sounds(tmp_path, rows, train=False), max_tokens=BUDGET, ignore_invalid_inputs=ignore)


def test_a_run_with_a_budget_trains_on_every_sample_of_each_epoch(tmp_path):
    data = tmp_path / "data"
    write_sounds(data)
    train_vocabulary(tmp_path / "bpe")
    for number in range(1, 13):  # from 1 to 3.2 seconds: 49 to 159 frames
        samples = int(16000 * (0.8 + number / 5))
        wave = np.random.default_rng(number).uniform(-0.5, 0.5, samples)
        soundfile.write(data / "audio" / f"{number:04d}.wav", wave, 16000)
    options = train_flags(tmp_path / "run", "audio_text_pretrain", batch_size=None, max_tokens=500)
    output = run(command("train", data, "audio_text_pretrain", **options))
    steps, valid = logged(output, "train_inner"), logged(output, "valid")
    sizes = [float(step["bsz"]) for step in steps if "bsz" in step]
    assert len(valid) == 2 and "valid_txt_r1" in valid[-1] and all(float(step["loss"]) > 0 for step in steps)
    assert len(set(sizes)) > 1 and sum(sizes) == 24, sizes
