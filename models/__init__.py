"""The network, its registered fairseq models, and the model as a library."""

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
