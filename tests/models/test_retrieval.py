"""Embedding a large batch in small parts."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from one_peace.criterions import aligning_contrast
from one_peace.data.collate import padding_mask
from one_peace.models.retrieval import RetrievalModel, RetrievalModelConfig

from .conftest import ENCODER, SETTINGS

LENGTHS = [3, 5, 2, 4, 6, 1, 3]
INPUTS = {
    "text": {
        "values": torch.randint(2, 30, (7, 6), generator=torch.Generator().manual_seed(0)),
        "padding_mask": padding_mask(LENGTHS),
    },
    "image": {"values": torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)},
}


def step(micro_batch: int, **encoder: float) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """Loss, gradients, and bytes kept for backward."""
    torch.manual_seed(0)
    task = SimpleNamespace(modalities=("text", "image"), adapter_settings=lambda: SETTINGS)
    cfg = OmegaConf.structured(RetrievalModelConfig(size="tiny", micro_batch=micro_batch))
    cfg.encoder = {**ENCODER, **encoder}
    model = RetrievalModel.build_model(cfg, task).double().train()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = model(INPUTS)
    parameters = {p.data_ptr() for p in model.parameters()}
    size = sum({t.data_ptr(): t.nbytes for t in kept if t is not None and t.data_ptr() not in parameters}.values())
    loss = aligning_contrast(*out["embeddings"].values(), out["logit_scale"])[0]
    loss.backward()
    return loss.detach(), [p.grad for p in model.parameters()], size


@pytest.mark.parametrize("micro_batch", [1, 3, 7, 100])
def test_parts_give_the_loss_and_gradients_of_the_whole(micro_batch: int) -> None:
    (loss, grads, _), (whole_loss, whole_grads, _) = step(micro_batch), step(0)
    torch.testing.assert_close(loss, whole_loss)
    for ours, theirs in zip(grads, whole_grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_parts_keep_less() -> None:
    assert step(1)[2] < 0.1 * step(0)[2]
