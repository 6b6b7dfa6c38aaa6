"""Text: token embeddings, learned positions, logarithmic relative positions."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..adapter import Adapter, AdapterConfig
from ..registry import register_modality
from ..relative_positions import num_token_buckets, token_buckets
from .reader import TextReader

MAX_TEXT_POSITIONS = 514


@dataclass
class TextAdapterConfig(AdapterConfig):
    """Options of the text adapter."""

    bucket_size: int = field(default=256, metadata={"help": "relative positions: distances told apart a side"})
    vocab_size: int = field(default=0, metadata={"help": "symbols of the dictionary; set from the data"})
    pad: int = field(default=1, metadata={"help": "id of the padding symbol; set from the data"})
    vocabulary: str | None = field(
        default=None,
        metadata={
            "help": "fingerprint of the vocabulary; set from the data",
            "must_agree": "this is not the vocabulary of the checkpoint, ids would stand for other words: name the "
            "--bpe-dir of its training",
        },
    )


@register_modality("text", config=TextAdapterConfig, reader=TextReader)
class TextAdapter(Adapter):
    """Token ids LongTensor[B, N] -> Sequence."""

    def __init__(self, name: str, config: TextAdapterConfig, embed_dim: int, attention_heads: int, **kwargs):
        super().__init__(name, config, embed_dim, attention_heads, **kwargs)
        if kwargs.get("stem", True):
            # no padding_idx: padded places are zeroed in the sequence, and released checkpoints hold a trained row
            self.embed_tokens = nn.Embedding(config.vocab_size, embed_dim)
        self.embed_positions = nn.Embedding(MAX_TEXT_POSITIONS, embed_dim)

    def embed(self, values: Tensor) -> Tensor:
        return self.embed_tokens(values)

    def padding_mask(self, values: Tensor) -> Tensor:
        pad_BN = values.eq(self.config.pad)
        return torch.cat([pad_BN.new_zeros(len(pad_BN), 1), pad_BN], dim=1)

    def absolute_positions(self, length: int) -> Tensor:
        if length > MAX_TEXT_POSITIONS:
            raise ValueError(f"text of {length} positions; the model holds {MAX_TEXT_POSITIONS}")
        return self.embed_positions.weight[:length]

    def num_relative_buckets(self) -> int:
        return num_token_buckets(self.config.bucket_size)

    def relative_index(self, length: int) -> Tensor:
        return token_buckets(length, self.config.bucket_size, self.embed_positions.weight.device)
