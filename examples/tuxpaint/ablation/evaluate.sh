#!/usr/bin/env bash
# A table of all runs that have ended, by variant, and learning curves of the first seed's.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
usage "Usage: [OUT=DIR] $0
Tables what train.sh has measured in \$OUT/runs: mean and deviation over seeds, and the operations of training counted;
writes \$OUT/report.md and \$OUT/curves.png.
  OUT=$OUT" "$@"
"$PYTHON" -m one_peace.examples.tuxpaint.ablation.report "$OUT" | tee "$OUT/report.md"
logs=() seed="$(ls "$OUT/runs" | sed 's/.*-//' | sort -n | head -n 1)"
for run in "$OUT"/runs/*-"$seed"; do
    logs+=("$(basename "$run" "-$seed")=$run/train.log")
done
"$PYTHON" -m one_peace.examples.plots.curves "${logs[@]}" --out "$OUT/curves.png" --metrics train_inner:itc_loss \
    --title "Aligning contrast in training, one seed"
