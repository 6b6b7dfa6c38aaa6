"""Tasks and models built as fairseq builds them, without its command line."""

from pathlib import Path

from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from omegaconf import OmegaConf

import one_peace.user_module  # noqa: F401  (registers everything)
from tests.tasks.cli import SMALL


def make_task(name: str, data: Path, split: str | None = "valid", **options):
    """A task by name, with ``split`` of ``data`` open."""
    checkpoint = {
        "save_dir": "",
        "restore_file": "checkpoint_last.pt",
        "finetune_from_model": None,
        "best_checkpoint_metric": "loss",
        "maximize_best_checkpoint_metric": False,
    }
    cfg = OmegaConf.create({"common": {"seed": 1}, "checkpoint": checkpoint})
    cfg.task = OmegaConf.structured(TASK_DATACLASS_REGISTRY[name]())
    values = {"data": str(data), "bpe_dir": str(data.parent / "bpe"), **options}
    OmegaConf.update(cfg, "task", {key: str(v) if isinstance(v, Path) else v for key, v in values.items()})
    task = TASK_REGISTRY[name].setup_task(cfg.task)
    if split is not None:
        task.load_dataset(split)
    return task


def make_model(name: str, task, **options):
    """A small model for a task."""
    cfg = OmegaConf.structured(MODEL_DATACLASS_REGISTRY[name]())
    return MODEL_REGISTRY[name].build_model(OmegaConf.merge(cfg, {"size": "tiny", "encoder": SMALL, **options}), task)


def batch_of(task, rows: range | list[int], split: str = "valid") -> dict:
    """A batch of some rows."""
    dataset = task.datasets[split]
    return dataset.collater([dataset[row] for row in rows])


def validate(task, batches: list[dict], model, criterion, split: str = "valid") -> dict[str, float]:
    """What the task reports of the batches."""
    task.begin_measuring(split)
    for batch in batches:
        task.valid_step(batch, model, criterion)
    return task.report()
