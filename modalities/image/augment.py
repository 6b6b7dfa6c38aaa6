"""Random changes of training pictures, beyond the crop. Everything is off by default."""

from dataclasses import dataclass

import torch
from PIL import Image, ImageFilter
from torch import FloatTensor, Generator
from torchvision.transforms import v2

from one_peace.data.randomness import lend
from one_peace.modalities.reader import ReaderConfig, option

BLUR_RADIUS = (0.1, 2.0)
_RAND_AUGMENT_OPS = 2  # as most recipes have it; the magnitude is what they tune


@dataclass
class AugmentConfig(ReaderConfig):
    """Options of `Augment`; probabilities, but for those said to be otherwise."""

    flip_prob: float = option(0.0, low=0, high=1, help="turn a training picture left to right")
    rand_augment: int = option(0, low=0, high=30, help="magnitude of two random operations on it; 0 = none")
    color_jitter: float = option(
        0.0, low=0, high=1, help="its brightness, contrast and saturation change by up to this share"
    )
    blur_prob: float = option(0.0, low=0, high=1, help="blur it, by a Gaussian of radius 0.1 to 2 pixels")
    erase_prob: float = option(0.0, low=0, high=1, help="erase a random rectangle of it")


class Augment:
    """Flip, RandAugment (Cubuk et al. 2020), colour jitter, blur, random erasing (Zhong et al. 2020), in this order.

    What is off draws nothing from the generator.
    """

    def __init__(self, config: AugmentConfig):
        self._blur_prob = config.blur_prob
        changes: list[v2.Transform] = []
        if config.flip_prob:
            changes.append(v2.RandomHorizontalFlip(config.flip_prob))
        if config.rand_augment:
            bilinear = v2.InterpolationMode.BILINEAR
            changes.append(v2.RandAugment(_RAND_AUGMENT_OPS, config.rand_augment, interpolation=bilinear))
        if config.color_jitter:
            changes.append(v2.ColorJitter(*[config.color_jitter] * 3))
        self._change = v2.Compose(changes) if changes else None
        self._erase = v2.RandomErasing(config.erase_prob, value=0) if config.erase_prob else None

    def picture(self, image: Image.Image, generator: Generator) -> Image.Image:
        """The RGB picture changed, of the same size."""
        if self._change is not None:
            with lend(generator):
                image = self._change(image)
        if self._blur_prob and torch.rand((), generator=generator) < self._blur_prob:
            low, high = BLUR_RADIUS
            radius = low + (high - low) * float(torch.rand((), generator=generator))
            image = image.filter(ImageFilter.GaussianBlur(radius))
        return image

    def tensor(self, value: FloatTensor, generator: Generator) -> FloatTensor:
        """The normalised picture float32[3, S, W], a rectangle of it erased: the mean colour, 0."""
        if self._erase is None:
            return value
        with lend(generator):
            return self._erase(value)
