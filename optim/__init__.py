"""Parameter groups, Adam and the learning rate schedule; importing it registers them with fairseq."""

from one_peace.optim.adam import AdjustAdam, AdjustAdamConfig
from one_peace.optim.cosine import AdjustCosineConfig, AdjustCosineSchedule, announce_epoch_batches
from one_peace.optim.param_groups import parameter_groups, tag_parameters

__all__ = [
    "AdjustAdam",
    "AdjustAdamConfig",
    "AdjustCosineConfig",
    "AdjustCosineSchedule",
    "announce_epoch_batches",
    "parameter_groups",
    "tag_parameters",
]
