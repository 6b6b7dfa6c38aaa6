"""The layers: passes that read one or several modalities' sequences, all of them at once (paper, section 3.1).

Legend: B batch, L positions of a (joint) sequence, N real ones of all passes, U units, M wanted positions, D width,
H heads.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from one_peace.modalities import Sequence

from .config import EncoderConfig
from .layers.attend import aligned
from .layers.encoder_layer import EncoderLayer
from .layers.linears import LAYER_NORM_EPS
from .layers.packing import Chosen, Extent, Packing

Wanted = str | Mapping[str, str | Tensor]
Biases = list[Tensor | None]


@dataclass
class Pass:
    """What one pass reads, and which of its features are wanted.

    Attributes:
        sequences: one a modality, joined in this order.
        wanted: "all": x_BLD, CLS first, 0 where padded; "cls": x_BD; "units": rows x_UD of all real positions but CLS.
            Or per modality one of these, or a BoolTensor[B, L]: rows x_MD of the positions where it is True. Of a
            modality left out nothing is wanted; its last parameters get gradients that are 0.
        constants: give the features of all units too, without gradient.
    """

    sequences: list[Sequence]
    wanted: Wanted = "all"
    constants: bool = False


class Features(NamedTuple):
    """Per modality what a `Pass` wanted, and the constant rows x_UD of its units where it asked for them.

    A tuple, because hooks such as those of fairseq's search for NaN look into nothing else.
    """

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

        biases = self._biases(passes)
        x_ND = keys.pack([[sequence.x_BLD for sequence in one.sequences] for one in passes])
        for i, layer in enumerate(self.layers[:-1]):
            x_ND = self._run(layer, x_ND, partial(biases, i), keys, layer.draw(keys.samples, x_ND))
        factors = self.layers[-1].draw(keys.samples, x_ND)
        features = [Features(wanted) for wanted in self._finish(last, x_ND, biases, everything, factors)]
        if constants is not None:
            with torch.no_grad():
                rows_ND = keys.rows_of_subset(x_ND, constants.keys)
                found = self._finish(constants, rows_ND, biases, units, factors)
            for i, rows in zip(units, found, strict=True):
                features[i] = features[i]._replace(constants=rows)
        return features

    def _run(self, layer: EncoderLayer, x_ND: Tensor, biases: Callable[[], Biases], *rest) -> Tensor:
        def step(x_ND: Tensor) -> Tensor:
            return layer(x_ND, biases(), *rest)

        if self.checkpoint_activations and torch.is_grad_enabled():
            return checkpoint(step, x_ND, use_reentrant=False)
        return step(x_ND)

    def _plan(self, passes: list[Pass], keys: Packing, chosen: list[int], wanted: list[Wanted]) -> _Finish:
        """What the last layer does for some of the passes; all that must be read off masks is read here, beforehand."""
        keys = keys if len(chosen) == len(passes) else keys.subset(chosen)
        if all(w == "all" for w in wanted):
            return _Finish(keys, None, wanted)
        places = [self._places(passes[i], w) for i, w in zip(chosen, wanted, strict=True)]
        packing = Packing(places, keys.first_sample)
        return _Finish(keys, Chosen(packing, keys.pick(packing)), wanted)

    def _finish(
        self, plan: _Finish, x_ND: Tensor, biases: Callable[[int], Biases], passes: list[int], factors
    ) -> list[dict[str, Tensor]]:
        """The last layer and norm, for some of the passes."""
        places = plan.keys if plan.chosen is None else plan.chosen.packing

        def rows_of_biases() -> Biases:
            of_layer = biases(len(self.layers) - 1)
            return [_rows_of(of_layer[i], plan.keys, j, places) for j, i in enumerate(passes)]

        x_ND = self._run(self.layers[-1], x_ND, rows_of_biases, plan.keys, factors, plan.chosen)
        x_ND = torch.cat([self.get_submodule(f"{name}_layer_norm")(rows) for name, rows in places.split(x_ND)])
        rows, rectangles = places.rows_of_parts(x_ND), places.unpack(x_ND)
        return [
            {name: (rectangles if w == "all" else rows)[i][name] for name, w in _by_part(rows[i], wanted).items()}
            for i, wanted in enumerate(plan.wanted)
        ]

    def _places(self, one: Pass, wanted: Wanted) -> list[Extent]:
        """The places of a pass that a layer computes whose outputs at ``wanted`` are wanted."""
        extents, masked = [], self._key_padding(one.sequences) is not None
        parts = _by_part([sequence.name for sequence in one.sequences], wanted)
        for sequence in one.sequences:
            batch, length = sequence.x_BLD.shape[:2]
            part, exists_BM = parts.get(sequence.name), None
            if part is None:
                length = 0
            elif not isinstance(part, str):
                exists_BM = part
            elif part == "cls":
                length = 1
            elif part == "units":
                exists_BM = units(sequence)
            elif masked and sequence.padding_BL is not None:
                exists_BM = ~sequence.padding_BL
            extents.append(Extent(sequence.name, batch, length, sequence.x_BLD.device, exists_BM))
        return extents

    def _reference(self, one: Pass) -> Features:
        """One pass by itself, padding computed and thrown away, as one would write it down."""
        biases = self._biases([one])
        x_BLD = torch.cat([sequence.x_BLD for sequence in one.sequences], dim=1)
        lengths = {sequence.name: sequence.x_BLD.shape[1] for sequence in one.sequences}
        for i, layer in enumerate(self.layers):
            rest = (*biases(i), lengths, layer.draw(len(x_BLD), x_BLD))
            if self.checkpoint_activations and torch.is_grad_enabled():
                x_BLD = checkpoint(layer.reference, x_BLD, *rest, use_reentrant=False)
            else:
                x_BLD = layer.reference(x_BLD, *rest)
        sizes = list(lengths.values())
        parts = zip(lengths, x_BLD.split(sizes, dim=1), strict=True)
        # joined again, so that the norm of a part that is not wanted gets a gradient too, 0
        x_BLD = torch.cat([self.get_submodule(f"{name}_layer_norm")(x) for name, x in parts], dim=1)
        out = dict(zip(lengths, x_BLD.split(sizes, dim=1), strict=True))
        sequences, wanted = {s.name: s for s in one.sequences}, _by_part(list(lengths), one.wanted)
        features = Features({name: _select(out[name], sequences[name], w) for name, w in wanted.items()})
        if one.constants:
            units = {s.name: _select(out[s.name].detach(), s, "units") for s in one.sequences}
            features = features._replace(constants=units)
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

    def _biases(self, passes: list[Pass]) -> Callable[[int], Biases]:
        """What a layer adds to the attention logits of each pass, Tensor[1 or B, H, L, L] or None.

        What all layers share is made once. What is a layer's own is made when it runs: of all layers' together it
        would be the most of what a step keeps.
        """
        masks = [self._key_padding(one.sequences) for one in passes]

        def of_layer(i: int) -> Biases:
            return [self._bias(one.sequences, mask, i) for one, mask in zip(passes, masks, strict=True)]

        if any(len(sequence.biases) > 1 for one in passes for sequence in one.sequences):
            return of_layer
        shared = of_layer(0)
        return lambda i: shared

    def _bias(self, sequences: list[Sequence], padding_B11L: Tensor | None, layer: int) -> Tensor | None:
        """Relative position biases act within a modality's block and are 0 across modalities; padded keys get -inf."""
        bias_BHLL = None
        if any(sequence.biases for sequence in sequences):
            bias_BHLL = self._block_diagonal(sequences, layer)
        elif padding_B11L is not None:
            bias_BHLL = sequences[0].x_BLD.new_zeros(1, 1, padding_B11L.shape[-1], 1)
        if padding_B11L is not None:
            bias_BHLL = bias_BHLL.masked_fill(padding_B11L, -torch.inf)
        return None if bias_BHLL is None else aligned(bias_BHLL)

    def _block_diagonal(self, sequences: list[Sequence], layer: int) -> Tensor:
        blocks = [s.biases[min(layer, len(s.biases) - 1)] if s.biases else None for s in sequences]
        if len(blocks) == 1:
            return blocks[0]
        batch = max(len(block) for block in blocks if block is not None)
        lengths = [sequence.x_BLD.shape[1] for sequence in sequences]
        bias_BHLL = sequences[0].x_BLD.new_zeros(batch, self.heads, sum(lengths), sum(lengths))
        start = 0
        for block, length in zip(blocks, lengths, strict=True):
            if block is not None:
                bias_BHLL[:, :, start : start + length, start : start + length] = block
            start += length
        return bias_BHLL


