"""VGGSound: sounds of one class each, with or without pictures of their video."""

from dataclasses import dataclass, field

from fairseq.tasks import register_task

from .classify_task import LabelledTask, LabelledTaskConfig
from .manifest_task import ID
from .sound_task import SoundTask, SoundTaskConfig


@dataclass
class VggsoundConfig(SoundTaskConfig, LabelledTaskConfig):
    """Options of ``vggsound``."""

    selected_cols: str = field(
        default="uniq_id,audio,text,duration", metadata={"help": "manifest columns of id, audio and class"}
    )


@register_task("vggsound", dataclass=VggsoundConfig)
class VggsoundTask(SoundTask, LabelledTask):
    """309 classes."""

    modalities = ("audio",)
    column_roles = (ID, "audio", "label")
    default_classes = 309
