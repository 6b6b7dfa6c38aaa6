"""Checkpoints of other runs and of the original release, adapted to the model that loads them."""

import logging
import pickle
import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

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
_LAYER = re.compile(r"encoder_wrapper\.fusion_model\.layers\.(\d+)\.")
PRETRAINING_ONLY = re.compile(r"decoder_|\w+_mask_(token|head)")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint's contents: "cfg" with "task" and "model", "model" its weights, and more. Nothing is executed, and
    what nobody looks at, such as the optimizer's state, takes no memory.

    Raises:
        ValueError: the file is damaged or no checkpoint of these models.
        FileNotFoundError: no such file.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (FileNotFoundError, MemoryError):
        raise
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path}: not a checkpoint: it holds more than tensors and plain values, or is damaged"
        ) from None
    except Exception as error:  # of every kind, on damaged files
        reason = str(error).partition("\n")[0] or "it is empty"
        raise ValueError(f"{path}: not a whole checkpoint ({reason})") from None
    cfg = state.get("cfg") if isinstance(state, Mapping) else None
    if (
        not isinstance(cfg, Mapping)
        or not {"task", "model"} <= cfg.keys()
        or not isinstance(state.get("model"), Mapping)
    ):
        raise ValueError(f"{path}: not a checkpoint of this model (no 'cfg' and 'model' in it)")
    return state


def read_settings(path: str | Path) -> dict[str, Any]:
    """The "cfg" of a checkpoint, without loading its weights into memory; nothing of a file that is no such archive."""
    if not zipfile.is_zipfile(path):
        return {}
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("cfg") or {}


def adapt_state_dict(model: nn.Module, state_dict: dict[str, Tensor]) -> None:
    """Make ``state_dict`` fit ``model``, in place, so that strict loading succeeds.

    Drops parameters the release never used and branches this model does not have; lets adapters fit what was trained
    on data of another size (`Adapter.fit`); then copies a shared relative position table to every layer where the model
    has one a layer; keeps the model's fresh values for what the file lacks (a new modality, a decoder, a head), unless
    they would stay as they are: in a model that is only evaluated (``model.for_evaluation``), or where they are frozen.
    What was fitted, dropped or kept fresh is logged.

    Raises:
        ValueError: a tensor has another shape than the model's, the file has another number of layers, or more relative
            position tables that differ, or lacks what will not be trained; the message names it.
    """
    own = model.state_dict()
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
    _refuse_other_depth(own, state_dict)
    _refuse_untrained(model, fresh)
    for key in dropped:
        del state_dict[key]
    for key in fresh:
        state_dict[key] = own[key]
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


def _refuse_other_depth(own: Collection[str], state_dict: Collection[str]) -> None:
    """A layer too many or too few is no branch that comes or goes."""
    here, there = (len({match[1] for key in keys if (match := _LAYER.match(key))}) for keys in (own, state_dict))
    if there and here != there:
        raise ValueError(f"the checkpoint has {there} layers, this model {here}; use the size that it was trained with")


def _refuse_untrained(model: nn.Module, fresh: list[str]) -> None:
    """What stays at its initial, random values would be taken for learnt."""
    if getattr(model, "for_evaluation", False):
        # a released file may lack the temperature, which embeddings do not depend on
        untrained = [key for key in fresh if key != "logit_scale" and not PRETRAINING_ONLY.match(key)]
        reason = "and this model is not trained any more"
    else:
        frozen = {key for key, parameter in model.named_parameters() if not parameter.requires_grad}
        untrained, reason = [key for key in fresh if key in frozen], "and stage 2 keeps them as they are"
    if untrained:
        raise ValueError(
            f"the checkpoint lacks {len(untrained)} parameters of this model, {reason}: {_summary(untrained)}. Take "
            "one that has learnt all of this task's modalities"
        )


def _summary(keys: list[str]) -> str:
    groups = sorted({re.sub(r"\.\d+\..*|\.(weight|bias)$", "", key) for key in keys})
    return ", ".join(groups[:8]) + (f" and {len(groups) - 8} more groups" if len(groups) > 8 else "")
