"""The path commands of an SVG file as numbers: `read_segments`. Knows nothing of models.

`svgelements` reads the file: transforms, `use`, style sheets, basic shapes. What is left is one kind of unit, a
segment: a cubic curve (lines are straight ones) with the look of the shape that it outlines.

Legend: N segments, in the order in which they are painted; F = `FEATURES` numbers each.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import svgelements

from one_peace.examples.clipart.drawings import DrawingError, local_name, read_svg

MAX_ELEMENTS = 20_000  # those counted that `use` repeats: a short file can ask for billions

# Columns of a segment. Coordinates are in [-1, 1], the drawing's longer side; colours and flags in [0, 1].
POINTS = slice(0, 8)  # start, two control points, end: x, y each
BOX = slice(8, 12)  # of its shape: left, top, right, bottom
PLACES = slice(POINTS.start, BOX.stop)  # all coordinates
KIND = slice(12, 15)  # a curve; closes its outline; begins one
FILL = slice(15, 19)  # red, green, blue, opacity (0: not filled)
STROKE = slice(19, 24)  # red, green, blue, opacity (0: no line), width
FEATURES = 24

_PATTERN = np.array([0.5, 0.5, 0.5, 1])  # what a pattern looks like from afar
_NOTHING = np.zeros(4)


def read_segments(path: Path, most: int) -> np.ndarray:
    """float32[N, F]: what an SVG file paints, at most the `most` longest segments of it.

    Raises:
        DrawingError: too large, no SVG, or it paints nothing.
    """
    root = read_svg(path)
    try:
        _check_size(root)
        gradients = _gradients(root)
        drawing = svgelements.SVG.parse(path)
        shapes = [shape for shape in drawing.elements() if isinstance(shape, svgelements.Shape)]
        parts = [part for shape in shapes if (part := _segments(shape, gradients)) is not None]
        segments = np.concatenate(parts) if parts else np.zeros((0, FEATURES))
        segments = _normalise(segments[np.isfinite(segments).all(axis=1)], drawing.width, drawing.height)
    except DrawingError as error:
        raise DrawingError(f"{path}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # the library raises errors of every kind on what it does not expect
        raise DrawingError(f"{path}: no SVG that can be read ({error!r})") from error
    longest = np.argsort(-_lengths(segments), kind="stable")[:most]
    return segments[np.sort(longest)].astype(np.float32)


def _check_size(root: Element) -> None:
    named = {element.get("id"): element for element in root.iter()}
    known: dict[Element, int] = {}

    def count(element: Element) -> int:
        """Elements that this one stands for."""
        if element not in known:
            parts = list(element)
            if local_name(element) == "use" and (used := named.get(_href(element))) is not None:
                parts.append(used)
            known[element] = 1 + sum(map(count, parts))
        return known[element]

    try:
        total = count(root)
    except RecursionError:
        raise DrawingError("elements are nested too deeply, or use one another in a circle") from None
    if total > MAX_ELEMENTS:
        raise DrawingError(f"{total} elements, those counted that are used again; {MAX_ELEMENTS} are read")


def _href(element: Element) -> str:
    """The id that an element refers to."""
    return (element.get("href") or element.get("{http://www.w3.org/1999/xlink}href") or "").removeprefix("#")


def _gradients(root: Element) -> dict[str, np.ndarray]:
    """Red, green, blue, opacity in [0, 1] of each gradient: the mean of its stops. (The library leaves them out.)"""
    own, same = {}, {}
    for element in root.iter():
        if local_name(element) in ("linearGradient", "radialGradient"):
            name, stops = element.get("id", ""), [_stop(part) for part in element if local_name(part) == "stop"]
            if stops:
                own[name] = np.mean(stops, axis=0)
            else:
                same[name] = _href(element)
    for name in same:
        source = name
        for _ in same:
            source = same.get(source, source)
        if source in own:
            own[name] = own[source]
    return own


def _stop(element: Element) -> np.ndarray:
    style = dict(part.split(":", 1) for part in element.get("style", "").replace(" ", "").split(";") if ":" in part)
    values = {**element.attrib, **style}
    return _rgba(svgelements.Color(values.get("stop-color", "black")), values.get("stop-opacity"))


def _rgba(colour: svgelements.Color, opacity: str | None) -> np.ndarray:
    if colour.value is None:
        return _NOTHING
    return np.array([colour.red, colour.green, colour.blue, colour.alpha * _opacity(opacity)]) / 255


def _opacity(text: str | None) -> float:
    """1 where none is given."""
    try:
        return min(max(float(text or 1), 0.0), 1.0)
    except ValueError:
        return 1.0


def _segments(shape: svgelements.Shape, gradients: dict[str, np.ndarray]) -> np.ndarray | None:
    """float[n, F] of one shape, in the drawing's own unit of length; None where it paints nothing."""
    fill, stroke = _paint(shape, "fill", gradients), _paint(shape, "stroke", gradients)
    width = shape.stroke_width or 0.0
    if fill[3] <= 0 and (stroke[3] <= 0 or width <= 0):
        return None
    path = svgelements.Path(shape)
    path.reify()
    path.approximate_arcs_with_cubics(error=0.25)  # one a quarter of a turn
    points, kinds, begins = [], [], True
    for segment in path:
        if isinstance(segment, svgelements.Move):
            begins = True
        elif segment.start is not None and segment.end is not None and segment.start != segment.end:
            curved = isinstance(segment, svgelements.CubicBezier | svgelements.QuadraticBezier)
            points.append(_cubic(segment))
            kinds.append((curved, isinstance(segment, svgelements.Close), begins))
            begins = False
    if not points:
        return None
    rows = np.zeros((len(points), FEATURES))
    rows[:, POINTS], rows[:, KIND] = np.array(points).view(float), kinds
    rows[:, FILL], rows[:, STROKE] = fill, (*stroke, width)
    rows[:, BOX] = _box(rows)
    return rows


