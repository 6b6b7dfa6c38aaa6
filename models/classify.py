"""``one_peace_classify``: the encoder with a classification head on one modality's part of a (joint) sequence.

Legend: B samples, L positions of the part with CLS first, D width, H heads, K = D / H width of a head.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace

import torch
from fairseq.models import register_model
from omegaconf import DictConfig
from torch import Tensor, nn

from one_peace.modalities import Sequence

from .base import BaseModel, ModelConfig, register_sizes, resolve_group
from .config import EncoderConfig
from .encoder import Inputs, init_parameters, init_weight
from .fusion import Pass
from .layers.attention import at_least_float32
from .layers.linears import LAYER_NORM_EPS

PASS_FEATURES = ("concat", "mean")


@dataclass
class ClassifyModelConfig(ModelConfig):
    """Options of ``one_peace_classify``."""

    head_scale_ratio: int = field(
        default=2, metadata={"help": "width of the classifier's hidden layer, times the model's"}
    )
    use_pooler: bool = field(default=False, metadata={"help": "a tanh layer between pooling and classifier"})
    pooler_dropout: float = field(default=0.0, metadata={"help": "dropout before and after that layer"})
    attn_pooling: bool = field(default=True, metadata={"help": "pool all units by a learned query; else take CLS"})
    use_image_features: bool = field(
        default=False, metadata={"help": "pool the second modality's part of a joint sequence, not the first's"}
    )
    reset_head: bool = field(
        default=False, metadata={"help": "start anew what a checkpoint's head has in another shape: other classes"}
    )


class AttentionPooling(nn.Module):
    """One learned query attends to all units; it is not scaled, and keys have no bias."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.q = nn.Parameter(torch.zeros(1, 1, heads, dim // heads))
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x_BLD: Tensor, padding_BL: Tensor | None) -> Tensor:
        """x_BD; each sample must have a position that is no padding."""
        heads = self.q.shape[2:]
        k_BLHK, v_BLHK = (project(x_BLD).unflatten(-1, heads) for project in (self.k_proj, self.v_proj))
        logits_BLH = torch.einsum("blhk,hk->blh", k_BLHK, self.q[0, 0].to(k_BLHK))
        if padding_BL is not None:
            logits_BLH = logits_BLH.masked_fill(padding_BL[..., None], -torch.inf)
        weights_BLH = logits_BLH.softmax(dim=1, dtype=at_least_float32(logits_BLH)).to(v_BLHK)
        return self.out_proj(torch.einsum("blh,blhk->bhk", weights_BLH, v_BLHK).flatten(1))


class ClassifyHead(nn.Module):
    """Pools the features of each pass, and classifies what all passes together gave.

    Args:
        encoder: whose width, heads (of the pooling too) and initialisation it has.
        num_classes: logits.
        pooled_passes: pooled vectors that are concatenated.
        cfg: head's options.
    """

    def __init__(self, encoder: EncoderConfig, num_classes: int, pooled_passes: int, cfg: DictConfig):
        super().__init__()
        dim = encoder.embed_dim
        self.attn_pooling_func = AttentionPooling(dim, encoder.attention_heads) if cfg.attn_pooling else None
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)  # released checkpoints hold it also where CLS is taken
        self.pooler = None
        if cfg.use_pooler:
            dropout = cfg.pooler_dropout
            self.pooler = nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, dim), nn.Tanh(), nn.Dropout(dropout))
        hidden = dim * cfg.head_scale_ratio
        self.classifier = nn.Sequential(
            nn.Linear(dim * pooled_passes, hidden),
            nn.LayerNorm(hidden, eps=LAYER_NORM_EPS),
            nn.GELU(),
            nn.Linear(hidden, num_classes),
        )
        init_parameters(self, encoder.init_std)
        if self.attn_pooling_func is not None:
            init_weight(self.attn_pooling_func.q, encoder.init_std)

    def pool(self, features: Tensor, padding_BL: Tensor | None) -> Tensor:
        """One pass's vector x_BD from its features: x_BLD, or with CLS pooling CLS's x_BD."""
        x_BD = features
        if self.attn_pooling_func is not None:
            units_BN = None if padding_BL is None else padding_BL[:, 1:]
            x_BD = self.norm(self.attn_pooling_func(features[:, 1:], units_BN))
        return x_BD if self.pooler is None else self.pooler(x_BD)


