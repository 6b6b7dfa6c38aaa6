#!/usr/bin/env bash
# Fine-tunes on AudioCaps, Clotho and MACS. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="AudioCaps, Clotho and MACS"
OUT=${OUT:-$OUTPUTS/audiocaps_clotho_retrieval}
finetune BPE finetune "$@"
