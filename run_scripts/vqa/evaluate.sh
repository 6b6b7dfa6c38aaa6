#!/usr/bin/env bash
# Evaluates on VQAv2: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="VQAv2"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/vqa/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/vqa/results}
BATCH=${BATCH:-16}
evaluate BPE "valid test_dev test" vqa --ans2label "${DATA:-}/ans2label.json" "$@"
