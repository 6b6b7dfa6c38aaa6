"""NLVR2: whether a sentence is true of two pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairseq.tasks import register_task
from torch import Tensor

from one_peace.data.sources import Columns, Source
from one_peace.data.target import ClassTarget, Target

from .classify_task import AccuracyTask
from .manifest_task import ID
from .options import ManifestTaskConfig
from .results import Results


@dataclass
class Nlvr2Config(ManifestTaskConfig):
    """Options of ``nlvr2``."""

    selected_cols: str = field(
        default="uniq_id,text,image1,image2,label",
        metadata={"help": "manifest columns of id, text, both pictures and True or False"},
    )


@register_task("nlvr2", dataclass=Nlvr2Config)
class Nlvr2Task(AccuracyTask):
    """The text is read with either picture in a pass of its own; what both gave is concatenated."""

    modalities = ("text", "image")
    column_roles = (ID, "text", "image1", "image2", "label")
    names = ("False", "True")
    num_classes = 2
    num_passes = 2

    def sources(self, train: bool) -> Columns:
        pictures = Source((self.columns["image1"], self.columns["image2"]))
        return {"text": self.columns["text"], "image": pictures}

    def target(self) -> Target:
        return ClassTarget(self.columns["label"], self.num_classes, self.names)

    def write_results(self, results: Results, gathered: Mapping[str, Tensor]) -> None:
        """Also ``{split}_nlvr2.csv``, as the benchmark's own script reads it: lines ``identifier,True``."""
        super().write_results(results, gathered)
        answers = zip(self.ids(gathered), gathered["predicted"].tolist(), strict=True)
        results.write("nlvr2.csv", "".join(f"{id},{self.name(number)}\n" for id, number in answers))
