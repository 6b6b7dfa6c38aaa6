"""``one_peace_pretrain``: encoder, projections, and the decoder of the denoising objective."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.models import register_model
from omegaconf import DictConfig
from torch import Tensor, nn

from .base import register_sizes, resolve_group
from .config import EncoderConfig
from .encoder import Decoder, Inputs, init_token
from .retrieval import AligningModel, RetrievalModelConfig, linear

Pass = tuple[str, ...]
"""The modalities one encoder pass reads: ("text",), or ("text", "image") for a joint sequence."""


@dataclass
class PretrainModelConfig(RetrievalModelConfig):
    """Options of ``one_peace_pretrain``."""

    decoder: Any = field(default=None, metadata={"help": "overrides of the preset's decoder, as for encoder"})
    stage2_pretrain: bool = field(
        default=False,
        metadata={"help": "train the task's new modality only: freeze shared attention and its first modality"},
    )


@register_model("one_peace_pretrain", dataclass=PretrainModelConfig)
class PretrainModel(AligningModel):
    """Aligning and denoising contrast over any modalities (paper, section 3.2)."""

    def __init__(self, cfg: DictConfig, encoder: EncoderConfig, decoder: EncoderConfig):
        super().__init__(cfg, encoder)
        self.decoder_wrapper = Decoder(decoder, release_padding=cfg.release_padding)
        for name in self.modalities:
            self.register_parameter(f"{name}_mask_token", nn.Parameter(init_token(torch.empty(1, decoder.embed_dim))))
            self.add_module(f"decoder_{name}_embed", linear(encoder.embed_dim, decoder.embed_dim))
            self.add_module(f"{name}_mask_head", linear(decoder.embed_dim, encoder.embed_dim))
        if cfg.stage2_pretrain:
            self._freeze_all_but(self.modalities[1:])

    @classmethod
    def build_model(cls, cfg: DictConfig, task) -> "PretrainModel":
        return cls(cfg, resolve_group(cfg, "encoder", task), resolve_group(cfg, "decoder", task))

    def _freeze_all_but(self, trained: tuple[str, ...]) -> None:
        """Freeze the encoder except the ``trained`` modalities' own parts; decoder and temperature stay trained."""
        own = [part for name in trained for part in (f".{name}_adapter.", f".{name}_ffn.", f".{name}_layer_norm.")]
        for key, parameter in self.encoder_wrapper.named_parameters(prefix="encoder_wrapper"):
            parameter.requires_grad_(parameter.requires_grad and any(part in key for part in own))
        for name in set(self.modalities) - set(trained):
            self.get_submodule(f"{name}_proj").requires_grad_(False)

    def forward(
        self,
        inputs: Inputs,
        masks: Mapping[str, Mapping[str, Mapping[str, Tensor]]] | None = None,
        teachers: Mapping[Pass, Pass] | None = None,
        anchor_grad: bool = True,
    ) -> dict[str, object]:
        """All encoder passes of one step.

        Args:
            inputs: per modality the adapter's arguments.
            masks: per masked pass ("text", "text+image", ...) and modality ``mask_indices`` and ``keep_ids``; only
                the passes of ``teachers`` are run.
            teachers: masked pass -> the unmasked pass whose features teach it.
            anchor_grad: whether the own pass of the anchor, the model's first modality, is trained.

        Returns:
            ``embeddings`` per modality Tensor[B, D]; ``logit_scale``; per masked pass ``teachers`` and ``students``:
            features x_BLD per modality, CLS first; ``paddings`` per modality.
        """
        teachers = teachers or {}
        features: dict[Pass, dict[str, Tensor]] = {}
        for name in inputs:
            trained = anchor_grad or name != self.modalities[0]
            with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
                features[name,] = self.encode({name: inputs[name]})
                features[name,][f"{name}_embedding"] = self.project(name, features[name,][name])
        embeddings = {name: features[name,].pop(f"{name}_embedding") for name in inputs}
        for teacher in set(teachers.values()) - features.keys():
            with torch.no_grad():
                features[teacher] = self.encode({name: inputs[name] for name in teacher})
        paddings = self.paddings(inputs)
        return {
            "embeddings": embeddings,
            "logit_scale": self.temperature(),
            "teachers": {p: {name: features[t][name].detach() for name in p} for p, t in teachers.items()},
            "students": {p: self.denoise({n: inputs[n] for n in p}, masks["+".join(p)], paddings) for p in teachers},
            "paddings": paddings,
        }

    def paddings(self, inputs: Inputs) -> dict[str, Tensor | None]:
        """BoolTensor[B, L] per modality, True = padding; None when nothing is padded."""
        return {
            name: raw["padding_mask"]
            if raw.get("padding_mask") is not None
            else self.encoder_wrapper.adapter(name).padding_mask(raw["values"])
            for name, raw in inputs.items()
        }

    def denoise(
        self, inputs: Inputs, masks: Mapping[str, Mapping[str, Tensor]], paddings: Mapping[str, Tensor | None]
    ) -> dict[str, Tensor]:
        """Student features x_BLD per modality: encode the kept positions, decode all (paper, section 3.2)."""
        keep_ids = {name: masks[name]["keep_ids"] for name in inputs}
        kept = self.encode(inputs, keep_ids)
        decoded = self.decoder_wrapper(
            {name: self.get_submodule(f"decoder_{name}_embed")(x_BKD) for name, x_BKD in kept.items()},
            keep_ids,
            {name: self.get_parameter(f"{name}_mask_token") for name in inputs},
            {name: masks[name]["mask_indices"].shape[1] for name in inputs},
            paddings,
        )
        return {name: self.get_submodule(f"{name}_mask_head")(x_BLD) for name, x_BLD in decoded.items()}


register_sizes("one_peace_pretrain")
