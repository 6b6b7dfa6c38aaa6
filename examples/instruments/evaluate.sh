#!/usr/bin/env bash
# Names instruments and families by their sound, without training on the names, and finds pictures of them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
CHECKPOINT="${CHECKPOINT:-$OUT/stage2/checkpoint_last.pt}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [OPTIONS]
Joins both stages in \$OUT/one_peace.pt, calls the sounds of all fonts by the names of instruments and families
(\$OUT/results/accuracy.md), searches pictures by sounds (\$OUT/report/report.md and report.png), and draws
\$OUT/report/curves.png of stage 2 and map.png of pictures, names and sounds of the other font.
  OUT=$OUT
  CLIPART=$CLIPART (its pictures and vocabulary)
  STAGE1=$STAGE1
  CHECKPOINT=$CHECKPOINT
  THREADS=$OMP_NUM_THREADS
OPTIONS are those of python -m one_peace.examples.retrieval_report, such as --queries 8 or --device cuda. Sounds are embedded
as the mean of themselves and eight others as might be." "$@"
needs "$STAGE1" "run examples/clipart/train.sh first"
needs "$CHECKPOINT" "run train.sh first"
"$PYTHON" -m one_peace.models.merge "$STAGE1" "$CHECKPOINT" --out "$OUT/one_peace.pt"
CHECKPOINT="$OUT/one_peace.pt"
"$PYTHON" -m one_peace.examples.instruments.accuracy "$CHECKPOINT" --data "$DATA" --out "$OUT/results"
"$PYTHON" -m one_peace.examples.instruments.gallery --data "$DATA" --pictures "$CLIPART/data"
views=(--columns audio=audio image=image text=text)
report "" data/gallery.tsv "Pictures by sounds of the other font, among all stamps and drawings" "${views[@]}" --queries 5 \
    --emergent audio:image image:audio --directions text:image --takes 8 "$@"
curves "$OUT/train.log" train_inner:atc_loss train_inner:dcl_audio_loss '*:txt_r1' '*:audio_r1' '*:r_mean'
"$PYTHON" -m one_peace.examples.plots.joint_space "$CHECKPOINT" "$DATA/gallery.tsv" --out "$OUT/report/map.png" \
    "${views[@]}" --title "Sounds of the other font, names, pictures"
