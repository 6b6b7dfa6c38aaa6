"""Draws a scene: position, rotation, shade and background vary with the generator, what the caption says does not."""

import math

import numpy as np
from PIL import Image, ImageDraw

from one_peace.examples.world.scene import Group, Scene

RGB = {
    "red": (220, 35, 35),
    "yellow": (240, 215, 30),
    "green": (40, 165, 60),
    "blue": (45, 80, 225),
    "purple": (130, 50, 165),
    "pink": (250, 140, 195),
}
RADIUS = {"small": (0.075, 0.095), "large": (0.14, 0.165)}  # of the picture's side
SUPERSAMPLE = 4  # draw larger, then shrink: PIL's shapes have no smooth edges
MARGIN = 0.06  # training crops away up to 5 % of the side

Placement = tuple[float, float, float]  # centre x, centre y, radius, as shares of the picture's side


def draw(scene: Scene, size: int, rng: np.random.Generator) -> Image.Image:
    """Renders `scene` as an RGB picture of `size` x `size` pixels."""
    canvas = _background(size * SUPERSAMPLE, rng)
    pen = ImageDraw.Draw(canvas)
    if isinstance(scene, Group):
        parts = [(scene.thing, place) for place in _scatter(scene.count, RADIUS[scene.size], rng)]
    else:
        places = _arrange(scene.relation, rng)
        parts = list(zip((scene.first, scene.second), places, strict=True))
        parts.sort(key=lambda part: -part[1][2])  # the thing around is painted before the thing inside
    for thing, place in parts:
        _paint(pen, thing.shape, _shade(RGB[thing.colour], rng), place, canvas.width, rng)
    return canvas.resize((size, size), Image.Resampling.BOX)


def _background(side: int, rng: np.random.Generator) -> Image.Image:
    """A light or a dark grey with a slight tint and a slope of brightness, so that no background tells the scene."""
    base = rng.uniform(200, 245) if rng.random() < 0.5 else rng.uniform(10, 70)
    tint = base + rng.uniform(-8, 8, size=3)
    dy, dx = rng.uniform(-12, 12, size=2)
    ramp = np.linspace(-1, 1, 8)
    pixels = tint + (ramp[:, None, None] * dy + ramp[None, :, None] * dx) + rng.uniform(-3, 3, size=(8, 8, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)


def _scatter(count: int, radii: tuple[float, float], rng: np.random.Generator) -> list[Placement]:
    """Places `count` things of about one size without overlap (retries from scratch when they jam)."""
    while True:
        places: list[Placement] = []
        for _ in range(count):
            radius = rng.uniform(*radii)
            low, high = radius + MARGIN, 1 - radius - MARGIN
            for _ in range(20):
                x, y = rng.uniform(low, high, size=2)
                if all(math.hypot(x - u, y - v) > 1.1 * (radius + r) for u, v, r in places):
                    places.append((x, y, radius))
                    break
        if len(places) == count:
            return places


def _arrange(relation: str, rng: np.random.Generator) -> tuple[Placement, Placement]:
    """Places two things in a relation: (first, second)."""
    if relation == "inside":
        outer = rng.uniform(0.34, 0.4)
        x, y = rng.uniform(outer + 0.02, 0.98 - outer, size=2)
        return (x, y, outer * rng.uniform(0.36, 0.42)), (x, y, outer)
    near, far = rng.uniform(0.22, 0.3), rng.uniform(0.7, 0.78)
    across = rng.uniform(0.3, 0.7)
    shift = rng.uniform(-0.08, 0.08)
    first_radius, second_radius = rng.uniform(0.13, 0.18, size=2)
    if relation == "left":
        return (near, across, first_radius), (far, across + shift, second_radius)
    return (across, near, first_radius), (across + shift, far, second_radius)


def _shade(colour: tuple[int, int, int], rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(value) for value in (np.array(colour) + rng.uniform(-20, 20, size=3)).clip(0, 255))


def _paint(
    pen: ImageDraw.ImageDraw, shape: str, fill: tuple[int, ...], place: Placement, side: int, rng: np.random.Generator
) -> None:
    x, y, radius = (value * side for value in place)
    if shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        return
    turn = math.radians(rng.uniform(-12, 12))
    outline = [
        (x + radius * r * math.sin(angle + turn), y - radius * r * math.cos(angle + turn))
        for angle, r in _outline(shape)
    ]
    pen.polygon(outline, fill=fill)


def _outline(shape: str) -> list[tuple[float, float]]:
    """Corners as (angle from the top, distance from the centre), for a shape of radius 1."""
    if shape == "triangle":
        return [(2 * math.pi * k / 3, 1.15) for k in range(3)]
    if shape == "square":
        return [(math.pi / 4 + math.pi * k / 2, 1.2) for k in range(4)]
    if shape == "star":
        return [(math.pi * k / 5, 1.15 if k % 2 == 0 else 0.5) for k in range(10)]
    arm = 0.36  # half the width of the cross's arms
    corners = [(arm, 1.05), (arm, arm), (1.05, arm)]
    quarter = [(math.atan2(u, v), math.hypot(u, v)) for u, v in corners]
    return [(angle + math.pi * k / 2, r) for k in range(4) for angle, r in quarter]
