"""Generates the world: ``python -m one_peace.examples.world.generate --out DIR``.

Pictures with captions and sounds with captions, but never a sound with a picture: the two training sets show different
scenes (no scene of one is in the other). Validation and test scenes are in neither. Written under DIR:

    image_text/{train,valid,test}.tsv   image_id, image, caption   (+ image_text/images/*.png)
    audio_text/{train,valid,test}.tsv   uniq_id, audio, text       (+ audio_text/sounds/*.wav)
    test.tsv                            id, image, caption, audio  one row a held-out scene, all three views of it

Every file is a function of (seed, split, row), whatever the number of worker processes.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from one_peace.data.prepare.files import write_manifest
from one_peace.examples.processes import in_processes
from one_peace.examples.world.picture import draw
from one_peace.examples.world.scene import Scene, all_groups, all_pairs, caption
from one_peace.examples.world.sound import RATE, play

# Shares of all scenes that each split may show; the four sets of scenes are disjoint.
SHARES = {"image_train": 0.4, "audio_train": 0.4, "valid": 0.1, "test": 0.1}
GROUP_SHARE = 0.3  # of the training rows; the rest are pairs


@dataclass(frozen=True)
class Row:
    """One sample to render: which split and number it has, and which views of its scene are wanted."""

    split: str
    number: int
    scene: Scene
    picture: bool
    sound: bool

    @property
    def name(self) -> str:
        """The sample's id, unique among all sets."""
        return f"{self.split}_{self.number:06d}"


def split_scenes(seed: int) -> dict[str, dict[str, list[Scene]]]:
    """Deals all scenes, shuffled, out to the splits of `SHARES`: split -> {"group": scenes, "pair": scenes}."""
    rng = np.random.default_rng(seed)
    dealt: dict[str, dict[str, list[Scene]]] = {split: {} for split in SHARES}
    for kind, scenes in (("group", all_groups()), ("pair", all_pairs())):
        shuffled = [scenes[i] for i in rng.permutation(len(scenes))]
        bounds = np.round(np.cumsum([0.0, *SHARES.values()]) * len(shuffled)).astype(int)
        for split, begin, end in zip(SHARES, bounds[:-1], bounds[1:], strict=True):
            dealt[split][kind] = shuffled[begin:end]
    return dealt


def plan_rows(train: int, valid: int, test: int, seed: int) -> list[Row]:
    """Chooses the scene of every row: training rows draw with replacement, held-out rows are all different.

    Raises:
        ValueError: more held-out rows are asked for than there are held-out scenes.
    """
    dealt = split_scenes(seed)
    rng = np.random.default_rng([seed, 1])
    rows = []
    for split, picture in (("image_train", True), ("audio_train", False)):
        for number in range(train):
            scenes = dealt[split]["group" if rng.random() < GROUP_SHARE else "pair"]
            rows.append(Row(split, number, scenes[int(rng.integers(len(scenes)))], picture, not picture))
    for split, count in (("valid", valid), ("test", test)):
        scenes = dealt[split]["group"] + dealt[split]["pair"]
        if count > len(scenes):
            raise ValueError(f"--{split} {count}: only {len(scenes)} scenes are held out for it; ask for fewer")
        for number, choice in enumerate(rng.permutation(len(scenes))[:count]):
            rows.append(Row(split, number, scenes[int(choice)], True, True))
    return rows


def render(row: Row, out: Path, image_size: int, seed: int) -> tuple[Row, str]:
    """Writes the picture and the sound of `row` (PNG; 16-bit mono wav of one second); returns it with its caption."""
    words, picture, sound = np.random.default_rng([seed, *row.name.encode()]).spawn(3)
    if row.picture:
        draw(row.scene, image_size, picture).save(out / _image_path(row))
    if row.sound:
        soundfile.write(out / _sound_path(row), play(row.scene, sound), RATE, subtype="PCM_16")
    return row, caption(row.scene, words)


def generate(
    out: Path, train: int, valid: int, test: int, seed: int, image_size: int = 64, workers: int | None = None
) -> None:
    """Generates the world into `out` (see the module's text); existing files of the same names are replaced."""
    rows = plan_rows(train, valid, test, seed)
    for folder in ("image_text/images", "audio_text/sounds"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    job = partial(render, out=out, image_size=image_size, seed=seed)
    _write_manifests(out, list(in_processes(job, rows, "world", "scene", workers)))


def _write_manifests(out: Path, done: Sequence[tuple[Row, str]]) -> None:
    for split in ("train", "valid", "test"):
        pictures = [
            (r.name, "images/" + _image_path(r).name, text) for r, text in done if r.picture and split in r.split
        ]
        sounds = [(r.name, "sounds/" + _sound_path(r).name, text) for r, text in done if r.sound and split in r.split]
        write_manifest(out / "image_text" / f"{split}.tsv", ("image_id", "image", "caption"), pictures)
        write_manifest(out / "audio_text" / f"{split}.tsv", ("uniq_id", "audio", "text"), sounds)
    views = [(r.name, str(_image_path(r)), text, str(_sound_path(r))) for r, text in done if r.split == "test"]
    write_manifest(out / "test.tsv", ("id", "image", "caption", "audio"), views)


def _image_path(row: Row) -> Path:
    return Path("image_text", "images", f"{row.name}.png")


def _sound_path(row: Row) -> Path:
    return Path("audio_text", "sounds", f"{row.name}.wav")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.world.generate",
        description="Generate a small world of pictures, captions and sounds (no sound is ever paired with a picture).",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--train", type=int, default=8000, help="training pictures, and as many sounds (default 8000)")
    parser.add_argument("--valid", type=int, default=200, help="validation scenes (default 200)")
    parser.add_argument("--test", type=int, default=200, help="test scenes, in all three modalities (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another world (default 1)")
    parser.add_argument("--image-size", type=int, default=64, help="side of the pictures in pixels (default 64)")
    parser.add_argument("--workers", type=int, default=None, help="processes (default: one a CPU)")
    args = parser.parse_args(argv)
    if min(args.train, args.valid, args.test) < 1 or args.seed < 0 or args.image_size < 16:
        parser.error("--train, --valid and --test must be at least 1, --seed at least 0, --image-size at least 16")
    try:
        generate(args.out, args.train, args.valid, args.test, args.seed, args.image_size, args.workers)
    except ValueError as error:
        parser.error(str(error))
    print(f"{args.train} pictures, {args.train} sounds and {args.test} test scenes in {args.out}")


if __name__ == "__main__":
    main()
