#!/usr/bin/env bash
# Evaluates on ImageNet-1k at one resolution or several.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="ImageNet-1k"
SIZES=${SIZES:-"256 384 512"}
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/imagenet/checkpoint_best.pt}
ALL_RESULTS=${RESULTS:-$OUTPUTS/imagenet/results}
BATCH=${BATCH:-16}
MORE_USAGE="  SIZES       sides of the pictures in pixels, one evaluation each ($SIZES)"
WITH_LABELS=1
for size in $SIZES; do
    RESULTS=$ALL_RESULTS/$size
    evaluate "" valid image_classify --patch-image-size "$size" "$@"
done
