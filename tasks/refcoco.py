"""RefCOCO, RefCOCO+ and RefCOCOg: the box of what a text refers to."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from fairseq.tasks import register_task
from torch import Tensor

from one_peace.data.errors import SampleError
from one_peace.data.target import Target, finite_number
from one_peace.metrics import BoxMeter
from one_peace.modalities.image.reader import picture_size

from .classify_task import ClassifyTask
from .manifest_task import ID
from .options import ManifestTaskConfig
from .results import Results

_SLACK = 1.0  # pixels: annotators' tools round


class BoxTarget(Target):
    """``boxes`` float[4]: x0, y0, x1, y1 as shares of the picture's sides; ``sizes`` float[2]: its width and height.

    Args:
        column: the box in pixels, ``x0,y0,x1,y1``.
        image: the picture's column.
        size_of: cell and folder -> width and height of the picture.
    """

    def __init__(self, column: str, image: str, size_of: Callable[[str, Path], tuple[int, int]] = picture_size):
        self.columns = (column, image)
        self.size_of = size_of

    def read(self, cells: Sequence[str], root: Path) -> dict[str, Tensor]:
        numbers = [finite_number(part) for part in cells[0].split(",")]
        if len(numbers) != 4 or None in numbers:
            raise SampleError(f"{cells[0][:80]!r} is no box: expected x0,y0,x1,y1 in pixels")
        box = torch.tensor(numbers, dtype=torch.float64)
        size = torch.tensor(self.size_of(cells[1], root), dtype=torch.float64)
        if not (box[:2] < box[2:]).all():
            raise SampleError(f"box {cells[0]!r}: x0 < x1 and y0 < y1 are expected")
        if (box < -_SLACK).any() or (box[2:] > size + _SLACK).any() or (box[:2] >= size).any() or (box[2:] <= 0).any():
            width, height = size.int().tolist()
            raise SampleError(f"box {cells[0]!r} lies outside the picture, which has {width} x {height} pixels")
        sides = size.repeat(2)
        return {"boxes": box.clamp(min=0).minimum(sides) / sides, "sizes": size}


@dataclass
class RefcocoConfig(ManifestTaskConfig):
    """Options of ``refcoco``."""

    selected_cols: str = field(
        default="uniq_id,image,text,region_coord",
        metadata={"help": "manifest columns of id, image, text and the box in pixels, x0,y0,x1,y1"},
    )


@register_task("refcoco", dataclass=RefcocoConfig)
class RefcocoTask(ClassifyTask):
    """Whole pictures, blurred in half of all training samples; four logits, the box by their sigmoid."""

    modalities = ("text", "image")
    column_roles = (ID, "image", "text", "box")
    reader_defaults = {"no_crop": True, "blur_prob": 0.5}  # noqa: RUF012
    num_classes = 4

    def __init__(self, cfg: RefcocoConfig, **kwargs):
        super().__init__(cfg, **kwargs)
        options = self.readers["image"].config
        for name in ("crop_pct", "flip_prob", "rand_augment"):
            if getattr(options, name):
                raise ValueError(f"{name}={getattr(options, name)}: the box would not move with the picture")
        if not options.no_crop:
            raise ValueError("no_crop=False: the box would not move with the picture")
        self.meter = BoxMeter()

    def target(self) -> Target:
        return BoxTarget(self.columns["box"], self.columns["image"])

    def predict(self, logits: Tensor, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Boxes in pixels of the original picture."""
        sides = reference["sizes"].repeat(1, 2)
        return {"predicted": logits.double().sigmoid() * sides, "box": reference["boxes"] * sides}

    def write_results(self, results: Results, gathered: Mapping[str, Tensor]) -> None:
        """``{split}_predictions.tsv``, with the right box, and ``{split}_refcoco.jsonl``, in the original's pixels."""
        ids = self.ids(gathered)
        boxes = [[round(x, 2) for x in box] for box in gathered["predicted"].tolist()]
        right = (",".join(f"{x:.2f}" for x in box) for box in gathered["box"].tolist())
        rows = ([id, *box, label] for id, box, label in zip(ids, boxes, right, strict=True))
        results.write_predictions((ID, "x0", "y0", "x1", "y1", "label"), rows)
        lines = (json.dumps({"id": id, "box": box}, ensure_ascii=False) for id, box in zip(ids, boxes, strict=True))
        results.write("refcoco.jsonl", "".join(f"{line}\n" for line in lines))
