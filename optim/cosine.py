"""Cosine learning rate schedule whose warm-up may be a share of all updates, counted from epochs if need be.

With n the number of updates done, N of the whole run, w = ``warmup_updates`` or ``int(N * warmup_ratio)``::

    lr(n) = min_lr + (lr - min_lr) * n / w                                      n < w
    lr(n) = min_lr + (lr - min_lr) * (1 + cos(pi * (n - w) / (N - w))) / 2      w <= n < N
    lr(n) = min_lr                                                              N <= n
"""

import logging
import math
from dataclasses import dataclass, field
from typing import Any

from fairseq.optim import FairseqOptimizer
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from fairseq.optim.lr_scheduler.cosine_lr_scheduler import CosineLRSchedule, CosineLRScheduleConfig
from omegaconf import II

logger = logging.getLogger(__name__)

# fairseq never shows a scheduler the data, nor a task the scheduler; a process trains one model, so a module can hold
# what one has to tell the other.
_announced_batches: int | None = None


def announce_epoch_batches(batches: int) -> None:
    """Tell the schedule how many batches this rank reads in an epoch.

    A task calls it in ``get_batch_iterator`` for its training split: ``announce_epoch_batches(len(epoch_iterator))``.
    """
    global _announced_batches
    _announced_batches = batches


def count_updates(batches: int, update_freq: list[int], epochs: int, skip_remainder_batch: bool = False) -> int:
    """Updates that fairseq makes in ``epochs`` epochs of ``batches`` batches a rank.

    ``update_freq[e]`` batches make one update in epoch e, the last entry in all later epochs. With
    ``skip_remainder_batch`` fairseq drops the last batch, then the last incomplete update.
    """
    frequencies = [update_freq[min(epoch, len(update_freq) - 1)] for epoch in range(epochs)]
    if skip_remainder_batch:
        return sum((batches - 1) // frequency for frequency in frequencies)
    return sum(math.ceil(batches / frequency) for frequency in frequencies)


@dataclass
class AdjustCosineConfig(CosineLRScheduleConfig):
    """The options of fairseq's ``cosine`` and four more."""

    min_lr: float = field(default=1e-6, metadata={"help": "learning rate at both ends of the schedule"})
    warmup_ratio: float = field(
        default=0.0, metadata={"help": "warm up over this share of all updates (instead of --warmup-updates)"}
    )
    release_schedule: bool = field(
        default=False,
        metadata={
            "help": "the released schedule to the letter: with --warmup-ratio the first update has learning rate 0, "
            "and after the last one the cosine starts again at lr_shrink times the rate"
        },
    )
    max_epoch: int = II("optimization.max_epoch")
    update_freq: list[int] = field(default=II("optimization.update_freq"))
    skip_remainder_batch: bool = II("optimization.skip_remainder_batch")


@register_lr_scheduler("adjust_cosine", dataclass=AdjustCosineConfig)
class AdjustCosineSchedule(FairseqLRScheduler):
    """fairseq's cosine, planned as soon as the number of all updates is known.

    That number is ``max_update``, or follows from ``max_epoch`` and the batches of the run's first epoch
    (:func:`announce_epoch_batches`), which the checkpoint keeps: a resumed run asks for its rate before it has an
    iterator, and a later shard may be longer or shorter. Until the number is known the rate stays as it is.
    ``lr_period_updates`` with ``t_mult`` and ``lr_shrink`` gives warm restarts as in fairseq.

    Raises:
        ValueError: no end in sight, or two warm-ups, or a ratio outside [0, 1).
    """

    def __init__(self, cfg: AdjustCosineConfig, optimizer: FairseqOptimizer):
        super().__init__(cfg, optimizer)
        if not 0 <= cfg.warmup_ratio < 1:
            raise ValueError(f"warmup_ratio: must lie in [0, 1), got {cfg.warmup_ratio}")
        if cfg.warmup_ratio > 0 and cfg.warmup_updates > 0:
            raise ValueError("give warmup_ratio or warmup_updates, not both")
        self._restarts = cfg.lr_period_updates > 0
        if cfg.max_update <= 0 and cfg.max_epoch <= 0 and not (self._restarts and cfg.warmup_ratio == 0):
            raise ValueError("adjust_cosine must know where training ends: give --max-update or --max-epoch")
        self._epoch_batches: int | None = None
        self._total = 0
        self._cosine: CosineLRSchedule | None = None
        self._warned = False
        self.optimizer.set_lr(cfg.warmup_init_lr if cfg.warmup_init_lr >= 0 else cfg.min_lr)

    def state_dict(self) -> dict[str, Any]:
        """``best`` of every fairseq schedule, and the batches an epoch that the run was planned with."""
        return {**super().state_dict(), "epoch_batches": self._epoch_batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Plan as the interrupted run did; ``lr``, ``max_epoch`` and the rest are this run's."""
        super().load_state_dict(state_dict)
        self._epoch_batches = state_dict.get("epoch_batches")
        self._cosine = None

    def step_update(self, num_updates: int) -> float:
        """Set and return the learning rate of update ``num_updates`` (0-based)."""
        self._listen(num_updates)
        if self._cosine is None and not self._plan():
            return self.optimizer.get_lr()
        if self.cfg.release_schedule:
            if num_updates == 0 and self.cfg.warmup_ratio > 0:
                return self._set(0.0)
        elif not self._restarts and num_updates >= self._total:
            return self._set(self._cosine.cfg.min_lr)
        return self._cosine.step_update(num_updates)

    def _set(self, lr: float) -> float:
        self.optimizer.set_lr(lr)
        return lr

    def _listen(self, num_updates: int) -> None:
        """Take the announced length at the start of a run, and only there: the plan must not move under it."""
        if self.cfg.max_update > 0 or _announced_batches in (None, self._epoch_batches):
            return
        if num_updates == 0 or self._epoch_batches is None:
            self._epoch_batches = _announced_batches
            self._cosine = None
        elif not self._warned and abs(_announced_batches - self._epoch_batches) > 0.1 * self._epoch_batches:
            self._warned = True
            logger.warning(
                "an epoch of %d batches, but the learning rate was planned for %d an epoch: the run will end before or "
                "after its schedule. After a change of batch size or world size --reset-lr-scheduler plans anew; "
                "with shards of different sizes give --max-update",
                _announced_batches,
                self._epoch_batches,
            )

    def _plan(self) -> bool:
        """Build fairseq's schedule over the whole run; False while its length is unknown."""
        cfg = self.cfg
        if cfg.max_update > 0:
            self._total = cfg.max_update
        elif self._epoch_batches is not None:
            self._total = count_updates(
                self._epoch_batches, list(cfg.update_freq), cfg.max_epoch, cfg.skip_remainder_batch
            )
        elif not self._restarts or cfg.warmup_ratio > 0:
            return False
        warmup = int(self._total * cfg.warmup_ratio) if cfg.warmup_ratio > 0 else cfg.warmup_updates
        self._cosine = CosineLRSchedule(
            CosineLRScheduleConfig(
                warmup_updates=warmup,
                warmup_init_lr=cfg.warmup_init_lr,
                lr=cfg.lr,
                min_lr=cfg.min_lr,
                t_mult=cfg.t_mult,
                lr_period_updates=cfg.lr_period_updates,
                lr_shrink=cfg.lr_shrink,
                max_update=self._total,
            ),
            self.optimizer,
        )
        logger.info("learning rate: %d updates of warm-up, %d in all", warmup, self._total)
        return True
