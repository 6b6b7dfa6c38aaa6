#!/usr/bin/env bash
# Stage 2 on drawings and titles, by vector.yaml; what stage 1 learnt stays as it is.
set -euo pipefail
EXAMPLE=new_modality
source "$(dirname "${BASH_SOURCE[0]}")/../clipart/stage1.sh"
source "$ROOT/run_scripts/launch.sh" # train, hydra_text, HERE
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [HYDRA OVERRIDES ...]
Trains the drawings' branch on what prepare.sh left in \$OUT/data, by vector.yaml, on top of a stage 1 of examples/clipart;
checkpoints go to \$OUT/stage2, the log to \$OUT/train.log. Started again, it goes on from the last checkpoint.
  OUT=$OUT
  CLIPART=$CLIPART (its vocabulary)
  STAGE1=$STAGE1
  THREADS=$OMP_NUM_THREADS
  CPU=1        leave GPUs alone
  BF16=1       bfloat16: half as fast again on CPUs that multiply it (avx512_bf16, amx_bf16)
Overrides win over vector.yaml, such as optimization.max_update=600." "$@"
needs "$OUT/data/train.tsv" "run prepare.sh first"
needs "$STAGE1" "run examples/clipart/train.sh first"
export PATH="$(dirname "$PYTHON"):$PATH"
USER_DIR="$HERE" DATA="$OUT/data" SIZE="${SIZE:-tiny}"
train "$HERE" vector "$OUT/stage2" task.bpe_dir="$(hydra_text "$CLIPART/data/bpe")" \
    checkpoint.finetune_from_model="$(hydra_text "$STAGE1")" "$@" 2>&1 | tee -a "$OUT/train.log"
