"""The layers: passes that read one or several modalities' sequences, all of them at once (paper, section 3.1).

Legend: B batch, L positions of a (joint) sequence, N real ones of all passes, U units, M wanted positions, D width,
H heads.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from one_peace.modalities import Sequence

from .config import EncoderConfig
from .layers.attend import aligned
from .layers.encoder_layer import EncoderLayer
from .layers.linears import LAYER_NORM_EPS
from .layers.packing import Chosen, Extent, Packing

Wanted = str | Mapping[str, Tensor]


@dataclass
class Pass:
    """What one pass reads, and which of its features are wanted.

    Attributes:
        sequences: one a modality, joined in this order.
        wanted: "all": x_BLD, CLS first, 0 where padded; "cls": x_BD, for a pass of one modality; "units": rows x_UD of
            all real positions but CLS; or per modality a BoolTensor[B, L]: rows x_MD of the positions where it is True.
        constants: give the features of all units too, without gradient.
    """

    sequences: list[Sequence]
    wanted: Wanted = "all"
    constants: bool = False


@dataclass
class Features:
    """Per modality what a `Pass` wanted, and the constant rows x_UD of its units where it asked for them."""

    wanted: dict[str, Tensor]
    constants: dict[str, Tensor] | None = None


@dataclass
class _Finish:
    """The last layer's part for some passes: their packing, and which rows are wanted (None: all)."""

    keys: Packing
    chosen: Chosen | None
    wanted: list[Wanted]


