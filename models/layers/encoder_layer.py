"""One layer: attention shared by all modalities, a feed-forward network for each (paper, section 3.1)."""

from collections.abc import Sequence as Many

import torch
from torch import Tensor, nn

from ..config import EncoderConfig
from .attention import LAYER_NORM_EPS, SelfAttention
from .drop_path import DropPath
from .feed_forward import feed_forward
from .packing import Packing


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

    def forward(self, x_ND: Tensor, bias_BHLL: Tensor | None, packing: Packing) -> Tensor:
        """``packing`` says which rows belong to which sample and modality."""
        y_ND = self.self_attn(self.self_attn_layer_norm(x_ND), bias_BHLL, packing)
        if self.attn_ln is not None:
            y_ND = self.attn_ln(y_ND)
        x_ND = self._add(x_ND, y_ND, self.gamma_1, packing)
        rows = packing.split(self.final_layer_norm(x_ND))
        outputs = [self.get_submodule(f"{name}_ffn")(part) for (name, _), part in zip(packing.parts, rows, strict=True)]
        return self._add(x_ND, torch.cat(outputs) if len(outputs) > 1 else outputs[0], self.gamma_2, packing)

    def _add(self, x_ND: Tensor, y_ND: Tensor, gamma_D: Tensor | None, packing: Packing) -> Tensor:
        y_ND = self.drop_path(self.dropout(y_ND), packing.batch, packing.sample_N)
        return x_ND + (y_ND if gamma_D is None else gamma_D * y_ND)
