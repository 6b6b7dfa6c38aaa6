"""Resuming after a run was killed while it wrote a checkpoint."""

import logging
import os
import shutil
import zipfile
from pathlib import Path

import torch.distributed as dist

from one_peace.metrics.gather import is_first_rank

logger = logging.getLogger(__name__)


def repair_last_checkpoint(save_dir: Path) -> None:
    """Replace a truncated ``checkpoint_last.pt`` by the newest whole checkpoint beside it, so that a run can resume.

    fairseq writes the first file of a save atomically and copies the others; a run killed in between leaves half a
    file, which would stop every later start. Without a whole one the broken file is set aside and training starts anew.
    The first rank does it, the others wait for it.
    """
    if is_first_rank():
        _repair(save_dir)
    if dist.is_available() and dist.is_initialized():
        dist.barrier()


def _repair(save_dir: Path) -> None:
    last = save_dir / "checkpoint_last.pt"
    if not last.is_file() or _whole(last):
        return
    others = sorted(save_dir.glob("checkpoint*.pt"), key=lambda path: path.stat().st_mtime, reverse=True)
    for candidate in others:
        if candidate.name != last.name and _whole(candidate):
            logger.warning("%s is truncated; resuming from %s", last, candidate.name)
            temporary = save_dir / f".checkpoint_last.{os.getpid()}"
            shutil.copyfile(candidate, temporary)
            temporary.replace(last)
            return
    logger.warning("%s is truncated and there is no other checkpoint: set aside, training starts anew", last)
    last.replace(last.with_suffix(".truncated"))


def _whole(path: Path) -> bool:
    """Whether the archive is complete: its directory stands at the end of the file."""
    return zipfile.is_zipfile(path)
