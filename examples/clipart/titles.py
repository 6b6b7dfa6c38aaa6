"""Titles of Open Clip Art's drawings as captions: lower case words without numbering and names of collections."""

import html
import re
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

_DUBLIN = "{http://purl.org/dc/elements/1.1/}title"
_TITLES = (f".//{{http://web.resource.org/cc/}}Work/{_DUBLIN}", "{http://www.w3.org/2000/svg}title")
_MOST_WORDS = 16
_AUTHOR = re.compile(r"clipart by (?P<author>[^-]+) - (?P<rest>.*)", re.IGNORECASE | re.DOTALL)
# What an author left in all drawings of a set, by how it begins: no title of any, the file's name is better.
_COLLECTIONS = (
    "advertising",
    "aiga_symbol_signs",
    "australian maps",
    "balloons-aj",
    "blueberry - iconset",
    "clipart by nicu buculei",
    "etiquette icons",
    "gold-theme",
    "homes clipart",
    "lemon svg theme",
    "map symbols",
    "part of the flat icon collection",
    "r16 sibmission",
    "road signs",
    "sallite",
    "svg gradient collection",
    "svg road signs",
    "various cliparts",
)
# The same where the files' names are codes: how they begin -> what is drawn.
_CODES = {
    "gramastar": "star",
    "clipart by nicu buculei - fc": "flowchart symbol",
    "clipart by nicu buculei - segmented": "callout",
}
# Words of these sets' file names that stand for the set or its author.
_NOISE = {"aiga", "aj", "bb", "bwh", "gnome", "symbol", "zazou"}
_ANYWHERE = {"clipart", "openclipart"}
_BLACK_AND_WHITE = re.compile(r"\(?\bb(?: and |_|&)?w\b\)?", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*\d*")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-Z])")


def title_of(root: Element, name: str) -> str:
    """The title of the drawing below `root`, whose file is called `name` (a path without suffix); "" if it has none."""
    title = next((text for place in _TITLES if (text := (root.findtext(place) or "").strip())), "")
    low = title.lower()
    if what := next((what for begin, what in _CODES.items() if low.startswith(begin)), None):
        return what
    if low.startswith(_COLLECTIONS):
        words = clean_title(PurePosixPath(name).name.replace("-", "_").replace("_", " ")).split()
        return " ".join(word for word in words if word not in _NOISE)
    if match := _AUTHOR.fullmatch(title):
        title = match["rest"]
    return clean_title(title)


def clean_title(title: str) -> str:
    """Lower case words: "LED Rounded H (Orange)" -> "led rounded h orange", "smiley_111" -> "smiley"."""
    text = html.unescape(title).replace("_", " ")
    text = _BLACK_AND_WHITE.sub(" black and white ", text)
    if " " not in text.strip():
        text = _CAMEL.sub(" ", text)
    words = (_without_number(word) for word in _WORD.findall(text.lower()))
    return " ".join([word for word in words if word and word not in _ANYWHERE][:_MOST_WORDS])


def _without_number(word: str) -> str:
    """ "home13" -> "home"; codes such as "m16" say nothing without their number and go as a whole."""
    letters = word.rstrip("0123456789")
    return letters if letters == word or len(letters) > 2 else ""
