"""Where data, model, objective and metric meet; importing it registers the tasks."""

from one_peace.data import quiet_fairseq  # noqa: F401  # isort: skip

from .aqa import AqaTask
from .fsd50k import Fsd50kTask
from .image_classify import ImageClassifyTask
from .nlvr2 import Nlvr2Task
from .pair_task import PairTask
from .pretrain import AudioTextPretrainTask, ImageTextPretrainTask, PretrainTask
from .refcoco import RefcocoTask
from .retrieval import AudioTextRetrievalTask, ImageTextRetrievalTask
from .vggsound import VggsoundTask
from .vqa import VqaTask
from .zero_shot_classify import ZeroShotClassifyTask

__all__ = [
    "AqaTask",
    "AudioTextPretrainTask",
    "AudioTextRetrievalTask",
    "Fsd50kTask",
    "ImageClassifyTask",
    "ImageTextPretrainTask",
    "ImageTextRetrievalTask",
    "Nlvr2Task",
    "PairTask",
    "PretrainTask",
    "RefcocoTask",
    "VggsoundTask",
    "VqaTask",
    "ZeroShotClassifyTask",
]
