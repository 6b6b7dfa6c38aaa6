#!/usr/bin/env bash
# Fine-tunes on AVQA. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="AVQA"
OUT=${OUT:-$OUTPUTS/avqa}
finetune BPE finetune "$@"
