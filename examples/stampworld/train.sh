#!/usr/bin/env bash
# Pretrains on scenes and sounds with captions, then fine-tunes on each benchmark, by the recipes in run_scripts.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
BATCH="${BATCH:-32}"
LR="${LR:-5e-4}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [BENCHMARK ...]
Pretrains (once: \$OUT/stage1, \$OUT/stage2, joined in \$OUT/pretrained.pt) on the training sets of coco_retrieval and
audiocaps_clotho_retrieval, then fine-tunes on each BENCHMARK; checkpoints go to \$OUT/checkpoints/BENCHMARK. Started
again, it goes on from the last checkpoint. The benchmarks: ${BENCHMARKS[*]} (default: all).
  OUT=$OUT
  SIZE=$SIZE  IMAGE_SIZE=$IMAGE_SIZE  BATCH=$BATCH  LR=$LR  THREADS=$OMP_NUM_THREADS
  EPOCHS       the same for all (default: 4 to 40, by how much data there is)
  PRETRAINED   a checkpoint to start from, instead of pretraining
  CPU=1        leave GPUs alone" "$@"
has_prepared
without_gpu
RUN=(common.fp16=false "optimization.update_freq=[1]" dataset.num_workers=1 dataset.batch_size="$BATCH"
    model.encoder.checkpoint_activations=false model.encoder.drop_path_rate=0.1)

# epochs_of BENCHMARK: how many, unless EPOCHS says so.
epochs_of() {
    case $1 in
        stage1) set -- 4 ;;
        coco_retrieval | refcoco* | vqa) set -- 8 ;;
        stage2 | avqa) set -- 10 ;;
        nlvr2 | audiocaps_clotho_retrieval) set -- 16 ;;
        imagenet) set -- 24 ;;
        *) set -- 40 ;;
    esac
    echo "${EPOCHS:-$1}"
}

pretrain() {
    DATA="$OUT/manifests/coco_retrieval" OUT="$OUT/stage1" SIZE="$SIZE" bash "$ROOT/run_scripts/pretrain/stage1.sh" \
        "${RUN[@]}" "optimization.lr=[1e-3]" optimization.max_epoch="$(epochs_of stage1)" optimization.max_update=0 \
        lr_scheduler.warmup_updates=0 ++lr_scheduler.warmup_ratio=0.1 task.patch_image_size="$IMAGE_SIZE" \
        dataset.validate_interval_updates=0 checkpoint.save_interval_updates=0
    DATA="$OUT/manifests/audiocaps_clotho_retrieval" STAGE1="$OUT/stage1/checkpoint_best.pt" OUT="$OUT/stage2" \
        SIZE="$SIZE" bash "$ROOT/run_scripts/pretrain/stage2.sh" \
        "${RUN[@]}" "optimization.lr=[1e-3]" optimization.max_epoch="$(epochs_of stage2)" task.max_duration=2
    "$PYTHON" -m one_peace.models.merge "$OUT/stage1/checkpoint_best.pt" "$OUT/stage2/checkpoint_best.pt" \
        --out "$OUT/pretrained.pt"
}

# task_settings BENCHMARK: sets SETTINGS to what is smaller here than in the recipes.
task_settings() {
    case $1 in
        coco_retrieval | refcoco* | vqa | nlvr2 | imagenet) SETTINGS=(task.patch_image_size="$IMAGE_SIZE") ;;
        *) SETTINGS=(task.max_duration=2) ;;
    esac
    if [ "$1" = fsd50k ]; then
        SETTINGS+=(task.num_classes="$(wc -l < "$OUT/manifests/fsd50k/labels.txt")")
    fi
}

if [ -z "${PRETRAINED:-}" ]; then
    PRETRAINED="$OUT/pretrained.pt"
    [ -f "$PRETRAINED" ] || pretrain
fi
export PRETRAINED
[ $# -gt 0 ] || set -- "${BENCHMARKS[@]}"
for benchmark; do
    task_settings "$benchmark"
    DATA="$OUT/manifests/$benchmark" DATASET="$benchmark" OUT="$OUT/checkpoints/$benchmark" SIZE="$SIZE" \
        bash "$ROOT/run_scripts/$(recipe_of "$benchmark")/finetune.sh" "${RUN[@]}" "${SETTINGS[@]}" \
        "optimization.lr=[$LR]" optimization.max_epoch="$(epochs_of "$benchmark")" optimizer.layer_decay=0.95
done
