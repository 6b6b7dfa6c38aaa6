"""Adam with decoupled weight decay over parameter groups, in the fastest implementation that is there."""

import ast
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, fused_adam, register_optimizer
from fairseq.optim.adam import Adam as CastingAdam
from omegaconf import II, ListConfig
from torch.nn import Parameter

from one_peace.optim.param_groups import is_copy, parameter_groups

logger = logging.getLogger(__name__)


@dataclass
class AdjustAdamConfig(FairseqDataclass):
    """Options; the names and defaults that fairseq's ``adam`` has too are the same."""

    adam_betas: Any = field(default="(0.9, 0.999)", metadata={"help": "betas of Adam, e.g. '(0.9, 0.98)'"})
    adam_eps: float = field(default=1e-8, metadata={"help": "epsilon of Adam"})
    weight_decay: float = field(default=0.0, metadata={"help": "decoupled weight decay"})
    layer_decay: float = field(
        default=1.0,
        metadata={"help": "learning rate of an encoder layer over that of the layer above it (1: all alike)"},
    )
    release_decay_list: bool = field(
        default=False,
        metadata={"help": "decay exactly what the released code decays, two embeddings it means to exempt included"},
    )
    lr: list[float] = field(default=II("optimization.lr"))


def parse_betas(betas: Any) -> tuple[float, float]:
    """``"(0.9, 0.98)"``, ``[0.9, 0.98]`` or an omegaconf list -> ``(0.9, 0.98)``; nothing is evaluated.

    Raises:
        ValueError: not two numbers in [0, 1).
    """
    try:
        values = ast.literal_eval(betas) if isinstance(betas, str) else betas
        first, second = (float(beta) for beta in values)
    except (SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"adam_betas: expected two numbers such as (0.9, 0.98), got {betas!r}") from error
    if not (0 <= first < 1 and 0 <= second < 1):
        raise ValueError(f"adam_betas: both must lie in [0, 1), got {betas!r}")
    return first, second


def apex_fused_adam() -> type[torch.optim.Optimizer] | None:
    """fairseq's wrapper of NVIDIA Apex's FusedAdam, or None.

    The unrelated package of that name on PyPI has no optimizers, so fairseq defines no wrapper for it; an Apex built
    without its CUDA kernels is not ``available``.
    """
    wrapper = getattr(fused_adam, "FusedAdamV2", None)
    return wrapper if wrapper is not None and fused_adam.multi_tensor_applier.available else None


def _implementation(parameters: list[Parameter]) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """The torch optimizer class for these parameters, and the arguments only it takes."""
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in parameters):
        # Memory-efficient mixed precision keeps no float32 copy: moments and update must be float32 inside the step.
        return CastingAdam, {}
    devices = {p.device.type for p in parameters}
    if devices == {"cuda"} and (apex := apex_fused_adam()) is not None:
        return apex, {}
    return torch.optim.AdamW, {"fused": devices <= {"cuda", "cpu"}}


