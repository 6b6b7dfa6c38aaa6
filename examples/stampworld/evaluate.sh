#!/usr/bin/env bash
# Evaluates what train.sh left on every split, then tables everything that has been evaluated beside guessing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
EVALUATED=("${BENCHMARKS[@]}" refcoco+ refcocog esc50)
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [BENCHMARK ...]
Evaluates \$OUT/checkpoints/BENCHMARK/checkpoint_best.pt; as refcoco+ and refcocog that of refcoco, which has trained on
all three, and as esc50, without training on it, that of audiocaps_clotho_retrieval. Metrics and predictions go to
\$OUT/checkpoints/BENCHMARK/results. Then makes \$OUT/results.md: all that has been evaluated so far, pretrained and from
scratch, beside what guessing gives.
The benchmarks: ${EVALUATED[*]} (default: all).
  OUT=$OUT
  BPE        the vocabulary of training, if it was not stampworld's own
  SCRATCH=1  evaluate \$OUT/scratch/BENCHMARK/checkpoint_best.pt instead
  IMAGE_SIZE=$IMAGE_SIZE (as in training)  THREADS=$OMP_NUM_THREADS  CPU=1 leaves GPUs alone" "$@"
has_prepared
without_gpu
folder="$OUT/checkpoints"
[ "${SCRATCH:-0}" != 1 ] || folder="$OUT/scratch"
[ $# -gt 0 ] || set -- "${EVALUATED[@]}"
must_be "${EVALUATED[*]}" "$@"
for benchmark; do
    trained=$benchmark recipe=$benchmark
    case $benchmark in
        esc50) trained=audiocaps_clotho_retrieval ;;
        refcoco*) trained=refcoco recipe=refcoco ;;
    esac
    DATA="$OUT/manifests/$benchmark" DATASET="$benchmark" CHECKPOINT="$folder/$trained/checkpoint_best.pt" \
        RESULTS="$folder/$benchmark/results" BATCH=32 SIZES="$IMAGE_SIZE" \
        bash "$ROOT/run_scripts/$recipe/evaluate.sh"
done
"$PYTHON" -m one_peace.examples.stampworld.report "$OUT" | tee "$OUT/results.md"
