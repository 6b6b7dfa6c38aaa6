"""The data sets of a reader of the documentation: a dozen captions, with pictures, sounds or drawings."""

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from one_peace.data.train_tokenizer import train_tokenizer

COLOURS = ("red", "green", "blue", "yellow")
SIZES = ("small", "large", "tall")


def train_vocabulary(folder: Path) -> None:
    """A ``--bpe-dir`` for the captions."""
    train_tokenizer(_captions(), folder, vocab_size=60)


def _captions() -> list[str]:
    return [f"a {size} {colour} square" for colour in COLOURS for size in SIZES]


def _write_manifests(folder: Path, columns: list[str], rows: list[list[object]]) -> None:
    for split, chosen in (("train", rows), ("valid", rows[::2])):
        lines = ["\t".join(map(str, row)) for row in [columns, *chosen]]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n")


def write_pictures(folder: Path) -> None:
    """``train.tsv`` and ``valid.tsv`` with columns image_id, image, caption, and the pictures they name."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, caption in enumerate(_captions(), start=1):
        name = f"images/{number:04d}.jpg"
        Image.new("RGB", (40 + number, 48), caption.split()[2]).save(folder / name)
        rows.append([number, name, caption])
    _write_manifests(folder, ["image_id", "image", "caption"], rows)


def write_sounds(folder: Path) -> None:
    """``train.tsv`` and ``valid.tsv`` with columns uniq_id, audio, text, and the sounds they name."""
    (folder / "audio").mkdir(parents=True)
    seconds = np.arange(8000) / 8000
    rows = []
    for number, caption in enumerate(_captions(), start=1):
        name = f"audio/{number:04d}.wav"
        soundfile.write(folder / name, 0.3 * np.sin(2 * np.pi * 110 * number * seconds), 8000)
        rows.append([number, name, caption])
    _write_manifests(folder, ["uniq_id", "audio", "text"], rows)


def write_drawings(folder: Path) -> None:
    """``train.tsv`` and ``valid.tsv`` with columns id, caption, drawing, and the SVG files they name."""
    (folder / "drawings").mkdir(parents=True)
    rows = []
    for number, caption in enumerate(_captions(), start=1):
        name = f"drawings/{number:04d}.svg"
        lines = "".join(f'<path d="m {x} 0 c 1 5 -1 5 0 {number}"/>' for x in range(number))
        square = f'<g fill="{caption.split()[2]}" stroke="black"><rect width="20" height="{20 + number}"/>{lines}</g>'
        (folder / name).write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">{square}</svg>')
        rows.append([number, caption, name])
    _write_manifests(folder, ["id", "caption", "drawing"], rows)
