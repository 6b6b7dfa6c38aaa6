#!/usr/bin/env bash
# Stage 1 by ../train.sh with and without the denoising contrast, shared and separate attention, several seeds each.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
SEEDS="${SEEDS:-1 2 3}"
UPDATES="${UPDATES:-400}"
ALONE_UPDATES="${ALONE_UPDATES:-$((UPDATES * 11 / 4))}" # an update takes 15 GFLOP, one with both contrasts 42
VARIANTS="${VARIANTS:-both alone both_separate alone_separate}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [FLAGS OF fairseq-train ...]
Trains every variant with every seed on \$OUT/data; \$OUT/runs/VARIANT-SEED holds checkpoints, log and results. Started
again, it goes on where it was.
  OUT=$OUT
  SEEDS='$SEEDS'
  VARIANTS='$VARIANTS'   aligning and denoising contrast, or aligning alone
  UPDATES=$UPDATES  ALONE_UPDATES=$ALONE_UPDATES (of aligning alone: each costs less; evaluate.sh counts)
and the variables of examples/tuxpaint/train.sh. Flags given here win over the script's." "$@"
[ -f "$OUT/data/held_out.tsv" ] || { echo "no $OUT/data/held_out.tsv: run prepare.sh first" >&2; exit 1; }

for seed in $SEEDS; do
    for variant in $VARIANTS; do
        run="$OUT/runs/$variant-$seed"
        [ ! -f "$run/done" ] || continue
        mkdir -p "$run"
        ln -sfn "$OUT/data" "$run/data"
        updates="$UPDATES" arch=one_peace_pretrain_tiny
        flags=(--valid-subset valid,held_out --validate-interval-updates 1000000 --results-dir "$run/results")
        if [[ $variant == alone* ]]; then
            updates="$ALONE_UPDATES"
            flags+=(--dcl-text-alpha 0 --dcl-image-alpha 0 --dcl-vl-text-alpha 0 --dcl-vl-image-alpha 0)
        fi
        if [[ $variant == *_separate ]]; then
            arch=one_peace_pretrain_separate_tiny
            flags+=(--user-dir "$HERE")
        fi
        OUT="$run" SEED="$seed" UPDATES="$updates" ARCH="$arch" bash "$ROOT/examples/tuxpaint/train.sh" "${flags[@]}" "$@"
        touch "$run/done"
    done
done
