"""Plays the instruments of three sound fonts: ``python -m one_peace.examples.instruments.prepare --out DIR``.

Fetches the Debian packages fluid-soundfont-gm, csound-soundfont and timgm6mb-soundfont (no root, nothing is installed)
and writes

    train.tsv     uniq_id, audio, text, label: clips of the first font, sentences, and what plays
    valid.tsv     the same columns: notes of the first font that train.tsv never plays
    dev.tsv       the same columns: clips of the second font, to choose checkpoints and settings by
    test.tsv      the same columns: clips of the third font, which nothing is trained on or chosen by
    sounds/       the clips, FLAC at 16 kHz

Training clips are of recordings of other keys, tuned, and as if made with other instruments elsewhere; the others are
as the fonts sound.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import soundfile

from one_peace.data.prepare.files import write_manifest
from one_peace.examples.augment import RATE, colour, level
from one_peace.examples.instruments.captions import describe
from one_peace.examples.instruments.general_midi import Instrument, instruments
from one_peace.examples.instruments.music import SPLITS, compose
from one_peace.examples.instruments.sounds import FontError, SoundFont
from one_peace.examples.processes import in_processes
from one_peace.examples.tuxpaint.debian import PackageError, fetch_unpacked

PACKAGES = {"train": "fluid-soundfont-gm", "dev": "csound-soundfont", "test": "timgm6mb-soundfont"}
COLUMNS = ("uniq_id", "audio", "text", "label")
_TRIES = 10
_TUNING = 9.0  # semitones; small fonts stretch one recording over an octave and more


def write_clip(
    font: SoundFont, instrument: Instrument, split: str, number: int, out: Path, seed: int
) -> tuple[str, ...]:
    """Writes clip `number` of an instrument below out/sounds; returns its row. The same whatever else is written.

    Raises:
        FontError: the instrument cannot be heard, whatever it plays.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), instrument.program, number])
    for attempt in range(_TRIES):
        music = compose(instrument, split, rng)
        tuning = rng.uniform(-_TUNING, _TUNING) if split == "train" else 0.0
        # fonts record some keys only: what is tuned by more than half a semitone is played on a key nearby
        keys = tuple(key - round(tuning) for key in music.keys)
        try:
            wave = font.play(instrument.program, replace(music, keys=keys), int(rng.integers(50, 127)), tuning)
            break
        except FontError:
            if attempt == _TRIES - 1:
                raise
    name = f"{split}_{instrument.program:03d}_{number:03d}"
    path = Path("sounds", split, f"{name}.flac")
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(out / path, colour(wave, rng) if split == "train" else level(wave), RATE)
    return name, str(path), describe(instrument, music, rng), instrument.name


def write_clips(fonts: Mapping[str, Path], clips: Mapping[str, int], out: Path, seed: int) -> dict[str, int]:
    """Writes sounds and manifests, `clips`[split] clips an instrument of fonts[split]; returns the numbers of rows."""
    work = [(split, i, n) for split in SPLITS for i in instruments() for n in range(clips[split])]
    write = partial(_write_clip, fonts=fonts, out=out, seed=seed)
    rows: dict[str, list[tuple[str, ...]]] = {split: [] for split in SPLITS}
    for (split, *_), row in zip(work, in_processes(write, work, "sounds", "clip"), strict=True):
        rows[split].append(row)
    return {split: write_manifest(out / f"{split}.tsv", COLUMNS, rows[split]) for split in SPLITS}


def _write_clip(
    chosen: tuple[str, Instrument, int], fonts: Mapping[str, Path], out: Path, seed: int
) -> tuple[str, ...]:
    split, instrument, number = chosen
    return write_clip(_opened(fonts[split]), instrument, split, number, out, seed)


@cache
def _opened(font: Path) -> SoundFont:
    """Once in each process."""
    return SoundFont(font)


def _fetched(package: str, cache: Path) -> Path:
    """The sound font in a package.

    Raises:
        PackageError: it cannot be had, or holds none.
    """
    for font in sorted(fetch_unpacked(package, cache).rglob("*.sf2")):
        return font
    raise PackageError(f"{package} in {cache} holds no .sf2: delete it there and try again")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.instruments.prepare",
        description="Play the instruments of three sound fonts.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for manifests and sounds")
    parser.add_argument("--cache", type=Path, help="folder for the packages (default: OUT/../package)")
    parser.add_argument("--font", type=Path, help="a General MIDI .sf2 to train on (default: the package's)")
    parser.add_argument("--dev-font", type=Path, help="another one to choose by (default: the package's)")
    parser.add_argument("--test-font", type=Path, help="another one to test on (default: the package's)")
    parser.add_argument("--clips", type=int, default=768, help="training clips an instrument (default %(default)s)")
    parser.add_argument("--valid-clips", type=int, default=4, help="validation clips (default %(default)s)")
    parser.add_argument("--test-clips", type=int, default=10, help="test clips (default %(default)s)")
    parser.add_argument("--dev-clips", type=int, default=4, help="clips of the font to choose by (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other clips of the same kind (default %(default)s)")
    args = parser.parse_args(argv)
    clips = dict(zip(SPLITS, (args.clips, args.valid_clips, args.test_clips, args.dev_clips), strict=True))
    if min(clips.values()) < 1:
        parser.error("each split needs at least one clip an instrument")
    cache = args.cache or args.out.resolve().parent / "package"
    try:
        given = {"train": args.font, "dev": args.dev_font, "test": args.test_font}
        fonts = {split: given[split] or _fetched(package, cache) for split, package in PACKAGES.items()}
        for font in fonts.values():
            SoundFont(font)  # or an error, before anything is played
        written = write_clips(fonts | {"valid": fonts["train"]}, clips, args.out, args.seed)
    except (PackageError, FontError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(instruments())} instruments; clips: {written} in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
