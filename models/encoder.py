"""The network: modality adapters and one encoder that reads any combination of their sequences (paper, section 3).

Legend: B batch, L positions of a (joint) sequence, N real ones of a batch, K kept ones of a masked pass, D width,
H heads.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from one_peace.modalities import Adapter, Sequence, get_modality

from .config import EncoderConfig
from .layers.attention import LAYER_NORM_EPS
from .layers.encoder_layer import EncoderLayer
from .layers.packing import Packing

Inputs = Mapping[str, Mapping[str, Tensor]]


class FusionModel(nn.Module):
    """Layers with shared attention and one feed-forward network a modality; one final LayerNorm a modality."""

    def __init__(self, config: EncoderConfig, modalities: Iterable[str], release_padding: bool):
        super().__init__()
        modalities = tuple(modalities)
        self.heads = config.attention_heads
        self.checkpoint_activations = config.checkpoint_activations
        self.release_padding = release_padding
        rates = [config.drop_path_rate * i / max(config.layers - 1, 1) for i in range(config.layers)]
        self.layers = nn.ModuleList(EncoderLayer(config, modalities, rate) for rate in rates)
        for name in modalities:
            self.add_module(f"{name}_layer_norm", nn.LayerNorm(config.embed_dim, eps=LAYER_NORM_EPS))

    def forward(self, sequences: list[Sequence]) -> dict[str, Tensor]:
        """Join, encode, take apart: features x_BLD of each modality, CLS first; 0 where padded."""
        padding_B11L = self._key_padding(sequences)
        biases = self._biases(sequences, padding_B11L)
        packing = Packing.of(sequences, skip_padding=padding_B11L is not None)
        x_ND = packing.pack_parts([sequence.x_BLD for sequence in sequences])
        for i, layer in enumerate(self.layers):
            bias_BHLL = biases[i] if len(biases) > 1 else biases[0]
            if self.checkpoint_activations and torch.is_grad_enabled():
                x_ND = checkpoint(layer, x_ND, bias_BHLL, packing, use_reentrant=False)
            else:
                x_ND = layer(x_ND, bias_BHLL, packing)
        rows = [
            self.get_submodule(f"{name}_layer_norm")(part)
            for (name, _), part in zip(packing.parts, packing.split(x_ND), strict=True)
        ]
        return {name: x for (name, _), x in zip(packing.parts, packing.unpack_parts(rows), strict=True)}

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

    def _biases(self, sequences: list[Sequence], padding_B11L: Tensor | None) -> list[Tensor | None]:
        """What is added to the attention logits, Tensor[1 or B, H, L, L]: one for all layers, or one a layer.

        Relative position biases act within a modality's block and are 0 across modalities; padded keys get -inf.
        """
        tables = max(len(sequence.biases) for sequence in sequences)
        biases = [self._block_diagonal(sequences, i) for i in range(tables)]
        if padding_B11L is None:
            return biases or [None]
        biases = biases or [sequences[0].x_BLD.new_zeros(())]
        return [bias.masked_fill(padding_B11L, -torch.inf) for bias in biases]

    def _block_diagonal(self, sequences: list[Sequence], table: int) -> Tensor:
        if len(sequences) == 1:
            return sequences[0].biases[table]
        batch = max((len(s.biases[table]) for s in sequences if s.biases), default=1)
        lengths = [sequence.x_BLD.shape[1] for sequence in sequences]
        x_BLD, rows = sequences[0].x_BLD, []
        for i, sequence in enumerate(sequences):
            row = [x_BLD.new_zeros(batch, self.heads, lengths[i], length) for length in lengths]
            if sequence.biases:
                row[i] = sequence.biases[table].expand(batch, -1, -1, -1)
            rows.append(torch.cat(row, dim=-1))
        return torch.cat(rows, dim=-2)


class Wrapper(nn.Module):
    """Adapters ``{name}_adapter`` and the ``fusion_model`` they feed; what encoder and decoder have in common.

    Padding never changes a result: padded positions are zeroed before layer 0 and masked as keys everywhere.
    ``release_padding`` reproduces the places where the original release lets it through: its decoder attends to
    padding, its audio position convolutions run over padded frames, and a padded entry of ``keep_ids`` stands for
    the last column's position.
    """

    def __init__(self, config: EncoderConfig, *, stem: bool, tables_per_layer: bool, release_padding: bool):
        super().__init__()
        self.modalities = tuple(config.adapters)
        for name, adapter_config in config.adapters.items():
            adapter = get_modality(name).adapter(
                name,
                adapter_config,
                config.embed_dim,
                config.attention_heads,
                num_tables=config.layers if tables_per_layer else 1,
                stem=stem,
                release_padding=release_padding,
            )
            self.add_module(f"{name}_adapter", adapter)
        self.fusion_model = FusionModel(config, self.modalities, release_padding)
        init_parameters(self)

    def adapter(self, name: str) -> Adapter:
        """The adapter of a modality; ValueError when this model has no such branch."""
        if name not in self.modalities:
            raise ValueError(f"this model has no {name} branch (it has {', '.join(self.modalities)})")
        return self.get_submodule(f"{name}_adapter")


class Encoder(Wrapper):
    """Raw inputs of one or several modalities -> features (``encoder_wrapper``)."""

    def __init__(self, config: EncoderConfig, *, tables_per_layer: bool = False, release_padding: bool = False):
        super().__init__(config, stem=True, tables_per_layer=tables_per_layer, release_padding=release_padding)

    def forward(self, inputs: Inputs, keep_ids: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Features x_BLD per modality, CLS first; several inputs are read as one joint sequence, in the order given.

        Args:
            inputs: per modality the keyword arguments of its adapter: ``values`` and ``padding_mask``.
            keep_ids: per modality the kept positions LongTensor[B, K] of a masked pass (CLS included, padded with -1).
        """
        keep_ids = keep_ids or {}
        return self.fusion_model([self.adapter(name)(**inputs[name], keep_ids=keep_ids.get(name)) for name in inputs])


