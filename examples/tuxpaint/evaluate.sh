#!/usr/bin/env bash
# Retrieval over all stamps, both ways: a table beside chance and a picture of some results.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
CHECKPOINT="${CHECKPOINT:-$OUT/checkpoints/checkpoint_best.pt}"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}"
usage "Usage: [OUT=DIR] [CHECKPOINT=FILE] $0 [OPTIONS]
Measures text -> image and image -> text retrieval over all stamps; writes \$OUT/report/report.md and report.png.
  OUT=$OUT
  CHECKPOINT=$CHECKPOINT
OPTIONS are those of python -m one_peace.examples.retrieval_report, such as --queries 8 or --device cuda." "$@"
needs "$CHECKPOINT" "run train.sh first"
report "" data/valid.tsv "Tux Paint stamps" \
    --columns text=caption image=image --directions text:image image:text --queries 5 "$@"
