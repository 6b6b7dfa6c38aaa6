"""Does reading data keep up with training? ``python -m one_peace.benchmarks.loading [--only vl_tiny_128 al_small]``.

Pictures (JPEG, 640 x 480), sounds (wav, 44.1 kHz, 2 to 10 s) and captions are generated, read by the pretraining
tasks' own data sets, collaters and iterators, and eaten by training steps of the models they are for.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from omegaconf import OmegaConf
from PIL import Image
from tqdm import tqdm

from one_peace.benchmarks import machine
from one_peace.benchmarks.works import Build, Work, step
from one_peace.criterions.contrastive import (
    AudioTextPretrainLoss,
    AudioTextPretrainLossConfig,
    ImageTextPretrainLoss,
    ImageTextPretrainLossConfig,
)
from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.models.pretrain import PretrainModel, PretrainModelConfig
from one_peace.tasks.pretrain import (
    AudioTextPretrainConfig,
    AudioTextPretrainTask,
    ImageTextPretrainConfig,
    ImageTextPretrainTask,
)

BATCH = 8
FILES = 16  # a manifest names each of them several times
LOADED_BATCHES = 12
WORDS = "a an the small large red green blue dog cat bird car tree house runs sings stands in on under near with"


@dataclass(frozen=True)
class Case:
    """One combination of data and model."""

    kind: str
    size: str
    side: int = 128


CASES = {
    "vl_tiny_64": Case("image", "tiny", 64),
    "vl_tiny_128": Case("image", "tiny"),
    "vl_small_128": Case("image", "small"),
    "al_tiny": Case("audio", "tiny"),
    "al_small": Case("audio", "small"),
}


def write_data(folder: Path, rows: int) -> None:
    """``image/train.tsv``, ``audio/train.tsv`` with their files, and the vocabulary ``bpe``."""
    random = np.random.default_rng(0)
    captions = [" ".join(random.choice(WORDS.split(), random.integers(4, 21))) for _ in range(rows)]
    for kind, columns in (("image", "image_id\timage\tcaption"), ("audio", "uniq_id\taudio\ttext")):
        (folder / kind).mkdir()
        write = write_picture if kind == "image" else write_sound
        names = [write(folder, number, random) for number in range(FILES)]
        lines = [f"{i}\t{names[i % FILES]}\t{caption}" for i, caption in enumerate(captions)]
        (folder / kind / "train.tsv").write_text("\n".join([columns, *lines]) + "\n")
    train_tokenizer(captions, folder / "bpe", vocab_size=60)


def write_picture(folder: Path, number: int, random: np.random.Generator) -> str:
    """A picture with as much detail as a photograph has."""
    coarse = Image.fromarray(random.integers(0, 256, (48, 64, 3), dtype=np.uint8)).resize((640, 480))
    pixels = np.asarray(coarse, dtype=np.int16) + random.integers(-8, 9, (480, 640, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"image/{number}.jpg", quality=90)
    return f"{number}.jpg"


def write_sound(folder: Path, number: int, random: np.random.Generator) -> str:
    """A sound of 2 to 10 seconds."""
    samples = int(44100 * (2 + 8 * number / (FILES - 1)))
    soundfile.write(folder / f"audio/{number}.wav", random.normal(0, 0.1, samples), 44100)
    return f"{number}.wav"


class Training:
    """The data set, iterator and step of one case."""

    def __init__(self, case: Case, folder: Path, how: Build):
        data = {"data": str(folder / case.kind), "bpe_dir": str(folder / "bpe"), "seed": 1, "save_dir": ""}
        data |= {
            "best_checkpoint_metric": "loss",
            "maximize_best_checkpoint_metric": False,
            "finetune_from_model": None,
            "restore_file": "checkpoint_last.pt",
        }
        if case.kind == "image":
            config = ImageTextPretrainConfig(patch_image_size=case.side, **data)
            task = ImageTextPretrainTask(OmegaConf.structured(config))
            loss, loss_config = ImageTextPretrainLoss, ImageTextPretrainLossConfig
        else:
            task = AudioTextPretrainTask(OmegaConf.structured(AudioTextPretrainConfig(**data)))
            loss, loss_config = AudioTextPretrainLoss, AudioTextPretrainLossConfig
        task.load_dataset("train")
        self.task, self.how = task, how
        self.criterion = loss.build_criterion(OmegaConf.structured(loss_config()), task)
        options = {"reference": True} if how.reference else {}
        cfg = PretrainModelConfig(size=case.size, stage2_pretrain=case.kind == "audio", **options)
        model = PretrainModel.build_model(OmegaConf.structured(cfg), task)
        self.model = model.to(how.setting.device, how.setting.torch_dtype)

    def batches(self, workers: int) -> Iterator[dict[str, Any]]:
        """Batches as fairseq-train gets them."""
        iterator = self.task.get_batch_iterator(
            self.task.datasets["train"], max_sentences=BATCH, num_workers=workers, seed=1
        )
        return iter(iterator.next_epoch_itr(shuffle=False))

    def step(self, batch: Mapping[str, Any]) -> Work:
        """The training step on a batch."""
        net_input = batch["net_input"]
        return step(self.how, self.model, self.criterion, net_input["inputs"], net_input["masks"])


def loading_speed(training: Training) -> float:
    """Samples a second that one worker delivers, its start not counted."""
    batches = training.batches(workers=1)
    next(batches)
    start = time.perf_counter()
    samples = sum(batch["nsentences"] for batch in batches)
    return samples / (time.perf_counter() - start)


def waiting_share(training: Training, workers: int, steps: int) -> float:
    """Share of the time of ``steps`` training steps in which the loop waits for its batch; the first does not count."""
    batches, device = training.batches(workers), training.how.setting.device
    training.step(next(batches)).run()
    machine.synchronize(device)
    waited, start = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        training.step(batch).run()
        machine.synchronize(device)
    return waited / (time.perf_counter() - start)


def measure(training: Training, workers: list[int], repeats: int) -> dict[str, Any]:
    """What one worker delivers, what the step eats, and how long a loop of both waits."""
    speed = loading_speed(training)
    first = next(training.batches(workers=0))
    (times,) = machine.alternate([machine.timer(training.step(first).run, training.how.setting.device)], repeats)
    eaten = machine.spread(times, first["nsentences"])
    steps = min(repeats, LOADED_BATCHES - 1)
    return {
        "worker_samples_per_s": machine.significant(speed),
        "step": eaten,
        "workers_needed": machine.significant(eaten["samples_per_s"] / speed, 3),
        "waiting_share": {str(n): round(waiting_share(training, n, steps), 4) for n in workers},
    }


def rows(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, object]]:
    """The table: one line a case."""
    return [
        {
            "case": name,
            "a worker delivers/s": one["worker_samples_per_s"],
            "the step eats/s": one["step"]["samples_per_s"],
            "workers needed": one["workers_needed"],
            **{f"waiting, {n} workers": f"{100 * share:.1f} %" for n, share in one["waiting_share"].items()},
        }
        for name, one in results.items()
    ]


def parse() -> argparse.Namespace:
    parser = machine.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2], help="loops to time (default 0 1 2)")
    parser.add_argument("--reference", action="store_true", help="train the naive path of the model")
    return parser.parse_args()


def main() -> None:
    args = parse()
    setting = machine.setting_of(args)
    results = {}
    with tempfile.TemporaryDirectory() as folder, machine.described(setting) as described:
        write_data(Path(folder), BATCH * LOADED_BATCHES)
        for name in tqdm(args.only, unit="case"):
            setting.apply()
            training = Training(CASES[name], Path(folder), Build(setting, args.reference))
            results[name] = measure(training, args.workers, args.repeats)
    machine.report(args, described, results, rows(results))


if __name__ == "__main__":
    main()
