"""One layer: attention shared by all modalities, a feed-forward network for each (paper, section 3.1)."""

from collections.abc import Sequence as Many

import torch
from torch import Tensor, nn

from ..config import EncoderConfig
from .attention import LAYER_NORM_EPS, SelfAttention
from .drop_path import DropPath
from .feed_forward import feed_forward


class EncoderLayer(nn.Module):
    """x += gamma_1 * drop_path(dropout(attn(LN(x)))), then x += gamma_2 * drop_path(dropout(ffn_m(LN(x)))).

    Args:
        config: widths and options.
        modalities: names; each gets ``{name}_ffn``.
        drop_path: rate of this layer.
    """

    def __init__(self, config: EncoderConfig, modalities: Many[str], drop_path: float):
        super().__init__()
        dim = config.embed_dim
        self.self_attn = SelfAttention(
            dim,
            config.attention_heads,
            dropout=config.attention_dropout,
            scale_heads=config.scale_heads,
            inner_norm=config.magneto_scale_attn,
        )
        self.self_attn_layer_norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn_ln = nn.LayerNorm(dim, eps=LAYER_NORM_EPS) if config.scale_attn else None
        self.final_layer_norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        for name in modalities:
            ffn = feed_forward(dim, config.ffn_embed_dim, dropout=config.activation_dropout, inner_norm=config.scale_fc)
            self.add_module(f"{name}_ffn", ffn)
        self.gamma_1 = self.gamma_2 = None
        if config.use_layer_scale:
            self.gamma_1 = nn.Parameter(torch.full((dim,), config.layer_scale_init_value))
            self.gamma_2 = nn.Parameter(torch.full((dim,), config.layer_scale_init_value))
        self.dropout = nn.Dropout(config.dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor | None, parts: list[tuple[str, int]]) -> Tensor:
        """``parts`` are the modalities of the sequence in order, with their lengths."""
        y_BLD = self.self_attn(self.self_attn_layer_norm(x_BLD), bias_BHLL)
        if self.attn_ln is not None:
            y_BLD = self.attn_ln(y_BLD)
        x_BLD = self._add(x_BLD, y_BLD, self.gamma_1)
        slices = self.final_layer_norm(x_BLD).split([length for _, length in parts], dim=1)
        outputs = [self.get_submodule(f"{name}_ffn")(part) for (name, _), part in zip(parts, slices, strict=True)]
        return self._add(x_BLD, torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0], self.gamma_2)

    def _add(self, x_BLD: Tensor, y_BLD: Tensor, gamma_D: Tensor | None) -> Tensor:
        y_BLD = self.drop_path(self.dropout(y_BLD))
        return x_BLD + (y_BLD if gamma_D is None else gamma_D * y_BLD)
