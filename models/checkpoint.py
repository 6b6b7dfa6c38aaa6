"""Checkpoints of other runs and of the original release, adapted to the model that loads them."""

import logging
import math
import re

import torch
from torch import Tensor, nn

from one_peace.modalities import Adapter

logger = logging.getLogger(__name__)

# Never trained or derived from the configuration: released files hold them, the model does not.
_DROPPED = re.compile(
    r"(rp_bucket|position_idx|fusion_model\.version|\.mask_embedding"
    r"|decoder_wrapper\.\w+_adapter\.(cls_embedding|type_embedding_2))$"
)
_LEGACY_TABLE = re.compile(r"rel_pos_table\.weight$")
_TABLE = re.compile(r"(.*\.rel_pos_table_list)\.(\d+)\.weight$")


def adapt_state_dict(model: nn.Module, state_dict: dict[str, Tensor]) -> None:
    """Make ``state_dict`` fit ``model``, in place, so that strict loading succeeds.

    Drops parameters the release never used and branches this model does not have; lets adapters fit what was trained
    on data of another size (`Adapter.fit`); then copies a shared relative position table to every layer where the model
    has one a layer; keeps the model's fresh values for what the file lacks (a new modality, a decoder, a head); resets
    the temperature where asked. What was fitted, dropped or kept fresh is logged.

    Raises:
        ValueError: a tensor has another shape than the model's, or the file has more relative position tables, and they
            differ; the message names it.
    """
    own = model.state_dict()
    resumed = not hasattr(model, "logit_scale_was_reset") or "logit_scale_was_reset" in state_dict
    for key in [k for k in state_dict if _DROPPED.search(k)]:
        del state_dict[key]
    for key in [k for k in state_dict if _LEGACY_TABLE.search(k)]:
        state_dict[_LEGACY_TABLE.sub("rel_pos_table_list.0.weight", key)] = state_dict.pop(key)
    fitted = _fit(model, own, state_dict)
    for key in own:
        match = _TABLE.match(key)
        if match and key not in state_dict and f"{match[1]}.0.weight" in state_dict:
            state_dict[key] = state_dict[f"{match[1]}.0.weight"].clone()
    dropped = sorted(k for k in state_dict if k not in own)
    _refuse_many_tables(dropped, own, state_dict)
    fresh = sorted(k for k in own if k not in state_dict)
    for key in dropped:
        del state_dict[key]
    for key in fresh:
        state_dict[key] = own[key]
    if not resumed:
        state_dict["logit_scale"] = torch.tensor(math.log(model.cfg.logit_scale_init))
    for key, value in own.items():
        if state_dict[key].shape != value.shape:
            raise ValueError(
                f"checkpoint and model differ in {key}: {tuple(state_dict[key].shape)} against {tuple(value.shape)}; "
                "use the size and options the checkpoint was trained with"
                + ("; reset_head starts the head of other classes anew" if key.startswith("classify_head.") else "")
            )
    for what, keys in (
        ("fitted to data of another size", fitted),
        ("not in this model, dropped", dropped),
        ("not in the checkpoint, kept at their initial values", fresh),
    ):
        if keys:
            logger.info("%d parameters %s: %s", len(keys), what, _summary(keys))


def _fit(model: nn.Module, own: dict[str, Tensor], state_dict: dict[str, Tensor]) -> list[str]:
    """Let adapters change what does not fit; gives the keys of what they changed."""
    fitted = []
    for prefix, adapter in model.named_modules():
        if isinstance(adapter, Adapter):
            for key in [k for k in state_dict if k.startswith(f"{prefix}.") and k in own]:
                value = state_dict[key]
                if value.shape != own[key].shape:
                    state_dict[key] = adapter.fit(key.removeprefix(f"{prefix}."), value)
                    fitted += [key] if state_dict[key] is not value else []
    return fitted


def _refuse_many_tables(dropped: list[str], own: dict[str, Tensor], state_dict: dict[str, Tensor]) -> None:
    """A model with one relative position table for all layers cannot stand for one with a table a layer."""
    for key in dropped:
        match = _TABLE.match(key)
        if match and (first := f"{match[1]}.0.weight") in own and not torch.equal(state_dict[key], state_dict[first]):
            raise ValueError(
                f"the checkpoint holds a relative position table a layer ({key}), this model one for all: "
                "use copy_rel_pos_table"
            )


def _summary(keys: list[str]) -> str:
    groups = sorted({re.sub(r"\.\d+\..*|\.(weight|bias)$", "", key) for key in keys})
    return ", ".join(groups[:8]) + (f" and {len(groups) - 8} more groups" if len(groups) > 8 else "")