def units(sequence: Sequence) -> Tensor:
    """BoolTensor[B, L], True at every real position but CLS."""
    unit_BL = torch.ones_like(sequence.x_BLD[..., 0], dtype=torch.bool)
    if sequence.padding_BL is not None:
        unit_BL &= ~sequence.padding_BL
    unit_BL[:, 0] = False
    return unit_BL


def _by_part(names: Iterable[str], wanted: Wanted) -> dict[str, str | Tensor]:
    """What is wanted of each modality of a pass, those left out of which nothing is."""
    return dict.fromkeys(names, wanted) if isinstance(wanted, str) else {n: wanted[n] for n in names if n in wanted}


def _rows_of(bias_BHLL: Tensor | None, keys: Packing, i: int, places: Packing) -> Tensor | None:
    """The queries' rows of pass i's bias: of each part as many, from its first one, as ``places`` has."""
    whole, some = ([part.extent.length for part in packing.passes[i]] for packing in (keys, places))
    if bias_BHLL is None or whole == some:
        return bias_BHLL
    starts = itertools.accumulate(whole, initial=0)
    rows = [bias_BHLL[:, :, start : start + length] for start, length in zip(starts, some, strict=False) if length]
    return rows[0] if len(rows) == 1 else torch.cat(rows, dim=2)


def _select(x_BLD: Tensor, sequence: Sequence, wanted: str | Tensor) -> Tensor:
    if not isinstance(wanted, str):
        return x_BLD[wanted]
    if wanted == "cls":
        return x_BLD[:, 0]
    if wanted == "all":
        return x_BLD if sequence.padding_BL is None else x_BLD.masked_fill(sequence.padding_BL[..., None], 0)
    return x_BLD[units(sequence)]
