#!/usr/bin/env bash
# Stage 2 of pretraining: sounds and words. The recipe is stage2.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

usage() {
    cat <<EOF
usage: [VARIABLE=value ...] bash stage2.sh [hydra overrides ...]

  DATA        folder with train.tsv and valid.tsv (columns uniq_id, audio, text); required
  BPE         the vocabulary of stage 1; required
  STAGE1      a checkpoint of stage 1 ($OUTPUTS/stage1/checkpoint_best.pt)
  OUT         where checkpoints and logs go ($OUTPUTS/stage2); the same command again resumes
$(training_usage)

  eight GPUs      DATA=sounds BPE=bpe bash stage2.sh
EOF
}

usage_if_asked "$@"
STAGE1=${STAGE1:-$OUTPUTS/stage1/checkpoint_best.pt}
require DATA BPE STAGE1
train "$HERE" stage2 "${OUT:-$OUTPUTS/stage2}" task.bpe_dir="$(hydra_text "$BPE")" \
    checkpoint.finetune_from_model="$(hydra_text "$STAGE1")" "$@"
