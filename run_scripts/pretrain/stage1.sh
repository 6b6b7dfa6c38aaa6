#!/usr/bin/env bash
# Stage 1 of pretraining: images and words. The recipe is stage1.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

usage() {
    cat <<EOF
usage: [VARIABLE=value ...] bash stage1.sh [hydra overrides ...]

  DATA        folder with train.tsv and valid.tsv (columns image_id, image, caption); required
  BPE         vocabulary: encoder.json, vocab.bpe, dict.txt, or sentencepiece.model, dict.txt; required
  OUT         where checkpoints and logs go ($OUTPUTS/stage1); the same command again resumes
$(training_usage)

  one GPU         CUDA_VISIBLE_DEVICES=0 DATA=laion BPE=bpe bash stage1.sh
  eight           DATA=laion BPE=bpe bash stage1.sh
  other settings  ... bash stage1.sh dataset.batch_size=16 'optimization.update_freq=[2]' 'task.train_manifests="part*.tsv"'
EOF
}

usage_if_asked "$@"
require DATA BPE
train "$HERE" stage1 "${OUT:-$OUTPUTS/stage1}" task.bpe_dir="$(hydra_text "$BPE")" "$@"
