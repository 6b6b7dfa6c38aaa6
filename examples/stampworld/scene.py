"""Scenes: one to four stamps on a plain or graded canvas, and where each is, to the pixel.

A scene is a record (what its questions, captions and boxes are made from) and can be drawn from it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from one_peace.examples.stampworld.catalogue import ONE_WAY, Sticker

COLOURS = {
    "red": (205, 50, 50),
    "orange": (240, 150, 50),
    "yellow": (240, 225, 90),
    "green": (80, 165, 80),
    "blue": (70, 110, 210),
    "purple": (140, 75, 170),
    "pink": (245, 170, 200),
    "gray": (150, 150, 150),
}
SHAPES = ((1.0, 1.0), (1.0, 0.75), (0.75, 1.0))  # width and height of canvases, as shares of the longer side
COUNTS = {1: 0.15, 2: 0.3, 3: 0.3, 4: 0.25}
# Longer sides of things, as shares of the canvas's shorter one, by how many there are.
SIZES = {1: (0.5, 0.85), 2: (0.38, 0.65), 3: (0.32, 0.52), 4: (0.28, 0.46)}
OVERLAP = 0.1  # of the smaller of two boxes, at most
SOLID = 128  # alpha from which a pixel belongs to a stamp
_TRIES = 20  # places for a size
_CONTRAST = 70.0  # between a stamp's mean colour and the background's, if it can be had


@dataclass(frozen=True)
class Thing:
    """A pasted stamp: which, scaled to which size, pasted where, mirrored or not, and the box (x, y, width, height) of
    its solid pixels."""

    sticker: Sticker
    size: tuple[int, int]
    at: tuple[int, int]
    mirrored: bool
    box: tuple[int, int, int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """Of the box."""
        x, y, width, height = self.box
        return x + width / 2, y + height / 2

    @property
    def area(self) -> int:
        """Of the box."""
        return self.box[2] * self.box[3]


@dataclass(frozen=True)
class Scene:
    """Things in the order in which they are pasted, on a canvas of a size (width, height) and colour; ``shade`` is how
    much brighter its top and darker its bottom are (0: plain)."""

    size: tuple[int, int]
    colour: str
    shade: int
    things: tuple[Thing, ...]

    def record(self) -> dict:
        """The scene in plain types."""
        things = [
            {**asdict(thing), "sticker": thing.sticker.stamp, "words": list(thing.sticker.words)}
            for thing in self.things
        ]
        return {"size": self.size, "colour": self.colour, "shade": self.shade, "things": things}


class Compositor:
    """Makes and draws scenes from stickers.

    Args:
        stickers: what may be pasted.
        side: longer side of the pictures in pixels.
    """

    def __init__(self, stickers: Sequence[Sticker], side: int):
        self.side = side
        self.by_kind: dict[str, list[Sticker]] = {}
        for sticker in stickers:
            self.by_kind.setdefault(sticker.kind, []).append(sticker)

    def compose(self, rng: np.random.Generator) -> Scene:
        """A scene; often it shows several things of one kind, so that there is something to count and to compare."""
        size = tuple(int(share * self.side) for share in SHAPES[int(rng.integers(len(SHAPES)))])
        stickers = self._choose(rng)
        return _scene(stickers, SIZES[len(stickers)], size, rng)

    def _choose(self, rng: np.random.Generator) -> list[Sticker]:
        count = int(rng.choice(list(COUNTS), p=list(COUNTS.values())))
        kinds = sorted(self.by_kind)
        first = kinds[int(rng.integers(len(kinds)))]
        chosen = [first]
        while len(chosen) < count:
            chosen.append(first if rng.random() < 0.45 else kinds[int(rng.integers(len(kinds)))])
        stickers: list[Sticker] = []
        for kind in chosen:
            same = [sticker for sticker in stickers if sticker.kind == kind]
            choices = same if same and rng.random() < 0.3 else self.by_kind[kind]
            stickers.append(choices[int(rng.integers(len(choices)))])
        return stickers


def single(sticker: Sticker, sizes: tuple[float, float], canvas: tuple[int, int], rng: np.random.Generator) -> Scene:
    """One sticker alone; its longer side is a share within ``sizes`` of the canvas's shorter one."""
    return _scene([sticker], sizes, canvas, rng)


