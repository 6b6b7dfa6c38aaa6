#!/usr/bin/env bash
# Fine-tunes on COCO retrieval. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="COCO retrieval"
OUT=${OUT:-$OUTPUTS/coco_retrieval}
finetune BPE finetune "$@"
