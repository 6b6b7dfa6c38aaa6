#!/usr/bin/env bash
# Stage 2 on sounds and captions, by run_scripts/pretrain/stage2.yaml; what stage 1 learnt stays as it is.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
EPOCHS="${EPOCHS:-3}"
LR="${LR:-1e-3}"
DENOISING="${DENOISING:-0}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [HYDRA OVERRIDES ...]
Trains stage 2 on what prepare.sh left in \$OUT/data, on top of a stage 1 of examples/clipart; checkpoints go to
\$OUT/stage2, the log to \$OUT/train.log. Started again, it goes on from the last checkpoint.
  OUT=$OUT
  CLIPART=$CLIPART (its vocabulary)
  STAGE1=$STAGE1
  SIZE=$SIZE  EPOCHS=$EPOCHS  BATCH=$BATCH  LR=$LR  STEM='$STEM'  THREADS=$OMP_NUM_THREADS
  PROCESSES=$PROCESSES  with CPU=1: so many processes share batches and threads
  DENOISING=1  the denoising contrast too; an update costs two to three times as much
  CPU=1        leave GPUs alone
  BF16=1       bfloat16: half as fast again on CPUs that multiply it (avx512_bf16, amx_bf16)
Overrides given here win, such as model.encoder.drop_path_rate=0." "$@"
[ "$DENOISING" = 1 ] || SMALL_RUN+=("${ALIGNING_ALONE[@]}")
needs "$DATA/train.tsv" "run prepare.sh first"
needs "$STAGE1" "run examples/clipart/train.sh first"
processes "$BATCH"
OUT="$OUT/stage2" STAGE1="$STAGE1" bash "$ROOT/run_scripts/pretrain/stage2.sh" \
    "${SMALL_RUN[@]}" "${SHORT_SOUNDS[@]}" "${SHARED_BATCH[@]}" dataset.num_workers=1 "optimization.lr=[$LR]" \
    model.encoder.drop_path_rate=0.1 optimization.max_epoch="$EPOCHS" \
    "dataset.valid_subset='dev,valid'" "$@" 2>&1 | tee -a "$OUT/train.log"
