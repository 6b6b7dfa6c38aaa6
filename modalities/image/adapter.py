"""Images: a convolutional patch stem, learned positions, 2-D relative positions.

Legend: pictures of S x W pixels are S / 16 rows of W / 16 patches; G is the longer side of that grid.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..adapter import LAYER_NORM_EPS, Adapter, AdapterConfig
from ..registry import register_modality
from ..relative_positions import NUM_CLS_BUCKETS, grid_buckets, num_grid_buckets
from .reader import ImageReader
from .resize import resize_distances, resize_positions, sine_positions

PATCH = 16


@dataclass
class ImageAdapterConfig(AdapterConfig):
    """Options of the image adapter."""

    bucket_size: int | None = field(
        default=None, metadata={"help": "side of the grid of absolute positions; the relative one's when not given"}
    )
    rel_bucket_size: int = field(
        default=16, metadata={"help": "longer side of the patch grid; set from the image size"}
    )
    grid_height: int | None = field(default=None, metadata={"help": "patches from top to bottom; that side by default"})
    grid_width: int | None = field(default=None, metadata={"help": "patches from left to right; that side by default"})
    sine_positions: bool = field(
        default=False,
        metadata={
            "help": "absolute positions start as sines, not as noise: in thousands of updates noise is not learned"
        },
    )
    vision_encoder_type: str = field(default="hmlp", metadata={"help": "stem: hmlp, mlp or none"})

    def __post_init__(self):
        if self.vision_encoder_type not in ("hmlp", "mlp", "none"):
            raise ValueError(f"vision_encoder_type={self.vision_encoder_type!r}: one of hmlp, mlp, none")
        if self.bucket_size is None:
            self.bucket_size = self.rel_bucket_size
        self.grid_height = self.grid_height or self.rel_bucket_size
        self.grid_width = self.grid_width or self.rel_bucket_size
        if max(self.grid_height, self.grid_width) != self.rel_bucket_size:
            raise ValueError(
                f"a grid of {self.grid_height} x {self.grid_width} patches: rel_bucket_size={self.rel_bucket_size} "
                "must be its longer side"
            )


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of x_BCHW."""

    def __init__(self, channels: int):
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.layer_norm(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class HmlpStem(nn.Sequential):
    """Hierarchical MLP stem (Touvron et al. 2022): three non-overlapping convolutions to 16 x 16 patches."""

    def __init__(self, dim: int):
        super().__init__(
            nn.Conv2d(3, dim // 4, kernel_size=4, stride=4),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.Conv2d(dim // 4, dim, kernel_size=2, stride=2),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Patches x_BND."""
        x = _nested_windows(x_BCHW)
        for conv, norm in ((self[0], self[1].layer_norm), (self[3], self[4].layer_norm)):
            x = F.gelu(norm(_windows(conv, x))).unflatten(1, (-1, 4)).flatten(2)
        return _windows(self[6], x)

    def reference(self, x_BCHW: Tensor) -> Tensor:
        """The same as convolutions."""
        return super().forward(x_BCHW).flatten(2).transpose(1, 2)


def _nested_windows(x_BCHW: Tensor) -> Tensor:
    """Pixels so that each window of each of the stem's convolutions is contiguous: B, 16 windows a patch, 48 values."""
    batch, channels, height, width = x_BCHW.shape
    x_BHWC = x_BCHW.permute(0, 2, 3, 1).contiguous()  # twelve values at a time are then copied, not one
    nested = x_BHWC.view(batch, height // PATCH, 2, 2, 4, width // PATCH, 2, 2, 4 * channels)
    return nested.permute(0, 1, 5, 2, 6, 3, 7, 4, 8).flatten(7).flatten(1, 6)


def _windows(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution whose windows, in the order y, x, channel, are the last dimension of ``x``."""
    return F.linear(x, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)


@register_modality("image", config=ImageAdapterConfig, reader=ImageReader)
class ImageAdapter(Adapter):
    """Normalised pixels Tensor[B, 3, S, W] -> Sequence of patches in row order.

    Tables are square: a rectangle reads the relative distances that it has, and absolute positions stretched over it.
    """

    def __init__(self, name: str, config: ImageAdapterConfig, embed_dim: int, attention_heads: int, **kwargs):
        super().__init__(name, config, embed_dim, attention_heads, **kwargs)
        if config.add_type_embedding and kwargs.get("stem", True):
            self.type_embedding_2 = nn.Parameter(torch.zeros(1, 1, embed_dim))
        if kwargs.get("stem", True):
            if config.vision_encoder_type == "none":
                raise ValueError("vision_encoder_type=none: the encoder needs a stem (hmlp or mlp)")
            hmlp = config.vision_encoder_type == "hmlp"
            self.embed_images = HmlpStem(embed_dim) if hmlp else nn.Conv2d(3, embed_dim, PATCH, PATCH, bias=False)
        self.grid = (config.grid_height, config.grid_width)
        self.pos_embed = nn.Parameter(torch.zeros(config.bucket_size**2 + 1, embed_dim))

    def embed(self, values: Tensor) -> Tensor:
        size, expected = values.shape[-2:], (PATCH * self.grid[0], PATCH * self.grid[1])
        if size != expected:
            raise ValueError(
                f"{self.name}: pictures of {size[0]} x {size[1]} pixels (height x width), the model is built for "
                f"{expected[0]} x {expected[1]}"
            )
        stem = self.embed_images
        if isinstance(stem, HmlpStem):
            if self.reference:
                return stem.reference(values)
            # its products are few and its results many: computed again for backward
            return checkpoint(stem, values, use_reentrant=False) if torch.is_grad_enabled() else stem(values)
        return self.embed_images(values).flatten(2).transpose(1, 2)

    def init_weights(self) -> None:
        if self.config.sine_positions:
            self.pos_embed[1:] = sine_positions(self.config.bucket_size, self.pos_embed.shape[1])

    def absolute_positions(self, length: int) -> Tensor:
        return resize_positions(self.pos_embed, *self.grid)

    def num_relative_buckets(self) -> int:
        return num_grid_buckets(self.config.rel_bucket_size)

    def relative_index(self, length: int) -> Tensor:
        return grid_buckets(*self.grid, self.pos_embed.device)

    def fit(self, name: str, value: Tensor) -> Tensor:
        """Position tables of another picture size are interpolated."""
        if name == "pos_embed":
            return resize_positions(value, self.config.bucket_size, self.config.bucket_size)
        if name.startswith("rel_pos_table_list."):
            distances, cls = value[:-NUM_CLS_BUCKETS], value[-NUM_CLS_BUCKETS:]
            return torch.cat([resize_distances(distances, self.config.rel_bucket_size), cls])
        return value

    def type_embeddings(self, instance: int) -> Tensor:
        return self.type_embedding + self.type_embedding_2 if instance else self.type_embedding
