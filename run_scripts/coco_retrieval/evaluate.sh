#!/usr/bin/env bash
# Evaluates on COCO retrieval: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="COCO retrieval"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/coco_retrieval/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/coco_retrieval/results}
WITH_CANDIDATES=1
CHECKPOINT_USAGE="one of finetune.sh, a released fine-tuned one, or, without any training on this, a pretrained one"
BATCH=${BATCH:-16}
evaluate BPE "valid test" image_text_retrieval "$@"
