"""The door for ``fairseq-train --user-dir user_module``: importing it registers everything this project adds."""

from one_peace import models  # noqa: F401  # isort: skip  # before fairseq: keeps its debug messages off

import collections
import typing

import omegaconf
import torch
from fairseq.distributed.utils import _TensorPlaceholder

from one_peace import criterions, optim, tasks  # noqa: F401

# What fairseq puts beside tensors when it sends a checkpoint to other ranks. torch loads it with `weights_only`, which
# allows these containers and nothing that runs code.
torch.serialization.add_safe_globals(
    [
        omegaconf.DictConfig,
        omegaconf.ListConfig,
        omegaconf.nodes.AnyNode,
        omegaconf.base.Metadata,
        omegaconf.base.ContainerMetadata,
        typing.Any,
        collections.defaultdict,
        list,
        dict,
        int,
        _TensorPlaceholder,
    ]
)
