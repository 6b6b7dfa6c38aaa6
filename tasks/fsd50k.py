"""FSD50K: sounds of several classes each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairseq.tasks import register_task
from torch import Tensor

from one_peace.data.target import MultiLabelTarget, Target
from one_peace.metrics import MeanAveragePrecisionMeter

from .classify_task import ClassifyTask, LabelledTaskConfig, named_classes
from .manifest_task import ID
from .results import Results


@dataclass
class Fsd50kConfig(LabelledTaskConfig):
    """Options of ``fsd50k``."""

    selected_cols: str = field(
        default="uniq_id,audio,text,duration",
        metadata={"help": "manifest columns of id, audio and the classes, separated by commas"},
    )


@register_task("fsd50k", dataclass=Fsd50kConfig)
class Fsd50kTask(ClassifyTask):
    """Mean average precision over 200 classes, unless the user says otherwise."""

    modalities = ("audio",)
    column_roles = (ID, "audio", "labels")
    multi_label = True

    def __init__(self, cfg: Fsd50kConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        self.num_classes, self.names = named_classes(cfg, default=200)
        self.meter = MeanAveragePrecisionMeter()

    def target(self) -> Target:
        return MultiLabelTarget(self.columns["labels"], self.num_classes, self.names)

    def predict(self, logits: Tensor, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": logits, "labels": reference["scores"]}

    def write_results(self, results: Results, gathered: Mapping[str, Tensor]) -> None:
        """``{split}_predictions.tsv``: the right classes, and the probability of each class."""
        names = [self.name(number) for number in range(self.num_classes)]
        right = (", ".join(names[number] for number in row.nonzero()[:, 0].tolist()) for row in gathered["labels"])
        rows = ([f"{p:.6g}" for p in row] for row in gathered["scores"].sigmoid().tolist())
        lines = ([id, label, *row] for id, label, row in zip(self.ids(gathered), right, rows, strict=True))
        results.write_predictions((ID, "label", *names), lines)
