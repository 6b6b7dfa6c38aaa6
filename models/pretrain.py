"""``one_peace_pretrain``: encoder, projections, and the decoder of the denoising objective."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.models import register_model
from omegaconf import DictConfig
from torch import Tensor, nn

from .base import register_sizes, resolve_group
from .config import EncoderConfig
from .encoder import Decoder, Inputs, init_weight
from .fusion import Features, Pass
from .retrieval import AligningModel, AligningModelConfig, linear

Names = tuple[str, ...]
"""The modalities one encoder pass reads: ("text",), or ("text", "image") for a joint sequence."""


@dataclass
class PretrainModelConfig(AligningModelConfig):
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
        self.decoder_wrapper = Decoder(decoder, release_padding=cfg.release_padding, reference=cfg.reference)
        wide, narrow, std = encoder.embed_dim, decoder.embed_dim, decoder.init_std
        for name in self.modalities:
            self.register_parameter(f"{name}_mask_token", nn.Parameter(init_weight(torch.empty(1, narrow), std)))
            self.add_module(f"decoder_{name}_embed", linear(wide, narrow, std))
            self.add_module(f"{name}_mask_head", linear(narrow, wide, std))
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
        teachers: Mapping[Names, Names] | None = None,
        anchor_grad: bool = True,
    ) -> dict[str, object]:
        """All encoder passes of one step: those that are trained together, then those without gradient.

        Args:
            inputs: per modality the adapter's arguments.
            masks: per masked pass ("text", "text+image", ...) and modality ``mask_indices`` and ``keep_ids``; only
                the passes of ``teachers`` are run.
            teachers: masked pass -> the unmasked pass whose features teach it.
            anchor_grad: whether the own pass of the anchor, the model's first modality, is trained.

        Returns:
            ``embeddings`` per modality Tensor[B, D]; ``logit_scale``; per masked pass and modality ``students``, the
            features of masked units Tensor[M, D], and ``teachers``, constant features of all units Tensor[U, D];
            ``paddings`` per modality.
        """
        teachers = teachers or {}
        # Every pass over a modality reads the same stem, unmasked ones the same sequence; computed once.
        once = (lambda function: function) if self.cfg.reference else functools.cache
        stem = once(lambda name: self.encoder_wrapper.adapter(name).stem(**inputs[name]))
        whole = once(lambda name: self.encoder_wrapper.adapter(name).sequence(*stem(name)))
        trained = [name for name in inputs if anchor_grad or name != self.modalities[0]]
        taught = set(teachers.values())

        def masked(names: Names) -> Pass:
            keep_ids = masks["+".join(names)]
            return Pass([self.encoder_wrapper.adapter(n).sequence(*stem(n), keep_ids[n]["keep_ids"]) for n in names])

        def unmasked(names: Names, wanted: str, constants: bool = False) -> Pass:
            return Pass([whole(name) for name in names], wanted, constants)

        encoded = self._encode_passes(
            {
                **{(name,): unmasked((name,), "cls", (name,) in taught) for name in trained},
                **{("masked", *names): masked(names) for names in teachers},
            }
        )
        with torch.no_grad():
            alone = {(name,): unmasked((name,), "cls", (name,) in taught) for name in inputs if name not in trained}
            joint = {names: unmasked(names, "units") for names in taught if len(names) > 1}
            encoded |= self._encode_passes(alone | joint)
            for names in joint:
                encoded[names] = encoded[names]._replace(constants=encoded[names].wanted)
        embeddings = {name: self._embedding(name, encoded[name,].wanted[name], name in trained) for name in inputs}
        paddings = self.paddings(inputs)
        kept = {names: encoded["masked", *names].wanted for names in teachers}
        return {
            "embeddings": embeddings,
            "logit_scale": self.temperature(),
            "teachers": {names: encoded[teacher].constants for names, teacher in teachers.items()},
            "students": self.decode(kept, masks or {}, paddings, masked_only=True),
            "paddings": paddings,
        }

    def _encode_passes(self, passes: dict[Names, Pass]) -> dict[Names, Features]:
        if not passes:
            return {}
        return dict(zip(passes, self.encoder_wrapper.fusion_model(list(passes.values())), strict=True))

    def _embedding(self, name: str, cls_BD: Tensor, trained: bool) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            return self.project(name, cls_BD)

    def paddings(self, inputs: Inputs) -> dict[str, Tensor | None]:
        """BoolTensor[B, L] per modality, True = padding; None when nothing is padded."""
        return {
            name: raw["padding_mask"]
            if raw.get("padding_mask") is not None
            else self.encoder_wrapper.adapter(name).padding_mask(raw["values"])
            for name, raw in inputs.items()
        }

    def decode(
        self,
        kept: Mapping[Names, Mapping[str, Tensor]],
        masks: Mapping[str, Mapping[str, Mapping[str, Tensor]]],
        paddings: Mapping[str, Tensor | None],
        *,
        masked_only: bool,
    ) -> dict[Names, dict[str, Tensor]]:
        """Student features of masked passes, from the encoder's outputs at kept positions (paper, section 3.2).

        Args:
            kept: per masked pass and modality x_BKD.
            masks: as in `forward`.
            paddings: as `paddings` gives them.
            masked_only: rows x_MD of masked units instead of x_BLD, which saves work.
        """
        passes = []
        for names, outputs in kept.items():
            mask, sequences = masks["+".join(names)], []
            for name, x_BKD in outputs.items():
                x_BKD = self.get_submodule(f"decoder_{name}_embed")(x_BKD)
                token, length = self.get_parameter(f"{name}_mask_token"), mask[name]["mask_indices"].shape[1]
                adapter = self.decoder_wrapper.adapter(name)
                sequences.append(adapter.restore(x_BKD, mask[name]["keep_ids"], token, length, paddings[name]))
            wanted = {name: mask[name]["mask_indices"] for name in outputs} if masked_only else "all"
            passes.append(Pass(sequences, wanted))
        decoded = self.decoder_wrapper.fusion_model(passes) if passes else []
        return {
            names: {name: self.get_submodule(f"{name}_mask_head")(x) for name, x in features.wanted.items()}
            for names, features in zip(kept, decoded, strict=True)
        }


register_sizes("one_peace_pretrain")
