"""Pictures: any file that Pillow opens -> normalised RGB of one size, and the masks over its patches.

Legend: S height, W width in pixels, the same unless ``patch_image_width`` is given.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import BoolTensor, FloatTensor, Generator, Tensor
from torchvision.transforms import RandomResizedCrop

from one_peace.data.errors import SampleError
from one_peace.data.masking import cover_previous_mask, random_mask
from one_peace.data.randomness import lend
from one_peace.modalities.image.augment import Augment, AugmentConfig
from one_peace.modalities.reader import Reader, media_path, option, require_previous

PATCH_SIZE = 16
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# orientation of a file -> what makes it upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as upright 8-bit RGB.

    Transparency is laid on white: what an alpha channel hides is arbitrary (mostly black), and pictures with one are
    drawn for a light page. 16-bit grey is scaled; Pillow's own conversion would clip it to white.

    Raises:
        SampleError: the pixels have no defined 8-bit range.
    """
    white_is_zero = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0
    # not ImageOps.exif_transpose: it also rewrites all tags, and fails at odd ones
    image.load()
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        if pixels.size and (pixels.min() < 0 or pixels.max() > 65535):
            raise SampleError("32-bit integer pixels have no defined range: save the picture with 8 or 16 bits")
        pixels = 65535 - pixels if white_is_zero else pixels  # Pillow turns round 8-bit ones only
        if image.has_transparency_data:
            pixels = np.where(pixels == image.info["transparency"], 65535, pixels)
        return Image.fromarray(np.round(pixels / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise SampleError("floating-point pixels have no defined range: save the picture with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_tensor(image: Image.Image) -> FloatTensor:
    """8-bit RGB of H x W -> float32[3, H, W] with CLIP's mean and standard deviation."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div_(255)
    return pixels.sub_(torch.tensor(CLIP_MEAN).view(3, 1, 1)).div_(torch.tensor(CLIP_STD).view(3, 1, 1))


def picture_size(cell: str, root: Path) -> tuple[int, int]:
    """Width and height in pixels of the upright picture that a cell names, by its file's header.

    Raises:
        SampleError: there is no such picture.
    """
    path = media_path(cell, root)
    try:
        with Image.open(path) as image:
            return _upright_size(image)
    except Exception as error:  # the decoders of Pillow raise errors of every kind on damaged files
        raise SampleError(f"picture {str(path)!r} is damaged or no picture ({error})") from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned_by_a_quarter = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    return image.size[::-1] if turned_by_a_quarter else image.size


@dataclass
class ImageReaderConfig(AugmentConfig):
    """Options of `ImageReader`."""

    patch_image_size: int = option(256, low=PATCH_SIZE, high=4096, help="side S of the square, a multiple of 16 pixels")
    patch_image_width: Optional[int] = option(
        None, low=PATCH_SIZE, high=4096, help="width W of pictures that are no squares; S is their height then"
    )
    min_scale: float = option(0.9, low=0.01, high=1, help="least share of the picture that a training crop covers")
    no_crop: bool = option(False, help="train on whole pictures, resized without keeping the aspect")
    crop_pct: Optional[float] = option(
        None,
        low=0.1,
        high=1,
        help="evaluate on this share of the largest central part of S x W's shape; whole by default",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patch_image_size", "patch_image_width"):
            if (getattr(self, name) or 0) % PATCH_SIZE:
                raise ValueError(f"{name}={getattr(self, name)}: must be a multiple of {PATCH_SIZE}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as Pillow has them."""
        return self.patch_image_width or self.patch_image_size, self.patch_image_size


class ImageReader(Reader):
    """A path -> float32[3, S, W]."""

    Config = ImageReaderConfig
    strategies = ("random", "cover_previous")

    def __init__(self, config: ImageReaderConfig):
        super().__init__(config)
        width, height = config.size
        shapes = tuple(width / height * ratio for ratio in (3 / 4, 4 / 3))
        self._crop = RandomResizedCrop((height, width), scale=(config.min_scale, 1), ratio=shapes)
        # pixels that a training crop is resized from: with twice as many as are wanted the result hardly differs
        self._enough = math.ceil(2 * max(config.size) / (1 if config.no_crop else math.sqrt(config.min_scale)))
        self._augment = Augment(config)

    def load(self, cell: str, root: Path, generator: Generator | None = None) -> FloatTensor:
        """float32[3, S, W], resized without keeping the aspect.

        In evaluation the whole picture or ``crop_pct``'s part of it; in training, augmented, a random crop or, with
        ``no_crop``, all of it. A training JPEG much larger than that is decoded at a half, a quarter or an eighth of
        its size.
        """
        path = media_path(cell, root)
        if generator is None:
            image, size = self._open(path)
            return to_tensor(self._resize(image, self._central_box(*size)))
        image, size = self._open(path, self._enough)
        image = self._resize(image) if self.config.no_crop else self._random_crop(image, *size, generator)
        return self._augment.tensor(to_tensor(self._augment.picture(image, generator)), generator)

    def check(self, cell: str, root: Path) -> None:
        media_path(cell, root)

    def _random_crop(self, image: Image.Image, width: int, height: int, generator: Generator) -> Image.Image:
        """S x W pixels of a picture that has this size in its file."""
        box = self._draw_box(width, height, generator)
        shrunk = round(width / image.width)
        if shrunk == 1:
            return self._resize(image.crop(box))
        return self._resize(image, tuple(edge / shrunk for edge in box))

    def _resize(self, image: Image.Image, box: tuple[float, ...] | None = None) -> Image.Image:
        return image.resize(self.config.size, Image.Resampling.BICUBIC, box=box)

    def _central_box(self, width: int, height: int) -> tuple[float, ...] | None:
        """What is evaluated of a picture of that size; None: all of it."""
        if self.config.crop_pct is None:
            return None
        scale = self.config.crop_pct * min(width / self.config.size[0], height / self.config.size[1])
        columns, rows = (scale * side for side in self.config.size)
        columns, rows = min(columns, width), min(rows, height)  # whatever rounding made of the side that fits
        left, top = (width - columns) / 2, (height - rows) / 2
        return left, top, left + columns, top + rows

    def _draw_box(self, width: int, height: int, generator: Generator) -> tuple[int, int, int, int]:
        """A random crop of a picture of that size: left, upper, right, lower."""
        with lend(generator):
            picture = torch.empty(3, height, width, device="meta")  # of the size alone
            top, left, rows, columns = self._crop.get_params(picture, self._crop.scale, self._crop.ratio)
        return left, top, left + columns, top + rows

    @staticmethod
    def _open(path: Path, enough: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
        """Decode ``path`` -> (upright RGB, width and height of the upright picture in the file).

        ``enough`` lets a JPEG come with fewer pixels than the file has, at least that many a side.

        Raises:
            SampleError: not a picture, damaged, or too large.
        """
        try:
            with Image.open(path) as image:
                # Pillow's bound (89 megapixels, 270 MB of RGB) keeps one file from filling a worker's memory. Up to
                # twice as many it only warns, and turning warnings into errors is not safe in threads.
                if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                    raise Image.DecompressionBombError
                size = _upright_size(image)
                if enough is not None:
                    image.draft(None, (enough, enough))
                return to_rgb(image), size
        except SampleError as error:
            raise SampleError(f"picture {str(path)!r}: {error}") from None
        except Image.DecompressionBombError:
            most = (Image.MAX_IMAGE_PIXELS or math.inf) / 1e6
            raise SampleError(
                f"picture {str(path)!r} has more than {most:.0f} megapixels: shrink it beforehand"
            ) from None
        except MemoryError:
            raise
        except Exception as error:  # the decoders of Pillow raise errors of every kind on damaged files
            raise SampleError(f"picture {str(path)!r} is damaged or no picture ({error})") from error

    def num_units(self, value: Tensor) -> int:
        """Patches of 16 x 16 pixels."""
        return (value.shape[-2] // PATCH_SIZE) * (value.shape[-1] // PATCH_SIZE)

    def estimate_units(self, cell: str, root: Path, duration: float | None = None) -> int:
        """Exact: every picture has the same number."""
        return math.prod(side // PATCH_SIZE for side in self.config.size)

    def mask(
        self,
        value: Tensor,
        strategy: str,
        ratio: float,
        generator: Generator | None = None,
        previous: BoolTensor | None = None,
    ) -> BoolTensor:
        """bool[L]. ``random``: that share of the patches; ``cover_previous``: all patches that the pass of the image
        alone keeps, and some of the others, that share in all."""
        self.check_strategy(strategy)
        if strategy == "random":
            return random_mask(self.num_units(value), ratio, generator)
        return cover_previous_mask(require_previous(strategy, previous), ratio, generator)

    def adapter_settings(self) -> dict[str, object]:
        """The sides of the grid of patches."""
        width, height = (side // PATCH_SIZE for side in self.config.size)
        return {"rel_bucket_size": max(width, height), "grid_height": height, "grid_width": width}
