#!/usr/bin/env bash
# Evaluates on RefCOCO, RefCOCO+ or RefCOCOg: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

DATASET=${DATASET:-refcoco}
TITLE=$DATASET
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/$DATASET/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/$DATASET/results}
BATCH=${BATCH:-16}
MORE_USAGE="  DATASET     refcoco, refcoco+ or refcocog ($DATASET)"
one_of DATASET refcoco refcoco+ refcocog
evaluate BPE "valid testA testB test" refcoco "$@"
