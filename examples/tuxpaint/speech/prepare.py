"""Makes manifests of Tux Paint's recordings: ``python -m one_peace.examples.tuxpaint.speech.prepare --out DIR``.

Writes below DIR

    data/       stage 1, as one_peace.examples.tuxpaint.prepare does: stamps with captions in English and in the nine
                languages that hundreds of recordings speak
    sounds/     stage 2: uniq_id, audio, text, duration, language; a recording with its caption in its language, or a
                sound effect with the English one
        train.tsv                   nine tenths of them, also played slower and faster, with other timbres; and all
                                    captions, the others' too, in a synthesiser's voices
        valid.tsv                   a tenth of those, as they are: to see how far training has got
        held_out.tsv                the last tenth
    views/      to evaluate: id, language, kind, audio, text, image
        trained.tsv, held_out.tsv   recordings with their captions and pictures; and, with empty cells, all captions
                                    of each language and all pictures: what is searched among
        held_out_alone.tsv          the same held-out recordings, to be searched among themselves

Pictures and recordings meet in views/ only.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from one_peace.data.prepare.files import write_manifest
from one_peace.examples.augment import RATE, at_speed, colour, level
from one_peace.examples.processes import in_processes
from one_peace.examples.tuxpaint import prepare
from one_peace.examples.tuxpaint.debian import PackageError
from one_peace.examples.tuxpaint.recordings import SPOKEN, load_trimmed
from one_peace.examples.tuxpaint.speech.recordings import (
    GROUPS,
    Recording,
    caption_in,
    find_recordings,
    one_in_ten,
    stamps_by_caption,
)
from one_peace.examples.tuxpaint.stamps import Stamp, find_stamps

if TYPE_CHECKING:
    from one_peace.examples.tuxpaint.speech.voices import Spoken

LONGEST = 15.0  # seconds of a recording that are kept
SOUND_COLUMNS = ("uniq_id", "audio", "text", "duration", "language")
VIEW_COLUMNS = ("id", "language", "kind", "audio", "text", "image")


@dataclass(frozen=True)
class Clip:
    """A recording played at ``speed``, in a file of so many ``seconds``."""

    recording: Recording
    speed: float
    seconds: float

    def row(self) -> tuple[str, ...]:
        """Its row in the manifests of sounds."""
        path = sound_path(self.recording, self.speed)
        recording = self.recording
        return (path.with_suffix("").as_posix(), str(path), recording.caption, f"{self.seconds:.2f}", recording.group)


def write_sounds(recordings: Sequence[Recording], speeds: Sequence[float], out: Path) -> list[Clip]:
    """Writes recordings without the silence around them, mono at 16 kHz, but for silent ones.

    Those to be trained on are also written at further ``speeds``, as a slower and lower or a faster and higher voice,
    each `colour`ed.
    """
    write = partial(_write_recording, speeds=speeds, out=out)
    return [clip for clips in in_processes(write, recordings, "recordings", "file") for clip in clips]


def _write_recording(recording: Recording, speeds: Sequence[float], out: Path) -> list[Clip]:
    wave, clips = load_trimmed(recording.path, LONGEST), []
    rng = np.random.default_rng(list(hashlib.sha256(recording.name.encode()).digest()))
    for speed in [1.0, *([] if recording.held_out else speeds)] if len(wave) else []:
        path = out / sound_path(recording, speed)
        path.parent.mkdir(parents=True, exist_ok=True)
        played = level(wave) if speed == 1 else colour(at_speed(wave, speed), rng)
        soundfile.write(path, played, RATE, subtype="PCM_16")
        clips.append(Clip(recording, speed, len(played) / RATE))
    return clips


def sound_path(recording: Recording, speed: float = 1.0) -> Path:
    """Where a recording lies below the folder of the manifests."""
    return Path("audio", f"{recording.name}{'' if speed == 1 else f'@{speed:g}'}.flac")


def spoken_captions(stamps: Iterable[Stamp]) -> list[tuple[str, str]]:
    """Every (language, caption) that a recording might speak, once."""
    return sorted({(g, caption) for stamp in stamps for g in SPOKEN if (caption := caption_in(stamp, g))})


def write_sound_manifests(clips: Iterable[Clip], spoken: Iterable["Spoken"], out: Path) -> None:
    """Writes train.tsv, valid.tsv and held_out.tsv; what is ``spoken`` by a synthesiser belongs to the first."""
    rows: dict[str, list[Sequence[str]]] = {"train": [], "valid": [], "held_out": []}
    for one in spoken:
        name = one.path.with_suffix("").as_posix()
        rows["train"].append((name, str(one.path), one.caption, f"{one.seconds:.2f}", one.language))
    for clip in clips:
        trained = not clip.recording.held_out
        rows["train" if trained else "held_out"].append(clip.row())
        if trained and clip.speed == 1 and one_in_ten("valid", clip.recording.name):
            rows["valid"].append(clip.row())
    for split, chosen in rows.items():
        write_manifest(out / f"{split}.tsv", SOUND_COLUMNS, chosen)


def write_views(
    stamps: Sequence[Stamp],
    recordings: Iterable[Recording],
    data: Path,
    sounds: Path,
    path: Path,
    alone: bool = False,
) -> None:
    """Writes one manifest of views of ``recordings``, whose files lie below ``sounds``; pictures lie below ``data``.

    Unless ``alone``, all captions and pictures follow: more to search among.
    """
    sounds_at, data_at = (Path(os.path.relpath(folder, path.parent)) for folder in (sounds, data))
    shown = {group: stamps_by_caption(stamps, group) for group in GROUPS}

    def rows() -> Iterator[tuple[str, ...]]:
        for recording in recordings:
            audio = str(sounds_at / sound_path(recording))
            for stamp in shown[recording.group][recording.caption]:
                yield view(recording.group, stamp, audio)
        for stamp in () if alone else stamps:
            yield from (view(group, stamp) for group in GROUPS if caption_in(stamp, group))
            yield view("", stamp)

    def view(group: str, stamp: Stamp, audio: str = "") -> tuple[str, ...]:
        picture = str(data_at / prepare.picture_path(stamp))
        caption = caption_in(stamp, group) if group else ""
        return (f"{group}/{stamp.name}", group, stamp.name.split("/")[0], audio, caption, picture)

    write_manifest(path, VIEW_COLUMNS, rows())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.tuxpaint.speech.prepare",
        description="Make manifests of Tux Paint's stamps and recordings.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for data/, sounds/ and views/")
    parser.add_argument("--cache", type=Path, help="folder for the package (default: OUT/package)")
    parser.add_argument("--package", type=Path, help=f"a {prepare.PACKAGE} .deb you have, instead of downloading it")
    parser.add_argument(
        "--speeds",
        type=float,
        nargs="*",
        default=[0.9, 1.1],
        help="also train on recordings this fast (default 0.9 1.1)",
    )
    parser.add_argument(
        "--voices",
        type=int,
        default=16,
        help="so many of a synthesiser say each caption too (default 16; 0: people only)",
    )
    parser.add_argument("--vocab-size", type=int, default=3000, help="size of the vocabulary (default 3000)")
    args = parser.parse_args(argv)
    if bad := [speed for speed in args.speeds if not 0.5 <= speed <= 2 or speed == 1]:
        parser.error(f"--speeds are between 0.5 and 2 and not 1, got {bad[0]}")
    if not 0 <= args.voices <= 100:
        parser.error(f"--voices is between 0 and 100, got {args.voices}")
    if args.voices and not find_spec("espeakng_loader"):
        parser.error("--voices needs eSpeak NG: pip install espeakng-loader, or give --voices 0")
    cache, data, sounds = args.cache or args.out / "package", args.out / "data", args.out / "sounds"
    package = ["--package", str(args.package)] if args.package else []
    stage1 = ["--out", str(data), "--cache", str(cache), "--languages", "spoken", "--vocab-size", str(args.vocab_size)]
    if status := prepare.main([*stage1, *package]):
        return status
    try:
        root = prepare.fetch_stamps(args.package, cache)
    except PackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    stamps = list(find_stamps(root))
    recordings = find_recordings(root, {stamp.name: stamp for stamp in stamps})
    clips = write_sounds(recordings, args.speeds, sounds)
    spoken = []
    if args.voices:
        from one_peace.examples.tuxpaint.speech.voices import write_spoken  # needs eSpeak NG

        spoken = write_spoken(spoken_captions(stamps), args.voices, LONGEST, sounds)
    write_sound_manifests(clips, spoken, sounds)
    views = args.out / "views"
    for name, held_out in (("trained", False), ("held_out", True)):
        seconds = {c.recording: c.seconds for c in clips if c.speed == 1 and c.recording.held_out is held_out}
        write_views(stamps, seconds, data, sounds, views / f"{name}.tsv")
        if held_out:
            write_views(stamps, seconds, data, sounds, views / "held_out_alone.tsv", alone=True)
        print(f"{name}: {len(seconds)} recordings, {sum(seconds.values()) / 60:.0f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
