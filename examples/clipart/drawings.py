"""Reads Open Clip Art's drawings: SVG files of many authors, with titles, each drawing once, a tenth of them held out.

Files from strangers: they are parsed without entities, bounded in size, and none may refer to another file.
"""

import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import resvg_py
from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree
from PIL import Image
from tqdm import tqdm

from one_peace.examples.clipart.titles import title_of

MAX_BYTES = 2 << 20
MOST = 40  # drawings of one title: there are 1,378 stars
HELD_OUT = 10  # one of so many
_VISIBLE = 8  # of 255
_THUMBNAIL = 64
_SHAPES = {"path", "rect", "circle", "ellipse", "line", "polyline", "polygon"}
_GEOMETRY = ("d", "points", "x", "y", "width", "height", "cx", "cy", "r", "rx", "ry", "x1", "y1", "x2", "y2")
_PICTURES = {"image", "feImage"}
_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")


class DrawingError(ValueError):
    """A file that is not for use; the message says why."""


@dataclass(frozen=True)
class Drawing:
    """One drawing: its path below the folder of all, without suffix, its file, its title in lower case words, and
    whether it is kept from training."""

    name: str
    svg: Path
    title: str
    held_out: bool


@dataclass(frozen=True)
class _Found:
    name: str
    svg: Path
    title: str
    content: str  # digest of the file
    looks: tuple[str, str]  # digests of the shapes and of the picture


def find_drawings(root: Path) -> list[Drawing]:
    """Every drawing below `root` that can be read, seen and has a title, sorted by name; takes a minute.

    The same drawing in several folders counts once, and there are at most `MOST` of a title. Of those whose title a
    drawing for training has too a tenth is held out, by the hash of the files' content; drawings of the same shapes or
    the same picture are never on both sides.
    """
    paths = sorted(path for path in root.rglob("*.svg") if path.is_file() and not path.is_symlink())
    found: dict[tuple, _Found] = {}
    for path in tqdm(paths, desc="drawings", unit="drawing"):
        try:
            one = _read(path, path.relative_to(root).with_suffix("").as_posix())
        except DrawingError:
            continue
        found.setdefault((one.title, one.looks[1]), one)
    kept = _at_most(MOST, found.values())
    chosen = _held_out(kept)
    drawings = (Drawing(one.name, one.svg, one.title, one.name in chosen) for one in kept)
    return sorted(drawings, key=lambda drawing: drawing.name)


def read_svg(path: Path) -> Element:
    """The root element of a file.

    Raises:
        DrawingError: it is too large, no XML, has entities, or shows a picture of another file.
    """
    if path.stat().st_size > MAX_BYTES:
        raise DrawingError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
    try:
        root = SafeTree.fromstring(path.read_bytes())
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise DrawingError(f"{path}: no XML that is read here ({error})") from None
    for element in root.iter():
        hrefs = [element.get(key, "data:") for key in _HREFS] if local_name(element) in _PICTURES else []
        if not all(href.lstrip().startswith(("data:", "#")) for href in hrefs):
            raise DrawingError(f"{path}: shows a picture of another file")
    return root


def local_name(element: Element) -> str:
    """The element's tag without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def draw(path: Path, canvas: int = 256) -> Image.Image:
    """RGBA: the drawing without the empty page around it; the whole page has `canvas` pixels on its longer side.

    Raises:
        DrawingError: it cannot be drawn, or nothing can be seen.
    """
    read_svg(path)
    return _draw(path, canvas)


def _draw(path: Path, canvas: int) -> Image.Image:
    try:
        # texts need fonts, which differ from machine to machine: they are left out
        png = resvg_py.svg_to_bytes(svg_path=str(path), width=canvas, height=canvas, dpi=96, skip_system_fonts=True)
    except ValueError as error:
        raise DrawingError(f"{path}: cannot be drawn ({error})") from None
    page = Image.open(io.BytesIO(png)).convert("RGBA")
    box = page.getchannel("A").point(lambda alpha: 255 * (alpha > _VISIBLE)).getbbox()
    if box is None:
        raise DrawingError(f"{path}: nothing can be seen")
    return page.crop(box)


def _read(path: Path, name: str) -> _Found:
    root = read_svg(path)
    title = title_of(root, name)
    if not title:
        raise DrawingError(f"{path}: has no title")
    shapes = [element for element in root.iter() if local_name(element) in _SHAPES]
    if not shapes:
        raise DrawingError(f"{path}: has no shapes")
    thumbnail = _draw(path, _THUMBNAIL)
    looks = (_digest(_geometry(shapes).encode()), _digest(thumbnail.tobytes()))
    return _Found(name, path, title, _digest(path.read_bytes()), looks)


def _geometry(shapes: Iterable[Element]) -> str:
    """The shapes' commands and sizes, whatever their colours."""
    cells = ([local_name(shape), *(shape.get(key, "") for key in _GEOMETRY)] for shape in shapes)
    return "\n".join("\t".join(re.sub(r"[\s,]+", " ", cell) for cell in row) for row in cells)


def _at_most(most: int, found: Iterable[_Found]) -> list[_Found]:
    """Of each title the first in the order of their contents' hashes."""
    by_title: dict[str, list[_Found]] = defaultdict(list)
    for one in sorted(found, key=lambda one: one.content):
        by_title[one.title].append(one)
    return [one for members in by_title.values() for one in members[:most]]


def _held_out(found: Sequence[_Found]) -> set[str]:
    """Names of the drawings to hold out: whole groups of drawings that look the same."""
    groups = _groups(found)
    candidates = [group for group in groups if int(min(one.content for one in group)[:8], 16) % HELD_OUT == 0]
    candidate = {one.name for group in candidates for one in group}
    known = {one.title for one in found if one.name not in candidate}
    return {one.name for group in candidates if all(one.title in known for one in group) for one in group}


def _groups(found: Sequence[_Found]) -> list[list[_Found]]:
    """Drawings that share the shapes or the picture with one of their group."""
    groups: dict[str, list[_Found]] = {}
    for one in found:
        merged = [one]
        for group in {id(groups[look]): groups[look] for look in one.looks if look in groups}.values():
            merged += group
        for member in merged:
            groups |= dict.fromkeys(member.looks, merged)
    return list({id(group): group for group in groups.values()}.values())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
