"""Training steps, and validation by a metric over a whole evaluation set, on any number of ranks."""

import logging
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from fairseq import metrics, utils
from fairseq.logging.meters import MetersDict
from fairseq.optim import AMPOptimizer
from fairseq.tasks import FairseqTask

from one_peace.data.errors import DataError
from one_peace.metrics import Meter
from one_peace.metrics.gather import is_first_rank
from one_peace.models.memory import keep_freed_memory

from .precision import warn_of_emulation
from .results import Results

logger = logging.getLogger(__name__)

SHOWN = 5


class MeasuredTask(FairseqTask):
    """Steps over batches of a `ManifestDataset`; ``valid_step`` feeds a meter that is read after each split.

    Attributes:
        meter: what is measured; ``--best-checkpoint-metric`` takes one of its names.
    """

    meter: Meter

    def __init__(self, cfg, **kwargs):
        super().__init__(cfg, **kwargs)
        self._split = ""
        self._report: dict[str, float] | None = None
        self._skipped: list[str] = []

    @abstractmethod
    def measure(self, sample: dict, model, criterion) -> tuple[torch.Tensor, dict]:
        """Validation loss of a batch and what to log; adds to the meter. Without gradient."""

    def write_results(self, results: Results, gathered: Any) -> None:
        """Writes what was predicted (``gathered`` by the meter), for ``--results-dir``."""

    # -- training -----------------------------------------------------------------------------------------------------

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        """One forward and backward; a rank whose shard is shorter than others takes part with nothing of its own."""
        if isinstance(optimizer, AMPOptimizer):
            raise ValueError("--amp casts inside the model, which computes in one precision: use --bf16 or --fp16")
        nothing = ignore_grad or "stand_in" in sample
        if nothing:
            sample = self._stand_in("train", model)
        _raise_error(sample)
        self._skipped += sample["skipped"]
        loss, sample_size, log = super().train_step(sample, model, criterion, optimizer, update_num, nothing)
        log["nskipped"] = len(sample["skipped"])
        return (loss, sample_size * 0, _zero(log)) if nothing else (loss, sample_size, log)

    def _stand_in(self, split: str, model) -> dict:
        """A batch of ``split`` that keeps this rank in step with the others and counts nowhere.

        fairseq's own, for batches of length 0, is a validation batch without masks, which would log other values and
        leave the decoder out; and it takes a rank's earlier batches of the same update for nothing too.
        """
        dataset = self.datasets[split]
        return _for_model(dataset.collater([dataset[0]]), model) | {"skipped": [], "stand_in": True}

    def begin_epoch(self, epoch: int, model) -> None:
        parameter = next(model.parameters())
        keep_freed_memory(parameter.device.type)
        warn_of_emulation(parameter.device.type, parameter.dtype)
        self._report_skipped()

    def begin_valid_epoch(self, epoch: int, model) -> None:
        self._report_skipped()

    def _report_skipped(self) -> None:
        """Says at the end of an epoch which training samples could not be used."""
        if self._skipped:
            shown = "\n  ".join(self._skipped[:SHOWN] + (["..."] if len(self._skipped) > SHOWN else []))
            logger.warning("%d corrupt samples were replaced by others:\n  %s", len(self._skipped), shown)
        self._skipped = []

    # -- validation ---------------------------------------------------------------------------------------------------

    def begin_measuring(self, split: str) -> None:
        """From here on validation batches are those of ``split``."""
        self._split = split
        self._report = None
        self.meter.reset()

    def valid_step(self, sample, model, criterion):
        """Validation loss of a batch; what the metric needs of it goes into the meter."""
        nothing = "stand_in" in sample
        if nothing:
            sample = self._stand_in(self._split, model)  # items measured twice count once
        _raise_error(sample)
        self._report = None
        with torch.no_grad():
            loss, log = self.measure(sample | {"net_input": _for_model(sample["net_input"], model)}, model, criterion)
        return (loss * 0, 0, _zero(log)) if nothing else (loss, log["sample_size"], log)

    def reduce_metrics(self, logging_outputs, criterion) -> None:
        if not logging_outputs:  # of a step that ran out of memory
            return
        super().reduce_metrics(logging_outputs, criterion)
        if "nskipped" in logging_outputs[0]:
            metrics.log_scalar_sum("skipped", sum(log["nskipped"] for log in logging_outputs))
        else:
            self._attach_report()

    def _attach_report(self) -> None:
        """Adds the metrics to the aggregator of the whole validation set, to be computed when it is read.

        It is the outermost unnamed one. Reading it is a collective that fairseq does once, on all ranks.
        """
        names = ("default", "train", "train_inner", "valid")
        named = [metrics._aggregators.get(name) for name in names]
        root = next(a for a in metrics.get_active_aggregators() if all(a is not other for other in named))
        for key in self.meter.names():
            if key not in root:
                root.add_meter(key, MetersDict._DerivedMeter(lambda _, key=key: round(self.report()[key], 2)), 20)

    def report(self) -> dict[str, float]:
        """The metrics over everything validated since `begin_measuring`, in percent; a collective.

        The first call of a pass also writes the results, on the first rank.
        """
        if self._report is None:
            gathered = self.meter.gather()
            self._report = self.meter.score(gathered)
            if self.cfg.results_dir and is_first_rank():
                results = Results(Path(self.cfg.results_dir), self._split)
                results.write_metrics(self._report)
                self.write_results(results, gathered)
        return self._report


def _raise_error(sample: dict) -> None:
    """A data error met in a worker, raised where its message is the last thing the user sees."""
    if "error" in sample:
        raise DataError(sample["error"])


def _zero(log: dict) -> dict:
    """Values to log that add nothing to other ranks'."""
    return {key: value * 0 for key, value in log.items()}


def _for_model(sample: dict, model) -> dict:
    """The tensors on the model's device, real numbers in its precision."""
    parameter = next(model.parameters())

    def prepare(x: torch.Tensor) -> torch.Tensor:
        return x.to(parameter) if x.is_floating_point() else x.to(parameter.device)

    return utils.apply_to_sample(prepare, sample)
