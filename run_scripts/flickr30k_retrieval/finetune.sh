#!/usr/bin/env bash
# Fine-tunes on Flickr30K retrieval. The recipe is finetune.yaml; what differs between machines is set here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="Flickr30K retrieval"
OUT=${OUT:-$OUTPUTS/flickr30k_retrieval}
finetune BPE finetune "$@"
