#!/usr/bin/env bash
# Evaluates what train.sh left on every split, and the pretrained model on ESC-50.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [BENCHMARK ...]
Evaluates \$OUT/checkpoints/BENCHMARK/checkpoint_best.pt and, as esc50, \$OUT/pretrained.pt; metrics and predictions go to
\$OUT/checkpoints/BENCHMARK/results. \$OUT/chance.md says what guessing gives.
The benchmarks: ${BENCHMARKS[*]} esc50 (default: all).
  OUT=$OUT
  BPE        the vocabulary of training, if it was not stampworld's own
  SCRATCH=1  evaluate \$OUT/scratch/BENCHMARK/checkpoint_best.pt instead
  IMAGE_SIZE=$IMAGE_SIZE (as in training)  THREADS=$OMP_NUM_THREADS  CPU=1 leaves GPUs alone" "$@"
has_prepared
without_gpu
folder="$OUT/$([ "${SCRATCH:-0}" = 1 ] && echo scratch || echo checkpoints)"
[ $# -gt 0 ] || set -- "${BENCHMARKS[@]}" esc50
for benchmark; do
    checkpoint="$folder/$benchmark/checkpoint_best.pt"
    [ "$benchmark" != esc50 ] || checkpoint="$OUT/pretrained.pt"
    DATA="$OUT/manifests/$benchmark" DATASET="$benchmark" CHECKPOINT="$checkpoint" RESULTS="$folder/$benchmark/results" \
        BATCH=32 SIZES="$IMAGE_SIZE" \
        bash "$ROOT/run_scripts/$(recipe_of "$benchmark")/evaluate.sh"
    answers="$folder/$benchmark/results/test_vqa.json"
    if [ -f "$answers" ]; then
        echo "VQA's test server on held-out stamps:"
        "$PYTHON" -m one_peace.examples.stampworld.score_vqa "$answers" \
            "$OUT/data/vqa/v2_mscoco_test2015_annotations.json"
    fi
done
