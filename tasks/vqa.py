"""VQAv2: questions about pictures, answered by one of the frequent answers."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import torch
from fairseq.tasks import register_task
from torch import Tensor

from one_peace.data.errors import SampleError
from one_peace.data.labels import read_labels
from one_peace.data.target import Target, class_number, finite_number
from one_peace.metrics import SoftAccuracyMeter

from .classify_task import ClassifyTask
from .manifest_task import ID
from .options import ManifestTaskConfig
from .results import Results

logger = logging.getLogger(__name__)

BETWEEN_REFS, WITHIN_REF = "&&", "|!+"


class AnswersTarget(Target):
    """``scores`` float[num_classes]: what each answer is worth, by ``answer|!+class|!+score`` joined by ``&&``.

    An empty cell says that no known answer is worth anything, or that the answers are secret.

    Args:
        column: the cell's column.
        num_classes: answers that are known.
        answers: in the order of the classes; what a row says must agree. May be left out.
    """

    def __init__(self, column: str, num_classes: int, answers: Sequence[str] = ()):
        self.columns = (column,)
        self.num_classes = num_classes
        self.answers = answers

    def read(self, cells: Sequence[str], root: Path) -> dict[str, Tensor]:
        scores = torch.zeros(self.num_classes, dtype=torch.float64)
        for ref in cells[0].split(BETWEEN_REFS) if cells[0].strip() else ():
            parts = [part.strip() for part in ref.split(WITHIN_REF)]
            score = finite_number(parts[2]) if len(parts) == 3 else None
            if score is None or not 0 <= score <= 1:
                raise SampleError(f"{ref[:80]!r}: expected answer{WITHIN_REF}class{WITHIN_REF}score, a score of 0 to 1")
            number = class_number(parts[1], self.num_classes)
            if self.answers and self.answers[number] != parts[0]:
                raise SampleError(f"class {number} is the answer {self.answers[number]!r}, not {parts[0][:80]!r}")
            scores[number] = score
        return {"scores": scores}


@dataclass
class VqaConfig(ManifestTaskConfig):
    """Options of ``vqa``."""

    selected_cols: str = field(
        default="uniq_id,image,question,refs",
        metadata={"help": "manifest columns of id, image, question and answer|!+class|!+score joined by &&"},
    )
    ans2label: Optional[str] = field(
        default=None, metadata={"help": "JSON {answer: class}; needed to write the answers down"}
    )
    num_classes: Optional[int] = field(
        default=None, metadata={"help": "number of answers; default: those of ans2label, else 3129"}
    )


@register_task("vqa", dataclass=VqaConfig)
class VqaTask(ClassifyTask):
    """Soft accuracy: what the annotators say the predicted answer is worth."""

    modalities = ("text", "image")
    column_roles = (ID, "image", "text", "refs")
    multi_label = True

    def __init__(self, cfg: VqaConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        self.answers = read_labels(Path(cfg.ans2label)) if cfg.ans2label else []
        self.num_classes = cfg.num_classes or len(self.answers) or 3129
        if self.answers and len(self.answers) != self.num_classes:
            raise ValueError(f"num_classes={self.num_classes}, but {cfg.ans2label} has {len(self.answers)} answers")
        self.meter = SoftAccuracyMeter()

    def target(self) -> Target:
        return AnswersTarget(self.columns["refs"], self.num_classes, self.answers)

    def predict(self, logits: Tensor, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        predicted = logits.argmax(dim=1)
        scores = reference["scores"]
        return {"predicted": predicted, "worth": scores.gather(1, predicted[:, None])[:, 0], "best": scores.amax(dim=1)}

    def write_results(self, results: Results, gathered: Mapping[str, Tensor]) -> None:
        """``{split}_predictions.tsv``, and ``{split}_vqa.json`` as the evaluation server takes it."""
        ids, numbers = self.ids(gathered), gathered["predicted"].tolist()
        answers = [self.answers[number] for number in numbers] if self.answers else list(map(str, numbers))
        worth = [f"{value:.4g}" for value in gathered["worth"].tolist()]
        results.write_predictions((ID, "predicted", "worth"), zip(ids, answers, worth, strict=True))
        if not self.answers:
            logger.warning("without --ans2label the answers are unknown: no %s_vqa.json", results.split)
            return
        pairs = zip(ids, answers, strict=True)
        submission = [{"question_id": int(id) if id.isdecimal() else id, "answer": answer} for id, answer in pairs]
        results.write("vqa.json", json.dumps(submission, ensure_ascii=False) + "\n")
        if not gathered["best"].any():
            logger.warning("the answers are secret: submit %s_vqa.json", results.split)
