"""Retrieval manifests: one row a caption to train on, one row a picture or sound to evaluate, with all its captions."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from one_peace.data.prepare.files import Entry, clean_cell, read_json, write_json
from one_peace.data.prepare.media import (
    IMAGES,
    LeftOut,
    MediaFolder,
    is_training,
    read_durations,
    without_damaged,
    write_rows,
)

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
    """The items that have a file and a caption, each id once."""
    found, seen = [], set[str]()
    for item in tqdm(items, desc=f"find in {media.folder.name}", unit="item", delay=2, file=sys.stderr):
        captions = [text for text in map(clean_cell, item.captions) if text]
        cell = media.find(*item.names)
        for _ in range(len(item.captions) - len(captions)):
            left_out.add("empty captions", item.id)
        if item.id in seen:
            left_out.add("ids for the second time", item.id)
        elif not captions:
            left_out.add("items without a caption", item.id)
        elif cell is None:
            left_out.add_missing(item.names[0])
        else:
            found.append(Found(item.id, cell, captions))
        seen.add(item.id)
    return found


def write_pictures(found: Sequence[Found], path: Path, left_out: LeftOut) -> None:
    """The manifest ``path`` (columns `IMAGE_COLUMNS`); beside that of an evaluation split its candidates."""
    whole = without_damaged(found, _cells_of, "image", path, left_out)
    left_out.finish(path)
    rows = [(item.id, item.cell, text) for item in whole for text in _captions_of(item, path)]
    write_rows(path, IMAGE_COLUMNS, rows, left_out, _write_candidates(whole, path))


def write_sounds(found: Sequence[Found], path: Path, left_out: LeftOut) -> None:
    """`write_pictures` for sounds (columns `AUDIO_COLUMNS`)."""
    cells = [item.cell for item in found]
    seconds = {cell: s for cell, s in zip(cells, read_durations(cells, path.parent), strict=True) if s is not None}
    for cell in cells:
        if cell not in seconds:
            left_out.add_missing(cell)
    whole = without_damaged([i for i in found if i.cell in seconds], _cells_of, "audio", path, left_out)
    left_out.finish(path)
    rows = [(i.id, i.cell, text, f"{seconds[i.cell]:.2f}") for i in whole for text in _captions_of(i, path)]
    write_rows(path, AUDIO_COLUMNS, rows, left_out, _write_candidates(whole, path))


def _cells_of(item: Found) -> tuple[str]:
    return (item.cell,)


def _captions_of(item: Found, path: Path) -> list[str]:
    """Each has a row to train on; one row stands for all in evaluation."""
    return item.captions if is_training(path) else item.captions[:1]


def _write_candidates(found: Sequence[Found], path: Path) -> str:
    """Beside an evaluation split the JSON ``{id: [captions]}``; returns what to add to the report."""
    if is_training(path) or not found:
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
