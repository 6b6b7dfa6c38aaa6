#!/usr/bin/env bash
# Fine-tunes on FSD50K. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="FSD50K"
OUT=${OUT:-$OUTPUTS/fsd50k}
finetune "" finetune "$@"
