"""NLVR2: train.json, dev.json and test1.json (one object a line), and pairs of pictures."""

from pathlib import Path

from tqdm import tqdm

from one_peace.examples.stampworld.files import fresh, generator, write_json_lines
from one_peace.examples.stampworld.scene import Compositor, draw
from one_peace.examples.stampworld.statements import state

SPLITS = {"train": "train", "known": "dev", "held_out": "test1"}
_DIRECTORIES = 100  # of the training pictures


def write_nlvr2(train: Compositor, held_out: Compositor, sets: dict[str, int], out: Path, seed: int) -> None:
    """``sets[split]`` sets of two pairs and two sentences, four examples each; the pictures lie below out/images."""
    for split, official in SPLITS.items():
        compositor = held_out if split == "held_out" else train
        examples, records = [], []
        for number in tqdm(range(sets[split]), desc=f"pairs, {split}", unit="set"):
            rng = generator(seed, "nlvr2", split, number)
            pairs = tuple((compositor.compose(rng), compositor.compose(rng)) for _ in range(2))
            where = {"directory": number % _DIRECTORIES} if split == "train" else {}
            folder = out / "images" / official / (str(where["directory"]) if where else "")
            for pair, scenes in enumerate(pairs):
                for side, scene in enumerate(scenes):
                    name = f"{official}-{number}-{pair}-img{side}.png"
                    draw(scene).save(fresh(folder / name))
                    records.append({"image": name, **scene.record()})
            for sentence, (text, truth) in enumerate(state(pairs, rng)):
                for pair in range(2):
                    examples.append(
                        {
                            "identifier": f"{official}-{number}-{pair}-{sentence}",
                            "sentence": f"{text[0].upper()}{text[1:]}.",
                            "label": str(truth[pair]),
                            "left_url": "",
                            "right_url": "",
                            "writer": "0",
                            "validation": {"0": str(truth[pair])},
                            **where,
                        }
                    )
        write_json_lines(out / "data" / f"{official}.json", examples)
        write_json_lines(out / "scenes" / f"{official}.jsonl", records)
