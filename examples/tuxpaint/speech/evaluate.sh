#!/usr/bin/env bash
# Tables by language beside chance, pictures of some results, learning curves and a map of the joint space.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
CHECKPOINT="${CHECKPOINT:-$OUT/one_peace.pt}"
usage "Usage: [OUT=DIR] [CHECKPOINT=FILE] $0 [OPTIONS]
Measures retrieval by language: of stamps in stage 1 (\$OUT/report/stage1), of recordings that were trained on
(\$OUT/report/trained) and of those that were not (\$OUT/report/held_out; among themselves in
\$OUT/report/held_out_alone): report.md and report.png. Draws \$OUT/report/curves.png of stage 2, and
\$OUT/report/map.png of pictures, captions and held-out recordings.
  OUT=$OUT
  CHECKPOINT=$CHECKPOINT
OPTIONS are those of python -m one_peace.examples.retrieval_report, such as --queries 8, --device cuda or --takes 0 (by
default a recording is embedded as the mean of itself and eight others of it as might be)." "$@"
needs "$CHECKPOINT" "run train.sh first"
languages=(--groups language)
columns=(--columns audio=audio text=text image=image)
views=("${columns[@]}" --directions audio:text text:audio --emergent audio:image image:audio --takes 8)
report stage1 data/train.tsv "Stamps in ten languages" \
    --columns text=caption image=image --directions text:image image:text "${languages[@]}" "$@"
report trained views/trained.tsv "Recordings that were trained on" "${views[@]}" "${languages[@]}" "$@"
report held_out views/held_out.tsv "Recordings kept from training" "${views[@]}" "${languages[@]}" "$@"
report held_out_alone views/held_out_alone.tsv "Recordings kept from training, among themselves" "${views[@]}" "$@"
curves "$OUT/stage2/hydra_train.log" train_inner:atc_loss train_inner:dcl_audio_loss '*:txt_r1' '*:audio_r1' '*:r_mean'
"$PYTHON" -m one_peace.examples.plots.joint_space "$CHECKPOINT" "$OUT/views/held_out.tsv" --out "$OUT/report/map.png" \
    "${columns[@]}" --colours kind --links 25 --title "Held-out recordings, captions, pictures"