@register_optimizer("adjust_adam", dataclass=AdjustAdamConfig)
class AdjustAdam(FairseqOptimizer):
    """AdamW over the groups of :func:`one_peace.optim.param_groups.parameter_groups`.

    ``set_lr`` gives each group the schedule's rate times its ``lr_scale``. On resume the moments come from the
    checkpoint, the float32 copies that mixed precision trains too, and every hyperparameter from this run's config.

    Raises:
        ValueError: untagged parameters (flattened fp16 among them), bad betas, layer_decay outside (0, 1].
    """

    def __init__(self, cfg: AdjustAdamConfig, params: Iterable[Parameter]):
        super().__init__(cfg)
        if not 0 < cfg.layer_decay <= 1:
            raise ValueError(f"layer_decay: must lie in (0, 1], got {cfg.layer_decay}")
        parameters = list(params)
        groups = parameter_groups(parameters, cfg.weight_decay, cfg.layer_decay, cfg.release_decay_list)
        implementation, extra = _implementation(parameters)
        logger.info("Adam: %s %s, %d parameter groups", implementation.__name__, extra or "", len(groups))
        self._optimizer = implementation(groups, **self.optimizer_config, **extra)
        self.set_lr(self.optimizer_config["lr"])

    @property
    def optimizer_config(self) -> dict[str, Any]:
        """Arguments of the wrapped optimizer."""
        lr = self.cfg.lr
        return {
            "lr": lr[0] if isinstance(lr, (list, tuple, ListConfig)) else lr,
            "betas": parse_betas(self.cfg.adam_betas),
            "eps": self.cfg.adam_eps,
            "weight_decay": self.cfg.weight_decay,
        }

    def get_lr(self) -> float:
        """The schedule's learning rate: that of a parameter whose ``lr_scale`` is 1."""
        return self._lr

    def set_lr(self, lr: float) -> None:
        """Set the schedule's learning rate; group g learns with ``lr * g["lr_scale"]``."""
        self._lr = lr
        for group in self.param_groups:
            group["lr"] = lr * group["lr_scale"]

    def state_dict(self) -> dict[str, Any]:
        """The moments; and float32 copies of parameters, of which the checkpoint's model holds the rounded values."""
        state = self.optimizer.state_dict()
        copies = self._copies()
        return state | {"float32": [copy.data for copy in copies]} if copies else state

    def _copies(self) -> list[Parameter]:
        return [parameter for parameter in self.params if is_copy(parameter)]

    def load_state_dict(self, state_dict: dict[str, Any], optimizer_overrides: dict[str, Any] | None = None) -> None:
        """Take the moments of a checkpoint; keep this run's hyperparameters, then apply ``--optimizer-overrides``.

        A checkpoint of any of the implementations loads into any other, and of any precision.

        Raises:
            ValueError: the checkpoint's groups, or the shapes of their parameters, are not this run's.
        """
        saved = state_dict["param_groups"]
        if [len(g["params"]) for g in saved] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(
                "the checkpoint's optimizer has other parameter groups than this run: trained parameters, layer_decay "
                "or release_decay_list changed. Set them back, or start the optimizer afresh with --reset-optimizer"
            )
        groups = []
        for own, group in zip(self.param_groups, saved, strict=True):
            _check_shapes(own["params"], [state_dict["state"].get(index, {}) for index in group["params"]])
            entries = [state_dict["state"][index] for index in group["params"] if index in state_dict["state"]]
            groups.append({**own, "params": group["params"], **self._move_step_count(group, entries)})
        self.optimizer.load_state_dict({"state": state_dict["state"], "param_groups": groups})
        if "float32" in state_dict:
            for copy, saved_copy in zip(self._copies(), state_dict["float32"], strict=False):  # float32 has no copies
                copy.data.copy_(saved_copy)

        overrides = dict(optimizer_overrides or {})
        if "lr" in overrides:
            self.set_lr(overrides.pop("lr"))
        weight_decay = overrides.pop("weight_decay", None)
        for group in self.param_groups:
            group.update(overrides)
            if weight_decay is not None and group["weight_decay"] > 0:
                group["weight_decay"] = weight_decay

    def _move_step_count(self, group: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, int]:
        """Apex counts steps once a group, the others once a parameter: turn a saved group into this run's kind."""
        if isinstance(self.optimizer, (torch.optim.AdamW, CastingAdam)):
            for entry in entries:
                entry.setdefault("step", group.get("step"))
            return {}
        counts = [int(entry.pop("step")) for entry in entries if "step" in entry]
        step = max(counts, default=group.get("step"))
        return {} if step is None else {"step": step}


def _check_shapes(parameters: Iterable[Parameter], entries: Iterable[dict[str, Any]]) -> None:
    """Moments of other shapes would be read beyond their end."""
    for parameter, entry in zip(parameters, entries, strict=True):
        if "exp_avg" in entry and entry["exp_avg"].shape != parameter.shape:
            raise ValueError(
                f"the checkpoint's optimizer holds {tuple(entry['exp_avg'].shape)} for a parameter of "
                f"{tuple(parameter.shape)}: the size of the data changed, or the model's. Set it back, start another "
                "run with --finetune-from-model, or the optimizer afresh with --reset-optimizer"
            )
