"""Classes by what their names mean, without training on them: ESC-50, or any folder of pictures or sounds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import torch
import torch.nn.functional as F
from fairseq.tasks import register_task
from torch import Tensor

from one_peace.data.labels import read_labels
from one_peace.data.sources import Columns
from one_peace.data.target import ClassTarget, Target

from .classify_task import AccuracyTask
from .manifest_task import ID
from .options import ManifestTaskConfig
from .texts import embed_texts

PLACE = "{label}"


@dataclass
class ZeroShotClassifyConfig(ManifestTaskConfig):
    """Options of ``zero_shot_classify``."""

    modalities: str = field(default="text,audio", metadata={"help": "text, and what is classified"})
    selected_cols: str = field(
        default="uniq_id,audio,label", metadata={"help": "manifest columns of id, what is classified, and its class"}
    )
    labels: Optional[str] = field(
        default=None, metadata={"help": "names of the classes: a JSON list, or one a line; required"}
    )
    prompts: str = field(
        default=PLACE,
        metadata={"help": f"a text with {PLACE}, or a file with one a line, whose embeddings are averaged"},
    )


@register_task("zero_shot_classify", dataclass=ZeroShotClassifyConfig)
class ZeroShotClassifyTask(AccuracyTask):
    """The class whose prompts are nearest on average; evaluates models that embed, and trains none."""

    def __init__(self, cfg: ZeroShotClassifyConfig, **kwargs):
        self.modalities = tuple(name.strip() for name in cfg.modalities.split(","))
        if len(self.modalities) != 2 or self.modalities[0] != "text" or self.modalities[1] == "text":
            raise ValueError(f"modalities={cfg.modalities!r}: name text and another one, e.g. text,audio")
        if not cfg.labels:
            raise ValueError("zero_shot_classify needs --labels: the names of the classes")
        self.column_roles = (ID, self.modalities[1], "label")
        super().__init__(cfg, **kwargs)
        self.names = read_labels(Path(cfg.labels))
        self.num_classes = len(self.names)
        self.prompts = read_prompts(cfg.prompts)
        self._classes_CD: Tensor | None = None

    def sources(self, train: bool) -> Columns:
        return {self.modalities[1]: self.columns[self.modalities[1]]}

    def target(self) -> Target:
        return ClassTarget(self.columns["label"], self.num_classes, self.names)

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **kwargs) -> None:
        if split == "train":
            raise ValueError("zero_shot_classify evaluates only: use fairseq-validate")
        super().load_dataset(split, epoch, combine, **kwargs)

    def begin_measuring(self, split: str) -> None:
        super().begin_measuring(split)
        self._classes_CD = None

    def measure(self, sample: dict, model, criterion) -> tuple[Tensor, dict]:
        if self._classes_CD is None:
            self._classes_CD = self.embed_classes(model)
        media_BD = model(sample["net_input"]["inputs"])["embeddings"][self.modalities[1]].float()
        self.meter.add(sample["id"], **self.predict(media_BD @ self._classes_CD.T, sample["reference"]))
        return torch.zeros(()), {"sample_size": 1, "nsentences": sample["nsentences"], "ntokens": sample["ntokens"]}

    def embed_classes(self, model) -> Tensor:
        """Unit-norm float32[C, D]: of each class the mean of its prompts' embeddings."""
        texts = [prompt.replace(PLACE, name) for prompt in self.prompts for name in self.names]
        embeddings = torch.cat([x.float() for _, x in embed_texts(model, self.readers["text"], texts)])
        return F.normalize(embeddings.view(len(self.prompts), self.num_classes, -1).mean(dim=0), dim=-1)


def read_prompts(prompts: str) -> list[str]:
    """The texts of a file, one a line or a JSON list, or the text itself.

    Raises:
        ValueError: one does not say where the label goes.
    """
    if PLACE not in prompts and not Path(prompts).is_file():
        raise ValueError(f"prompts={prompts!r}: neither a text with {PLACE} in it nor a file of such texts")
    texts = [prompts] if PLACE in prompts else read_labels(Path(prompts))
    if missing := [text for text in texts if PLACE not in text]:
        raise ValueError(f"prompt {missing[0]!r}: {PLACE} must stand where the label goes")
    return texts
