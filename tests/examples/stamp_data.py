"""Small folders in the layout of Tux Paint's stamps and Sonic Pi's samples: discs with a frame that cannot be seen, and
tones, one pitch a label."""

import colorsys
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw

STAMPS = {
    "animals/birds": {"owl": "An owl.", "hen": "A brown hen.", "crow": "A crow.", "duck": "A duck.", "hen2": "A hen."},
    "animals/mammals": {"cow": "A cow.", "cow2": "A cow.", "dog": "A dog.", "fox": "A fox.", "pig": "A happy pig!"},
    "food/fruit": {
        "apple_red": "A red apple.",
        "apple_green": "A green apple.",
        "pear": "A pear.",
        "cherries": "A pair of cherries.",
        "lemon": "A lemon.",
    },
    "symbols/alphabets/english": {letter: f"The letter {letter}." for letter in "abcdefg"},
    "town/roadsigns": {f"sign{n}": "“Yield” means you have to let others go first." for n in range(7)},
    "household": {"key": "A key.", "mug": "A mug."},
}
# label -> pitch in Hz: none a multiple of another
PITCHES = {"French speech": 410, "Russian speech": 610, "bird": 970, "tabla": 1510, "bass drum": 2330}
RECORDINGS = 6  # a label


def write_stamps(root: Path) -> Path:
    """Stamps of six folders; the birds also have their voices and, as all stamps, French and Russian words."""
    number = 0
    for folder, stamps in STAMPS.items():
        (root / folder).mkdir(parents=True)
        for name, caption in stamps.items():
            number += 1
            colour = tuple(int(255 * c) for c in colorsys.hsv_to_rgb(number * 0.15 % 1, 1, 0.9))
            stamp = Image.new("RGBA", (40 + number, 40), (0, 0, 0, 0))
            ImageDraw.Draw(stamp).ellipse((8, 6, 28 + number, 30), fill=(*colour, 255))
            stamp.save(root / folder / f"{name}.png")
            (root / folder / f"{name}.txt").write_text(f"{caption}\n", encoding="utf-8")
    voices = [f"animals/birds/{name}" for name in ("owl", "hen", "crow", "duck", "hen2", "gull")]
    words = [f"{folder}/{name}" for folder in ("animals/mammals", "household") for name in STAMPS[folder]]
    for number in range(RECORDINGS):
        write_tone(root / f"{voices[number]}.wav", PITCHES["bird"], number)
        write_tone(root / f"{words[number]}_desc_fr.wav", PITCHES["French speech"], number)
        write_tone(root / f"{words[number]}_desc_ru.wav", PITCHES["Russian speech"], number)
    return root


def write_samples(root: Path) -> Path:
    """Samples of two families that are used and one that is too small."""
    root.mkdir(parents=True)
    for number in range(RECORDINGS):
        write_tone(root / f"tabla_{number}.wav", PITCHES["tabla"], number)
        write_tone(root / f"bd_{number}.wav", PITCHES["bass drum"], number)
    write_tone(root / "perc_bell.wav", 3000, 1)
    return root


def write_tone(path: Path, pitch: float, number: int) -> None:
    """A second at 8 kHz, with silence around it; ``number`` makes the file differ from others of its pitch."""
    wave = 0.5 * np.sin(2 * np.pi * pitch * np.arange(8000) / 8000 + number)
    soundfile.write(path, np.pad(wave, (200 + number, 200)), 8000)
