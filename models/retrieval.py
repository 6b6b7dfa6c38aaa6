"""``one_peace_retrieval``: the encoder with a projection a modality, for aligned embeddings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model, register_model_architecture
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor, nn

from .checkpoint import adapt_state_dict
from .config import EncoderConfig, merge, parse_group, resolve
from .encoder import Encoder, Inputs, init_token
from .flags import add_group_flags
from .sizes import SIZES

MAX_LOGIT_SCALE = 100.0


@dataclass
class RetrievalModelConfig(FairseqDataclass):
    """Options of ``one_peace_retrieval``; widths come from ``size`` unless ``encoder`` says otherwise."""

    size: str = field(default="4b", metadata={"help": f"preset: {', '.join(SIZES)}"})
    encoder: Any = field(
        default=None, metadata={"help": 'overrides of the preset, e.g. "{layers: 6, image_adapter: {dropout: 0.1}}"'}
    )
    copy_rel_pos_table: bool = field(
        default=False, metadata={"help": "one relative position table a layer instead of one shared by all"}
    )
    logit_scale_init: float = field(default=1 / 0.07, metadata={"help": "initial scale of the aligning logits"})
    reset_logit_scale: bool = field(
        default=False, metadata={"help": "start from logit_scale_init, not from the loaded checkpoint's scale"}
    )
    release_padding: bool = field(
        default=False, metadata={"help": "let padding leak into results where the original release does"}
    )


class AligningModel(BaseFairseqModel):
    """Encoder, projections and temperature: what every model that embeds has (paper, section 3.2, "cross-modal")."""

    def __init__(self, cfg: DictConfig, encoder: EncoderConfig):
        super().__init__()
        self.cfg = cfg
        self.modalities = tuple(encoder.adapters)
        self.embed_dim = encoder.embed_dim
        self.encoder_wrapper = Encoder(
            encoder,
            tables_per_layer=getattr(cfg, "copy_rel_pos_table", False),
            release_padding=cfg.release_padding,
        )
        for name in self.modalities:
            self.add_module(f"{name}_proj", linear(encoder.embed_dim, encoder.embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(cfg.logit_scale_init)))
        if cfg.reset_logit_scale:
            # Saved with the model: tells a resumed run from one that starts from another run's checkpoint.
            self.register_buffer("logit_scale_was_reset", torch.tensor(True))

    @classmethod
    def add_args(cls, parser) -> None:
        add_group_flags(parser, cls, delete_default=True)

    @classmethod
    def resolve_encoder(cls, cfg: DictConfig, task) -> EncoderConfig:
        """The full encoder config; also written into ``cfg``, so that a checkpoint does not depend on presets."""
        return resolve_group(cfg, "encoder", task)

    @classmethod
    def build_model(cls, cfg: DictConfig, task) -> "AligningModel":
        """fairseq's constructor: branches are the task's modalities."""
        return cls(cfg, cls.resolve_encoder(cfg, task))

    def encode(self, inputs: Inputs, keep_ids: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Features x_BLD per modality (`Encoder.forward`)."""
        return self.encoder_wrapper(inputs, keep_ids)

    def project(self, name: str, features_BLD: Tensor) -> Tensor:
        """Unit-norm embedding Tensor[B, D] of a modality from its features: CLS, projected."""
        return F.normalize(self.get_submodule(f"{name}_proj")(features_BLD[:, 0]), dim=-1)

    def embed(self, name: str, **raw: Tensor) -> Tensor:
        """Unit-norm embedding Tensor[B, D] of raw input; arguments as in `Adapter.forward`."""
        return self.project(name, self.encode({name: raw})[name])

    def temperature(self) -> Tensor:
        """exp(logit_scale), the parameter clamped in place to [0, ln 100] without gradient."""
        with torch.no_grad():
            self.logit_scale.clamp_(0, math.log(MAX_LOGIT_SCALE))
        return self.logit_scale.exp()

    def get_targets(self, sample, net_output):
        raise NotImplementedError("contrastive models have no targets")

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """Adapt a released or otherwise different checkpoint to this model, in place (fairseq's hook)."""
        adapt_state_dict(self, state_dict)


@register_model("one_peace_retrieval", dataclass=RetrievalModelConfig)
class RetrievalModel(AligningModel):
    """Embeds every modality of the task; no decoder."""

    def forward(self, inputs: Inputs) -> dict[str, object]:
        """``embeddings`` per modality, Tensor[B, D], and ``logit_scale`` (a scalar, already exponentiated)."""
        return {
            "embeddings": {name: self.embed(name, **raw) for name, raw in inputs.items()},
            "logit_scale": self.temperature(),
        }


def linear(dim_in: int, dim_out: int) -> nn.Linear:
    """A Linear with the model's initialisation."""
    layer = nn.Linear(dim_in, dim_out)
    init_token(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def resolve_group(cfg: DictConfig, group: str, task) -> EncoderConfig:
    """Preset and user options of ``cfg.<group>`` resolved for the task's modalities, and written back to ``cfg``."""
    if cfg.size not in SIZES:
        raise ValueError(f"size={cfg.size!r}: one of {', '.join(SIZES)}")
    options = merge(SIZES[cfg.size][group], parse_group(cfg[group], group))
    config = resolve(group, options, task.modalities, task.adapter_settings(), decoder=group == "decoder")
    # hydra hands over a copy; what is saved with a checkpoint is its parent's
    parent = cfg._get_parent() if OmegaConf.is_config(cfg) else None
    for target in (cfg, parent.get("model") if parent is not None else None):
        if target is not None:
            with open_dict(target):
                target[group] = config.to_dict()
    return config


def register_sizes(model: str) -> None:
    """``--arch {model}_{size}`` for every preset."""
    for size in SIZES:

        def preset(args, size: str = size) -> None:
            args.size = size
            args.tpu = False  # fairseq's argparse sets it with --bf16, which then crashes

        register_model_architecture(model, f"{model}_{size.lower()}")(preset)


register_sizes("one_peace_retrieval")
