"""What a modality brings to the network: an adapter turns raw input into a `Sequence` (paper, section 3.1).

Legend: B batch, N units (tokens, patches, frames), L = 1 + N positions with CLS first, K kept positions of a masked
input, D width, H attention heads.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-5


@dataclass
class AdapterConfig:
    """Options every modality has."""

    use_attn_bias: bool = field(default=True, metadata={"help": "learned relative position bias"})
    layernorm_embedding: bool = field(default=False, metadata={"help": "LayerNorm on the embedded units"})
    add_type_embedding: bool = field(default=False, metadata={"help": "learned embedding that marks the modality"})
    shrink_alpha: float = field(default=1.0, metadata={"help": "share of the gradient that reaches the stem"})
    dropout: float = field(default=0.0, metadata={"help": "dropout on the adapter's output"})

    @classmethod
    def for_decoder(cls) -> dict[str, object]:
        """Options that differ from the defaults where this modality is decoded (no stem, no relative positions)."""
        return {"use_attn_bias": False}


@dataclass
class Sequence:
    """One modality's part of the encoder's input.

    Attributes:
        name: modality.
        x_BLD: embeddings, CLS first, zero where padded.
        padding_BL: True where padded, or None when nothing is.
        biases: relative position bias, one Tensor[1 or B, H, L, L] shared by all layers, or one a layer; may be empty.
    """

    name: str
    x_BLD: Tensor
    padding_BL: Tensor | None
    biases: list[Tensor]


class Adapter(nn.Module, ABC):
    """Raw input -> `Sequence`. A subclass says how units are embedded and where they sit.

    Args:
        config: the options of this modality.
        embed_dim: width D.
        attention_heads: H.
        num_tables: relative position tables, 1 (shared by all layers) or one a layer.
        stem: False in the decoder, which receives vectors: no input stem is built.
        release_padding: reproduce the release's arithmetic where padding leaks into results (see `Wrapper`).
        reference: compute the stem in the plainest way (see `Wrapper`).
    """

    def __init__(
        self,
        name: str,
        config: AdapterConfig,
        embed_dim: int,
        attention_heads: int,
        *,
        num_tables: int = 1,
        stem: bool = True,
        release_padding: bool = False,
        reference: bool = False,
    ):
        super().__init__()
        self.name = name
        self.config = config
        self.release_padding = release_padding
        self.reference = reference
        if stem:  # in the decoder CLS is the encoder's
            self.cls_embedding = nn.Parameter(torch.zeros(1, 1, embed_dim))
        if config.add_type_embedding:
            self.type_embedding = nn.Parameter(torch.zeros(1, 1, embed_dim))
        if config.layernorm_embedding and stem:
            self.layernorm_embedding = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)
        tables = num_tables if config.use_attn_bias else 0
        self.rel_pos_table_list = nn.ModuleList(
            nn.Embedding(self.num_relative_buckets(), attention_heads) for _ in range(tables)
        )

    @abstractmethod
    def embed(self, values: Tensor) -> Tensor:
        """The input stem: raw values -> units x_BND (without CLS, without positions)."""

    @abstractmethod
    def absolute_positions(self, length: int) -> Tensor:
        """Position embeddings Tensor[L, D] of a whole sequence, CLS first."""

    @abstractmethod
    def num_relative_buckets(self) -> int:
        """Rows of a relative position table."""

    @abstractmethod
    def relative_index(self, length: int) -> Tensor:
        """LongTensor[L, L]: the table row of each pair (query, key) of a whole sequence."""

    def embed_present(self, values: Tensor, padding_BL: Tensor | None) -> Tensor:
        """`embed`; overridden where that costs less for what is no padding (``padding_BL``, CLS first)."""
        return self.embed(values)

    def init_weights(self) -> None:
        """Called when all parameters have been initialised; overridden where some start otherwise."""

    def padding_mask(self, values: Tensor) -> Tensor | None:
        """BoolTensor[B, L] read off the raw values where the caller gives none; None when nothing is padded."""
        return None

    def positions(self, x_BLD: Tensor, length: int, places_BL: Tensor | None, padding_BL: Tensor | None) -> Tensor:
        """Position embeddings of the positions present, Tensor[1 or B, L or K, D].

        Overridden where positions are computed from the content (audio).

        Args:
            x_BLD: the embedded positions present, CLS first.
            length: L of the whole sequence.
            places_BL: which positions of the whole sequence are present, or None for all.
            padding_BL: True where what is present is padding.
        """
        table_LD = self.absolute_positions(length)
        return table_LD[None] if places_BL is None else table_LD[places_BL]

    def fit(self, name: str, value: Tensor) -> Tensor:
        """A checkpoint's value of a parameter whose shape here is another one, made to fit where that can be done.

        Overridden where shapes depend on the data (pictures of another size).
        """
        return value

    def type_embeddings(self, instance: int) -> Tensor:
        """The type embedding of the ``instance``-th input of this modality in a sample, Tensor[1, 1, D]."""
        return self.type_embedding

    def forward(
        self, values: Tensor, padding_mask: Tensor | None = None, keep_ids: Tensor | None = None, instance: int = 0
    ) -> Sequence:
        """Raw input -> sequence: `stem`, then `sequence`, which say what the arguments are."""
        return self.sequence(*self.stem(values, padding_mask), keep_ids, instance)

    def stem(self, values: Tensor, padding_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Embed raw input: x_BLD with CLS first, without positions, and its padding. All passes of a step can share it.

        Args:
            values: raw batch, as the modality's reader collates it.
            padding_mask: BoolTensor[B, L], True = padding; read off ``values`` when None.

        Raises:
            ValueError: the padding mask does not fit the embedded length.
        """
        padding_BL = self.padding_mask(values) if padding_mask is None else padding_mask
        units_BND = self.embed_present(values, padding_BL)
        x_BLD = torch.cat([self.cls_embedding.expand(units_BND.shape[0], -1, -1).to(units_BND), units_BND], dim=1)
        if padding_BL is not None and padding_BL.shape[1] != x_BLD.shape[1]:
            raise ValueError(
                f"{self.name}: padding mask of {padding_BL.shape[1]} positions for a sequence of {x_BLD.shape[1]}"
            )
        return x_BLD, padding_BL

    def sequence(
        self, x_BLD: Tensor, padding_BL: Tensor | None, keep_ids: Tensor | None = None, instance: int = 0
    ) -> Sequence:
        """The encoder's input from what `stem` made; with ``keep_ids`` only the kept positions enter.

        Args:
            x_BLD, padding_BL: see `stem`.
            keep_ids: LongTensor[B, K], kept positions (CLS = 0 included), rows padded with -1.
            instance: 0 for the first input of this modality in the sample, 1 for a second one.
        """
        length, places_BL = x_BLD.shape[1], None
        if keep_ids is not None:
            places_BL, padding_BL = self._kept_places(keep_ids)
            x_BLD = x_BLD.gather(1, places_BL[..., None].expand(-1, -1, x_BLD.shape[-1]))
        positions_BLD = self.positions(x_BLD, length, places_BL, padding_BL)
        if self.config.layernorm_embedding:
            x_BLD = self.layernorm_embedding(x_BLD)
        if self.config.shrink_alpha != 1.0:
            x_BLD = x_BLD * self.config.shrink_alpha + x_BLD.detach() * (1 - self.config.shrink_alpha)
        return self._finish(x_BLD, positions_BLD, length, places_BL, padding_BL, instance)

    def restore(
        self, kept_BKD: Tensor, keep_ids: Tensor, mask_token: Tensor, length: int, padding_BL: Tensor | None
    ) -> Sequence:
        """The decoder's input: every place holds the mask token, kept places what the encoder made of them.

        Args:
            kept_BKD: mapped encoder outputs of the kept positions.
            keep_ids: LongTensor[B, K] as in `forward`.
            mask_token: Tensor[1, D].
            length: L of the whole sequence.
            padding_BL: True where the whole sequence is padded.
        """
        places_BK = torch.where(keep_ids < 0, length, keep_ids)  # padded entries land in a column that is cut off
        x_BLD = mask_token.to(kept_BKD)[None].expand(kept_BKD.shape[0], length + 1, -1)
        x_BLD = x_BLD.scatter(1, places_BK[..., None].expand_as(kept_BKD), kept_BKD)[:, :length]
        positions_BLD = self.positions(x_BLD, length, None, padding_BL)
        return self._finish(x_BLD, positions_BLD, length, None, padding_BL, instance=0)

    def _kept_places(self, keep_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Where to gather each kept position from (in range also where a row is padded), and that padding."""
        stand_in = keep_ids.shape[1] - 1 if self.release_padding else 0
        return torch.where(keep_ids < 0, stand_in, keep_ids), keep_ids < 0

    def _finish(
        self,
        x_BLD: Tensor,
        positions_BLD: Tensor,
        length: int,
        places_BL: Tensor | None,
        padding_BL: Tensor | None,
        instance: int,
    ) -> Sequence:
        x_BLD = x_BLD + positions_BLD.to(x_BLD)
        if self.config.add_type_embedding:
            x_BLD = x_BLD + self.type_embeddings(instance).to(x_BLD)
        x_BLD = self.dropout(x_BLD)
        if padding_BL is not None:
            x_BLD = x_BLD.masked_fill(padding_BL[..., None], 0)
        return Sequence(self.name, x_BLD, padding_BL, self._relative_biases(length, places_BL))

    def _relative_biases(self, length: int, places_BL: Tensor | None) -> list[Tensor]:
        if not self.rel_pos_table_list:
            return []
        index = self.relative_index(length)[None]
        if places_BL is not None:
            index = index[0][places_BL[:, :, None], places_BL[:, None, :]]
        return [self._look_up(table.weight, index) for table in self.rel_pos_table_list]

    @staticmethod
    def _look_up(table_RH: Tensor, index_BLL: Tensor) -> Tensor:
        """Tensor[B, H, L, L], heads first in memory too, as attention reads them."""
        bias_HX = table_RH.T.index_select(1, index_BLL.flatten())
        return bias_HX.unflatten(1, index_BLL.shape).transpose(0, 1)