class Decoder(Wrapper):
    """Encoder outputs of kept positions -> features of all positions (``decoder_wrapper``)."""

    def __init__(self, config: EncoderConfig, *, release_padding: bool = False):
        super().__init__(config, stem=False, tables_per_layer=False, release_padding=release_padding)

    def forward(
        self,
        kept: Mapping[str, Tensor],
        keep_ids: Mapping[str, Tensor],
        mask_tokens: Mapping[str, Tensor],
        lengths: Mapping[str, int],
        paddings: Mapping[str, Tensor | None],
    ) -> dict[str, Tensor]:
        """Features x_BLD per modality; arguments as in `Adapter.restore`, one entry a modality."""
        return self.fusion_model(
            [
                self.adapter(name).restore(x_BKD, keep_ids[name], mask_tokens[name], lengths[name], paddings[name])
                for name, x_BKD in kept.items()
            ]
        )


@torch.no_grad()
def init_parameters(module: nn.Module) -> None:
    """Truncated normal (std 0.02, cut at 0.02) for Linear weights, embeddings and tokens; biases and tables 0."""
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear) or (isinstance(child, nn.Embedding) and "rel_pos_table_list" not in name):
            init_token(child.weight)
            if isinstance(child, nn.Linear) and child.bias is not None:
                child.bias.zero_()
        elif isinstance(child, nn.Embedding):
            child.weight.zero_()
        elif isinstance(child, Adapter):
            for parameter in child.parameters(recurse=False):
                init_token(parameter)


def init_token(parameter: Tensor) -> Tensor:
    """The initialisation of tokens, embeddings and Linear weights, in place."""
    return nn.init.trunc_normal_(parameter, std=0.02, a=-0.02, b=0.02)
