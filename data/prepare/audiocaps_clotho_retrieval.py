"""AudioCaps, Clotho and, to train on, MACS: audio-text retrieval.

python -m one_peace.data.prepare.audiocaps_clotho_retrieval --audiocaps AUDIOCAPS --clotho CLOTHO --macs MACS --out OUT

train.tsv holds every caption of AudioCaps train, Clotho development and MACS; valid.tsv AudioCaps val;
audiocaps_test.tsv, clotho_valid.tsv and clotho_test.tsv (Clotho's "evaluation") one row a sound. Beside each but train
lies a JSON with all captions. MACS, AudioCaps or Clotho may be left out; without AudioCaps valid.tsv is Clotho
validation.

AUDIOCAPS holds train.csv, val.csv, test.csv, and sounds named by youtube id, Y + youtube id or audiocap id in any
sub-folder; where one clip is cut for several splits, name sub-folders train, val and test.
CLOTHO holds clotho_captions_{development,validation,evaluation}.csv and the folders development, validation and
evaluation. MACS holds MACS.yaml and the sounds of TAU Urban Acoustic Scenes 2019, development.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from one_peace.data.errors import DataError
from one_peace.data.prepare.captions import Captioned, Found, find_all, write_sounds
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import Entry, read_table, read_text
from one_peace.data.prepare.media import SOUNDS, LeftOut, MediaFolder

_CLOTHO_CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))
_AUDIOCAPS_SPLITS = {"train": "train", "val": "valid", "test": "audiocaps_test"}
_CLOTHO_SPLITS = {"development": "train", "validation": "clotho_valid", "evaluation": "clotho_test"}


def read_audiocaps(path: Path) -> list[Captioned]:
    """The clips of train.csv, val.csv or test.csv, each with all its captions."""
    clips: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for row in read_table(path, ("audiocap_id", "youtube_id", "start_time", "caption")):
        ids, captions = clips.setdefault((row.text("youtube_id"), row.text("start_time")), ([], []))
        ids.append(row.text("audiocap_id"))
        captions.append(row.text("caption"))
    items = []
    for (youtube, start), (ids, captions) in clips.items():
        names = [youtube, f"Y{youtube}", f"{youtube}_{start}", *ids]
        items.append(Captioned(f"audiocaps_{youtube}_{start}", [f"{path.stem}/{n}" for n in names] + names, captions))
    return items


def read_clotho(path: Path) -> list[Captioned]:
    """The sounds of one of Clotho's caption files."""
    rows = read_table(path, ("file_name", *_CLOTHO_CAPTIONS))
    names = ((row.text("file_name"), [row.text(c) for c in _CLOTHO_CAPTIONS]) for row in rows)
    folder = path.stem.removeprefix("clotho_captions_")
    return [Captioned(f"clotho_{Path(name).stem}", [f"{folder}/{name}", name], texts) for name, texts in names]


def read_macs(path: Path) -> list[Captioned]:
    """The sounds of MACS.yaml."""
    # all scalars stay texts, "yes" and "12" too; the loader in C is ten times as fast
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        tree = yaml.load(read_text(path), loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"the file is no YAML ({' '.join(str(error).split())})", file=path) from None
    sounds = Entry.list_of(Entry(tree, path, "file").get("files", list), path, "file")
    return [
        Captioned(
            f"macs_{Path(sound.text('filename')).stem}",
            [sound.text("filename")],
            [annotation.text("sentence") for annotation in sound.entries("annotations")],
        )
        for sound in sounds
    ]


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests."""
    if not options.audiocaps and not options.clotho:
        raise DataError("name --audiocaps, --clotho or both")
    clotho_splits = _CLOTHO_SPLITS if options.audiocaps else _CLOTHO_SPLITS | {"validation": "valid"}
    sources = [
        (options.audiocaps, _AUDIOCAPS_SPLITS, "{}.csv", read_audiocaps),
        (options.clotho, clotho_splits, "clotho_captions_{}.csv", read_clotho),
        (options.macs, {"MACS": "train"}, "{}.yaml", read_macs),
    ]
    found: dict[str, list[Found]] = {}
    left_out: dict[str, LeftOut] = {}
    for folder, splits, file, read in sources:
        if folder:
            media = MediaFolder(folder, SOUNDS, options.out)
            for split, manifest in splits.items():
                path = folder / file.format(split)
                if options.missing == "skip" and not path.is_file():
                    print(f"{path}: not there, left out of {manifest}.tsv")
                    continue
                lost = left_out.setdefault(manifest, LeftOut(options.missing))
                found.setdefault(manifest, []).extend(find_all(read(path), media, lost))
    for manifest, items in found.items():
        write_sounds(items, options.out / f"{manifest}.tsv", left_out[manifest])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--audiocaps", type=Path, help="folder with AudioCaps' csv files and sounds")
    parser.add_argument("--clotho", type=Path, help="folder with Clotho's csv files and sounds")
    parser.add_argument("--macs", type=Path, help="folder with MACS.yaml and its sounds")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
