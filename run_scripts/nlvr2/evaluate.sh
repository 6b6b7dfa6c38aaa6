#!/usr/bin/env bash
# Evaluates on NLVR2: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="NLVR2"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/nlvr2/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/nlvr2/results}
BATCH=${BATCH:-16}
evaluate BPE "valid test" nlvr2 "$@"
