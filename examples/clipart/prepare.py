"""Makes manifests of clip art and stamps: ``python -m one_peace.examples.clipart.prepare --out outputs/clipart/data``.

Fetches the Debian packages openclipart-svg and tuxpaint-stamps-default (no root, nothing is installed), draws Open Clip
Art's SVG files, flattens Tux Paint's stamps, and writes

    train.tsv   image_id, image, caption: the stamps with their English captions, the drawings with their titles, and
                the pictures of musical instruments with the names that General MIDI has for them
    valid.tsv   the same columns: the stamps, which are trained on too
    test.tsv    the same columns: drawings that are kept from training, whose titles other drawings have too
    images/     stamps/ and clipart/, the pictures
    bpe/        a sentencepiece vocabulary of the captions, and of the sentences that examples/instruments says
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from one_peace.data import train_tokenizer
from one_peace.data.prepare.files import write_manifest
from one_peace.examples.clipart.drawings import Drawing, draw, find_drawings
from one_peace.examples.instruments.captions import vocabulary
from one_peace.examples.instruments.general_midi import FAMILIES, instruments, shown_in_pictures
from one_peace.examples.tuxpaint.debian import PackageError, fetch_unpacked
from one_peace.examples.tuxpaint.prepare import fetch_stamps
from one_peace.examples.tuxpaint.stamps import Stamp, find_stamps, flatten
from one_peace.modalities.text.reader import clean_text

PACKAGE = "openclipart-svg"
COLUMNS = ("image_id", "image", "caption")
Row = tuple[str, str, str]


def write_manifests(stamps: Sequence[Stamp], drawings: Sequence[Drawing], out: Path) -> dict[str, int]:
    """Writes train.tsv, valid.tsv and test.tsv; returns their numbers of rows."""
    captioned = [_row(f"stamps/{stamp.name}", stamp.captions["en"]) for stamp in stamps if "en" in stamp.captions]
    trained = [_row(f"clipart/{one.name}", one.title) for one in drawings if not one.held_out]
    rows = {
        "train": [*captioned, *trained, *instrument_rows({name for name, _, _ in captioned + trained})],
        "valid": captioned,
        "test": [_row(f"clipart/{one.name}", one.title) for one in drawings if one.held_out],
    }
    return {split: write_manifest(out / f"{split}.tsv", COLUMNS, rows[split]) for split in rows}


def instrument_rows(pictures: set[str]) -> Iterator[Row]:
    """Further captions of those of the pictures that show musical instruments: "a violin, a string instrument"."""
    for picture, shown in shown_in_pictures().items():
        names = [(one.name, FAMILIES[one.family]) for one in shown if picture in pictures]
        captions = [caption for name, family in names for caption in (name, f"{name}, {family}", family)]
        for number, caption in enumerate(dict.fromkeys(captions)):
            image_id, image, text = _row(picture, caption)
            yield f"{image_id}.{number}", image, text


def write_pictures(stamps: Sequence[Stamp], drawings: Sequence[Drawing], side: int, out: Path) -> None:
    """Writes the pictures below out/images, squares of `side` pixels."""
    for stamp in tqdm(stamps, desc="stamps", unit="stamp"):
        with Image.open(stamp.picture) as picture:
            _save(picture, side, out / _picture(f"stamps/{stamp.name}"))
    for one in tqdm(drawings, desc="pictures", unit="drawing"):
        _save(draw(one.svg), side, out / _picture(f"clipart/{one.name}"))


def write_vocabulary(out: Path, size: int) -> int:
    """Writes out/bpe, and out/words.tsv, which it is trained on besides train.tsv; returns an exit status."""
    sentences = [(sentence,) for instrument in instruments() for sentence in vocabulary(instrument)]
    write_manifest(out / "words.tsv", COLUMNS[2:], sentences)
    manifests = [str(out / "train.tsv"), str(out / "words.tsv")]
    return train_tokenizer.main([*manifests, "--out", str(out / "bpe"), "--vocab-size", str(size)])


def _row(name: str, caption: str) -> Row:
    return name, str(_picture(name)), clean_text(caption)


def _picture(name: str) -> Path:
    return Path("images", f"{name}.png")


def _save(picture: Image.Image, side: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flatten(picture, side).save(path)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.clipart.prepare", description="Make manifests of clip art and stamps."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for manifests, pictures and vocabulary")
    parser.add_argument("--cache", type=Path, help="folder for the packages (default: OUT/../package)")
    parser.add_argument("--package", type=Path, help=f"a {PACKAGE} .deb you have, instead of a download")
    parser.add_argument("--stamps-package", type=Path, help="the same for tuxpaint-stamps-default")
    parser.add_argument("--image-size", type=int, default=128, help="side of the pictures in pixels (default 128)")
    parser.add_argument("--vocab-size", type=int, default=3000, help="size of the vocabulary (default 3000)")
    args = parser.parse_args(argv)
    cache = args.cache or args.out.resolve().parent / "package"
    try:
        clipart = fetch_unpacked(PACKAGE, cache, args.package) / "usr/share/openclipart/svg"
        stamps = fetch_stamps(args.stamps_package, cache)
    except PackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found, drawings = list(find_stamps(stamps)), find_drawings(clipart)
    args.out.mkdir(parents=True, exist_ok=True)
    write_pictures(found, drawings, args.image_size, args.out)
    written = write_manifests(found, drawings, args.out)
    if status := write_vocabulary(args.out, args.vocab_size):
        return status
    print(f"{len(found)} stamps, {len(drawings)} drawings; rows: {written} in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
