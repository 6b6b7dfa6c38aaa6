#!/usr/bin/env bash
# Fine-tunes on VQAv2. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="VQAv2"
OUT=${OUT:-$OUTPUTS/vqa}
finetune BPE finetune "$@"
