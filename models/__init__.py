"""The network, its registered fairseq models, and the model as a library."""

from one_peace.data import quiet_fairseq  # noqa: F401  # isort: skip

from .base import BaseModel
from .classify import ClassifyModel
from .encoder import Decoder, Encoder
from .hub import OnePeace, from_pretrained
from .pretrain import PretrainModel
from .retrieval import RetrievalModel

__all__ = [
    "BaseModel",
    "ClassifyModel",
    "Decoder",
    "Encoder",
    "OnePeace",
    "PretrainModel",
    "RetrievalModel",
    "from_pretrained",
]
