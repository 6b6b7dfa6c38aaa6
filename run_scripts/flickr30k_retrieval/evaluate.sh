#!/usr/bin/env bash
# Evaluates on Flickr30K retrieval: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="Flickr30K retrieval"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/flickr30k_retrieval/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/flickr30k_retrieval/results}
WITH_CANDIDATES=1
CHECKPOINT_USAGE="one of finetune.sh, a released fine-tuned one, or, without any training on this, a pretrained one"
BATCH=${BATCH:-16}
evaluate BPE "valid test" image_text_retrieval "$@"
