"""ImageNet's folders: train/ and val/ with a sub-folder a class, and the names of the classes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from one_peace.examples.stampworld.catalogue import Sticker
from one_peace.examples.stampworld.files import JPEG, fresh, generator
from one_peace.examples.stampworld.scene import draw, single

_FEWEST = 5  # training stamps of a class
_SIZES = (0.6, 0.98)


def write_imagenet(
    train: Sequence[Sticker], held_out: Sequence[Sticker], renderings: dict[str, int], side: int, out: Path, seed: int
) -> list[str]:
    """Each stamp ``renderings[split]`` times, on different backgrounds; the classes are the kinds with at least five
    training stamps, those of val's stamps that train never shows. Returns the classes' names."""
    counts = Counter(sticker.kind for sticker in train)
    held = {sticker.kind for sticker in held_out}
    names = sorted(kind for kind, count in counts.items() if count >= _FEWEST and kind in held)
    folders = {name: f"n{number:08d}" for number, name in enumerate(names, start=1)}
    for split, stickers in (("train", train), ("val", held_out)):
        for number, sticker in enumerate(tqdm(stickers, desc=f"stamps, {split}", unit="stamp")):
            for copy in range(renderings[split] if sticker.kind in folders else 0):
                rng = generator(seed, "imagenet", sticker.stamp, copy)
                folder = folders[sticker.kind]
                path = out / split / folder / f"{folder}_{number * renderings[split] + copy}.JPEG"
                draw(single(sticker, _SIZES, (side, side), rng)).save(fresh(path), format="JPEG", **JPEG)
    lines = (f"{folder} {name}\n" for name, folder in folders.items())
    fresh(out / "LOC_synset_mapping.txt").write_text("".join(lines), encoding="utf-8")
    return names
