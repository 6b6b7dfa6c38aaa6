"""Captions: cleaning, byte pair encoding through fairseq's registry, whole-word masks."""

import hashlib
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from fairseq.data import Dictionary, encoders
from fairseq.data.encoders.utils import get_whole_word_mask
from torch import BoolTensor, Generator, LongTensor, Tensor

from one_peace.data.masking import outside_previous_mask, whole_word_mask
from one_peace.modalities.reader import Reader, ReaderConfig, option, require_previous

# what lies in a --bpe-dir beside dict.txt -> fairseq's name of the encoder, and its options that take those files
_ENCODERS = {
    "gpt2": {"gpt2_encoder_json": "encoder.json", "gpt2_vocab_bpe": "vocab.bpe"},
    "sentencepiece": {"sentencepiece_model": "sentencepiece.model"},
}
# Longer than any vocabulary entry that real text meets, so cutting here never changes the first max_src_length ids of
# a caption made of words; it bounds the work on megabytes of text without a space (byte pair encoding is quadratic).
_MAX_CHARS_PER_TOKEN = 64


def clean_text(text: str) -> str:
    """The release's normalisation of a caption: lower case, no leading punctuation, one space a run of white space."""
    text = text.lower().lstrip(",.!?*#:;~").replace("\t", " ")
    return re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")


@dataclass
class TextReaderConfig(ReaderConfig):
    """Options of `TextReader`."""

    bpe_dir: str = option(help="folder with dict.txt and either encoder.json + vocab.bpe or sentencepiece.model")
    max_src_length: int = option(70, low=1, high=512, help="captions are cut to this many tokens, EOS not counted")


class TextReader(Reader):
    """A caption -> int64[L] ids, EOS last (EOS counts as a unit and is never masked)."""

    Config = TextReaderConfig
    strategies = ("whole_word", "outside_previous")

    def __init__(self, config: TextReaderConfig):
        super().__init__(config)
        self._bpe_options = _bpe_options(Path(config.bpe_dir))
        self._bpe = encoders.build_bpe(self._bpe_options)
        self.dictionary = Dictionary.load(str(Path(config.bpe_dir) / "dict.txt"))
        self.pad_value = self.dictionary.pad()

    def __reduce__(self) -> tuple:
        # encoders hold things that do not pickle: a spawned worker builds its own
        return type(self), (self.config,)

    def load(self, cell: str, root: Path, generator: Generator | None = None) -> LongTensor:
        """int64[L]: the ids of `clean_text`, at most ``max_src_length``, then EOS. An empty caption is EOS and what the
        encoder makes of one space."""
        return self.encode(self.key(cell))

    def key(self, cell: str) -> str:
        """`clean_text`."""
        return clean_text(cell)

    def encode(self, text: str) -> LongTensor:
        """int64[L]: the ids of ``text`` as it stands, at most ``max_src_length``, then EOS; no BOS."""
        limit = self.config.max_src_length
        # every word gives at least one id, so further words cannot be seen
        text = " ".join(text.split(" ", limit)[:limit])[: limit * _MAX_CHARS_PER_TOKEN]
        # fairseq's encode_line would also split at exotic white space inside a symbol
        symbols = [symbol for symbol in self._bpe.encode(" " + text).split(" ") if symbol]
        ids = [self.dictionary.index(symbol) for symbol in symbols[:limit]]
        return torch.tensor([*ids, self.dictionary.eos()], dtype=torch.long)

    def num_units(self, value: Tensor) -> int:
        """Ids, EOS included."""
        return len(value)

    def estimate_units(self, cell: str, root: Path, duration: float | None = None) -> int:
        """Exact: encoding costs little more than reading the row."""
        return self.num_units(self.load(cell, root))

    @cached_property
    def is_word_start(self) -> BoolTensor:
        """bool[vocabulary]: whether an id begins a word (specials and unknown symbols do)."""
        return get_whole_word_mask(self._bpe_options, self.dictionary).bool()

    def mask(
        self,
        value: Tensor,
        strategy: str,
        ratio: float,
        generator: Generator | None = None,
        previous: BoolTensor | None = None,
    ) -> BoolTensor:
        """bool[L]. ``whole_word``: a share of the words; ``outside_previous``: single tokens out of those not masked in
        the pass of text alone."""
        self.check_strategy(strategy)
        if strategy == "whole_word":
            mask = whole_word_mask(self.is_word_start[value[:-1]], ratio, generator)
        else:
            mask = outside_previous_mask(require_previous(strategy, previous)[:-1], ratio, generator)
        return torch.cat([mask, mask.new_zeros(1)])

    def adapter_settings(self) -> dict[str, object]:
        """The size of the embedding table, its padding id, and what tells this vocabulary from another."""
        return {"vocab_size": len(self.dictionary), "pad": self.dictionary.pad(), "vocabulary": self._fingerprint}

    @cached_property
    def _fingerprint(self) -> str:
        """Of the symbols in order, and of the encoder's files."""
        digest = hashlib.sha256("\n".join(self.dictionary.symbols).encode())
        for name in _ENCODERS[self._bpe_options.bpe]:
            digest.update(Path(getattr(self._bpe_options, name)).read_bytes())
        return digest.hexdigest()[:16]


def _bpe_options(bpe_dir: Path) -> Namespace:
    """fairseq's options of the encoder whose files lie in ``bpe_dir``; ValueError with what is missing otherwise."""
    wanted: Sequence[str] = ()
    for name, files in _ENCODERS.items():
        paths = {key: bpe_dir / file for key, file in files.items()}
        if (bpe_dir / "dict.txt").is_file() and all(path.is_file() for path in paths.values()):
            return Namespace(bpe=name, **{key: str(path) for key, path in paths.items()})
        wanted = [*wanted, " + ".join([*files.values(), "dict.txt"])]
    found = ", ".join(sorted(path.name for path in bpe_dir.iterdir())) if bpe_dir.is_dir() else "no such folder"
    raise ValueError(
        f"bpe_dir {str(bpe_dir)!r} must hold {' or '.join(wanted)} (found: {found or 'nothing'}). A "
        "checkpoint needs the vocabulary of its training; for a new model `python -m one_peace.data.train_tokenizer` "
        "makes one"
    )
