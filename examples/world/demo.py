"""Learn which sound, picture and words belong together: ``python -m one_peace.examples.world.demo --out outputs/demo``.

Generates the world, pretrains stage 1 on pictures with captions and stage 2 on sounds with captions (both by
fairseq-train), joins the two checkpoints and reports retrieval among scenes never seen, sound -> picture included,
which no training pair ever showed. Everything lands in the output folder: commands.sh (what was run), logs/, report.md,
report.png. Run again, it reuses the steps that are done with the same settings.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.examples.steps import Step, StepFailed, run_steps

ROOT = Path(__file__).resolve().parents[2]
IMAGE_SIZE = 64
# Seconds on two CPU cores, about: how the steps share the progress bar.
SHARES = {"world": 30, "tokenizer": 3, "stage1": 300, "stage2": 220, "merge": 5, "report": 15}

TRAINING = """
    --user-dir {user_dir} --arch one_peace_pretrain_tiny --bpe-dir {bpe}
    --optimizer adjust_adam --adam-betas (0.9,0.98) --weight-decay 0.05 --clip-norm 3.0
    --lr-scheduler adjust_cosine --warmup-ratio 0.1 --batch-size {batch} --max-update {updates} --seed {seed}
    --validate-interval-updates {validate} --maximize-best-checkpoint-metric --best-checkpoint-metric r_mean
    --no-epoch-checkpoints --save-dir {save_dir} --num-workers 1 --log-format json --log-interval 5 --cpu
"""
STAGE1 = """
    {out}/world/image_text --task image_text_pretrain --selected-cols image_id,image,caption
    --patch-image-size {image_size} --criterion image_text_pretrain_loss --lr 3e-4
"""
STAGE2 = """
    {out}/world/audio_text --task audio_text_pretrain --selected-cols uniq_id,audio,text
    --criterion audio_text_pretrain_loss --lr 1e-3 --stage2-pretrain --reset-logit-scale
    --finetune-from-model {out}/stage1/checkpoint_best.pt
"""
REPORT = """
    {out}/one_peace.pt {out}/world/test.tsv --out {out} --title "Scenes never seen"
    --columns text=caption image=image audio=audio
    --directions text:image image:text audio:text text:audio --emergent audio:image
"""


def plan_steps(args: argparse.Namespace) -> list[Step]:
    """The demo as commands, from an empty folder to the report."""
    out = args.out
    training = {"user_dir": ROOT / "user_module", "bpe": out / "bpe", "seed": args.seed, "batch": args.batch_size}
    stage1 = {**training, "updates": args.updates[0], "save_dir": out / "stage1", "validate": args.updates[0] // 4}
    stage2 = {**training, "updates": args.updates[1], "save_dir": out / "stage2", "validate": args.updates[1] // 4}
    world = f"--out {{out}}/world --train {args.train} --seed {args.seed} --image-size {{image_size}}"
    tokenizer = "{out}/world/image_text/train.tsv --column caption --out {out}/bpe --vocab-size 200"
    merge = "{out}/stage1/checkpoint_best.pt {out}/stage2/checkpoint_best.pt --out {out}/one_peace.pt"
    fairseq_train = [str(Path(sys.executable).with_name("fairseq-train"))]

    def words(text: str, **values: object) -> list[str]:
        return [word.format(out=out, image_size=IMAGE_SIZE, **values) for word in shlex.split(text)]

    commands = {
        "world": (_module("examples.world.generate") + words(world), ["world"]),
        "tokenizer": (_module("data.train_tokenizer") + words(tokenizer), ["bpe"]),
        "stage1": (fairseq_train + words(STAGE1 + TRAINING, **stage1), ["stage1"]),
        "stage2": (fairseq_train + words(STAGE2 + TRAINING, **stage2), ["stage2"]),
        "merge": (_module("models.merge") + words(merge), ["one_peace.pt"]),
        "report": (_module("examples.retrieval_report") + words(REPORT), ["report.md", "report.png"]),
    }
    updates = dict(zip(("stage1", "stage2"), args.updates, strict=True))
    return [
        Step(name, command, [out / o for o in outputs], SHARES[name], updates.get(name))
        for name, (command, outputs) in commands.items()
    ]


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"one_peace.{name}"]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.world.demo",
        description="Generate a small world, pretrain on it in two stages, and report retrieval on scenes never seen.",
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), help="folder (default outputs/demo)")
    parser.add_argument("--train", type=int, default=8000, help="training pictures, and as many sounds (default 8000)")
    parser.add_argument(
        "--updates", type=int, nargs=2, default=(220, 100), metavar=("STAGE1", "STAGE2"), help="default 220 100"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="default 64")
    parser.add_argument("--seed", type=int, default=1, help="of the world and of training (default 1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run left in the folder")
    args = parser.parse_args(argv)
    if min(args.updates) < 4 or args.batch_size < 2 or args.train < args.batch_size:
        parser.error("needs at least 4 updates a stage, a batch of 2 and as many training pictures as a batch")
    args.out = args.out.resolve()
    steps = plan_steps(args)
    # Waiting threads sleep: spinning ones would take the cores from the loader, and from whatever else runs here.
    threads = {"OMP_NUM_THREADS": str(args.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    no_gpu = {"CUDA_VISIBLE_DEVICES": ""}  # fairseq starts a process for each that it sees
    environment = {**os.environ, **threads, **no_gpu, "PYTHONPATH": _python_path()}
    try:
        run_steps(steps, args.out, environment, fresh=args.fresh)
    except StepFailed as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{(args.out / 'report.md').read_text(encoding='utf-8')}")
    for name, path in (("picture", "report.png"), ("commands", "commands.sh"), ("model", "one_peace.pt")):
        print(f"{name:>8}: {args.out / path}")
    return 0


def _python_path() -> str:
    """Lets the steps find one_peace wherever they are started from, also from a checkout that was never installed."""
    known = os.environ.get("PYTHONPATH")
    return str(ROOT) + (os.pathsep + known if known else "")


if __name__ == "__main__":
    sys.exit(main())
