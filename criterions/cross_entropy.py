"""Cross entropy with the release's label smoothing, of given logits and of rows against keys.

Legend: M rows, N keys (the classes), D width, m rows of one chunk.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_LOGITS = 2**24  # logits held at a time: 64 MiB in float32, and a few copies of that while they are worked on


def label_smoothed_cross_entropy(logits_MN: Tensor, target_M: Tensor, smoothing: float) -> Tensor:
    """Mean over rows of (1 - eps - e) * nll + e * sum(-log p) with e = eps / (N - 1), in float32 at least.

    The smoothed mass goes to the N - 1 wrong classes; `torch.nn.functional.cross_entropy` spreads it over all N.
    """
    logp_MN = torch.log_softmax(logits_MN, dim=1, dtype=_wide(logits_MN.dtype))
    return _summed_loss(logp_MN, target_M, smoothing) / len(target_M)


def contrast(
    rows_MD: Tensor, keys_ND: Tensor, target_M: Tensor, scale: Tensor | float, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`label_smoothed_cross_entropy` of ``scale * rows @ keys.T`` without ever holding all logits.

    Args:
        rows_MD, keys_ND: at least one of each; under autocast they are multiplied in its dtype.
        target_M: index of each row's key.
        scale: scalar factor.

    Returns:
        The loss, differentiable once, and how many rows have their key as the first of the largest logits.
    """
    device = rows_MD.device.type
    dtype = torch.promote_types(rows_MD.dtype, keys_ND.dtype)
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        rows_MD, keys_ND = rows_MD.to(dtype), keys_ND.to(dtype)
        return _Contrast.apply(rows_MD, keys_ND, target_M, scale, smoothing, torch.is_grad_enabled())


class _Contrast(torch.autograd.Function):
    """Takes the gradients in the forward pass, while a chunk's logits are at hand: nothing is computed twice."""

    @staticmethod
    def forward(
        ctx: Any,
        rows_MD: Tensor,
        keys_ND: Tensor,
        target_M: Tensor,
        scale: Tensor | float,
        smoothing: float,
        training: bool,
    ) -> tuple[Tensor, Tensor]:
        wide = _wide(rows_MD.dtype)
        for_rows, for_keys, _, for_scale = (training and needed for needed in ctx.needs_input_grad[:4])
        loss = rows_MD.new_zeros((), dtype=wide)
        correct = target_M.new_zeros(())
        grad_rows_MD = torch.empty_like(rows_MD) if for_rows or for_scale else None
        grad_keys_ND = torch.zeros_like(keys_ND, dtype=wide) if for_keys else None
        grad_scale = torch.zeros_like(loss) if for_scale else None
        for at in range(0, len(rows_MD), size := max(1, CHUNK_LOGITS // len(keys_ND))):
            chunk = slice(at, at + size)
            rows_mD, target_m = rows_MD[chunk], target_M[chunk]
            logits_mN = (rows_mD @ keys_ND.T).to(wide).mul_(scale)
            correct += (logits_mN.argmax(dim=1) == target_m).sum()
            logp_mN = torch.log_softmax(logits_mN, dim=1)
            loss += _summed_loss(logp_mN, target_m, smoothing)
            if not (for_rows or for_keys or for_scale):
                continue
            residual_mN = _logit_gradient(logp_mN, target_m, smoothing).to(rows_MD.dtype)
            if for_rows or for_scale:
                torch.mm(residual_mN, keys_ND, out=grad_rows_MD[chunk])
            if for_keys:
                grad_keys_ND += residual_mN.T @ rows_mD
            if for_scale:
                grad_scale += torch.linalg.vecdot(rows_mD.to(wide), grad_rows_MD[chunk].to(wide)).sum()
        scaled = [None if grad is None else grad.mul_(scale) for grad in (grad_rows_MD, grad_keys_ND)]
        ctx.save_for_backward(*scaled, grad_scale)
        ctx.like = rows_MD.dtype, keys_ND.dtype, getattr(scale, "dtype", None)
        ctx.mark_non_differentiable(correct)
        ctx.rows = len(rows_MD)
        return loss / len(rows_MD), correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        # sums over rows until here: in half precision the means are too small to keep
        factor = grad_loss / ctx.rows
        grads = [
            None if grad is None else (grad.to(factor.dtype) * factor).to(dtype)
            for grad, dtype in zip(ctx.saved_tensors, ctx.like, strict=True)
        ]
        return grads[0], grads[1], None, grads[2], None, None


def _summed_loss(logp_MN: Tensor, target_M: Tensor, smoothing: float) -> Tensor:
    """The label smoothed cross entropy summed over rows, from log-probabilities."""
    true, other = _label_weights(logp_MN.shape[1], smoothing)
    loss = -true * logp_MN.gather(1, target_M[:, None]).sum()
    return loss - other * logp_MN.sum() if other else loss


def _logit_gradient(logp_mN: Tensor, target_m: Tensor, smoothing: float) -> Tensor:
    """Gradient of `_summed_loss` with respect to the logits, written over the log-probabilities."""
    true, other = _label_weights(logp_mN.shape[1], smoothing)
    gradient_mN = logp_mN.exp_()
    if other:
        gradient_mN -= other
    return gradient_mN.scatter_add_(1, target_m[:, None], gradient_mN.new_full((len(target_m), 1), -true))


def _label_weights(classes: int, smoothing: float) -> tuple[float, float]:
    """Weights of the true class's -log p and of the sum of all; all classes' shares of the label add up to 1."""
    other = smoothing / (classes - 1) if classes > 1 else 0.0
    return (1 - smoothing - other, other) if classes > 1 else (1.0, 0.0)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
