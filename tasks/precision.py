"""What precision costs on the machine at hand."""

import functools
import logging
import platform

import torch

logger = logging.getLogger(__name__)

_BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


@functools.cache  # once a process, not once an epoch
def warn_of_emulation(device_type: str, dtype: torch.dtype) -> None:
    """Says so where bfloat16 is computed without instructions for it: several times slower than float32, not faster."""
    if device_type != "cpu" or dtype != torch.bfloat16 or platform.machine() not in ("x86_64", "AMD64"):
        return
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # torch < 2.10 cannot tell
    if has and not any(has.get(instruction) for instruction in _BFLOAT16_INSTRUCTIONS):
        logger.warning(
            "this CPU has no instructions for bfloat16 (%s) and emulates it, several times slower than float32: "
            "train without --bf16 (BF16=1)",
            ", ".join(_BFLOAT16_INSTRUCTIONS),
        )
