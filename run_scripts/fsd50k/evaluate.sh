#!/usr/bin/env bash
# Evaluates on FSD50K: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="FSD50K"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/fsd50k/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/fsd50k/results}
BATCH=${BATCH:-16}
evaluate "" "valid test" fsd50k "$@"
