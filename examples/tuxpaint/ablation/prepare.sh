#!/usr/bin/env bash
# Keeps a fifth of the stamps from training; ../prepare.sh must have run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
usage "Usage: [OUT=DIR] [TUXPAINT=DIR] $0
Makes manifests in \$OUT/data of what examples/tuxpaint/prepare.sh left in \$TUXPAINT/data: all stamps of every fifth
caption are held out.
  OUT=$OUT
  TUXPAINT=$TUXPAINT" "$@"
[ -f "$TUXPAINT/data/train.tsv" ] || { echo "no $TUXPAINT/data: run examples/tuxpaint/prepare.sh first" >&2; exit 1; }
"$PYTHON" -m one_peace.examples.tuxpaint.ablation.prepare --data "$TUXPAINT/data" --out "$OUT/data"
ln -sfn "$TUXPAINT/data/bpe" "$OUT/data/bpe"
