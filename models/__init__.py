"""The network, its registered fairseq models, and the model as a library."""

from .base import BaseModel
from .encoder import Decoder, Encoder
from .hub import OnePeace, from_pretrained
from .pretrain import PretrainModel
from .retrieval import RetrievalModel

__all__ = ["BaseModel", "Decoder", "Encoder", "OnePeace", "PretrainModel", "RetrievalModel", "from_pretrained"]
