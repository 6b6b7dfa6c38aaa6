"""Which stamps there are to paste, what each is called, and which of them are held out.

A stamp has three words, from narrow to wide: its name ("red apple"), its noun ("apple") and its kind ("fruit"). Name
and noun come from the English caption, the kind from the folder.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from one_peace.examples.tuxpaint.stamps import Stamp

# The first that begins a stamp's name says its kind.
KIND_OF_FOLDER = {
    "animals/birds": "bird",
    "animals/fish": "fish",
    "animals/insects": "insect",
    "animals/mammals": "mammal",
    "animals/marsupials": "mammal",
    "clothes/hats": "hat",
    "food/fruit": "fruit",
    "food/vegetables": "vegetable",
    "hobbies/music": "instrument",
    "household/tools": "tool",
    "plants/flowers": "flower",
    "plants/trees": "tree",
    "seasonal/halloween/grave": "gravestone",
    "space/planets/0_sun": "",
    "space/planets": "planet",
    "symbols/alphabets/asl": "hand sign",
    "symbols/alphabets/english": "letter",
    "symbols/chess": "chess piece",
    "symbols/math/operators": "operator",
    "symbols/math": "digit",
    "symbols/money/00_symbols": "money sign",
    "symbols/money": "coin",
    "town/flags": "flag",
    "town/houses": "building",
    "town/monuments": "monument",
    "town/roadsigns": "road sign",
    "vehicles/emergency/sedan_police": "",
    "vehicles": "vehicle",
}
KINDS = frozenset(filter(None, KIND_OF_FOLDER.values()))  # what scenes are made of
# Whose caption and file do not say it.
NAMES = {
    "animals/birds/cartoon/penguin_with_spider": "penguin",
    "animals/birds/cartoon/pengwin": "penguin",
    "animals/birds/cartoon/tux": "penguin",
    "food/vegetables/broccoli": "broccoli",
    "food/vegetables/tomato": "red tomato",
    "town/houses/cartoon/cave_entrance": "cave",
    "vehicles/farming/cartoon/tux_tractor": "tractor",
    "vehicles/flight/planes/cartoon/plane": "airplane",
    "vehicles/locomotive/cartoon/tanker": "tanker",
    "vehicles/locomotive/cartoon/tender": "tender",
}
ANIMALS = ("bird", "fish", "insect", "mammal")
# Their captions explain or quote instead of naming: name and noun are the kind.
UNNAMED = ("coin", "gravestone", "hand sign", "money sign", "operator", "road sign")
# Turned round, these are something else, or nothing.
ONE_WAY = (*UNNAMED, "digit", "letter", "flag")

_MEASURES = re.compile(r"^(?:pair|bunch|cluster|head|string|quarter|couple|plant|baby) of (?:an? )?")
_ARTICLE = re.compile(r"^(?:an?|the|some|two|another|our) ")
_REMARK = re.compile(
    r"[.!?,:;(—–]|- | (?:are|at|called|covered|dancing|for|from|in|inside|is|lets|like|of|on|playing|resembles"
    r"|to|used|with|you)\b"
)
_COMPOUNDS = ("guinea fowl", "hot air balloon", "sea lion")  # of these the last word alone is something else


@dataclass(frozen=True)
class Sticker:
    """A stamp with the words for it."""

    stamp: str
    picture: Path
    name: str
    noun: str
    kind: str

    @property
    def words(self) -> tuple[str, ...]:
        """What it may be called, from narrow to wide, each once."""
        wide = ("animal",) if self.kind in ANIMALS else ()
        return tuple(dict.fromkeys((self.name, self.noun, self.kind, *wide)))


def kind_of(stamp: str) -> str:
    """The kind by the stamp's path; the top folder for those that have none of `KINDS`."""
    kind = next((kind for folder, kind in KIND_OF_FOLDER.items() if stamp.startswith(folder)), "")
    return kind or stamp.split("/")[0]


def name_of(caption: str, stamp: str) -> str:
    """What the caption names, without article and remarks ("A red apple." -> "red apple"); where that leaves nothing,
    or too much to be a name, what the file is called."""
    text = re.sub(r"[“”\"']", "", caption.lower()).strip()
    text = _MEASURES.sub("", _ARTICLE.sub("", text))
    name = _REMARK.split(_ARTICLE.sub("", text))[0].strip()
    if name and len(name.split()) <= 5:
        return name
    parts = (re.sub(r"\d+", "", part) for part in re.split(r"[_\W]+", Path(stamp).name.lower()))
    return " ".join(part for part in parts if len(part) > 1) or Path(stamp).name


def noun_of(name: str) -> str:
    """The last word of a name, or its last words where they belong together; of letters the letter."""
    if name.startswith("letter "):
        return " ".join(name.split()[:2])
    return next((noun for noun in _COMPOUNDS if name.endswith(noun)), name.split()[-1])


def make_stickers(stamps: Iterable[Stamp]) -> list[Sticker]:
    """The stamps that have an English caption."""
    stickers = []
    for stamp in stamps:
        if caption := stamp.captions.get("en"):
            kind = kind_of(stamp.name)
            name = kind if kind in UNNAMED else NAMES.get(stamp.name) or name_of(caption, stamp.name)
            noun = kind if kind in UNNAMED else noun_of(name)
            stickers.append(Sticker(stamp.name, stamp.picture, name, noun, kind))
    return stickers


def hold_out(stickers: Sequence[Sticker], share: float, seed: int) -> tuple[list[Sticker], list[Sticker]]:
    """Stickers for training and held-out ones: of each kind ``share`` of the stickers, at least one if there are three,
    preferably such whose noun training still shows on another stamp.
    """
    rng = np.random.default_rng([seed, *b"hold out"])
    order = [stickers[i] for i in rng.permutation(len(stickers))]
    left = Counter((sticker.kind, sticker.noun) for sticker in order)
    held: set[str] = set()
    for kind in sorted({sticker.kind for sticker in stickers}):
        members = [sticker for sticker in order if sticker.kind == kind]
        wanted = max(1, round(share * len(members))) if len(members) >= 3 else 0
        for rare in (False, True):
            for sticker in members:
                if wanted and sticker.stamp not in held and (rare or left[kind, sticker.noun] > 1):
                    held.add(sticker.stamp)
                    left[kind, sticker.noun] -= 1
                    wanted -= 1
    train = [sticker for sticker in stickers if sticker.stamp not in held]
    return train, [sticker for sticker in stickers if sticker.stamp in held]
