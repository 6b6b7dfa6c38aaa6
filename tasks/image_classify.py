"""Pictures of one class each: ImageNet."""

from dataclasses import dataclass, field

from fairseq.tasks import register_task

from one_peace.data.mixing import Mixing

from .classify_task import LabelledTask, LabelledTaskConfig
from .manifest_task import ID


@dataclass
class ImageClassifyConfig(LabelledTaskConfig):
    """Options of ``image_classify``."""

    selected_cols: str = field(
        default="image_id,image,label", metadata={"help": "manifest columns of id, image and class"}
    )
    mixup_alpha: float = field(default=0.0, metadata={"help": "blend pictures of a batch (Beta's parameter); 0 = not"})
    cutmix_alpha: float = field(
        default=0.0, metadata={"help": "paste a part of one picture into another; with mixup, one or the other a batch"}
    )


@register_task("image_classify", dataclass=ImageClassifyConfig)
class ImageClassifyTask(LabelledTask):
    """1000 classes unless the user says otherwise."""

    modalities = ("image",)
    column_roles = (ID, "image", "label")
    default_classes = 1000

    def mixing(self) -> Mixing | None:
        alphas = self.cfg.mixup_alpha, self.cfg.cutmix_alpha
        return Mixing("image", self.num_classes, *alphas) if any(alphas) else None
