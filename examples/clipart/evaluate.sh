#!/usr/bin/env bash
# Retrieval over drawings that were kept from training, and over the stamps: tables beside chance, pictures of results.
set -euo pipefail
EXAMPLE=clipart
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
CHECKPOINT="${CHECKPOINT:-$OUT/checkpoints/checkpoint_best.pt}"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}"
usage "Usage: [OUT=DIR] [CHECKPOINT=FILE] $0 [OPTIONS]
Measures text -> image and image -> text retrieval over the held-out drawings (\$OUT/report/held_out) and over the stamps,
which were trained on (\$OUT/report/trained): report.md and report.png.
  OUT=$OUT
  CHECKPOINT=$CHECKPOINT
OPTIONS are those of python -m one_peace.examples.retrieval_report, such as --queries 8 or --device cuda." "$@"
needs "$CHECKPOINT" "run train.sh first"
set -- --columns text=caption image=image --directions text:image image:text --queries 5 "$@"
report held_out data/test.tsv "Drawings kept from training" "$@"
report trained data/valid.tsv "Stamps that were trained on" "$@"