@register_model("one_peace_classify", dataclass=ClassifyModelConfig)
class ClassifyModel(BaseModel):
    """Classifies samples of one or several modalities; one relative position table a layer."""

    def __init__(self, cfg: DictConfig, encoder: EncoderConfig, num_classes: int, num_passes: int, pass_features: str):
        super().__init__(cfg, encoder, tables_per_layer=True)
        if pass_features not in PASS_FEATURES:
            raise ValueError(f"pass_features={pass_features!r}: one of {', '.join(PASS_FEATURES)}")
        if cfg.use_image_features and len(self.modalities) < 2:
            raise ValueError(f"use_image_features: this task reads {self.modalities[0]} alone")
        self.pooled = self.modalities[1 if cfg.use_image_features else 0]
        self.concat = num_passes if pass_features == "concat" else 0
        self.classify_head = ClassifyHead(encoder, num_classes, max(self.concat, 1), cfg)

    @classmethod
    def build_model(cls, cfg: DictConfig, task) -> "ClassifyModel":
        return cls(cfg, resolve_group(cfg, "encoder", task), task.num_classes, task.num_passes, task.pass_features)

    def forward(self, inputs: Inputs, others: Many[Inputs] = ()) -> dict[str, Tensor]:
        """``logits`` Tensor[B, classes].

        Where modalities differ in rows by a whole factor (several texts a sound), the fewer are repeated in place.

        Args:
            inputs: per modality of the task the adapter's arguments; they are read as one joint sequence.
            others: further passes, each with what differs from the first one: another picture, another frame.
        """
        if self.concat and len(others) != self.concat - 1:
            raise ValueError(f"a batch of {1 + len(others)} passes; this task classifies {self.concat} together")
        features = []
        wanted = {self.pooled: "all" if self.cfg.attn_pooling else "cls"}
        passes = [Pass(sequences, wanted) for sequences in self._sequences(inputs, others)]
        for one, found in zip(passes, self.encoder_wrapper.fusion_model(passes), strict=True):
            (part,) = (sequence for sequence in one.sequences if sequence.name == self.pooled)
            features.append(self.classify_head.pool(found.wanted[self.pooled], part.padding_BL))
        pooled = torch.cat(features, dim=-1) if self.concat else torch.stack(features).mean(dim=0)
        return {"logits": self.classify_head.classifier(pooled)}

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """fairseq's hook; see `adapt_state_dict`."""
        if self.cfg.reset_head:
            for key, value in self.classify_head.state_dict(prefix="classify_head.").items():
                if key in state_dict and state_dict[key].shape != value.shape:
                    del state_dict[key]
        super().upgrade_state_dict_named(state_dict, name)

    def _sequences(self, inputs: Inputs, others: Many[Inputs]) -> list[list[Sequence]]:
        """What each pass reads; what passes have in common is embedded once."""
        first = {name: self._sequence(name, inputs, 0) for name in self.modalities}
        passes = [first]
        for i, other in enumerate(others, start=1):
            instance = i if self.concat else 0
            passes.append(first | {name: self._sequence(name, other, instance) for name in other})
        rows = max(len(sequence.x_BLD) for sequences in passes for sequence in sequences.values())
        return [[_repeated(sequences[name], rows) for name in self.modalities] for sequences in passes]

    def _sequence(self, name: str, inputs: Inputs, instance: int) -> Sequence:
        if name not in inputs:
            raise ValueError(f"a batch without {name}; this model reads {', '.join(self.modalities)}")
        return self.encoder_wrapper.adapter(name)(**inputs[name], instance=instance)


def _repeated(sequence: Sequence, rows: int) -> Sequence:
    """Each row as often as it takes to make ``rows`` of them, repeats side by side."""
    factor, rest = divmod(rows, len(sequence.x_BLD))
    if rest:
        raise ValueError(f"{len(sequence.x_BLD)} inputs of {sequence.name} for {rows} of another modality")
    if factor == 1:
        return sequence
    padding_BL = sequence.padding_BL
    return replace(
        sequence,
        x_BLD=sequence.x_BLD.repeat_interleave(factor, dim=0),
        padding_BL=None if padding_BL is None else padding_BL.repeat_interleave(factor, dim=0),
    )


register_sizes("one_peace_classify")
