"""The criterions around the contrasts: what they log."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import normalize

from one_peace.criterions.contrastive import AligningLoss


@pytest.mark.parametrize(
    ("modalities", "names"),
    [(("text", "image"), ("t2i", "i2t")), (("vector", "video"), ("vector2video", "video2vector"))],
)
def test_both_directions_are_counted_under_their_own_names(modalities, names):
    task = SimpleNamespace(modalities=modalities, target_dictionary=None)
    anchor = torch.eye(3)
    other = normalize(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0.9, 0.5]]), dim=1)
    out = {"embeddings": dict(zip(modalities, (anchor, other), strict=True)), "logit_scale": torch.tensor(1.0)}
    _, log = AligningLoss(task).align(out, {})
    # the third of the others looks like the second anchor, which prefers its own; the third anchor likes the third best
    assert [int(log[f"{name}_ncorrect"]) for name in names] == [3, 2]
