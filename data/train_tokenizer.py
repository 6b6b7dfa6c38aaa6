"""Train a text vocabulary from manifests: a folder that ``--bpe-dir`` takes (sentencepiece.model and dict.txt).

python -m one_peace.data.train_tokenizer train.tsv --column caption --out bpe --vocab-size 8000
"""

import argparse
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import sentencepiece

from one_peace.data import quiet_fairseq  # noqa: F401  # isort: skip

from fairseq.data import Dictionary
from tqdm import tqdm

from one_peace.data.errors import DataError
from one_peace.data.manifest import Manifest
from one_peace.modalities.text.reader import TextReader, TextReaderConfig, clean_text

# Below this many different characters every one of them gets a piece; larger scripts leave out the rarest 0.05 %.
_FULL_COVERAGE_CHARACTERS = 1000
_MAX_SENTENCE_BYTES = 1 << 16


def read_texts(manifests: Sequence[Path], column: str) -> Iterator[str]:
    """The cleaned, non-empty texts of ``column``, as the reader of training sees them."""
    for path in manifests:
        manifest = Manifest(path, [column])
        for row in tqdm(range(len(manifest)), desc=f"read {path.name}", unit="row", file=sys.stderr):
            text = " ".join(clean_text(manifest[row][0]).split())
            if text:
                yield text


def train_tokenizer(
    texts: Sequence[str], out: Path, vocab_size: int, threads: int = 1, *, overwrite: bool = False
) -> int:
    """Train a sentencepiece model on ``texts`` and write ``sentencepiece.model`` and ``dict.txt`` into ``out``.

    Both files are complete or absent, also if the process is killed.

    Returns:
        The number of entries of the dictionary, specials included: at most ``vocab_size``, fewer if the texts do not
        hold that many pieces.

    Raises:
        ValueError: no text, ``vocab_size`` is too small to hold every character, or ``out`` holds another vocabulary
            and ``overwrite`` is false.
    """
    if not texts:
        raise ValueError("there is no text to train on: every cell of the column is empty")
    if vocab_size < 1:
        raise ValueError(f"vocabulary size {vocab_size} is below 1")
    model = _train(texts, vocab_size, threads)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [
        processor.id_to_piece(i)
        for i in range(processor.get_piece_size())
        if not (processor.is_control(i) or processor.is_unknown(i))
    ]
    counts = Counter(piece for text in texts for piece in processor.encode(text, out_type=str))
    dictionary = Dictionary()
    for piece in pieces:
        dictionary.add_symbol(piece, n=counts[piece])
    lines = io.StringIO()
    dictionary.save(lines)
    files = {out / "sentencepiece.model": model, out / "dict.txt": lines.getvalue().encode("utf-8")}
    if not overwrite and any(path.exists() and path.read_bytes() != content for path, content in files.items()):
        raise ValueError(
            f"{out} holds another vocabulary, and checkpoints that were trained with it need it: name another folder, "
            "or --overwrite"
        )
    out.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        _write(path, content)
    return len(dictionary)


def _train(texts: Sequence[str], vocab_size: int, threads: int) -> bytes:
    """The serialised model; ``vocab_size`` is lowered to what the texts hold."""
    characters = {character for text in texts for character in text}
    coverage = 1.0 if len(characters) < _FULL_COVERAGE_CHARACTERS else 0.9995
    while True:
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="bpe",
                vocab_size=vocab_size,
                character_coverage=coverage,
                max_sentence_length=_MAX_SENTENCE_BYTES,
                num_threads=threads,
                # fairseq has its own ids for the four specials: reserved here, so that no text can spell one
                unk_id=0,
                bos_id=1,
                eos_id=2,
                pad_id=3,
                minloglevel=2,
            )
            return model.getvalue()
        except RuntimeError as error:
            highest = re.search(r"set it to a value <= (\d+)", str(error))
            if highest is None or int(highest[1]) >= vocab_size:
                raise ValueError(_reason(str(error), vocab_size)) from None
            print(
                f"the texts hold {highest[1]} pieces only: vocabulary size {vocab_size} lowered to it", file=sys.stderr
            )
            vocab_size = int(highest[1])


def _reason(message: str, vocab_size: int) -> str:
    least = re.search(r"smaller than required_chars\.? *(\d+) vs (\d+)", message)
    if least is not None:
        return f"vocabulary size {vocab_size} is too small for the {least[2]} characters and specials of the texts"
    return f"sentencepiece cannot train on these texts: {message}"


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.data.train_tokenizer",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST", help="TSV files with a header")
    parser.add_argument("--column", default="caption", help="name of the text column (default: %(default)s)")
    parser.add_argument("--out", required=True, type=Path, help="folder to write, for --bpe-dir")
    parser.add_argument("--vocab-size", type=int, default=8000, help="at most this many entries (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a vocabulary that is there")
    parser.add_argument("--threads", type=int, default=1, help="threads of the training (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        texts = list(read_texts(options.manifests, options.column))
        size = train_tokenizer(texts, options.out, options.vocab_size, options.threads, overwrite=options.overwrite)
        reader = TextReader(TextReaderConfig(bpe_dir=str(options.out)))
    except (DataError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    ids = [reader.encode(text)[:-1] for text in texts[:1000]]
    unknown = sum(int((row == reader.dictionary.unk()).sum()) for row in ids)
    print(
        f"{options.out}: {size} entries from {len(texts)} texts; "
        f"{sum(map(len, ids)) / len(ids):.1f} tokens a text, {unknown} unknown in the first {len(ids)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
