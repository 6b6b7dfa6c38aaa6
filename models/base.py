"""``one_peace_base``: the encoder alone, and what every registered model shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model, register_model_architecture
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor

from .checkpoint import adapt_state_dict
from .config import EncoderConfig, merge, parse_group, resolve
from .encoder import Encoder, Inputs
from .flags import add_group_flags
from .sizes import SIZES


@dataclass
class ModelConfig(FairseqDataclass):
    """Options every model has; widths come from ``size`` unless ``encoder`` says otherwise."""

    size: str = field(default="4b", metadata={"help": f"preset: {', '.join(SIZES)}"})
    encoder: Any = field(
        default=None, metadata={"help": 'overrides of the preset, e.g. "{layers: 6, image_adapter: {dropout: 0.1}}"'}
    )
    release_padding: bool = field(
        default=False, metadata={"help": "let padding leak into results where the original release does"}
    )
    reference: bool = field(
        default=False, metadata={"help": "compute in the plainest way, slower: to check and measure the fast one"}
    )


@dataclass
class BaseModelConfig(ModelConfig):
    """Options of models that choose how many relative position tables they hold."""

    copy_rel_pos_table: bool = field(
        default=False, metadata={"help": "one relative position table a layer instead of one shared by all"}
    )


@register_model("one_peace_base", dataclass=BaseModelConfig)
class BaseModel(BaseFairseqModel):
    """Raw inputs -> features; the branches are the task's modalities.

    Args:
        cfg: the options.
        encoder: the resolved encoder.
        tables_per_layer: one relative position table a layer or one for all; as ``cfg`` says when None.
    """

    def __init__(self, cfg: DictConfig, encoder: EncoderConfig, tables_per_layer: bool | None = None):
        super().__init__()
        self.cfg = cfg
        self.for_evaluation = False  # then a checkpoint must hold all that is evaluated
        self.loaded = False
        self.modalities = tuple(encoder.adapters)
        self.embed_dim = encoder.embed_dim
        self.encoder_wrapper = Encoder(
            encoder,
            tables_per_layer=cfg.copy_rel_pos_table if tables_per_layer is None else tables_per_layer,
            release_padding=cfg.release_padding,
            reference=cfg.reference,
        )

    @classmethod
    def add_args(cls, parser) -> None:
        add_group_flags(parser, cls, delete_default=True)

    @classmethod
    def build_model(cls, cfg: DictConfig, task) -> "BaseModel":
        """fairseq's constructor."""
        return cls(cfg, resolve_group(cfg, "encoder", task))

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Features x_BLD per modality of one sequence that joins all ``inputs`` (`Encoder.forward`)."""
        return self.encode(inputs)

    def encode(self, inputs: Inputs, keep_ids: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Features x_BLD per modality (`Encoder.forward`)."""
        return self.encoder_wrapper(inputs, keep_ids)

    def get_targets(self, sample, net_output):
        raise NotImplementedError("these models have no fixed targets; criterions find them in the sample")

    def upgrade_state_dict_named(self, state_dict: dict[str, Tensor], name: str) -> None:
        """Adapt a released or otherwise different checkpoint to this model, in place (fairseq's hook)."""
        adapt_state_dict(self, state_dict)
        self.loaded = True


def resolve_group(cfg: DictConfig, group: str, task) -> EncoderConfig:
    """Preset and user options of ``cfg.<group>`` for the task's modalities.

    The full result is written back, so that a checkpoint does not depend on presets.
    """
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

        register_model_architecture(model, f"{model}_{size}")(preset)


register_sizes("one_peace_base")
