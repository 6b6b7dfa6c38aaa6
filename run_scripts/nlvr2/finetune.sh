#!/usr/bin/env bash
# Fine-tunes on NLVR2. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="NLVR2"
OUT=${OUT:-$OUTPUTS/nlvr2}
finetune BPE finetune "$@"
