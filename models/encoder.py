"""The network: modality adapters and one encoder that reads any combination of their sequences (paper, section 3).

Legend: B batch, L positions of a (joint) sequence, K kept ones of a masked pass.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from one_peace.modalities import Adapter, Sequence, get_modality

from .config import EncoderConfig
from .fusion import FusionModel, Pass

Inputs = Mapping[str, Mapping[str, Tensor]]


class Wrapper(nn.Module):
    """Adapters ``{name}_adapter`` and the ``fusion_model`` they feed; what encoder and decoder have in common.

    Padding never changes a result: padded positions are zeroed before layer 0 and masked as keys everywhere.
    ``release_padding`` reproduces the places where the original release lets it through: its decoder attends to
    padding, its audio position convolutions run over padded frames, and a padded entry of ``keep_ids`` stands for
    the last column's position. ``reference`` computes the same in the plainest way: one pass at a time, padding
    included, every module by itself.
    """

    def __init__(
        self, config: EncoderConfig, *, stem: bool, tables_per_layer: bool, release_padding: bool, reference: bool
    ):
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
                reference=reference,
            )
            self.add_module(f"{name}_adapter", adapter)
        self.fusion_model = FusionModel(config, self.modalities, release_padding=release_padding, reference=reference)
        init_parameters(self, config.init_std)

    def adapter(self, name: str) -> Adapter:
        """The adapter of a modality; ValueError when this model has no such branch."""
        if name not in self.modalities:
            raise ValueError(f"this model has no {name} branch (it has {', '.join(self.modalities)})")
        return self.get_submodule(f"{name}_adapter")


class Encoder(Wrapper):
    """Raw inputs of one or several modalities -> features (``encoder_wrapper``)."""

    def __init__(
        self,
        config: EncoderConfig,
        *,
        tables_per_layer: bool = False,
        release_padding: bool = False,
        reference: bool = False,
    ):
        super().__init__(
            config,
            stem=True,
            tables_per_layer=tables_per_layer,
            release_padding=release_padding,
            reference=reference,
        )

    def sequences(self, inputs: Inputs, keep_ids: Mapping[str, Tensor] | None = None) -> list[Sequence]:
        """What a pass reads, one sequence an input.

        Args:
            inputs: per modality the keyword arguments of its adapter: ``values`` and ``padding_mask``.
            keep_ids: per modality the kept positions LongTensor[B, K] of a masked pass (CLS included, padded with -1).
        """
        keep_ids = keep_ids or {}
        return [self.adapter(name)(**inputs[name], keep_ids=keep_ids.get(name)) for name in inputs]

    def forward(self, inputs: Inputs, keep_ids: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Features x_BLD per modality, CLS first; several inputs are read as one joint sequence, in the order given.

        Arguments as in `sequences`.
        """
        return self.fusion_model([Pass(self.sequences(inputs, keep_ids))])[0].wanted


class Decoder(Wrapper):
    """Encoder outputs of kept positions -> features of all positions (``decoder_wrapper``)."""

    def __init__(self, config: EncoderConfig, *, release_padding: bool = False, reference: bool = False):
        super().__init__(
            config, stem=False, tables_per_layer=False, release_padding=release_padding, reference=reference
        )


@torch.no_grad()
def init_parameters(module: nn.Module, std: float) -> None:
    """`init_weight` for Linear weights, embeddings and tokens; biases and relative position tables 0; then what
    adapters set."""
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear) or (isinstance(child, nn.Embedding) and "rel_pos_table_list" not in name):
            init_weight(child.weight, std)
            if isinstance(child, nn.Linear) and child.bias is not None:
                child.bias.zero_()
        elif isinstance(child, nn.Embedding):
            child.weight.zero_()
        elif isinstance(child, Adapter):
            for parameter in child.parameters(recurse=False):
                init_weight(parameter, std)
    for child in module.modules():
        if isinstance(child, Adapter):
            child.init_weights()


def init_weight(parameter: Tensor, std: float) -> Tensor:
    """Truncated normal, cut at one standard deviation; in place."""
    return nn.init.trunc_normal_(parameter, std=std, a=-std, b=std)
