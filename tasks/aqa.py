"""AVQA: a question about a sound, with or without pictures of its video, and a few answers to choose from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairseq.tasks import register_task
from torch import Tensor

from one_peace.data.choices import Choices, ChoiceTarget
from one_peace.data.sources import Columns
from one_peace.data.target import Target

from .classify_task import AccuracyTask
from .manifest_task import ID
from .sound_task import SoundTask, SoundTaskConfig


@dataclass
class AqaConfig(SoundTaskConfig):
    """Options of ``aqa``."""

    selected_cols: str = field(
        default="uniq_id,audio,text,duration",
        metadata={"help": "manifest columns of id, audio and question&&&answer&&&...&&&index of the right answer"},
    )
    num_choices: int = field(default=4, metadata={"help": "answers to each question"})


@register_task("aqa", dataclass=AqaConfig)
class AqaTask(SoundTask, AccuracyTask):
    """One logit for each answer, which is read together with question and sound."""

    modalities = ("text", "audio")
    column_roles = (ID, "audio", "text")
    num_classes = 1

    def sources(self, train: bool) -> Columns:
        return {**super().sources(train), "text": Choices((self.columns["text"],), self.cfg.num_choices)}

    def target(self) -> Target:
        return ChoiceTarget(self.columns["text"], self.cfg.num_choices)

    def predict(self, logits: Tensor, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return super().predict(logits.view(-1, self.cfg.num_choices), reference)
