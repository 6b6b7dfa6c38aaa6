"""Batches of pictures mixed with each other, targets alike: mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019)."""

from torch import Generator, Tensor
from torchvision.transforms.v2 import CutMix, MixUp, RandomChoice, Transform

from one_peace.data.randomness import lend


class Mixing:
    """Each training batch is mixed one way or the other; with one alpha at 0 always the other way.

    Args:
        modality: whose values are mixed.
        num_classes: of the target ``labels``, which become ``scores``.
        mixup: alpha of the Beta distribution that pictures are blended by; 0 = never.
        cutmix: alpha of the Beta distribution that says how much of a picture is pasted into another; 0 = never.

    Raises:
        ValueError: both are 0, or one is negative.
    """

    def __init__(self, modality: str, num_classes: int, mixup: float, cutmix: float):
        if min(mixup, cutmix) < 0 or not max(mixup, cutmix) > 0:
            raise ValueError(f"mixup {mixup}, cutmix {cutmix}: neither may be negative, nor both 0")
        self.modality = modality
        self.num_classes = num_classes
        ways: list[Transform] = [MixUp(alpha=mixup, num_classes=num_classes)] if mixup else []
        ways += [CutMix(alpha=cutmix, num_classes=num_classes)] if cutmix else []
        self._mix = RandomChoice(ways)

    def __call__(
        self, values: Tensor, target: dict[str, Tensor], generator: Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """float[B, C, H, W] and ``labels`` int64[B] -> the same mixed, and ``scores`` float32[B, num_classes]."""
        with lend(generator):
            values, scores = self._mix(values, target["labels"])
        return values, {"scores": scores.float()}
