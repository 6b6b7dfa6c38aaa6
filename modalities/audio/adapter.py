"""Sound: a convolutional stem on the waveform, positions computed by convolutions, logarithmic relative positions.

Legend: T samples at 16 kHz, N frames (50 a second), C channels of the stem.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..adapter import LAYER_NORM_EPS, Adapter, AdapterConfig
from ..registry import register_modality
from ..relative_positions import MAX_POSITIONS, num_token_buckets, token_buckets
from .conv_spec import RELEASED_SPEC, parse_conv_spec
from .reader import AudioReader
from .stem import ConvStem


@dataclass
class AudioAdapterConfig(AdapterConfig):
    """Options of the audio adapter."""

    bucket_size: int = field(default=512, metadata={"help": "relative positions: distances told apart a side"})
    feature_embed_dim: int | None = field(
        default=None, metadata={"help": "channels of the stem's output; its last convolution says the same"}
    )
    feature_encoder_spec: str | None = field(
        default=RELEASED_SPEC, metadata={"help": "convolutions of the stem: (channels, kernel, stride) each"}
    )
    log_mel: bool = field(
        default=False,
        metadata={
            "help": "the stem's first layer is no convolution but a log-mel spectrogram (bands, window, hop): in "
            "thousands of updates none is learned"
        },
    )
    conv_bias: bool = field(default=False, metadata={"help": "biases in the stem's convolutions"})
    freeze_extractor: bool = field(default=False, metadata={"help": "do not train the stem's convolutions"})
    abs_pos_type: str = field(default="conv", metadata={"help": "absolute positions: conv (of the content) or fixed"})
    conv_pos_depth: int = field(default=5, metadata={"help": "position convolutions"})
    conv_pos_width: int = field(default=95, metadata={"help": "their kernels' sum"})
    conv_pos_groups: int = field(default=16, metadata={"help": "their groups"})
    conv_pos_pre_ln: bool = field(default=False, metadata={"help": "LayerNorm before them"})

    def __post_init__(self):
        if self.abs_pos_type not in ("conv", "fixed"):
            raise ValueError(f"abs_pos_type={self.abs_pos_type!r}: one of conv, fixed")

    @classmethod
    def for_decoder(cls) -> dict[str, object]:
        return {**super().for_decoder(), "abs_pos_type": "fixed", "feature_encoder_spec": None}


class ConvPositions(nn.Module):
    """Position embeddings from the content: a stack of grouped convolutions over the frames, without CLS.

    Each convolution sees the frames present only: after every layer padded frames are zeroed again, so that a clip's
    positions do not depend on its neighbours in the batch.
    """

    def __init__(self, dim: int, depth: int, width: int, groups: int):
        super().__init__()
        kernel = max(3, width // depth)
        self.drop_last = kernel % 2 == 0  # an even kernel yields one frame too many
        self.norm_shape = (dim,)
        # numbered from 1: index 0 is no parameter in released checkpoints
        self.convs = [str(i) for i in range(1, depth + 1)]
        for name in self.convs:
            conv = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups)
            self.add_module(name, nn.Sequential(conv))

    def forward(self, x_BND: Tensor, padding_BN: Tensor | None) -> Tensor:
        for name in self.convs:
            if padding_BN is not None:
                x_BND = x_BND.masked_fill(padding_BN[..., None], 0)
            y_BDN = self.get_submodule(name)(x_BND.transpose(1, 2))
            y_BND = (y_BDN[..., :-1] if self.drop_last else y_BDN).transpose(1, 2)
            x_BND = F.gelu(F.layer_norm(y_BND, self.norm_shape, eps=LAYER_NORM_EPS))
        return x_BND


@register_modality("audio", config=AudioAdapterConfig, reader=AudioReader)
class AudioAdapter(Adapter):
    """Waveforms Tensor[B, T] -> Sequence of frames. Shorter clips are padded; give ``padding_mask`` then."""

    def __init__(self, name: str, config: AudioAdapterConfig, embed_dim: int, attention_heads: int, **kwargs):
        super().__init__(name, config, embed_dim, attention_heads, **kwargs)
        if kwargs.get("stem", True):
            layers = parse_conv_spec(config.feature_encoder_spec)
            channels = layers[-1][0]
            if config.feature_embed_dim not in (None, channels):
                raise ValueError(
                    f"feature_embed_dim={config.feature_embed_dim}, but feature_encoder_spec ends with {channels}"
                )
            self.embed_audios = nn.Sequential(
                ConvStem(layers, config.conv_bias, config.log_mel),
                nn.Identity(),  # no parameters, but a number in released names
                nn.LayerNorm(channels, eps=LAYER_NORM_EPS),
                nn.Linear(channels, embed_dim),
            )
            self.embed_audios[0].requires_grad_(not config.freeze_extractor)
        if config.abs_pos_type == "fixed":
            self.embed_positions = nn.Embedding(MAX_POSITIONS + 2, embed_dim)
        else:
            self.cls_pos_embed = nn.Parameter(torch.zeros(1, 1, embed_dim))
            convs = ConvPositions(embed_dim, config.conv_pos_depth, config.conv_pos_width, config.conv_pos_groups)
            if config.conv_pos_pre_ln:
                self.embed_positions = nn.ModuleList([nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS), convs])
            else:
                self.embed_positions = convs

    def init_weights(self) -> None:
        if self.config.log_mel and hasattr(self, "embed_audios"):
            *_, norm, project = self.embed_audios
            # of unit variance, or positions, which end in a norm, drown what is heard
            nn.init.normal_(project.weight, std=norm.normalized_shape[0] ** -0.5)

    def embed(self, values: Tensor) -> Tensor:
        return self.embed_present(values, None)

    def embed_present(self, values: Tensor, padding_BL: Tensor | None) -> Tensor:
        stem, _, norm, project = self.embed_audios
        if self.reference:
            return project(norm(stem.reference(values)))
        # Asking a GPU for the lengths would wait for it; frames of padding that leak must be what they are.
        whole = padding_BL is None or padding_BL.is_cuda or self.release_padding
        return project(norm(stem(values, None if whole else _lengths(padding_BL[:, 1:]))))

    def absolute_positions(self, length: int) -> Tensor:
        return self.embed_positions.weight[:length]

    def positions(self, x_BLD: Tensor, length: int, places_BL: Tensor | None, padding_BL: Tensor | None) -> Tensor:
        """Convolutional positions are computed over the frames present, masked ones left out."""
        if self.config.abs_pos_type == "fixed":
            return super().positions(x_BLD, length, places_BL, padding_BL)
        frames_BND, convs = x_BLD[:, 1:], self.embed_positions
        if self.config.conv_pos_pre_ln:
            norm, convs = self.embed_positions
            frames_BND = norm(frames_BND)
        leak = padding_BL is None or self.release_padding
        y_BND = convs(frames_BND, None if leak else padding_BL[:, 1:])
        return torch.cat([self.cls_pos_embed.expand(len(y_BND), -1, -1).to(y_BND), y_BND], dim=1)

    def num_relative_buckets(self) -> int:
        return num_token_buckets(self.config.bucket_size)

    def relative_index(self, length: int) -> Tensor:
        device = self.rel_pos_table_list[0].weight.device
        return token_buckets(length, self.config.bucket_size, device)


def _lengths(padding_BN: Tensor) -> list[int]:
    """Of each row up to its last unit that is no padding; 1 if all are."""
    places_N = torch.arange(1, padding_BN.shape[1] + 1, device=padding_BN.device)
    return places_N.where(~padding_BN, 1).amax(1).tolist()