def _cubic(segment: svgelements.PathSegment) -> tuple[complex, ...]:
    """x + iy of the four points of a line or curve as a cubic curve."""
    start, end = complex(segment.start), complex(segment.end)
    if isinstance(segment, svgelements.CubicBezier):
        return start, complex(segment.control1), complex(segment.control2), end
    control = complex(segment.control) if isinstance(segment, svgelements.QuadraticBezier) else (start + end) / 2
    return start, (start + 2 * control) / 3, (end + 2 * control) / 3, end


def _paint(shape: svgelements.Shape, kind: str, gradients: dict[str, np.ndarray]) -> np.ndarray:
    """Red, green, blue, opacity in [0, 1] of a shape's ``fill`` or ``stroke``."""
    values, colour = shape.values, getattr(shape, kind)
    text = str(values.get(kind, ""))
    if text.startswith("url("):
        name = text.removeprefix("url(").split(")")[0].strip("'\"# ")
        paint = gradients.get(name, _PATTERN) * [1, 1, 1, _opacity(values.get(f"{kind}-opacity"))]
    else:
        paint = _NOTHING if colour is None else _rgba(colour, None)
    return paint * [1, 1, 1, _opacity(values.get("opacity"))]


def _box(segments: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom of all points of segments [n, F]."""
    places = segments[:, POINTS].reshape(-1, 2)
    return np.concatenate([places.min(axis=0), places.max(axis=0)])


def _lengths(segments: np.ndarray) -> np.ndarray:
    """float[n]: length of each segment's control polygon."""
    steps = np.diff(segments[:, POINTS].reshape(-1, 4, 2), axis=1)
    return np.linalg.norm(steps, axis=2).sum(axis=1)


def _normalise(segments: np.ndarray, width: float, height: float) -> np.ndarray:
    """Moves and scales what is painted on a page of that size: the longer side of it reaches from -1 to 1."""
    if not len(segments):
        raise DrawingError("paints nothing (texts and pictures inside are not read)")
    left, top, right, bottom = _box(segments)
    inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if inside[0] < inside[2] and inside[1] < inside[3]:
        left, top, right, bottom = inside
    half = max(right - left, bottom - top) / 2
    places = segments[:, PLACES].reshape(len(segments), -1, 2) - [(left + right) / 2, (top + bottom) / 2]
    segments[:, PLACES] = (places / half).clip(-1.5, 1.5).reshape(len(segments), -1)  # off the page it hardly matters
    segments[:, STROKE.stop - 1] = np.clip(segments[:, STROKE.stop - 1] / half, 0, 1)
    return segments
