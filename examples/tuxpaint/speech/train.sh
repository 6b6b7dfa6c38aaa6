#!/usr/bin/env bash
# Stage 1 on pictures and captions in ten languages, then stage 2 on recordings, by run_scripts/pretrain/stage2.yaml.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
STAGE1_UPDATES="${STAGE1_UPDATES:-2000}"
STAGE1_LR="${STAGE1_LR:-5e-4}"
UPDATES="${UPDATES:-5000}"
BATCH="${BATCH:-128}"
LR="${LR:-1e-3}"
DENOISING="${DENOISING:-0}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [HYDRA OVERRIDES ...]
Trains stage 1 on \$OUT/data (checkpoints in \$OUT/checkpoints, the best one in \$OUT/stage1.pt, the log in
\$OUT/train.log) and stage 2 on \$OUT/sounds (\$OUT/stage2, with its log), and joins both in \$OUT/one_peace.pt. Started
again, it goes on from the last checkpoint.
  OUT=$OUT
  STAGE1=$STAGE1 (trained only if there is no such file)
  STAGE1_UPDATES=$STAGE1_UPDATES  STAGE1_LR=$STAGE1_LR  THREADS=$OMP_NUM_THREADS
  UPDATES=$UPDATES  BATCH=$BATCH  LR=$LR  STEM='$STEM'
  PROCESSES=$PROCESSES with CPU=1: so many processes share stage 2's batches and threads
  DENOISING=$DENOISING   1: the denoising contrast too, in both stages; an update costs two to three times as much
  CPU=1    leave GPUs alone
  BF16=1   bfloat16: half as fast again on CPUs that multiply it (avx512_bf16, amx_bf16)
OVERRIDES are stage 2's and win, such as criterion.dcl_audio_alpha=0.5." "$@"
needs "$OUT/views/held_out.tsv" "run prepare.sh first"
export CPU="${CPU:-$("$PYTHON" -c 'import torch; print(int(not torch.cuda.is_available()))')}"

flags=(--validate-interval-updates 1000) overrides=() # of thousands of pairs: half a minute each
if [ "$DENOISING" != 1 ]; then
    flags+=(--dcl-text-alpha 0 --dcl-image-alpha 0 --dcl-vl-text-alpha 0 --dcl-vl-image-alpha 0)
    overrides+=("${ALIGNING_ALONE[@]}")
fi
if [ ! -f "$STAGE1" ]; then
    env -u BATCH UPDATES="$STAGE1_UPDATES" LR="$STAGE1_LR" bash "$ROOT/examples/tuxpaint/train.sh" "${flags[@]}"
    cp "$OUT/checkpoints/checkpoint_best.pt" "$STAGE1.part" && mv "$STAGE1.part" "$STAGE1" # whole or not there
fi
# As the aligning logits' scale grows, sounds leave the neighbourhood of pictures, which they are never paired with.
overrides+=(++model.freeze_logit_scale=true)
processes "$BATCH"
DATA="$OUT/sounds" BPE="$OUT/data/bpe" STAGE1="$STAGE1" OUT="$OUT/stage2" SIZE=tiny \
    bash "$ROOT/run_scripts/pretrain/stage2.sh" \
    "${SMALL_RUN[@]}" "${SHORT_SOUNDS[@]}" "${SHARED_BATCH[@]}" dataset.num_workers=1 "optimization.lr=[$LR]" \
    model.encoder.drop_path_rate=0 optimization.max_epoch=0 ++optimization.max_update="$UPDATES" \
    "dataset.valid_subset='valid,held_out'" ++dataset.validate_interval=1000000 ++dataset.validate_interval_updates=500 \
    "${overrides[@]}" "$@"
"$PYTHON" -m one_peace.models.merge "$STAGE1" "$OUT/stage2/checkpoint_best.pt" --out "$OUT/one_peace.pt"
