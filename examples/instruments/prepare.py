"""Plays the instruments of three sound fonts: ``python -m one_peace.examples.instruments.prepare --out DIR``.

Fetches the Debian packages fluid-soundfont-gm, csound-soundfont and timgm6mb-soundfont (no root, nothing is installed)
and writes

    train.tsv     uniq_id, audio, text, label: clips of the first font, sentences, and what plays; a third of the clips
                  are two instruments of a family at once, of which the sentence says the family
    valid.tsv     the same columns: notes of the first font that train.tsv never plays
    dev.tsv       the same columns: clips of the second font, to choose settings by
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
from one_peace.examples.augment import RATE, colour, level, together
from one_peace.examples.instruments.captions import describe, describe_family
from one_peace.examples.instruments.general_midi import FAMILIES, Instrument, instruments
from one_peace.examples.instruments.music import SPLITS, Music, compose
from one_peace.examples.instruments.sounds import FontError, SoundFont
from one_peace.examples.processes import in_processes
from one_peace.examples.tuxpaint.debian import PackageError, fetch_unpacked

PACKAGES = {"train": "fluid-soundfont-gm", "dev": "csound-soundfont", "test": "timgm6mb-soundfont"}
COLUMNS = ("uniq_id", "audio", "text", "label")
DUET = "duet"  # beside the splits: a training clip of two instruments
_DUETS = 76  # added to the seed: random numbers of their own
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
    music, (wave,) = _play(font, instrument, split, rng)
    name = f"{split}_{instrument.program:03d}_{number:03d}"
    path = _write(name, split, colour(wave, rng) if split == "train" else level(wave), out)
    return name, path, describe(instrument, music, rng), instrument.name


def write_duet(font: SoundFont, instrument: Instrument, number: int, out: Path, seed: int) -> tuple[str, ...]:
    """Writes a training clip that an instrument and another of its family play at once; returns its row.

    Its sentence says the family alone: what sounds is neither of the two, as the instruments of other fonts are not.

    Raises:
        FontError: they cannot be heard, whatever they play.
    """
    rng = np.random.default_rng([_DUETS + seed, instrument.program, number])
    others = [one for one in instruments() if one.family == instrument.family and one != instrument]
    _, waves = _play(font, instrument, "train", rng, others)
    name = f"duet_{instrument.program:03d}_{number:03d}"
    path = _write(name, "train", colour(together(*waves, rng), rng), out)
    return name, path, describe_family(instrument, rng), FAMILIES[instrument.family]


def _play(
    font: SoundFont, instrument: Instrument, split: str, rng: np.random.Generator, others: Sequence[Instrument] = ()
) -> tuple[Music, list[np.ndarray]]:
    """Music, as the instrument plays it, and one of `others` if there are any."""
    for attempt in range(_TRIES):
        players = [instrument, *([others[rng.integers(len(others))]] if others else [])]
        music = compose(instrument, split, rng)
        tuning = rng.uniform(-_TUNING, _TUNING) if split == "train" else 0.0
        # fonts record some keys only: what is tuned by more than half a semitone is played on a key nearby
        moved = replace(music, keys=tuple(key - round(tuning) for key in music.keys))
        velocity = int(rng.integers(50, 127))
        try:
            return music, [font.play(player.program, moved, velocity, tuning) for player in players]
        except FontError:
            if attempt == _TRIES - 1:
                raise


def _write(name: str, split: str, wave: np.ndarray, out: Path) -> str:
    """Writes a clip; returns its path below `out`."""
    path = Path("sounds", split, f"{name}.flac")
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(out / path, wave, RATE)
    return str(path)


def write_clips(
    fonts: Mapping[str, Path], clips: Mapping[str, int], duets: int, out: Path, seed: int
) -> dict[str, int]:
    """Writes sounds and manifests; returns the numbers of rows.

    Args:
        fonts: split -> its font.
        clips: split -> clips an instrument.
        duets: an instrument, among the training clips.
    """
    work = [(split, i, n) for split in SPLITS for i in instruments() for n in range(clips[split])]
    work += [(DUET, i, n) for i in instruments() for n in range(duets)]
    write = partial(_write_clip, fonts=fonts, out=out, seed=seed)
    rows: dict[str, list[tuple[str, ...]]] = {split: [] for split in SPLITS}
    for (kind, *_), row in zip(work, in_processes(write, work, "sounds", "clip"), strict=True):
        rows["train" if kind == DUET else kind].append(row)
    return {split: write_manifest(out / f"{split}.tsv", COLUMNS, rows[split]) for split in SPLITS}


def _write_clip(
    chosen: tuple[str, Instrument, int], fonts: Mapping[str, Path], out: Path, seed: int
) -> tuple[str, ...]:
    kind, instrument, number = chosen
    if kind == DUET:
        return write_duet(_opened(fonts["train"]), instrument, number, out, seed)
    return write_clip(_opened(fonts[kind]), instrument, kind, number, out, seed)


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
    parser.add_argument("--clips", type=int, default=512, help="training clips an instrument (default %(default)s)")
    parser.add_argument("--duets", type=int, default=256, help="and with another of its family (default %(default)s)")
    parser.add_argument("--valid-clips", type=int, default=4, help="validation clips (default %(default)s)")
    parser.add_argument("--test-clips", type=int, default=10, help="test clips (default %(default)s)")
    parser.add_argument("--dev-clips", type=int, default=4, help="clips of the font to choose by (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other clips of the same kind (default %(default)s)")
    args = parser.parse_args(argv)
    clips = dict(zip(SPLITS, (args.clips, args.valid_clips, args.test_clips, args.dev_clips), strict=True))
    if min(clips.values()) < 1 or args.duets < 0:
        parser.error("each split needs at least one clip an instrument, and duets cannot be less than none")
    cache = args.cache or args.out.resolve().parent / "package"
    try:
        given = {"train": args.font, "dev": args.dev_font, "test": args.test_font}
        fonts = {split: given[split] or _fetched(package, cache) for split, package in PACKAGES.items()}
        for font in fonts.values():
            SoundFont(font)  # or an error, before anything is played
        written = write_clips(fonts | {"valid": fonts["train"]}, clips, args.duets, args.out, args.seed)
    except (PackageError, FontError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(instruments())} instruments; clips: {written} in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
