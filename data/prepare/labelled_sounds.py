"""Manifests of sounds with something to predict, with pictures of the video as an option."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from one_peace.data.errors import DataError
from one_peace.data.prepare.media import (
    IMAGES,
    SOUNDS,
    LeftOut,
    MediaFolder,
    read_durations,
    without_damaged,
    write_rows,
)
from one_peace.data.sources import FRAME_SEPARATOR

COLUMNS = ("uniq_id", "audio", "text", "duration")
FRAMES = "frames"


class LabelledSound(NamedTuple):
    """A sound: its id, the names its file may have, the cell of its ``text`` column."""

    id: str
    names: Sequence[str]
    text: str


def add_sound_options(parser: argparse.ArgumentParser) -> None:
    """--sounds, --frames and --num-frames."""
    parser.add_argument("--sounds", type=Path, required=True, help="folder of the sounds")
    parser.add_argument("--frames", type=Path, help="folder with a sub-folder of pictures for each video")
    parser.add_argument(
        "--num-frames", type=int, default=16, help="at most so many of a video, evenly spaced (default: %(default)s)"
    )


def write_splits(
    splits: Mapping[str, Sequence[LabelledSound]],
    sounds: Path,
    out: Path,
    missing: str,
    frames: Path | None = None,
    num_frames: int = 16,
) -> None:
    """``out/{split}.tsv`` for each split, of the sounds below ``sounds`` and, if given, pictures below ``frames``."""
    sound_folder = MediaFolder(sounds, SOUNDS, out)
    frame_folder = MediaFolder(frames, IMAGES, out) if frames else None
    for split, members in splits.items():
        path, left_out = out / f"{split}.tsv", LeftOut(missing)
        cells = [sound_folder.find(*sound.names) for sound in members]
        seconds = read_durations([cell or "" for cell in cells], out)
        rows = []
        for sound, cell, duration in zip(members, cells, seconds, strict=True):
            pictures = [pick_frames(frame_folder, sound.names, num_frames)] if frame_folder else []
            if duration is None:
                left_out.add_missing(cell or sound.names[0])
            elif "" in pictures:
                left_out.add_missing(f"frames of {sound.names[0]}")
            else:
                rows.append((sound.id, cell, sound.text, f"{duration:.2f}", *pictures))
        rows = without_damaged(rows, lambda row: (row[1],), "audio", path, left_out)
        if frame_folder:
            rows = without_damaged(rows, lambda row: row[4].split(FRAME_SEPARATOR), "image", path, left_out)
        left_out.finish(path)
        write_rows(path, COLUMNS + ((FRAMES,) if frames else ()), rows, left_out)


def pick_frames(frames: MediaFolder, names: Sequence[str], count: int) -> str:
    """``count`` pictures of a video (fewer if it has fewer), evenly spaced and joined by ``|``; "" if there is none."""
    found = next((frames.by_folder[name] for name in names if name in frames.by_folder), [])
    count = min(count, len(found))
    # the middle of each of `count` equal parts
    cells = [frames.find(found[(2 * part + 1) * len(found) // (2 * count)]) for part in range(count)]
    if broken := [cell for cell in cells if FRAME_SEPARATOR in cell]:
        raise DataError(
            f"{FRAME_SEPARATOR!r} separates pictures in a manifest", file=broken[0], remedy="Rename the file"
        )
    return FRAME_SEPARATOR.join(cells)
