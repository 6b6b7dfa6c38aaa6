"""Pretraining tasks: any pair of modalities, and the two released stages as presets of it (paper, section 3.3)."""

from dataclasses import dataclass, field
from typing import Any

from fairseq.tasks import register_task

from one_peace.data.masking import MaskPlan, MaskRule
from one_peace.models.config import parse_group

from .options import ManifestTaskConfig
from .pair_task import PairTask


@dataclass
class PretrainTaskConfig(ManifestTaskConfig):
    """Options of ``pretrain``."""

    modalities: str = field(default="text,image", metadata={"help": "the pair, anchor first, e.g. text,audio"})
    selected_cols: str = field(
        default="id,text,image", metadata={"help": "manifest columns: id, then one a modality in their order"}
    )
    mask_ratio: Any = field(
        default=None,
        metadata={
            "help": 'masked share by modality, e.g. "{text: 0.15, audio: 0.55, joint: {text: 0.4}}"; default 0.5'
        },
    )


@register_task("pretrain", dataclass=PretrainTaskConfig)
class PretrainTask(PairTask):
    """Aligning and denoising over any two registered modalities."""

    def __init__(self, cfg: PretrainTaskConfig, **kwargs):
        self.modalities = tuple(name.strip() for name in cfg.modalities.split(","))
        if len(self.modalities) != 2 or len(set(self.modalities)) != 2:
            raise ValueError(f"modalities={cfg.modalities!r}: name two different modalities, e.g. text,audio")
        self.column_roles = ("id", *self.modalities)
        super().__init__(cfg, **kwargs)

    def mask_plan(self) -> MaskPlan:
        """Each modality alone and the pair, with each modality's own way to mask."""
        ratios = parse_group(self.cfg.mask_ratio, "mask_ratio")
        joint = parse_group(ratios.pop("joint", None), "mask_ratio.joint")
        unknown = (ratios.keys() | joint.keys()) - set(self.modalities)
        if unknown:
            raise ValueError(f"mask_ratio: {', '.join(sorted(unknown))} is none of {', '.join(self.modalities)}, joint")
        ways = {name: self.readers[name].strategies[0] for name in self.modalities}
        plan: MaskPlan = {
            (name,): {name: MaskRule(ways[name], float(ratios.get(name, 0.5)))} for name in self.modalities
        }
        plan[self.modalities] = {n: MaskRule(ways[n], float(joint.get(n, ratios.get(n, 0.5)))) for n in self.modalities}
        return plan


@dataclass
class ImageTextPretrainConfig(ManifestTaskConfig):
    """Options of ``image_text_pretrain``."""

    selected_cols: str = field(
        default="image_id,image,caption", metadata={"help": "manifest columns of id, image and text"}
    )
    text_mask_ratio: float = field(default=0.15, metadata={"help": "text alone: share of words"})
    image_mask_ratio: float = field(default=0.75, metadata={"help": "image alone: share of patches"})
    vl_text_mask_ratio: float = field(default=0.4, metadata={"help": "pair: share of tokens"})
    vl_image_mask_ratio: float = field(default=0.6875, metadata={"help": "pair: share of patches"})


@register_task("image_text_pretrain", dataclass=ImageTextPretrainConfig)
class ImageTextPretrainTask(PairTask):
    """Stage 1. The pair's masks complement the unimodal ones."""

    modalities = ("text", "image")
    column_roles = ("id", "image", "text")

    def mask_plan(self) -> MaskPlan:
        cfg = self.cfg
        return {
            ("text",): {"text": MaskRule("whole_word", cfg.text_mask_ratio)},
            ("image",): {"image": MaskRule("random", cfg.image_mask_ratio)},
            ("text", "image"): {
                "text": MaskRule("outside_previous", cfg.vl_text_mask_ratio),
                "image": MaskRule("cover_previous", cfg.vl_image_mask_ratio),
            },
        }


@dataclass
class AudioTextPretrainConfig(ManifestTaskConfig):
    """Options of ``audio_text_pretrain``."""

    selected_cols: str = field(
        default="uniq_id,audio,text", metadata={"help": "manifest columns of id, audio and text"}
    )
    audio_mask_ratio: float = field(default=0.55, metadata={"help": "audio alone: share of frames"})
    al_text_mask_ratio: float = field(default=0.4, metadata={"help": "pair: share of words"})
    al_audio_mask_ratio: float = field(default=0.45, metadata={"help": "pair: share of frames"})


@register_task("audio_text_pretrain", dataclass=AudioTextPretrainConfig)
class AudioTextPretrainTask(PairTask):
    """Stage 2."""

    modalities = ("text", "audio")
    column_roles = ("id", "audio", "text")

    def mask_plan(self) -> MaskPlan:
        cfg = self.cfg
        return {
            ("audio",): {"audio": MaskRule("span", cfg.audio_mask_ratio)},
            ("text", "audio"): {
                "text": MaskRule("whole_word", cfg.al_text_mask_ratio),
                "audio": MaskRule("span", cfg.al_audio_mask_ratio),
            },
        }
