"""The network and its registered fairseq models."""

from .encoder import Decoder, Encoder
from .pretrain import PretrainModel
from .retrieval import RetrievalModel

__all__ = ["Decoder", "Encoder", "PretrainModel", "RetrievalModel"]
