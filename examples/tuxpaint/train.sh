#!/usr/bin/env bash
# Stage 1 on the stamps: pictures and captions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
ARCH="${ARCH:-one_peace_pretrain_tiny}"
IMAGE_SIZE="${IMAGE_SIZE:-64}"
UPDATES="${UPDATES:-700}"
BATCH="${BATCH:-64}"
LR="${LR:-5e-4}"
SEED="${SEED:-1}"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}" OMP_WAIT_POLICY=PASSIVE
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [FLAGS OF fairseq-train ...]
Pretrains stage 1 on the stamps that prepare.sh left in \$OUT/data; checkpoints go to \$OUT/checkpoints, the log to
\$OUT/train.log. Started again, it goes on from the last checkpoint.
  OUT=$OUT
  ARCH=$ARCH  IMAGE_SIZE=$IMAGE_SIZE  UPDATES=$UPDATES  BATCH=$BATCH  LR=$LR  SEED=$SEED
  THREADS=$OMP_NUM_THREADS
  CPU=1    leave GPUs alone
  BF16=1   bfloat16: half as fast again on CPUs that multiply it (avx512_bf16, amx_bf16)
Flags given here win over the script's." "$@"
needs "$OUT/data/valid.tsv" "run prepare.sh first"
[ "${CPU:-0}" != 1 ] || set -- --cpu "$@"
[ "${BF16:-0}" != 1 ] || set -- --bf16 "$@"
mkdir -p "$OUT"
"$PYTHON" -m fairseq_cli.train "$OUT/data" --user-dir "$ROOT/user_module" \
    --task image_text_pretrain --selected-cols image_id,image,caption \
    --bpe-dir "$OUT/data/bpe" --patch-image-size "$IMAGE_SIZE" \
    --arch "$ARCH" --criterion image_text_pretrain_loss \
    --optimizer adjust_adam --adam-betas '(0.9,0.98)' --weight-decay 0.05 --clip-norm 3.0 \
    --lr "$LR" --lr-scheduler adjust_cosine --warmup-ratio 0.1 --max-update "$UPDATES" \
    --batch-size "$BATCH" --num-workers 1 --seed "$SEED" --fp16-no-flatten-grads --ddp-backend legacy_ddp \
    --validate-interval-updates 250 --validate-interval 1000000 --no-epoch-checkpoints \
    --best-checkpoint-metric r_mean --maximize-best-checkpoint-metric \
    --save-dir "$OUT/checkpoints" --log-format simple --log-interval 50 "$@" 2>&1 | tee -a "$OUT/train.log"
