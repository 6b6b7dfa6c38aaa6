# Shared by train.sh and evaluate.sh; sourced, not run.
EXAMPLE=stampworld
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
IMAGE_SIZE="${IMAGE_SIZE:-96}"
SIZE="${SIZE:-tiny}"
BENCHMARKS=(coco_retrieval refcoco vqa nlvr2 imagenet audiocaps_clotho_retrieval fsd50k vggsound avqa)
export PATH="$(dirname "$PYTHON"):$PATH" BPE="${BPE:-$OUT/data/bpe}" SIZE
export OMP_NUM_THREADS="${THREADS:-$(nproc)}" OMP_WAIT_POLICY=PASSIVE

# must_be "NAME ..." BENCHMARK ...: ends the script at a benchmark that is none of the names.
must_be() {
    local benchmark
    for benchmark in "${@:2}"; do
        [[ " $1 " == *" $benchmark "* ]] || { echo "$benchmark is none of: $1" >&2; exit 2; }
    done
}

# has_prepared: ends the script where prepare.sh has not run.
has_prepared() {
    [ -f "$OUT/manifests/avqa/train.tsv" ] || { echo "no $OUT/manifests: run prepare.sh first" >&2; exit 1; }
}

# without_gpu: sets CPU, which run_scripts read, where there is none.
without_gpu() {
    export CPU="${CPU:-$("$PYTHON" -c 'import torch; print(int(not torch.cuda.is_available()))')}"
}
