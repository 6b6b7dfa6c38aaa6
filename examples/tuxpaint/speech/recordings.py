"""Which recordings there are, what they say, and which are held out."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from one_peace.examples.tuxpaint.recordings import SPOKEN, content_of, find_sounds, name_below, split_spoken
from one_peace.examples.tuxpaint.stamps import Stamp
from one_peace.modalities.text.reader import clean_text

EFFECTS = "effects"  # stands where a language is named; their captions are the English ones
GROUPS = (*SPOKEN, EFFECTS)
TENTH = 10  # one of this many


@dataclass(frozen=True)
class Recording:
    """A file, its group (a language, or `EFFECTS`), the stamp it belongs to, and its caption as the model reads it."""

    path: Path
    group: str
    stamp: str
    caption: str

    @property
    def name(self) -> str:
        """What it is called in manifests."""
        return f"{self.group}/{self.stamp}"

    @property
    def held_out(self) -> bool:
        """Whether it is never trained on: all or none of the recordings of a caption in a language, so that no other
        encoding of the same recording, of which there are hundreds, is trained on either."""
        return one_in_ten("held out", self.group, self.caption)


def one_in_ten(*texts: str) -> bool:
    """True of a tenth of all texts, always the same ones."""
    return int.from_bytes(hashlib.sha256("\t".join(texts).encode()).digest()[:8], "big") % TENTH == 0


def caption_in(stamp: Stamp, group: str) -> str | None:
    """The caption that recordings of a group belong to, as the model reads it; None if there is none."""
    caption = stamp.captions.get("en" if group == EFFECTS else group)
    return clean_text(caption) or None if caption else None


def find_recordings(root: Path, stamps: Mapping[str, Stamp]) -> list[Recording]:
    """The recordings below ``root`` that belong to one of ``stamps`` (by name), each content once."""
    found: dict[bytes, Recording] = {}
    for path in find_sounds(root):
        stamp, group = split_spoken(name_below(path, root)) or (name_below(path, root), EFFECTS)
        caption = caption_in(stamps[stamp], group) if stamp in stamps and group in GROUPS else None
        if caption:
            found.setdefault(content_of(path), Recording(path, group, stamp, caption))
    return list(found.values())


def stamps_by_caption(stamps: Iterable[Stamp], group: str) -> dict[str, list[Stamp]]:
    """Caption -> the stamps that have it, in the language of a group."""
    shown: dict[str, list[Stamp]] = {}
    for stamp in stamps:
        if caption := caption_in(stamp, group):
            shown.setdefault(caption, []).append(stamp)
    return shown
