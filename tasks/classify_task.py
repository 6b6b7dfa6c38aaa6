"""What tasks share that ``one_peace_classify`` is trained for."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from torch import Tensor

from one_peace.data.labels import read_labels
from one_peace.data.target import ClassTarget, Target
from one_peace.metrics import AccuracyMeter

from .manifest_task import ID, ManifestTask
from .options import ManifestTaskConfig
from .results import Results


class ClassifyTask(ManifestTask):
    """Predicts one of the targets from logits.

    Attributes:
        num_classes: logits of the model.
        names: of the classes, where they have some; else results give their numbers.
        multi_label: whether a sample may have several classes, each right or wrong by itself.
        num_passes: joint sequences a sample.
        pass_features: whether the model concatenates or averages ("mean") what it read in them.
    """

    num_classes: int
    names: Sequence[str] = ()
    multi_label = False
    num_passes = 1
    pass_features = "concat"

    def measure(self, sample: dict, model, criterion) -> tuple[Tensor, dict]:
        loss, log, out = criterion.compute(model, sample)
        self.meter.add(sample["id"], **self.predict(out["logits"].float(), sample["reference"]))
        return loss, log

    @abstractmethod
    def predict(self, logits: Tensor, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A batch's columns of the meter.

        Args:
            logits: float32[rows, num_classes].
            reference: the target, what is no whole number in float64.
        """

    def ids(self, gathered: Mapping[str, Tensor]) -> list[str]:
        """What the manifest calls the samples that were gathered."""
        return [self.row_id(self._split, row) for row in gathered["id"].tolist()]

    def name(self, number: int) -> str:
        """What results call a class."""
        return self.names[number] if self.names else str(number)


class AccuracyTask(ClassifyTask):
    """One class a sample."""

    def __init__(self, cfg: ManifestTaskConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        self.meter = AccuracyMeter()

    def predict(self, logits: Tensor, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"predicted": logits.argmax(dim=1), "label": reference["labels"]}

    def write_results(self, results: Results, gathered: Mapping[str, Tensor]) -> None:
        """``{split}_predictions.tsv``: the class of each row, and the right one."""
        columns = [[self.name(i) for i in gathered[column].tolist()] for column in ("predicted", "label")]
        results.write_predictions((ID, "predicted", "label"), zip(self.ids(gathered), *columns, strict=True))


@dataclass
class LabelledTaskConfig(ManifestTaskConfig):
    """Options of tasks whose classes may have names."""

    num_classes: Optional[int] = field(default=None, metadata={"help": "number of classes"})
    label_file: Optional[str] = field(
        default=None,
        metadata={
            "help": "names of the classes: a JSON list, or one a line; rows may then use them "
            "(default: labels.txt beside the manifests, if it is there)"
        },
    )


def named_classes(cfg: LabelledTaskConfig, default: int) -> tuple[int, Sequence[str]]:
    """How many classes there are, ``default`` if nobody says, and their names if they have some."""
    path = Path(cfg.label_file) if cfg.label_file else Path(cfg.data) / "labels.txt"
    names = read_labels(path) if cfg.label_file or path.is_file() else ()
    number = cfg.num_classes or len(names) or default
    if names and len(names) != number:
        raise ValueError(f"num_classes={number}, but {path} names {len(names)}")
    return number, names


class LabelledTask(AccuracyTask):
    """Classes that rows give by number, or by name if they have names; their column's role is "label".

    Attributes:
        default_classes: how many there are if the user does not say.
    """

    default_classes: int

    def __init__(self, cfg: LabelledTaskConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        self.num_classes, self.names = named_classes(cfg, self.default_classes)

    def target(self) -> Target:
        return ClassTarget(self.columns["label"], self.num_classes, self.names)
