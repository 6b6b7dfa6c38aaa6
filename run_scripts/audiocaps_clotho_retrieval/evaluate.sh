#!/usr/bin/env bash
# Evaluates on AudioCaps, Clotho and MACS: metrics and predictions of every split.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

TITLE="AudioCaps, Clotho and MACS"
CHECKPOINT=${CHECKPOINT:-$OUTPUTS/audiocaps_clotho_retrieval/checkpoint_best.pt}
RESULTS=${RESULTS:-$OUTPUTS/audiocaps_clotho_retrieval/results}
WITH_CANDIDATES=1
CHECKPOINT_USAGE="one of finetune.sh, a released fine-tuned one, or, without any training on this, a pretrained one"
BATCH=${BATCH:-16}
evaluate BPE "audiocaps_test clotho_test" audio_text_retrieval "$@"
