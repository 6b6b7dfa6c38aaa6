"""The passes of a pretraining step: which of them are trained."""

import torch
from fairseq.nan_detector import NanDetector

from one_peace.criterions import aligning_contrast

from .conftest import build

INPUTS = {
    "audio": {"values": torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))},
    "text": {"values": torch.tensor([[5, 6, 2], [8, 2, 1], [9, 4, 2]])},
}


def trained(anchor_grad: bool, order: list[str]) -> set[str]:
    """Modalities whose projection gets a gradient from the aligning contrast."""
    model = build(modalities=["text", "audio"])
    out = model({name: INPUTS[name] for name in order}, anchor_grad=anchor_grad)
    aligning_contrast(out["embeddings"]["text"], out["embeddings"]["audio"], out["logit_scale"])[0].backward()
    return {name for name in order if model.get_submodule(f"{name}_proj").weight.grad is not None}


def test_the_anchor_is_the_models_first_modality_whatever_the_order_of_a_batch() -> None:
    for order in (["text", "audio"], ["audio", "text"]):
        assert trained(True, order) == {"text", "audio"}
        assert trained(False, order) == {"audio"}


def test_the_search_for_nan_finds_it() -> None:
    """fairseq hooks into every module; what these give must be something that hooks can look into."""
    model = build(modalities=["text", "audio"])
    with torch.no_grad():
        model.audio_proj.weight.fill_(float("nan"))
    with NanDetector(model) as detector:
        out = model(INPUTS)
        aligning_contrast(out["embeddings"]["text"], out["embeddings"]["audio"], out["logit_scale"])[0].backward()
        assert detector.has_printed_f
