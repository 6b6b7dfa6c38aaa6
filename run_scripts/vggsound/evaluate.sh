#!/usr/bin/env bash
# Evaluates on VGGSound: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="VGGSound"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/vggsound/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/vggsound/results}
BATCH=${BATCH:-16}
WITH_LABELS=1
evaluate "" test vggsound "$@"
