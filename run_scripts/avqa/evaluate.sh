#!/usr/bin/env bash
# Evaluates on AVQA: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="AVQA"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/avqa/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/avqa/results}
BATCH=${BATCH:-16}
evaluate BPE valid aqa "$@"
