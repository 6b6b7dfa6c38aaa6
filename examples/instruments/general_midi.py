"""The 128 instruments of General MIDI, their 16 families, and which pictures show them: two tables beside this file.

Names are as a sentence would call them ("a violin", "tremolo strings"); ranges are keys on which an instrument sounds
like itself. The table of pictures was made by looking: it names what a title or caption names and the picture shows.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from one_peace.data.manifest import Manifest

_HERE = Path(__file__).parent
# What a sentence calls one of a family.
FAMILIES = {
    "piano": "a keyboard instrument",
    "chromatic percussion": "a mallet or bell instrument",
    "organ": "an organ",
    "guitar": "a guitar",
    "bass": "a bass",
    "strings": "a string instrument",
    "ensemble": "an ensemble",
    "brass": "a brass instrument",
    "reed": "a reed instrument",
    "pipe": "a flute or pipe",
    "synth lead": "a synthesizer lead",
    "synth pad": "a synthesizer pad",
    "synth effects": "a synthesizer effect",
    "ethnic": "a folk instrument",
    "percussive": "a percussion instrument",
    "sound effects": "a sound effect",
}


@dataclass(frozen=True)
class Instrument:
    """One instrument: its program number from 0, its family, its name with an article, and its lowest and highest key
    (60 is middle C)."""

    program: int
    family: str
    name: str
    lowest: int
    highest: int


@cache
def instruments() -> tuple[Instrument, ...]:
    """All of them, in the order of their program numbers."""
    table = Manifest(_HERE / "general_midi.tsv", ("program", "family", "name", "lowest", "highest"))
    rows = (table[row] for row in range(len(table)))
    return tuple(
        Instrument(int(program), family, name, int(low), int(high)) for program, family, name, low, high in rows
    )


@cache
def shown_in_pictures() -> dict[str, tuple[Instrument, ...]]:
    """Picture -> the instruments that it may show; pictures are named as in the manifests of examples/clipart."""
    by_name = {instrument.name: instrument for instrument in instruments()}
    table = Manifest(_HERE / "pictures.tsv", ("picture", "instruments"))
    rows = (table[row] for row in range(len(table)))
    return {picture: tuple(by_name[name] for name in names.split("|")) for picture, names in rows}
