"""One layer: attention shared by all modalities, a feed-forward network for each (paper, section 3.1)."""

from collections.abc import Sequence as Many

import torch
from torch import Tensor, nn

from ..config import EncoderConfig
from .attention import SelfAttention
from .drop_path import DropPath
from .feed_forward import FeedForward
from .linears import LAYER_NORM_EPS
from .packing import Chosen, Packing

Factors = tuple[Tensor | None, Tensor | None]


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
            ffn = FeedForward(dim, config.ffn_embed_dim, dropout=config.activation_dropout, inner_norm=config.scale_fc)
            self.add_module(f"{name}_ffn", ffn)
        self.gamma_1 = self.gamma_2 = None
        if config.use_layer_scale:
            self.gamma_1 = nn.Parameter(torch.full((dim,), config.layer_scale_init_value))
            self.gamma_2 = nn.Parameter(torch.full((dim,), config.layer_scale_init_value))
        self.dropout = nn.Dropout(config.dropout)
        self.drop_path = DropPath(drop_path)

    def draw(self, samples: int, like: Tensor) -> Factors:
        """Stochastic depth of the two branches, a factor a sample."""
        return self.drop_path.draw(samples, like), self.drop_path.draw(samples, like)

    def forward(
        self,
        x_ND: Tensor,
        biases: list[Tensor | None],
        keys: Packing,
        factors: Factors,
        chosen: Chosen | None = None,
    ) -> Tensor:
        """Rows of all passes -> the next layer's, or only the ``chosen`` ones of them (see `SelfAttention`)."""
        gamma_1, gamma_2 = self.gamma_1, self.gamma_2
        if self.attn_ln is None:
            y_ND = self.self_attn(x_ND, self.self_attn_layer_norm, biases, keys, chosen, gamma_1)
        else:
            y_ND = self.self_attn(x_ND, self.self_attn_layer_norm, biases, keys, chosen)
            y_ND = _scale(self.attn_ln(y_ND), gamma_1)
        queries = keys
        if chosen is not None:
            queries, x_ND = chosen.packing, x_ND.index_select(0, chosen.row_M)
        x_ND = self._add(x_ND, [y_ND], factors[0], queries.sample_N)
        outputs = [
            self.get_submodule(f"{name}_ffn").normed(rows, self.final_layer_norm, gamma_2)
            for name, rows in queries.split(x_ND)
        ]
        return self._add(x_ND, outputs, factors[1], queries.sample_N)

    def reference(self, x_BLD: Tensor, bias_BHLL: Tensor | None, lengths: dict[str, int], factors: Factors) -> Tensor:
        """The same for one pass, padding and all; ``lengths`` of its modalities' parts, in order."""
        y_BLD = self.self_attn.reference(self.self_attn_layer_norm(x_BLD), bias_BHLL)
        y_BLD = y_BLD if self.attn_ln is None else self.attn_ln(y_BLD)
        samples = torch.arange(len(x_BLD), device=x_BLD.device)
        x_BLD = self._add(x_BLD, [_scale(y_BLD, self.gamma_1)], factors[0], samples)
        parts = self.final_layer_norm(x_BLD).split(list(lengths.values()), dim=1)
        y_BLD = torch.cat([self.get_submodule(f"{m}_ffn")(x) for m, x in zip(lengths, parts, strict=True)], dim=1)
        return self._add(x_BLD, [_scale(y_BLD, self.gamma_2)], factors[1], samples)

    def _add(self, x: Tensor, parts: Many[Tensor], factor: Tensor | None, sample: Tensor) -> Tensor:
        """x + a branch's output, which is ``parts``, one below the other; ``sample`` says whose factor a row has."""
        parts = [self.dropout(y) for y in parts]
        if factor is not None:
            factors = factor[sample].view(-1, *[1] * (x.ndim - 1)).split([len(y) for y in parts])
            parts = [y * own for y, own in zip(parts, factors, strict=True)]
        if len(parts) == 1:
            return parts[0].add_(x)  # in place: nobody else holds a branch's output
        return _AddParts.apply(x, *parts)


class _AddParts(torch.autograd.Function):
    """``x_ND + torch.cat(parts)`` without a tensor for what is joined."""

    @staticmethod
    def forward(ctx, x_ND, *parts):
        ctx.rows = [len(part) for part in parts]
        y_ND = torch.empty_like(x_ND)
        for y, x, part in zip(y_ND.split(ctx.rows), x_ND.split(ctx.rows), parts, strict=True):
            torch.add(x, part, out=y)
        return y_ND

    @staticmethod
    def backward(ctx, d_ND):
        return d_ND, *d_ND.split(ctx.rows)


def _scale(y: Tensor, gamma_D: Tensor | None) -> Tensor:
    return y if gamma_D is None else y * gamma_D
