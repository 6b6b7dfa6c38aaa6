"""Training steps and embedding passes per second: ``python -m one_peace.benchmarks.steps [--only vl128 embed_text]``.

Each piece of work is a stage-1 or stage-2 step (forward, criterion, backward; no optimiser) or an embedding pass, at
fixed sizes. Times are medians after a warm-up, with their spread; the machine's own matrix product is measured before
and after, because what a machine reaches changes from minute to minute: compare ratios of one run only.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from omegaconf import OmegaConf
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from one_peace.criterions.contrastive import (
    AudioTextPretrainLoss,
    AudioTextPretrainLossConfig,
    ImageTextPretrainLoss,
    ImageTextPretrainLossConfig,
)
from one_peace.data.collate import collate_masks, padding_mask
from one_peace.data.masking import cover_previous_mask, outside_previous_mask, random_mask, span_mask
from one_peace.models.pretrain import PretrainModel, PretrainModelConfig

VOCABULARY, TOKENS, SECONDS = 50264, 24, 5
FRAMES = 249  # of five seconds
WIDTHS = {"embed_dim": 384, "ffn_embed_dim": 1536, "layers": 6, "attention_heads": 6}
DECODER = {"embed_dim": 192, "ffn_embed_dim": 768, "layers": 2, "attention_heads": 6}
RELEASED_STEM = {
    "feature_embed_dim": 512,
    "feature_encoder_spec": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2",
}


@dataclass
class Work:
    """One thing to measure: ``run`` does it once for ``samples`` samples."""

    samples: int
    run: Callable[[], None]


def build(pair: tuple[str, str], image_size: int = 128, stage2: bool = False) -> PretrainModel:
    """The measured model, with the branches of ``pair``."""
    settings = {"text": {"vocab_size": VOCABULARY, "pad": 1}, "image": {"rel_bucket_size": image_size // 16}}
    task = SimpleNamespace(modalities=pair, adapter_settings=lambda: settings)
    cfg = OmegaConf.structured(PretrainModelConfig(size="small", stage2_pretrain=stage2))
    cfg.encoder, cfg.decoder = {**WIDTHS, "audio_adapter": RELEASED_STEM}, DECODER
    return PretrainModel.build_model(cfg, task)


def text(batch: int) -> tuple[dict, list[int]]:
    """Captions of 20 to 24 tokens."""
    lengths = [TOKENS - i % 5 for i in range(batch)]
    return {"values": torch.randint(4, VOCABULARY, (batch, TOKENS)), "padding_mask": padding_mask(lengths)}, lengths


def stage1(batch: int, image_size: int) -> Work:
    """Image + text with the released masks."""
    model, task = build(("text", "image"), image_size), SimpleNamespace(modalities=("text", "image"))
    criterion = ImageTextPretrainLoss.build_criterion(OmegaConf.structured(ImageTextPretrainLossConfig()), task)
    captions, lengths = text(batch)
    words = [random_mask(n, 0.15) for n in lengths]
    patches = [random_mask((image_size // 16) ** 2, 0.75) for _ in lengths]
    masks = {
        "text": {"text": collate_masks(words)},
        "image": {"image": collate_masks(patches)},
        "text+image": {
            "text": collate_masks([outside_previous_mask(mask, 0.4) for mask in words]),
            "image": collate_masks([cover_previous_mask(mask, 0.6875) for mask in patches]),
        },
    }
    inputs = {"text": captions, "image": {"values": torch.randn(batch, 3, image_size, image_size)}}
    return step(model, criterion, inputs, masks, batch)


def stage2(batch: int) -> Work:
    """Audio + text, shared parts frozen, clips of five seconds."""
    model, task = build(("text", "audio"), stage2=True), SimpleNamespace(modalities=("text", "audio"))
    criterion = AudioTextPretrainLoss.build_criterion(OmegaConf.structured(AudioTextPretrainLossConfig()), task)
    captions, lengths = text(batch)
    masks = {
        "audio": {"audio": collate_masks([span_mask(FRAMES, 0.55) for _ in lengths])},
        "text+audio": {
            "text": collate_masks([random_mask(n, 0.4) for n in lengths]),
            "audio": collate_masks([span_mask(FRAMES, 0.45) for _ in lengths]),
        },
    }
    return step(model, criterion, {"text": captions, "audio": clips(batch)}, masks, batch)


def clips(batch: int) -> dict:
    """Sounds of five seconds, none padded."""
    return {"values": torch.randn(batch, SECONDS * 16000), "padding_mask": padding_mask([FRAMES] * batch)}


def step(model: PretrainModel, criterion, inputs: dict, masks: dict, batch: int) -> Work:
    """Forward, criterion and backward."""
    sample = {"nsentences": batch, "net_input": {"inputs": inputs, "masks": masks}}

    def run() -> None:
        model.zero_grad(set_to_none=True)
        criterion.compute(model, sample)[0].backward()

    return Work(batch, run)


def embed(name: str, raw: dict) -> Work:
    """One embedding pass without gradient."""
    model = build(("text", "image") if name != "audio" else ("text", "audio")).eval()
    return Work(len(raw["values"]), torch.no_grad()(lambda: model.embed(name, **raw)))


WORKS: dict[str, Callable[[], Work]] = {
    "vl128": lambda: stage1(16, 128),
    "vl384": lambda: stage1(4, 384),
    "al5s": lambda: stage2(8),
    "embed_image": lambda: embed("image", {"values": torch.randn(16, 3, 128, 128)}),
    "embed_text": lambda: embed("text", text(16)[0]),
    "embed_audio": lambda: embed("audio", clips(16)),
}


def matrix_product() -> float:
    """GFLOP/s of a 2048^3 float32 product, the median of nine."""
    a, times = torch.randn(2048, 2048), []
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / statistics.median(times[1:]) / 1e9


def measure(work: Work, repeats: int) -> dict[str, float]:
    """Median and spread of ``repeats`` runs after two that do not count, and the FLOPs of one."""
    with FlopCounterMode(display=False) as flops:
        work.run()
    work.run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work.run()
        times.append(time.perf_counter() - start)
    middle = statistics.median(times)
    return {
        "samples_per_s": round(work.samples / middle, 3),
        "seconds": round(middle, 4),
        "fastest": round(min(times), 4),
        "slowest": round(max(times), 4),
        "gflop": round(flops.get_total_flops() / 1e9, 2),
        "gflop_per_s": round(flops.get_total_flops() / middle / 1e9, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS), help="default: all")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each (default 5)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: all)")
    parser.add_argument("--out", type=Path, help="also write the numbers to this json file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    result: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "threads": args.threads,
        "torch": torch.__version__,
        "matrix_product_before": round(matrix_product(), 1),
    }
    for name in tqdm(args.only, unit="work"):
        result[name] = measure(WORKS[name](), args.repeats)
        tqdm.write(f"{name}: {result[name]}", file=sys.stderr)
    result["matrix_product_after"] = round(matrix_product(), 1)
    result["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
