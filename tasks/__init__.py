"""Where data, model, objective and metric meet; importing it registers the tasks."""

from .pair_task import PairTask
from .pretrain import AudioTextPretrainTask, ImageTextPretrainTask, PretrainTask

__all__ = ["AudioTextPretrainTask", "ImageTextPretrainTask", "PairTask", "PretrainTask"]
