"""Cross entropy with the release's label smoothing."""

import torch
from torch import Tensor


def label_smoothed_cross_entropy(logits_NC: Tensor, target_N: Tensor, smoothing: float) -> Tensor:
    """Mean over rows of (1 - eps - e) * nll + e * sum(-log p) with e = eps / (C - 1), in float32 at least.

    The smoothed mass goes to the C - 1 wrong classes; `torch.nn.functional.cross_entropy` spreads it over all C.
    """
    logp_NC = torch.log_softmax(logits_NC, dim=-1, dtype=torch.promote_types(logits_NC.dtype, torch.float32))
    nll_N = -logp_NC.gather(1, target_N[:, None])[:, 0]
    if smoothing == 0 or logits_NC.shape[1] == 1:
        return nll_N.mean()
    other = smoothing / (logits_NC.shape[1] - 1)
    return ((1 - smoothing - other) * nll_N - other * logp_NC.sum(dim=-1)).mean()
