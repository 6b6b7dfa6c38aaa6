"""A few generated samples of every benchmark as the released manifests have them, on media of `small_data`."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.small_data import COLOURS, SIZES, train_vocabulary, write_pictures, write_sounds

ROWS = 12
# five rows: no batch size divides them, and neither do two ranks
VALID = range(0, 10, 2)
CAPTIONS = [f"a {size} {colour} square" for colour in COLOURS for size in SIZES]
PICTURES = [f"images/{n:04d}.jpg" for n in range(1, ROWS + 1)]  # 40 + n by 48 pixels
SOUNDS = [f"audio/{n:04d}.wav" for n in range(1, ROWS + 1)]
FRAMES = ["|".join(PICTURES[n % ROWS] for n in range(first, first + 4)) for first in range(ROWS)]
COLOUR_OF = [row // len(SIZES) for row in range(ROWS)]


def write_all(folder: Path) -> None:
    """``folder/data/TASK/`` with train.tsv and valid.tsv of each task, and ``folder/data/bpe``."""
    media = folder / "media"
    write_pictures(media / "pictures")
    write_sounds(media / "sounds")
    train_vocabulary(folder / "data" / "bpe")
    for task, (columns, rows) in _manifests().items():
        data = folder / "data" / task
        data.mkdir()
        (data / "images").symlink_to(media / "pictures" / "images")
        (data / "audio").symlink_to(media / "sounds" / "audio")
        write_manifest(data / "train.tsv", columns, rows)
        write_manifest(data / "valid.tsv", columns, [rows[i] for i in VALID])
    _write_names(folder / "data")


def write_manifest(path: Path, columns: str, rows: Sequence[Sequence[object]]) -> None:
    """A header of comma separated ``columns``, and the rows."""
    lines = [columns.split(","), *rows]
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def _manifests() -> dict[str, tuple[str, list[tuple]]]:
    rows = range(ROWS)
    sounds = "uniq_id,audio,text,duration"

    def sound(row: int, text: object) -> tuple:
        return f"s{row}", SOUNDS[row], text, "1.0"

    return {
        "image_text_retrieval": ("image_id,image,caption", [(f"i{r}", PICTURES[r], CAPTIONS[r]) for r in rows]),
        "audio_text_retrieval": (sounds, [sound(r, CAPTIONS[r]) for r in rows]),
        "vqa": ("uniq_id,image,question,refs", [(100 + r, PICTURES[r], "what colour?", _refs(r)) for r in rows]),
        "nlvr2": (
            "uniq_id,text,image1,image2,label",
            [(f"t-{r}", CAPTIONS[r], PICTURES[r], PICTURES[(r + 5) % ROWS], r % 2 == 0) for r in rows],
        ),
        "refcoco": (
            "uniq_id,image,text,region_coord",
            [(f"r{r}", PICTURES[r], CAPTIONS[r], f"{r}.5,3,{r + 20},40.25") for r in rows],
        ),
        "fsd50k": (sounds, [sound(r, f"{COLOUR_OF[r]},{4 + r % 2}") for r in rows]),
        "vggsound": (f"{sounds},frames", [(*sound(r, COLOUR_OF[r]), FRAMES[r]) for r in rows]),
        "aqa": (f"{sounds},frames", [(*sound(r, _question(r)), FRAMES[r]) for r in rows]),
        "image_classify": ("image_id,image,label", [(f"i{r}", PICTURES[r], COLOURS[COLOUR_OF[r]]) for r in rows]),
        "zero_shot_classify": ("uniq_id,audio,label", [(f"s{r}", SOUNDS[r], COLOUR_OF[r]) for r in rows]),
    }


def _refs(row: int) -> str:
    right, near = COLOUR_OF[row], (COLOUR_OF[row] + 1) % len(COLOURS)
    return f"{COLOURS[right]}|!+{right}|!+1.0&&{COLOURS[near]}|!+{near}|!+0.3"


def _question(row: int) -> str:
    return "&&&".join(["which colour?", *COLOURS, str(COLOUR_OF[row])])


def _write_names(data: Path) -> None:
    (data / "ans2label.json").write_text(json.dumps({colour: i for i, colour in enumerate(COLOURS)}))
    (data / "colours.txt").write_text("\n".join(COLOURS) + "\n")
    for task, letter in (("image_text_retrieval", "i"), ("audio_text_retrieval", "s")):
        # a sound of the set has two texts, one of which another one shares; one id has no row
        texts = {f"{letter}{r}": [CAPTIONS[r], f"some {COLOURS[COLOUR_OF[r]]} thing"] for r in [*VALID, 11]}
        (data / task / "candidates.json").write_text(json.dumps(texts))
