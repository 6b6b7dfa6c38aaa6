#!/usr/bin/env bash
# Names instruments and families by their sound, without training on the names, and finds pictures of them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
CHECKPOINT="${CHECKPOINT:-$OUT/stage2/checkpoint_best.pt}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [OPTIONS]
Joins both stages in \$OUT/one_peace.pt, names the sounds of all fonts by what instruments and families are called
(\$OUT/results/accuracy.md), searches pictures by sounds (\$OUT/report/report.md and report.png), and draws
\$OUT/report/curves.png of stage 2 and map.png of pictures, names and sounds of the other font.
  OUT=$OUT
  CLIPART=$CLIPART (its pictures and vocabulary)
  STAGE1=$STAGE1
  CHECKPOINT=$CHECKPOINT
  BATCH=$BATCH  THREADS=$OMP_NUM_THREADS  CPU=1 leaves GPUs alone
OPTIONS are those of python -m one_peace.examples.retrieval_report, such as --queries 8 or --device cuda." "$@"
needs "$STAGE1" "run examples/clipart/train.sh first"
needs "$CHECKPOINT" "run train.sh first"
"$PYTHON" -m one_peace.models.merge "$STAGE1" "$CHECKPOINT" --out "$OUT/one_peace.pt"

# name CLASSES COLUMN: what the sounds are called, out of data/CLASSES.txt; COLUMN has the right answers.
name() {
    SPLITS="valid dev test" CHECKPOINT="$OUT/one_peace.pt" RESULTS="$OUT/results/$1" MODALITY=audio BATCH="$BATCH" \
        LABELS="$DATA/$1.txt" PROMPTS="$ROOT/examples/instruments/prompts.txt" \
        bash "$ROOT/run_scripts/zero_shot/evaluate.sh" --selected-cols "uniq_id,audio,$2" --max-duration 2
}

name labels label
name families family
"$PYTHON" -m one_peace.examples.instruments.accuracy "$OUT/results"
"$PYTHON" -m one_peace.examples.instruments.gallery --data "$DATA" --pictures "$CLIPART/data"
views=(--columns audio=audio image=image text=text)
"$PYTHON" -m one_peace.examples.retrieval_report "$OUT/one_peace.pt" "$DATA/gallery.tsv" --out "$OUT/report" \
    --title "Pictures by sounds of the other font, among all stamps and drawings" --queries 5 "${views[@]}" \
    --emergent audio:image image:audio --directions text:image "$@"
curves "$OUT/train.log" train_inner:atc_loss train_inner:dcl_audio_loss '*:txt_r1' '*:audio_r1' '*:r_mean'
"$PYTHON" -m one_peace.examples.plots.joint_space "$OUT/one_peace.pt" "$DATA/gallery.tsv" --out "$OUT/report/map.png" \
    "${views[@]}" --title "Sounds of the other font, names, pictures"
