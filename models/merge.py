"""``python -m one_peace.models.merge STAGE1.pt STAGE2.pt --out ONE.pt``: the branches of several runs in one file.

Stage 2 trains a new modality against frozen shared parts, so its checkpoint and stage 1's agree in everything they have
in common; the merged file holds every branch once, without decoders and optimiser state. Of a single file, such as a
released one stripped to weights and settings, it makes one that fairseq can start from and evaluate.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from one_peace.modalities import modality_names

from .checkpoint import PRETRAINING_ONLY, read_checkpoint
from .config import check_agreement, merge, parse_group

CRITERION = "image_text_retrieval_criterion"  # aligns any pair


def merge_checkpoints(paths: Sequence[str | Path]) -> dict[str, Any]:
    """A checkpoint of ``one_peace_retrieval`` with the branches of all ``paths``; the first one's temperature is kept.

    Raises:
        ValueError: two files differ in a parameter both have (they are not stages of one model), or a file is none.
    """
    weights: dict[str, Tensor] = {}
    cfg: dict[str, Any] = {}
    task: dict[str, Any] = {}
    model: dict[str, Any] = {}
    for path in paths:
        state = read_checkpoint(path)
        for key, value in state["model"].items():
            if PRETRAINING_ONLY.match(key):
                continue
            if key in weights and key != "logit_scale" and not _same(weights[key], value):
                raise ValueError(f"{path}: {key} differs from {paths[0]}; only stages of one model can be merged")
            weights.setdefault(key, value)
        cfg = cfg or dict(state["cfg"])
        adapters = parse_group(state["cfg"]["model"].get("encoder"), "encoder")
        settings = {name: parse_group(adapters.get(f"{name}_adapter"), name) for name in modality_names()}
        check_agreement(model.get("encoder"), settings, str(paths[0]))
        task = merge(task, {key: value for key, value in state["cfg"]["task"].items() if value is not None})
        model = merge(model, {key: value for key, value in state["cfg"]["model"].items() if key != "decoder"})
    model |= {"_name": "one_peace_retrieval"}
    return {
        "args": None,
        "cfg": {**cfg, "model": model, "task": task, "criterion": {"_name": CRITERION}},
        "model": weights,
        # what fairseq asks of a file it fine-tunes from or evaluates
        "optimizer_history": [
            {"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 0},
        ],
        "extra_state": {"train_iterator": {"epoch": 1}},
        "last_optimizer_state": None,
    }


def _same(weight: Tensor, later: Tensor) -> bool:
    """Whether a later stage took over a weight: one that trains in a half precision has rounded it."""
    return any(
        torch.equal(weight.to(dtype).to(later.dtype), later) for dtype in (weight.dtype, torch.bfloat16, torch.float16)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", nargs="+", type=Path, help="stage 1 first")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    args = parser.parse_args()
    try:
        merged = merge_checkpoints(args.checkpoints)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        temporary = args.out.with_name(f".{args.out.name}.{os.getpid()}")  # complete or absent
        torch.save(merged, temporary)
        temporary.replace(args.out)
    except (ValueError, OSError) as error:
        print(f"merge: {error}", file=sys.stderr)
        return 1
    branches = [key.removesuffix("_proj.weight") for key in merged["model"] if key.count(".") == 1 and "_proj.w" in key]
    print(f"{args.out}: {', '.join(branches)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
