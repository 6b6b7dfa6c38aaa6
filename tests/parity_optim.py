"""Parameter groups, learning rates and retrieval recall against recorded numbers."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from fairseq.optim import FairseqOptimizer
from torch.nn import Module, Parameter

from one_peace.metrics import recall_report, retrieval_recall
from one_peace.optim import (
    AdjustAdam,
    AdjustAdamConfig,
    AdjustCosineConfig,
    AdjustCosineSchedule,
    parameter_groups,
    tag_parameters,
)
from one_peace.optim.cosine import announce_epoch_batches

Case = tuple[str, float, float]
EXACT, LR_RTOL, PERCENT = 0.0, 1e-9, 1e-9
MISSING = float("inf")


def cases(folder: Path) -> Iterator[Case]:
    """(name, worst error, tolerance) of every recorded file that this module covers."""
    for path in sorted(folder.glob("*/param_groups*.json")):
        yield f"{path.parent.name}: {path.stem}", group_error(path), EXACT
    schedules = folder / "processing" / "adjust_cosine_lr.json"
    if schedules.is_file():
        for number, record in enumerate(json.loads(schedules.read_text())):
            yield f"processing: adjust_cosine_lr {number}", schedule_error(record), LR_RTOL
    if (folder / "processing" / "metrics.pt").is_file():
        yield "processing: metrics recall", recall_error(folder / "processing"), PERCENT


def group_error(path: Path) -> float:
    """Worst difference in weight decay or learning rate scale; inf if parameters or the number of groups differ."""
    record = json.loads(path.read_text())
    entries = json.loads((path.parent / "state_dict_keys.json").read_text())
    frozen = set(record["skipped_frozen"])
    named = {
        entry["key"]: Parameter(torch.empty(entry["shape"], device="meta"))
        for entry in entries
        if entry["kind"] == "parameter" and entry["key"] not in frozen
    }
    if set(named) != set(record["params"]):
        return MISSING
    tag_parameters(named.items())
    groups = parameter_groups(named.values(), record["weight_decay"], record["layer_decay"], release_decay_list=True)
    if len(groups) != record["n_groups"]:
        return MISSING
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    return max(
        abs(found[id(parameter)][key] - record["params"][name][key])
        for name, parameter in named.items()
        for key in ("weight_decay", "lr_scale")
    )


def build_optimizer(model: Module, recorded: dict, **options: object) -> AdjustAdam:
    """The optimizer over the trained parameters of ``model`` with recorded betas, eps and weight decay.

    Its learning rate is 0 until ``set_lr``; ``options`` are others of :class:`AdjustAdamConfig`.
    """
    tag_parameters(model.named_parameters())
    betas, eps, weight_decay = (recorded[key] for key in ("betas", "eps", "weight_decay"))
    config = AdjustAdamConfig(adam_betas=betas, adam_eps=eps, weight_decay=weight_decay, lr=[0.0], **options)
    return AdjustAdam(config, [p for p in model.parameters() if p.requires_grad])


class GroupedRate(FairseqOptimizer):
    """An optimizer that is nothing but the learning rate of its groups."""

    def __init__(self, lr_scales: list[float]):
        super().__init__(None)
        self.lr_scales = lr_scales

    def set_lr(self, lr: float) -> None:
        self.lr = lr

    def get_lr(self) -> float:
        return self.lr

    def rates(self) -> list[float]:
        return [self.lr * scale for scale in self.lr_scales]


def schedule_error(record: dict) -> float:
    """Worst relative error of a recorded schedule, the released quirks included."""
    config = dict(record["config"])
    config["lr"] = config["lr"] if isinstance(config["lr"], list) else [config["lr"]]
    total = config.pop("total", None)  # of a run that is given in epochs
    epochs = {"max_update": 0, "max_epoch": 1} if total else {"max_epoch": 0}
    settings = {"min_lr": 0.0, "update_freq": [1], "skip_remainder_batch": False, **epochs, **config}
    optimizer = GroupedRate([1.0, 0.81])
    schedule = AdjustCosineSchedule(AdjustCosineConfig(release_schedule=True, **settings), optimizer)
    worst = 0.0
    if "lr_at_construction" in record:
        worst = relative(optimizer.lr, record["lr_at_construction"])
    if total:
        announce_epoch_batches(total)
    updates = {0: record["lr_used_for_first_update"]} if "lr_used_for_first_update" in record else {}
    updates |= {int(n): lr for n, lr in record["lr_after_step_update"].items()}
    for n, expected in updates.items():
        schedule.step_update(n)
        worst = max(worst, rates_error(optimizer, expected))
    if "resume_at" in record:
        resumed = AdjustCosineSchedule(schedule.cfg, optimizer)
        resumed.load_state_dict(schedule.state_dict())
        resumed.step_update(record["resume_at"]["num_updates"])
        worst = max(worst, rates_error(optimizer, record["resume_at"]["lr"]))
    return worst


def rates_error(optimizer: GroupedRate, expected: float | list[float]) -> float:
    if isinstance(expected, list):
        return max(relative(lr, want) for lr, want in zip(optimizer.rates(), expected, strict=True))
    return relative(optimizer.lr, expected)


def relative(value: float, expected: float) -> float:
    return abs(value - expected) / abs(expected) if expected else abs(value)


def recall_error(folder: Path) -> float:
    """Worst difference in percent points of recall@1, 5 and 10 both ways and of their means."""
    tensors = torch.load(folder / "metrics.pt", weights_only=True)
    record = json.loads((folder / "metrics.json").read_text())["recall"]
    image, text = tensors["recall_image_logits"], tensors["recall_text_logits"]
    # A text carries the id of its image.
    true = tensors["recall_image_ids"][:, None] == tensors["recall_text_ids"]
    report = recall_report(
        "img", "txt", retrieval_recall(image, text, true.nonzero()), retrieval_recall(text, image, true.T.nonzero())
    )
    return max(abs(report[name] - record[name]) for name in report)
