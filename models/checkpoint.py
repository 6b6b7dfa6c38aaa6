"""Checkpoints of other runs and of the original release, adapted to the model that loads them."""

import logging
import math
import re

import torch
from torch import Tensor, nn

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

    Drops parameters the release never used and branches this model does not have; copies a shared relative position
    table to every layer where the model has one a layer; keeps the model's fresh values for what the file lacks (a new
    modality, a decoder); resets the temperature where asked. What was dropped or kept fresh is logged.

    Raises:
        ValueError: a tensor has another shape than the model's; the message names it.
    """
    own = model.state_dict()
    resumed = not hasattr(model, "logit_scale_was_reset") or "logit_scale_was_reset" in state_dict
    for key in [k for k in state_dict if _DROPPED.search(k)]:
        del state_dict[key]
    for key in [k for k in state_dict if _LEGACY_TABLE.search(k)]:
        state_dict[_LEGACY_TABLE.sub("rel_pos_table_list.0.weight", key)] = state_dict.pop(key)
    for key in own:
        match = _TABLE.match(key)
        if match and key not in state_dict and f"{match[1]}.0.weight" in state_dict:
            state_dict[key] = state_dict[f"{match[1]}.0.weight"].clone()
    dropped = sorted(k for k in state_dict if k not in own)
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
            )
    for what, keys in (
        ("not in this model, dropped", dropped),
        ("not in the checkpoint, kept at their initial values", fresh),
    ):
        if keys:
            logger.info("%d parameters %s: %s", len(keys), what, _summary(keys))


def _summary(keys: list[str]) -> str:
    groups = sorted({re.sub(r"\.\d+\..*|\.(weight|bias)$", "", key) for key in keys})
    return ", ".join(groups[:8]) + (f" and {len(groups) - 8} more groups" if len(groups) > 8 else "")
