#!/usr/bin/env bash
# Fine-tunes on ImageNet: first the 21k classes (RECIPE=finetune_21k), then the 1k. The recipes are the yaml files.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

RECIPE=${RECIPE:-finetune}
TITLE="ImageNet"
OUT=${OUT:-$OUTPUTS/imagenet${RECIPE#finetune}}
MORE_USAGE="  RECIPE      finetune_21k: the classes of ImageNet-21k; finetune: the 1000 classes, from a checkpoint of that ($RECIPE)"
one_of RECIPE finetune finetune_21k
finetune "" "$RECIPE" "$@"
