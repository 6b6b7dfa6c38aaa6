#!/usr/bin/env bash
# Searches titles and pictures by drawings and the other way round, and draws learning curves and a map of the joint space.
set -euo pipefail
EXAMPLE=new_modality
source "$(dirname "${BASH_SOURCE[0]}")/../clipart/stage1.sh"
CHECKPOINT="${CHECKPOINT:-$OUT/stage2/checkpoint_best.pt}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [OPTIONS]
Joins both stages in \$OUT/one_peace.pt and measures retrieval by drawings that were kept from training: among themselves
(\$OUT/report/held_out), and among all titles and pictures (\$OUT/report/all). Draws \$OUT/report/curves.png and map.png.
  OUT=$OUT
  STAGE1=$STAGE1
  CHECKPOINT=$CHECKPOINT
OPTIONS are those of python -m one_peace.examples.retrieval_report, such as --queries 8 or --device cuda." "$@"
needs "$STAGE1" "run examples/clipart/train.sh first"
needs "$CHECKPOINT" "run train.sh first"
"$PYTHON" -m one_peace.models.merge "$STAGE1" "$CHECKPOINT" --out "$OUT/one_peace.pt"
CHECKPOINT="$OUT/one_peace.pt"
views=(--user-dir "$ROOT/examples/new_modality" --columns vector=drawing text=caption image=image)
report held_out data/test.tsv "Drawings kept from training" "${views[@]}" --queries 5 \
    --directions vector:text text:vector --emergent vector:image image:vector "$@"
report all data/all.tsv "Drawings kept from training, among all titles and pictures" "${views[@]}" --queries 5 \
    --directions vector:text --emergent vector:image "$@"
curves "$OUT/train.log" train_inner:vtc_loss train_inner:dcl_vector_loss '*:txt_r1' '*:vector_r1' '*:r_mean'
"$PYTHON" -m one_peace.examples.plots.joint_space "$CHECKPOINT" "$OUT/data/test.tsv" --out "$OUT/report/map.png" \
    "${views[@]}" --links 25 --title "Held-out drawings, titles, pictures"
