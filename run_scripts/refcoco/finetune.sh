#!/usr/bin/env bash
# Fine-tunes on RefCOCO, RefCOCO+ or RefCOCOg. The recipes are finetune.yaml and refcocog.yaml.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

DATASET=${DATASET:-refcoco}
TITLE=$DATASET
OUT=${OUT:-$OUTPUTS/$DATASET}
MORE_USAGE="  DATASET     refcoco, refcoco+ or refcocog ($DATASET)"
one_of DATASET refcoco refcoco+ refcocog
RECIPE=finetune
[[ $DATASET != refcocog ]] || RECIPE=refcocog
finetune BPE "$RECIPE" "$@"
