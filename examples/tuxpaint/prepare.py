"""Makes manifests of Tux Paint's stamps: ``python -m one_peace.examples.tuxpaint.prepare --out outputs/tuxpaint/data``.

Fetches the Debian package tuxpaint-stamps-default (no root, nothing is installed), flattens the stamps, and writes

    train.tsv   image_id, image, caption, language: every stamp with its caption in every language asked for
    valid.tsv   the same columns: every stamp once, in the first language
    images/     the flattened stamps
    bpe/        a sentencepiece vocabulary of the captions

Captions are written as the text reader reads them (lower case, ...), so that captions the model cannot tell apart
("The letter A." and "The letter a.") count as one and the same caption.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from one_peace.data import train_tokenizer
from one_peace.data.prepare.files import write_manifest
from one_peace.examples.tuxpaint.debian import PackageError, fetch_unpacked
from one_peace.examples.tuxpaint.recordings import SPOKEN
from one_peace.examples.tuxpaint.stamps import Stamp, find_stamps, flatten
from one_peace.modalities.text.reader import clean_text

PACKAGE = "tuxpaint-stamps-default"
COLUMNS = ("image_id", "image", "caption", "language")


def fetch_stamps(package: Path | None, cache: Path) -> Path:
    """The folder of all stamps, of the file `package` or of `PACKAGE` fetched into `cache`; unpacked in `cache`."""
    return fetch_unpacked(PACKAGE, cache, package) / "usr/share/tuxpaint/stamps"


def choose_languages(stamps: Sequence[Stamp], wanted: str) -> list[str]:
    """The languages of a comma list, of all stamps for "all", or English and those of `SPOKEN` for "spoken".

    Raises:
        ValueError: a language that no stamp has.
    """
    known = {language for stamp in stamps for language in stamp.captions}
    named = {"all": ["en", *sorted(known - {"en"})], "spoken": ["en", *SPOKEN]}
    languages = named.get(wanted) or [part.strip() for part in wanted.split(",")]
    if missing := [language for language in languages if language not in known]:
        raise ValueError(f"no caption in {missing[0]!r}; there are: {', '.join(sorted(known))}")
    return languages


def write_manifests(stamps: Sequence[Stamp], languages: Sequence[str], out: Path) -> tuple[int, int]:
    """Writes out/train.tsv and out/valid.tsv; returns their numbers of rows."""

    def row(stamp: Stamp, language: str) -> tuple[str, ...]:
        name = f"{stamp.name}.{language}" if len(languages) > 1 else stamp.name
        return name, str(picture_path(stamp)), clean_text(stamp.captions[language]), language

    def rows(wanted: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return (row(stamp, language) for stamp in stamps for language in wanted if language in stamp.captions)

    train = write_manifest(out / "train.tsv", COLUMNS, rows(languages))
    return train, write_manifest(out / "valid.tsv", COLUMNS, rows(languages[:1]))


def write_pictures(stamps: Sequence[Stamp], side: int, out: Path) -> None:
    """Writes the flattened stamps below out/images."""
    for stamp in tqdm(stamps, desc="stamps", unit="stamp"):
        path = out / picture_path(stamp)
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(stamp.picture) as picture:
            flatten(picture, side).save(path)


def picture_path(stamp: Stamp) -> Path:
    """Where the flattened stamp lies below the folder of the manifests."""
    return Path("images", f"{stamp.name}.png")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.tuxpaint.prepare", description="Make manifests of Tux Paint's stamps."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for manifests, pictures and vocabulary")
    parser.add_argument("--cache", type=Path, help="folder for the package (default: OUT/../package)")
    parser.add_argument("--package", type=Path, help=f"a {PACKAGE} .deb you have, instead of downloading it")
    parser.add_argument("--languages", default="en", help="comma list such as en,de,fr, or all, or spoken (default en)")
    parser.add_argument("--image-size", type=int, default=128, help="side of the pictures in pixels (default 128)")
    parser.add_argument("--vocab-size", type=int, default=1000, help="size of the vocabulary (default 1000)")
    args = parser.parse_args(argv)
    cache = args.cache or args.out.resolve().parent / "package"
    try:
        stamps = list(find_stamps(fetch_stamps(args.package, cache)))
        languages = choose_languages(stamps, args.languages)
    except (PackageError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    write_pictures(stamps, args.image_size, args.out)
    train, valid = write_manifests(stamps, languages, args.out)
    tokenizer = ["--column", "caption", "--out", str(args.out / "bpe"), "--vocab-size", str(args.vocab_size)]
    if status := train_tokenizer.main([str(args.out / "train.tsv"), *tokenizer]):
        return status
    print(f"{len(stamps)} stamps, {train} training rows, {valid} validation rows in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
