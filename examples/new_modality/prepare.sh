#!/usr/bin/env bash
# Makes manifests of the drawings that examples/clipart prepared.
set -euo pipefail
EXAMPLE=new_modality
source "$(dirname "${BASH_SOURCE[0]}")/../clipart/stage1.sh"
usage "Usage: [OUT=DIR] [CLIPART=DIR] $0
Makes manifests of Open Clip Art's drawings in \$OUT/data, out of what examples/clipart/prepare.sh left in \$CLIPART.
  OUT=$OUT
  CLIPART=$CLIPART" "$@"
needs "$CLIPART/data/train.tsv" "run examples/clipart/prepare.sh first"
exec "$PYTHON" -m one_peace.examples.new_modality.prepare --clipart "$CLIPART" --out "$OUT/data" "$@"