def _scene(
    stickers: Sequence[Sticker], sizes: tuple[float, float], canvas: tuple[int, int], rng: np.random.Generator
) -> Scene:
    things: list[Thing] = []
    for sticker in stickers:
        things.append(_place(sticker, things, sizes, canvas, rng))
    shade = int(rng.integers(10, 35)) * int(rng.integers(-1, 2))
    return Scene(canvas, _background(stickers, rng), shade, tuple(things))


def _place(
    sticker: Sticker,
    others: Sequence[Thing],
    sizes: tuple[float, float],
    canvas: tuple[int, int],
    rng: np.random.Generator,
) -> Thing:
    """Somewhere wholly on the canvas; smaller and smaller until there is room."""
    side = rng.uniform(*sizes) * min(canvas)
    mirrored = sticker.kind not in ONE_WAY and bool(rng.random() < 0.5)
    while True:
        size = _fit(cut_out(sticker.picture).size, side)
        left, top, right, bottom = solid_box(scaled(sticker.picture, size, mirrored))
        for _ in range(_TRIES):
            x, y = (int(rng.integers(room - used + 1)) for room, used in zip(canvas, size, strict=True))
            thing = Thing(sticker, size, (x, y), mirrored, (x + left, y + top, right - left, bottom - top))
            if all(_overlap(thing.box, other.box) <= OVERLAP for other in others):
                return thing
        side *= 0.9


def _background(stickers: Sequence[Sticker], rng: np.random.Generator) -> str:
    """A colour unlike that of any of the stickers, or as unlike as there is."""
    names = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))]
    means = [mean_colour(sticker.picture) for sticker in stickers]
    contrast = {name: min(float(np.linalg.norm(COLOURS[name] - mean)) for mean in means) for name in names}
    return next((name for name in names if contrast[name] >= _CONTRAST), max(names, key=contrast.__getitem__))


def draw(scene: Scene) -> Image.Image:
    """The scene's picture."""
    width, height = scene.size
    shades = np.linspace(scene.shade, -scene.shade, height)[:, None, None]
    pixels = (np.array(COLOURS[scene.colour]) + shades).clip(0, 255).astype(np.uint8)
    canvas = Image.fromarray(np.broadcast_to(pixels, (height, width, 3)).copy())
    for thing in scene.things:
        stamp = scaled(thing.sticker.picture, thing.size, thing.mirrored)
        canvas.paste(stamp, thing.at, mask=stamp.getchannel("A"))
    return canvas


@cache
def cut_out(picture: Path) -> Image.Image:
    """The stamp as RGBA without the transparent margin around it, at most 256 pixels long.

    Raises:
        ValueError: nothing of it is solid.
    """
    with Image.open(picture) as file:
        stamp = file.convert("RGBA")
    stamp.thumbnail((256, 256), Image.Resampling.BOX)
    box = stamp.getchannel("A").point(lambda alpha: 255 * (alpha >= SOLID)).getbbox()
    if box is None:
        raise ValueError(f"{picture}: nothing of this stamp can be seen")
    return stamp.crop(box)


@lru_cache(maxsize=512)
def scaled(picture: Path, size: tuple[int, int], mirrored: bool) -> Image.Image:
    """The stamp as it is pasted."""
    stamp = cut_out(picture).resize(size, Image.Resampling.LANCZOS)
    return ImageOps.mirror(stamp) if mirrored else stamp


def solid_box(stamp: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the solid pixels; the whole stamp where scaling has left none."""
    return stamp.getchannel("A").point(lambda alpha: 255 * (alpha >= SOLID)).getbbox() or (0, 0, *stamp.size)


@cache
def mean_colour(picture: Path) -> np.ndarray:
    """float64[3], by the solid pixels."""
    pixels = np.asarray(cut_out(picture))
    return pixels[pixels[..., 3] >= SOLID][:, :3].mean(axis=0)


def _fit(size: tuple[int, int], side: float) -> tuple[int, int]:
    """The size scaled to the longer side ``side``."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """The share of the smaller box that the boxes have in common."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height) / min(a[2] * a[3], b[2] * b[3])
