"""Draws retrieval results, a query and its best matches a line: pictures, drawings, texts, sounds as spectrograms."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import soundfile
from PIL import Image

matplotlib.use("Agg")  # no display needed
import matplotlib.pyplot as plt
from matplotlib import mlab
from matplotlib.axes import Axes

RIGHT, WRONG = "#1a9641", "#bbbbbb"
DPI = 96


@dataclass(frozen=True)
class Example:
    """One line: `query` = (modality, value) and its best `results` = (modality, value, right?).

    `notes` says what sounds are, which nobody hears: value -> text.
    """

    title: str
    query: tuple[str, str]
    results: list[tuple[str, str, bool]]
    notes: Mapping[str, str] = field(default_factory=dict)


def draw_examples(examples: Sequence[Example], path: Path, title: str) -> None:
    """Writes the examples as one PNG of few colours (small enough to commit); right results have a green frame."""
    columns = 1 + max(len(example.results) for example in examples)
    figure, grid = plt.subplots(
        len(examples), columns, figsize=(1.5 * columns, 1.45 * len(examples) + 0.5), squeeze=False
    )
    for line, example in zip(grid, examples, strict=True):
        _show(line[0], *example.query, example.notes)
        line[0].set_title(example.title, fontsize=6, loc="left", fontweight="bold")
        for rank, axes in enumerate(line[1:], start=1):
            if rank > len(example.results):
                axes.axis("off")
                continue
            modality, value, right = example.results[rank - 1]
            _show(axes, modality, value, example.notes)
            axes.set_title(f"{rank}.", fontsize=7, loc="left", color=RIGHT if right else "black")
            _frame(axes, right)
    figure.suptitle(f"{title}: query (left), best results (right answers framed green)", fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    buffer = BytesIO()
    figure.savefig(buffer, dpi=DPI, format="png")
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(128).save(path, optimize=True)


def _frame(axes: Axes, right: bool) -> None:
    for spine in axes.spines.values():
        spine.set_color(RIGHT if right else WRONG)
        spine.set_linewidth(3.5 if right else 0.8)


def _show(axes: Axes, modality: str, value: str, notes: Mapping[str, str]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    if modality == "image":
        axes.imshow(_flat(Image.open(value)))
    elif modality == "audio":
        _spectrogram(axes, Path(value))
        axes.set_xlabel(textwrap.shorten(notes.get(value, ""), 32, placeholder=" ..."), fontsize=5.5, labelpad=2)
    elif value.endswith(".svg"):
        from one_peace.examples.clipart.drawings import draw  # its libraries are extras

        axes.imshow(_flat(draw(Path(value))))
    else:
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        words = textwrap.shorten(value, 120, placeholder=" ...")
        axes.text(0.5, 0.5, textwrap.fill(words, 19), ha="center", va="center", fontsize=6.5)


def _flat(image: Image.Image, side: int = 128) -> Image.Image:
    """On white where transparent, and no larger than it is shown."""
    flat = Image.new("RGBA", image.size, "white")
    flat.alpha_composite(image.convert("RGBA"))
    flat.thumbnail((side, side))
    return flat.convert("RGB")


def _spectrogram(axes: Axes, path: Path) -> None:
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    window = min(512, len(wave))
    power, _, _ = mlab.specgram(wave.mean(axis=1), NFFT=window, Fs=rate, noverlap=window * 3 // 4)
    decibel = 10 * np.log10(power / max(power.max(), 1e-12) + 1e-6)  # silence has no logarithm
    axes.imshow(decibel, origin="lower", aspect="auto", cmap="magma", vmin=-60, vmax=0)
