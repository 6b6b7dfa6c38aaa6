"""``one_peace_retrieval``: the encoder with a projection a modality, for aligned embeddings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from fairseq.models import register_model
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .base import BaseModel, BaseModelConfig, register_sizes
from .config import EncoderConfig
from .encoder import Inputs, init_weight
from .fusion import Pass

MAX_LOGIT_SCALE = 100.0


@dataclass
class AligningModelConfig(BaseModelConfig):
    """Options of every model that embeds."""

    logit_scale_init: float = field(default=1 / 0.07, metadata={"help": "initial scale of the aligning logits"})
    reset_logit_scale: bool = field(
        default=False, metadata={"help": "start from logit_scale_init, not from the loaded checkpoint's scale"}
    )
    freeze_logit_scale: bool = field(
        default=False,
        metadata={
            "help": "the scale of the aligning logits stays where it starts. As it grows, samples that resemble each "
            "other are told apart more and more, and a new modality leaves those that it was never paired with"
        },
    )


class AligningModel(BaseModel):
    """Encoder, projections and temperature: what every model that embeds has (paper, section 3.2)."""

    def __init__(self, cfg: DictConfig, encoder: EncoderConfig):
        super().__init__(cfg, encoder)
        for name in self.modalities:
            self.add_module(f"{name}_proj", linear(encoder.embed_dim, encoder.embed_dim, encoder.init_std))
        self.logit_scale = nn.Parameter(
            torch.tensor(math.log(cfg.logit_scale_init)), requires_grad=not cfg.freeze_logit_scale
        )

    def project(self, name: str, cls_BD: Tensor) -> Tensor:
        """Unit-norm embedding Tensor[B, D] of a modality from the feature of its CLS."""
        return F.normalize(self.get_submodule(f"{name}_proj")(cls_BD), dim=-1)

    def embed(self, name: str, **raw: Tensor) -> Tensor:
        """Unit-norm embedding Tensor[B, D] of raw input; arguments as in `Adapter.forward`."""
        one = Pass(self.encoder_wrapper.sequences({name: raw}), wanted="cls")
        return self.project(name, self.encoder_wrapper.fusion_model([one])[0].wanted[name])

    def temperature(self) -> Tensor:
        """exp(logit_scale), the parameter clamped in place to [0, ln 100] without gradient."""
        clamp_logit_scale(self.logit_scale)
        return self.logit_scale.exp()


@torch.no_grad()
def clamp_logit_scale(logit_scale: Tensor) -> None:
    """To [0, ln 100], in place."""
    logit_scale.clamp_(0, math.log(MAX_LOGIT_SCALE))


@dataclass
class RetrievalModelConfig(AligningModelConfig):
    """Options of ``one_peace_retrieval``."""

    micro_batch: int = field(
        default=0,
        metadata={"help": "samples of a batch embedded at a time, again in backward: large batches on few devices"},
    )


@register_model("one_peace_retrieval", dataclass=RetrievalModelConfig)
class RetrievalModel(AligningModel):
    """Embeds every modality of the task; no decoder."""

    def forward(self, inputs: Inputs) -> dict[str, object]:
        """``embeddings`` per modality, Tensor[B, D], and ``logit_scale`` (a scalar, already exponentiated)."""
        return {
            "embeddings": {name: self._embed_all(name, raw) for name, raw in inputs.items()},
            "logit_scale": self.temperature(),
        }

    def _embed_all(self, name: str, raw: Mapping[str, Tensor]) -> Tensor:
        """`embed`; with ``micro_batch``, activations of so many samples at a time are in memory (Gao et al. 2021)."""
        size = self.cfg.micro_batch
        if size <= 0 or not torch.is_grad_enabled():
            return self.embed(name, **raw)
        parts = (dict(zip(raw, part, strict=True)) for part in zip(*(x.split(size) for x in raw.values()), strict=True))
        return torch.cat([checkpoint(self.embed, name, use_reentrant=False, **part) for part in parts])


def linear(dim_in: int, dim_out: int, std: float) -> nn.Linear:
    """A Linear with the model's initialisation."""
    layer = nn.Linear(dim_in, dim_out)
    init_weight(layer.weight, std)
    nn.init.zeros_(layer.bias)
    return layer


register_sizes("one_peace_retrieval")
