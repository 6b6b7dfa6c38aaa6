"""Builds small versions of the benchmarks: ``python -m one_peace.examples.stampworld.build --out DIR``.

The pictures are Tux Paint's stamps on plain canvases, the sounds Tux Paint's and Sonic Pi's recordings: both are
fetched as Debian packages (no root, nothing is installed). Below DIR, each as its benchmark is published:

    coco/       train2014, val2014, test2015, dataset_coco.json (Karpathy), scenes.jsonl (what is where)
    refer/      refcoco, refcoco+, refcocog            of the pictures in coco/
    vqa/        questions and annotations              of the pictures in coco/
    nlvr2/      data, images, scenes
    imagenet/   train, val, LOC_synset_mapping.txt
    esc50/, fsd50k/, vggsound/, avqa/, audiocaps/, clotho/, macs/
    bpe/        a vocabulary of the training texts

What is called test (RefCOCO: testB; NLVR2: test1; FSD50K: eval; Clotho: evaluation; ImageNet, AVQA: val) has held-out
stamps and recordings only, ESC-50 none that any train has, MACS's recordings are its own; the other parts share stamps
with train, never scenes.
Everything is a function of the packages, the sizes and the seed.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.examples.stampworld import coco, imagenet, nlvr2, sounds
from one_peace.examples.stampworld.catalogue import KINDS, hold_out, make_stickers
from one_peace.examples.stampworld.recordings import deal, find_recordings
from one_peace.examples.stampworld.scene import Compositor
from one_peace.examples.stampworld.texts import training_texts
from one_peace.examples.tuxpaint.debian import PackageError, fetch_unpacked
from one_peace.examples.tuxpaint.prepare import PACKAGE, fetch_stamps
from one_peace.examples.tuxpaint.stamps import find_stamps

SAMPLES_PACKAGE = "sonic-pi-samples"
HELD_OUT = 0.2  # of the stamps of each kind
# How many of each split: a size for tiny models on two CPU cores, and one for tests.
FULL = {
    "scenes": {"train": 6000, "known": 400, "known_too": 400, "held_out": 400},
    "pair sets": {"train": 5000, "known": 200, "held_out": 200},
    "renderings": {"train": 10, "val": 3},
    "esc50 clips": {"class": 8},
    "fsd50k": {"train": 1600, "known": 240, "held_out": 240},
    "vggsound": {"train": 1200, "held_out": 240},
    "avqa": {"train": 800, "held_out": 150},
    "audiocaps": {"train": 1600, "known": 150, "held_out": 150},
    "clotho": {"train": 400, "known": 100, "held_out": 100},
    "macs": {"pretraining": 10000},
}
_FEW = {"pretraining": 12, "train": 12, "known": 6, "held_out": 6}
SMALL = {
    "scenes": {"train": 24, "known": 12, "known_too": 12, "held_out": 12},
    "pair sets": {"train": 6, "known": 3, "held_out": 3},
    "renderings": {"train": 1, "val": 1},
    "esc50 clips": {"class": 2},
    "fsd50k": _FEW,
    "vggsound": _FEW,
    "avqa": _FEW,
    "audiocaps": _FEW,
    "clotho": _FEW,
    "macs": _FEW,
}

Sizes = Mapping[str, Mapping[str, int]]


def build_pictures(stamps: Path, sizes: Sizes, side: int, out: Path, seed: int) -> None:
    """coco/, refer/, vqa/, nlvr2/ and imagenet/ of the stamps below ``stamps``."""
    train, held_out = hold_out(make_stickers(find_stamps(stamps)), HELD_OUT, seed)
    known, never = (Compositor([s for s in part if s.kind in KINDS], side) for part in (train, held_out))
    pictures = coco.make_pictures(known, never, sizes["scenes"], out / "coco", seed)
    coco.write_karpathy(pictures, out / "coco", seed)
    coco.write_refer(pictures, out / "refer", seed)
    coco.write_vqa(pictures, out / "vqa", seed)
    nlvr2.write_nlvr2(known, never, sizes["pair sets"], out / "nlvr2", seed)
    imagenet.write_imagenet(train, held_out, sizes["renderings"], side, out / "imagenet", seed)


def build_sounds(stamps: Path, samples: Path | None, sizes: Sizes, seconds: float, out: Path, seed: int) -> None:
    """The benchmarks of sounds, of the recordings below both folders."""
    mixer = sounds.Mixer(deal(find_recordings(stamps, samples), seed), seconds, seed)
    sounds.write_esc50(mixer, sizes["esc50 clips"]["class"], out / "esc50")
    sounds.write_fsd50k(mixer, sizes["fsd50k"], out / "fsd50k")
    sounds.write_vggsound(mixer, sizes["vggsound"], out / "vggsound")
    sounds.write_avqa(mixer, sizes["avqa"], out / "avqa")
    sounds.write_audiocaps(mixer, sizes["audiocaps"], out / "audiocaps")
    sounds.write_clotho(mixer, sizes["clotho"], out / "clotho")
    sounds.write_macs(mixer, sizes["macs"], out / "macs")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.stampworld.build",
        description="Build small versions of the benchmarks, in their download formats, of real stamps and recordings.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into; what is there is replaced")
    parser.add_argument("--cache", type=Path, help="folder for the packages (default: OUT/../package)")
    parser.add_argument("--package", type=Path, help=f"a {PACKAGE} .deb you have, instead of downloading it")
    parser.add_argument("--samples-package", type=Path, help=f"a {SAMPLES_PACKAGE} .deb you have")
    parser.add_argument("--small", action="store_true", help="about a dozen of everything, to see that it works")
    parser.add_argument("--image-size", type=int, default=128, help="longer side of the pictures (default 128)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the sounds (default 2)")
    parser.add_argument("--vocab-size", type=int, default=1500, help="of the vocabulary (default 1500)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other stamps held out (default 1)")
    args = parser.parse_args(argv)
    if args.image_size < 32 or args.seconds < 1 or args.seed < 0:
        parser.error("--image-size must be at least 32, --seconds at least 1, --seed at least 0")
    cache = args.cache or args.out.resolve().parent / "package"
    sizes = SMALL if args.small else FULL
    try:
        stamps = fetch_stamps(args.package, cache)
        samples = fetch_unpacked(SAMPLES_PACKAGE, cache, args.samples_package) / "usr/share/sonic-pi/samples"
    except PackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    build_pictures(stamps, sizes, args.image_size, args.out, args.seed)
    build_sounds(stamps, samples, sizes, args.seconds, args.out, args.seed)
    entries = train_tokenizer(training_texts(args.out), args.out / "bpe", args.vocab_size)
    print(f"{args.out}: all benchmarks, a vocabulary of {entries}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
