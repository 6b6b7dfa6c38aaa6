"""Retrieval manifests: one row a caption to train on, one row a picture or sound to evaluate, with all its captions."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from one_peace.data.prepare.command import report
from one_peace.data.prepare.files import Entry, clean_cell, read_json, write_json, write_manifest
from one_peace.data.prepare.media import IMAGES, LeftOut, MediaFolder, read_durations

IMAGE_COLUMNS = ("image_id", "image", "caption")
AUDIO_COLUMNS = ("uniq_id", "audio", "text", "duration")


class Captioned(NamedTuple):
    """A picture or sound: its id, the names its file may have, its captions."""

    id: str
    names: Sequence[str]
    captions: Sequence[str]


class Found(NamedTuple):
    """What `find_all` found: id, the manifest's cell, cleaned captions."""

    id: str
    cell: str
    captions: list[str]


def find_all(items: Sequence[Captioned], media: MediaFolder, left_out: LeftOut) -> list[Found]:
    """The items that have a file and a caption."""
    found = []
    for item in tqdm(items, desc=f"find in {media.folder.name}", unit="item", delay=2, file=sys.stderr):
        captions = [text for text in map(clean_cell, item.captions) if text]
        cell = media.find(*item.names)
        if len(captions) < len(item.captions):
            left_out.add("empty captions", item.id)
        if cell is None:
            left_out.add_missing(item.names[0])
        elif captions:
            found.append(Found(item.id, cell, captions))
    return found


def write_pictures(found: Sequence[Found], path: Path, left_out: LeftOut) -> None:
    """The manifest ``path`` (columns `IMAGE_COLUMNS`); beside that of an evaluation split its candidates."""
    left_out.finish(path)
    rows = [(item.id, item.cell, text) for item in found for text in _captions_of(item, path)]
    report(path, write_manifest(path, IMAGE_COLUMNS, rows), _write_candidates(found, path))


def write_sounds(found: Sequence[Found], path: Path, left_out: LeftOut) -> None:
    """`write_pictures` for sounds (columns `AUDIO_COLUMNS`)."""
    seconds = read_durations([item.cell for item in found], path.parent)
    for item, duration in zip(found, seconds, strict=True):
        if duration is None:
            left_out.add_missing(item.cell)
    left_out.finish(path)
    whole = [(item, duration) for item, duration in zip(found, seconds, strict=True) if duration is not None]
    rows = [(item.id, item.cell, text, f"{s:.2f}") for item, s in whole for text in _captions_of(item, path)]
    report(path, write_manifest(path, AUDIO_COLUMNS, rows), _write_candidates([item for item, _ in whole], path))


def _captions_of(item: Found, path: Path) -> list[str]:
    return item.captions if is_training(path) else item.captions[:1]


def is_training(path: Path) -> bool:
    """Whether a manifest has a row for every caption."""
    return path.name.startswith("train")


def _write_candidates(found: Sequence[Found], path: Path) -> str:
    """Beside an evaluation split the JSON ``{id: [captions]}``; returns what to add to the report."""
    if is_training(path):
        return ""
    candidates: dict[str, list[str]] = {}
    for item in found:
        candidates.setdefault(item.id, []).extend(item.captions)
    write_json(path.with_suffix(".json"), candidates)
    return f", {sum(map(len, candidates.values()))} candidates in {path.stem}.json"


def read_karpathy(path: Path, id_key: str | None) -> dict[str, list[Captioned]]:
    """Karpathy's JSON -> manifest (train, valid, test) -> pictures; "restval" belongs to train.

    Args:
        path: dataset_coco.json or dataset_flickr30k.json.
        id_key: where the id is; None: it is the file's name without its ending.
    """
    train, valid, test = [], [], []
    splits = {"train": train, "restval": train, "val": valid, "test": test}
    for picture in Entry.list_of(Entry(read_json(path), path, "file").get("images", list), path, "image"):
        split = picture.text("split")
        if split not in splits:
            raise picture.error(f"'split' is {split!r}, expected one of {', '.join(splits)}")
        name = picture.text("filename")
        names = [f"{picture.text('filepath')}/{name}", name] if "filepath" in picture else [name]
        captions = [sentence.text("raw") for sentence in picture.entries("sentences")]
        splits[split].append(Captioned(picture.id(id_key) if id_key else Path(name).stem, names, captions))
    return {"train": train, "valid": valid, "test": test}


def write_picture_splits(splits: Mapping[str, Sequence[Captioned]], images: Path, out: Path, missing: str) -> None:
    """A manifest for each split, of the pictures below ``images``."""
    media, left_out = MediaFolder(images, IMAGES, out), LeftOut(missing)
    for split, pictures in splits.items():
        write_pictures(find_all(pictures, media, left_out), out / f"{split}.tsv", left_out)
