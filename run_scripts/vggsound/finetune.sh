#!/usr/bin/env bash
# Fine-tunes on VGGSound. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="VGGSound"
OUT=${OUT:-$OUTPUTS/vggsound}
finetune "" finetune "$@"