class FusionModel(nn.Module):
    """Layers with shared attention and one feed-forward network a modality; one final LayerNorm a modality.

    All passes of a call go through a layer together, in one matrix product a weight. The last layer is computed only
    for positions whose features are wanted, and without gradient where they are wanted as constants.
    """

    def __init__(self, config: EncoderConfig, modalities: Iterable[str], *, release_padding: bool, reference: bool):
        super().__init__()
        modalities = tuple(modalities)
        self.heads = config.attention_heads
        self.checkpoint_activations = config.checkpoint_activations
        self.release_padding = release_padding
        self.reference = reference
        rates = [config.drop_path_rate * i / max(config.layers - 1, 1) for i in range(config.layers)]
        self.layers = nn.ModuleList(EncoderLayer(config, modalities, rate) for rate in rates)
        for name in modalities:
            self.add_module(f"{name}_layer_norm", nn.LayerNorm(config.embed_dim, eps=LAYER_NORM_EPS))

    def forward(self, passes: list[Pass]) -> list[Features]:
        """Encode each pass; what it gives does not depend on the others."""
        if self.reference:
            return [self._reference(one) for one in passes]
        keys = Packing([self._places(one, "all") for one in passes])
        everything = list(range(len(passes)))
        last = self._plan(passes, keys, everything, [one.wanted for one in passes])
        units = [i for i in everything if passes[i].constants]
        constants = self._plan(passes, keys, units, ["units"] * len(units)) if units else None

        biases = [[b if b is None else aligned(b) for b in self._biases(one.sequences)] for one in passes]
        x_ND = keys.pack([[sequence.x_BLD for sequence in one.sequences] for one in passes])
        for i, layer in enumerate(self.layers):
            factors = layer.draw(keys.samples, x_ND)
            biases_of_layer = [tables[min(i, len(tables) - 1)] for tables in biases]
            if i < len(self.layers) - 1:
                x_ND = self._run(layer, x_ND, biases_of_layer, keys, factors)
        features = [Features(wanted) for wanted in self._finish(last, x_ND, biases_of_layer, factors)]
        if constants is not None:
            with torch.no_grad():
                rows_ND = keys.rows_of_subset(x_ND, constants.keys)
                found = self._finish(constants, rows_ND, [biases_of_layer[i] for i in units], factors)
            for i, rows in zip(units, found, strict=True):
                features[i].constants = rows
        return features

    def _run(self, layer: EncoderLayer, x_ND: Tensor, *rest) -> Tensor:
        if self.checkpoint_activations and torch.is_grad_enabled():
            return checkpoint(layer, x_ND, *rest, use_reentrant=False)
        return layer(x_ND, *rest)

    def _plan(self, passes: list[Pass], keys: Packing, chosen: list[int], wanted: list[Wanted]) -> _Finish:
        """What the last layer does for some of the passes; all that must be read off masks is read here, beforehand."""
        keys = keys if len(chosen) == len(passes) else keys.subset(chosen)
        if all(w == "all" for w in wanted):
            return _Finish(keys, None, wanted)
        places = [self._places(passes[i], w) for i, w in zip(chosen, wanted, strict=True)]
        packing = Packing(places, keys.first_sample)
        return _Finish(keys, Chosen(packing, keys.pick(packing)), wanted)

    def _finish(self, plan: _Finish, x_ND: Tensor, biases: list[Tensor | None], factors) -> list[dict[str, Tensor]]:
        """The last layer and norm."""
        places = plan.keys if plan.chosen is None else plan.chosen.packing
        biases = [b[:, :, :1] if b is not None and w == "cls" else b for b, w in zip(biases, plan.wanted, strict=True)]
        x_ND = self._run(self.layers[-1], x_ND, biases, plan.keys, factors, plan.chosen)
        x_ND = torch.cat([self.get_submodule(f"{name}_layer_norm")(rows) for name, rows in places.split(x_ND)])
        rows, rectangles = places.rows_of_parts(x_ND), places.unpack(x_ND)
        return [rectangles[i] if w == "all" else rows[i] for i, w in enumerate(plan.wanted)]

    def _places(self, one: Pass, wanted: Wanted) -> list[Extent]:
        """The places of a pass that a layer computes whose outputs at ``wanted`` are wanted."""
        extents, masked = [], self._key_padding(one.sequences) is not None
        for sequence in one.sequences:
            batch, length = sequence.x_BLD.shape[:2]
            exists_BM = ~sequence.padding_BL if masked and sequence.padding_BL is not None else None
            if wanted == "cls":
                length, exists_BM = 1, None
            elif wanted == "units":
                exists_BM = units(sequence)
            elif wanted != "all":
                exists_BM = wanted[sequence.name]
            extents.append(Extent(sequence.name, batch, length, sequence.x_BLD.device, exists_BM))
        return extents

    def _reference(self, one: Pass) -> Features:
        """One pass by itself, padding computed and thrown away, as one would write it down."""
        biases = self._biases(one.sequences)
        x_BLD = torch.cat([sequence.x_BLD for sequence in one.sequences], dim=1)
        lengths = {sequence.name: sequence.x_BLD.shape[1] for sequence in one.sequences}
        for i, layer in enumerate(self.layers):
            rest = (biases[min(i, len(biases) - 1)], lengths, layer.draw(len(x_BLD), x_BLD))
            if self.checkpoint_activations and torch.is_grad_enabled():
                x_BLD = checkpoint(layer.reference, x_BLD, *rest, use_reentrant=False)
            else:
                x_BLD = layer.reference(x_BLD, *rest)
        parts = x_BLD.split(list(lengths.values()), dim=1)
        out = {name: self.get_submodule(f"{name}_layer_norm")(x) for name, x in zip(lengths, parts, strict=True)}
        features = Features({s.name: _select(out[s.name], s, one.wanted) for s in one.sequences})
        if one.constants:
            features.constants = {s.name: _select(out[s.name].detach(), s, "units") for s in one.sequences}
        return features

    def _key_padding(self, sequences: list[Sequence]) -> Tensor | None:
        """BoolTensor[B, 1, 1, L], True where a key must not be seen; None when all may be.

        The release's decoder, which has no relative positions, attends to padding.
        """
        if all(s.padding_BL is None for s in sequences):
            return None
        if self.release_padding and not any(s.biases for s in sequences):
            return None
        parts = [
            s.x_BLD.new_zeros(s.x_BLD.shape[:2], dtype=torch.bool) if s.padding_BL is None else s.padding_BL
            for s in sequences
        ]
        return torch.cat(parts, dim=1)[:, None, None, :]

    def _biases(self, sequences: list[Sequence]) -> list[Tensor | None]:
        """What is added to the attention logits, Tensor[1 or B, H, L, L]: one for all layers, or one a layer.

        Relative position biases act within a modality's block and are 0 across modalities; padded keys get -inf.
        """
        padding_B11L = self._key_padding(sequences)
        tables = max(len(sequence.biases) for sequence in sequences)
        biases = [self._block_diagonal(sequences, i) for i in range(tables)]
        if padding_B11L is None:
            return biases or [None]
        biases = biases or [sequences[0].x_BLD.new_zeros(1, 1, padding_B11L.shape[-1], 1)]
        return [bias.masked_fill(padding_B11L, -torch.inf) for bias in biases]

    def _block_diagonal(self, sequences: list[Sequence], table: int) -> Tensor:
        if len(sequences) == 1:
            return sequences[0].biases[table]
        batch = max((len(s.biases[table]) for s in sequences if s.biases), default=1)
        lengths = [sequence.x_BLD.shape[1] for sequence in sequences]
        bias_BHLL = sequences[0].x_BLD.new_zeros(batch, self.heads, sum(lengths), sum(lengths))
        start = 0
        for sequence, length in zip(sequences, lengths, strict=True):
            if sequence.biases:
                bias_BHLL[:, :, start : start + length, start : start + length] = sequence.biases[table]
            start += length
        return bias_BHLL


def units(sequence: Sequence) -> Tensor:
    """BoolTensor[B, L], True at every real position but CLS."""
    unit_BL = torch.ones_like(sequence.x_BLD[..., 0], dtype=torch.bool)
    if sequence.padding_BL is not None:
        unit_BL &= ~sequence.padding_BL
    unit_BL[:, 0] = False
    return unit_BL


def _select(x_BLD: Tensor, sequence: Sequence, wanted: Wanted) -> Tensor:
    if wanted == "cls":
        return x_BLD[:, 0]
    if wanted == "all":
        return x_BLD if sequence.padding_BL is None else x_BLD.masked_fill(sequence.padding_BL[..., None], 0)
    return x_BLD[units(sequence) if wanted == "units" else wanted[sequence.name]]
