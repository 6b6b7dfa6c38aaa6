#!/usr/bin/env bash
# Fine-tunes on RefCOCO, RefCOCO+ or RefCOCOg. The recipes are finetune.yaml and refcocog.yaml.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

DATASET=${DATASET:-refcoco}
TITLE=$DATASET
OUT=${OUT:-outputs/$DATASET}
MORE_USAGE="  DATASET     refcoco, refcoco+ or refcocog ($DATASET)"
case $DATASET in
    refcoco | refcoco+) finetune BPE finetune "$@" ;;
    refcocog) finetune BPE refcocog "$@" ;;
    *) echo "DATASET is $DATASET, expected refcoco, refcoco+ or refcocog" >&2; exit 2 ;;
esac
