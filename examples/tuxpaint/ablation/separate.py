"""``one_peace_pretrain_separate``: self-attention of its own for each modality, to compare with sharing it.

In a joint sequence positions still attend to those of the other modality, by queries, keys and values that each
modality's own projections make. Width and depth stay, so a step costs the same; there are more parameters.

Legend: N rows of all passes, modality by modality, D width.
"""

import copy
from collections.abc import Sequence

import torch
from fairseq.models import register_model
from omegaconf import DictConfig
from torch import Tensor, nn

from one_peace.models.base import register_sizes
from one_peace.models.config import EncoderConfig
from one_peace.models.layers.attend import attend
from one_peace.models.layers.attention import SelfAttention
from one_peace.models.layers.linears import LayerNorm, linears
from one_peace.models.layers.packing import Chosen, Packing
from one_peace.models.pretrain import PretrainModel, PretrainModelConfig


class SeparateAttention(nn.Module):
    """`SelfAttention` whose projections are a modality's own; they start as copies of the same weights."""

    def __init__(self, shared: SelfAttention, modalities: Sequence[str]):
        super().__init__()
        self.heads = shared.heads
        self.own = nn.ModuleDict({name: copy.deepcopy(shared) for name in modalities})

    def forward(
        self,
        x_ND: Tensor,
        norm: nn.LayerNorm,
        biases: list[Tensor | None],
        keys: Packing,
        chosen: Chosen | None = None,
        gamma_D: Tensor | None = None,
    ) -> Tensor:
        """As `SelfAttention.forward`."""
        normed = list(norm.parameters())
        queries, asking_ND = (keys, x_ND) if chosen is None else (chosen.packing, x_ND.index_select(0, chosen.row_M))

        def project(rows_ND: Tensor, packing: Packing, *names: str) -> list[Tensor]:
            parts = [
                linears(LayerNorm, [rows, *normed], [self.own[m].get_submodule(name) for name in names])
                for m, rows in packing.split(rows_ND)
            ]
            return [torch.cat(part) for part in zip(*parts, strict=True)]

        (q_ND,) = project(asking_ND, queries, "q_proj")
        k_ND, v_ND = project(x_ND, keys, "k_proj", "v_proj")
        out_ND = attend(q_ND, k_ND, v_ND, self.heads, queries, keys, biases)
        outputs = [
            linears(LayerNorm, [rows, *self.own[m].ln.parameters()], [self.own[m].out_proj], gamma_D)[0]
            for m, rows in queries.split(out_ND)
        ]
        return torch.cat(outputs)


@register_model("one_peace_pretrain_separate", dataclass=PretrainModelConfig)
class SeparatePretrainModel(PretrainModel):
    """`PretrainModel` whose encoder has separate attention, without options that no preset has."""

    def __init__(self, cfg: DictConfig, encoder: EncoderConfig, decoder: EncoderConfig):
        if cfg.reference or encoder.scale_heads or encoder.attention_dropout:
            raise ValueError("separate attention knows neither reference nor scale_heads nor attention_dropout")
        super().__init__(cfg, encoder, decoder)
        for layer in self.encoder_wrapper.fusion_model.layers:
            layer.self_attn = SeparateAttention(layer.self_attn, self.modalities)


register_sizes("one_peace_pretrain_separate")
