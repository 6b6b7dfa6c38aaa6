#!/usr/bin/env bash
# Pretrains on scenes and sounds with captions, then fine-tunes on each benchmark, by the recipes in run_scripts.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
SCRATCH="${SCRATCH:-0}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [BENCHMARK ...]
Pretrains once on coco_retrieval's training set (\$OUT/stage1.pt) and, for benchmarks of sounds, on all sounds with
captions (both joined in \$OUT/pretrained.pt), then fine-tunes on each BENCHMARK; checkpoints go to
\$OUT/checkpoints/BENCHMARK. Started again, it goes on from the last checkpoint. The benchmarks: ${BENCHMARKS[*]} (default: all);
refcoco trains one model for RefCOCO, RefCOCO+ and RefCOCOg; nlvr2 begins with sentences about backgrounds.
  OUT=$OUT
  SIZE=$SIZE  IMAGE_SIZE=$IMAGE_SIZE  STEM='$STEM'  THREADS=$OMP_NUM_THREADS
  EPOCHS, BATCH, LR   the same for all (default: what suits each benchmark and how much data there is)
  START, BPE   a stage-1 checkpoint and its vocabulary to begin with, such as Tux Paint's
  PRETRAINED   a checkpoint to fine-tune, instead of all pretraining
  SCRATCH=1    fine-tune nothing, train anew, to compare: checkpoints go to \$OUT/scratch/BENCHMARK
  BF16=1       bfloat16: half as fast again on CPUs that multiply it (avx512_bf16, amx_bf16)
  CPU=1        leave GPUs alone" "$@"
has_prepared
without_gpu
STAGE1="$OUT/stage1.pt"

# run_settings RUN: sets RUN to how long and how the training of that name runs.
run_settings() {
    case $1 in # epochs, batch, learning rate
        stage1) set -- 3 64 1e-3 ;;
        coco_retrieval) set -- 2 64 1e-3 ;;
        vqa) set -- 12 64 1e-3 ;;
        imagenet) set -- 10 64 1e-3 ;;
        refcoco) set -- 5 64 1e-3 ;;
        nlvr2_backgrounds) set -- 2 64 1e-3 ;;
        nlvr2) set -- 2 64 3e-4 ;;
        stage2) set -- 8 32 1e-3 ;;
        avqa) set -- 5 32 3e-4 ;;
        *) set -- 10 32 1e-3 ;;
    esac
    RUN=("${SMALL_RUN[@]}" dataset.num_workers=0 model.encoder.drop_path_rate=0
        optimization.max_epoch="${EPOCHS:-$1}" dataset.batch_size="${BATCH:-$2}" "optimization.lr=[${LR:-$3}]")
}

# stage1, stage2: pretrain, if that has not been done.
stage1() {
    if [ -f "$STAGE1" ]; then
        [ -z "${START:-}" ] || echo "$STAGE1 is there: it is fine-tuned, whatever START is" >&2
        return 0
    fi
    run_settings stage1
    DATA="$OUT/manifests/coco_retrieval" OUT="$OUT/stage1" \
        bash "$ROOT/run_scripts/pretrain/stage1.sh" "${RUN[@]}" optimization.max_update=0 \
        lr_scheduler.warmup_updates=0 ++lr_scheduler.warmup_ratio=0.1 \
        task.patch_image_size="$IMAGE_SIZE" dataset.validate_interval_updates=0 checkpoint.save_interval_updates=0 \
        ${START:+checkpoint.finetune_from_model="$START"}
    cp "$OUT/stage1/checkpoint_best.pt" "$STAGE1.part" && mv "$STAGE1.part" "$STAGE1" # whole or not there
}

stage2() {
    [ ! -f "$OUT/pretrained.pt" ] || return 0
    run_settings stage2
    DATA="$OUT/manifests/stage2" STAGE1="$STAGE1" OUT="$OUT/stage2" \
        bash "$ROOT/run_scripts/pretrain/stage2.sh" "${RUN[@]}" "${SHORT_SOUNDS[@]}"
    "$PYTHON" -m one_peace.models.merge "$STAGE1" "$OUT/stage2/checkpoint_best.pt" --out "$OUT/pretrained.pt"
}

# task_settings RUN: sets SETTINGS to what is smaller here than in the recipes.
task_settings() {
    case $1 in
        nlvr2_backgrounds) SETTINGS=(task.patch_image_size="$IMAGE_SIZE" +task.train_manifests=backgrounds.tsv) ;;
        coco_retrieval | vqa | nlvr2) SETTINGS=(task.patch_image_size="$IMAGE_SIZE") ;;
        refcoco) SETTINGS=(task.patch_image_size="$IMAGE_SIZE" +task.blur_prob=0 +task.train_manifests=all_three.tsv) ;;
        # runs this short have no use for so much augmentation
        imagenet) SETTINGS=(task.patch_image_size="$IMAGE_SIZE" task.min_scale=0.5 task.rand_augment=0 task.erase_prob=0
            task.mixup_alpha=0 task.cutmix_alpha=0 criterion.label_smoothing=0.1) ;;
        *) SETTINGS=("${SHORT_SOUNDS[@]}") ;;
    esac
}

# pretrained_for BENCHMARK: pretrains for it, and sets PRETRAINED to what to fine-tune.
pretrained_for() {
    stage1
    PRETRAINED="$STAGE1"
    case $1 in audiocaps* | fsd50k | vggsound | avqa)
        stage2
        PRETRAINED="$OUT/pretrained.pt" ;;
    esac
}

# finetune BENCHMARK [RUN]: fine-tunes $PRETRAINED; RUN is the run's name, where a benchmark takes several.
finetune() {
    local run=${2:-$1}
    run_settings "$run"
    task_settings "$run"
    DATA="$OUT/manifests/$1" DATASET="$1" OUT="$OUT/$folder/$run" \
        bash "$ROOT/run_scripts/$1/finetune.sh" "${RUN[@]}" "${SETTINGS[@]}" optimizer.layer_decay=1
}

folder=checkpoints given="${PRETRAINED:-}"
if [ "$SCRATCH" = 1 ]; then
    folder=scratch given=none # what is fine-tuned: nothing
fi
export PRETRAINED
[ $# -gt 0 ] || set -- "${BENCHMARKS[@]}"
must_be "${BENCHMARKS[*]}" "$@"
for benchmark; do
    PRETRAINED="$given"
    [ -n "$given" ] || pretrained_for "$benchmark"
    if [ "$benchmark" = nlvr2 ]; then # of all sentences at once nothing is learned in so few updates
        finetune nlvr2 nlvr2_backgrounds
        PRETRAINED="$OUT/$folder/nlvr2_backgrounds/checkpoint_best.pt"
    fi
    finetune "$benchmark"
done
