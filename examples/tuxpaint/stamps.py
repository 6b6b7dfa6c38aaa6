"""Reads the stamps of Tux Paint: a PNG beside a text file of captions, ``x.png`` and ``x.txt``.

The text file's first line is the English caption; each line after it is a translation, ``de.utf8=Ein Pilz.``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

# Stamps are transparent; some are drawn in pure white, some in pure black: this background hides neither.
BACKGROUND = (190, 200, 210)

_TRANSLATION = re.compile(r"(?P<language>[A-Za-z]{2,3}(?:_[A-Z]{2})?(?:@[a-z]+)?)\.utf8=(?P<caption>.*)")


@dataclass(frozen=True)
class Stamp:
    """One stamp: its path below the folder of all stamps, without suffix, its picture, and language -> caption."""

    name: str
    picture: Path
    captions: dict[str, str]


def parse_captions(text: str) -> dict[str, str]:
    """Language -> caption; English is "en". Lines that are neither are ignored, empty captions left out."""
    first, *rest = text.splitlines() or [""]
    captions = {"en": first}
    for line in rest:
        if match := _TRANSLATION.fullmatch(line.strip()):
            captions[match["language"]] = match["caption"]
    tidy = {language: " ".join(caption.split()) for language, caption in captions.items()}
    return {language: caption for language, caption in tidy.items() if caption}


def find_stamps(root: Path) -> Iterator[Stamp]:
    """Every PNG below `root` that has captions, sorted by path. (SVG stamps and PNGs without captions, which are the
    mirrored views of others, are left out.)"""
    for picture in sorted(root.rglob("*.png")):
        words = picture.with_suffix(".txt")
        if words.is_file():
            captions = parse_captions(words.read_text(encoding="utf-8", errors="replace"))
            yield Stamp(picture.relative_to(root).with_suffix("").as_posix(), picture, captions)


def flatten(picture: Image.Image, side: int) -> Image.Image:
    """The stamp on `BACKGROUND`, centred in a square of `side` pixels (the aspect ratio is kept)."""
    stamp = picture.convert("RGBA")
    longest = max(stamp.size)
    square = Image.new("RGBA", (longest, longest), BACKGROUND)
    square.alpha_composite(stamp, ((longest - stamp.width) // 2, (longest - stamp.height) // 2))
    return square.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
