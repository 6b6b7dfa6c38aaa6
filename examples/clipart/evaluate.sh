#!/usr/bin/env bash
# Retrieval over drawings that were kept from training, and over the stamps: tables beside chance, pictures of results.
set -euo pipefail
EXAMPLE=clipart
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
CHECKPOINT="${CHECKPOINT:-$OUT/checkpoints/checkpoint_best.pt}"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}"
usage "Usage: [OUT=DIR] [CHECKPOINT=FILE] $0 [OPTIONS]
Measures text -> image and image -> text retrieval over the held-out drawings (\$OUT/held_out) and over the stamps,
which were trained on (\$OUT/trained): report.md and report.png.
  OUT=$OUT
  CHECKPOINT=$CHECKPOINT
OPTIONS are those of python -m one_peace.examples.retrieval_report, such as --queries 8 or --device cuda." "$@"

# report MANIFEST FOLDER TITLE OPTION...: one table and picture.
report() {
    local manifest="$OUT/data/$1" folder="$OUT/$2" title="$3"
    shift 3
    "$PYTHON" -m one_peace.examples.retrieval_report "$CHECKPOINT" "$manifest" --out "$folder" --title "$title" \
        --columns text=caption image=image --directions text:image image:text --queries 5 "$@"
}

report test.tsv held_out "Drawings kept from training" "$@"
report valid.tsv trained "Stamps that were trained on" "$@"
