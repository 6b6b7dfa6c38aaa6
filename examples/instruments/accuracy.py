"""Calls sounds by names it was never trained to tell apart: ``python -m one_peace.examples.instruments.accuracy``.

A sound is embedded as the mean of itself and of other recordings of it as might be. Its instrument is the one whose
name is nearest, in the sentences of prompts.txt. Its family is the one that is most probable by two ways to tell: how
probable its eight instruments are together, and how near its own name ("a brass instrument") is. Either way alone
stands beside it.
Prints tables and writes them to RESULTS/accuracy.md, and what each clip was called to RESULTS/SPLIT.tsv.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from one_peace.data.errors import DataError
from one_peace.data.manifest import Manifest
from one_peace.data.prepare.files import write_manifest, write_text
from one_peace.examples.instruments.general_midi import FAMILIES, instruments
from one_peace.examples.takes import add_takes_flag, embed_takes
from one_peace.examples.views import Embed

SPLITS = {
    "valid": "the first font, notes never played",
    "dev": "a second font, to choose by",
    "test": "the other font",
}
COLUMNS = ("audio", "label", "instrument", "family", "family_by_instruments", "family_by_name")
_PROMPTS = Path(__file__).with_name("prompts.txt")
_FAMILY = {instrument.name: FAMILIES[instrument.family] for instrument in instruments()}


@dataclass(frozen=True)
class Called:
    """What a clip is, and what it was called; families as a sentence calls them."""

    audio: str
    label: str
    instrument: str
    family: str
    family_by_instruments: str
    family_by_name: str

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether each of the four names is right."""
        families = (self.family, self.family_by_instruments, self.family_by_name)
        return self.instrument == self.label, *(family == _FAMILY[self.label] for family in families)


def embed_names(embed: Embed, names: Sequence[str]) -> Tensor:
    """Unit-norm float32[C, D]: of each name the mean of its prompts' embeddings."""
    prompts = _PROMPTS.read_text(encoding="utf-8").splitlines()
    texts_PCD = embed("text", [prompt.format(label=name) for prompt in prompts for name in names])
    return F.normalize(texts_PCD.unflatten(0, (len(prompts), len(names))).mean(dim=0), dim=-1)


def call_sounds(sounds_ND: Tensor, instruments_CD: Tensor, families_FD: Tensor, scale: float) -> dict[str, list[str]]:
    """The names of unit-norm sounds: COLUMN -> a name of each.

    Args:
        instruments_CD: unit-norm embeddings of the names of `instruments`.
        families_FD: those of the values of `FAMILIES`.
        scale: of the aligning contrast, under which cosines are logits.
    """
    names, families = list(_FAMILY), list(FAMILIES.values())
    probabilities_NC = (scale * sounds_ND @ instruments_CD.T).softmax(dim=1)
    members_CF = F.one_hot(torch.tensor([families.index(_FAMILY[name]) for name in names])).float()
    by_instruments_NF = probabilities_NC @ members_CF
    by_name_NF = (scale * sounds_ND @ families_FD.T).softmax(dim=1)
    chosen = {
        "instrument": (names, probabilities_NC),
        "family": (families, by_instruments_NF + by_name_NF),
        "family_by_instruments": (families, by_instruments_NF),
        "family_by_name": (families, by_name_NF),
    }
    return {what: [known[i] for i in worth.argmax(dim=1).tolist()] for what, (known, worth) in chosen.items()}


def splits_table(called: dict[str, list[Called]]) -> str:
    """Markdown, a line a split, and what guessing gives."""
    few, many = len(FAMILIES), len(_FAMILY)
    lines = [
        f"| sounds | clips | instrument of {many} | family of {few} | by its instruments alone | by its name alone |",
        "|---|--:|--:|--:|--:|--:|",
        *(_line(SPLITS[split], clips) for split, clips in called.items()),
        f"| chance | | {100 / many:.1f} |" + f" {100 / few:.1f} |" * 3,
    ]
    return "\n".join(lines)


def families_table(called: list[Called]) -> str:
    """Markdown, a line a family."""
    lines = [
        "| family | clips | instrument | family | by its instruments alone | by its name alone |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for family, phrase in FAMILIES.items():
        if clips := [clip for clip in called if _FAMILY[clip.label] == phrase]:
            lines.append(_line(family, clips))
    return "\n".join(lines)


def _line(title: str, clips: list[Called]) -> str:
    """A line of a table: how many clips, and how many of them are right, in percent."""
    shares = [f"{100 * sum(right) / len(clips):.1f}" for right in zip(*(clip.right for clip in clips), strict=True)]
    return f"| {title} | {len(clips)} | {' | '.join(shares)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.instruments.accuracy", description="Call sounds by names, untrained."
    )
    parser.add_argument("checkpoint", type=Path, help="of texts and sounds, such as OUT/one_peace.pt")
    parser.add_argument("--data", type=Path, required=True, help="what examples/instruments/prepare.sh made")
    parser.add_argument("--out", type=Path, required=True, help="folder for accuracy.md and what clips were called")
    add_takes_flag(parser, default=8)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default %(default)s)")
    args = parser.parse_args(argv)
    from one_peace.models import from_pretrained  # loads fairseq, quietly: not needed for --help

    def embed(modality: str, values: list[str]) -> Tensor:
        return model.embed(modality, values, progress=True)

    called = {}
    try:
        tables = {split: Manifest(args.data / f"{split}.tsv", ("audio", "label")) for split in SPLITS}
        model = from_pretrained(args.checkpoint, device=args.device)
        names = [embed_names(embed, list(known)) for known in (_FAMILY, FAMILIES.values())]
        for split, table in tables.items():
            audio, labels = zip(*(table[row] for row in range(len(table))), strict=True)
            sounds_ND = embed_takes(embed, [str(args.data / path) for path in audio], args.takes)
            answers = call_sounds(sounds_ND, *names, model.model.temperature().item())
            called[split] = [Called(*clip) for clip in zip(audio, labels, *answers.values(), strict=True)]
    except (DataError, ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for split, clips in called.items():
        write_manifest(args.out / f"{split}.tsv", COLUMNS, ((getattr(clip, c) for c in COLUMNS) for clip in clips))
    text = f"{splits_table(called)}\n\nThe other font, family by family:\n\n{families_table(called['test'])}\n"
    write_text(args.out / "accuracy.md", f"# Instruments by their sound\n\nAccuracy in percent.\n\n{text}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
