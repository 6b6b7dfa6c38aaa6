#!/usr/bin/env bash
# Classifies pictures or sounds by what their labels mean, without training: the label whose prompts are nearest wins.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

MODALITY=${MODALITY:-image}
TITLE=${TITLE:-a folder of labelled pictures or sounds, without training}
CHECKPOINT=${CHECKPOINT:-one-peace.pt}
CHECKPOINT_USAGE="a pretrained one"
RESULTS=${RESULTS:-$OUTPUTS/zero_shot/results}
BATCH=${BATCH:-16}
LABELS=${LABELS:-${DATA:-DATA}/labels.txt}
PROMPTS=${PROMPTS:-$SCRIPTS/zero_shot/prompts_$MODALITY.txt}
MORE_USAGE="  MODALITY    image or audio ($MODALITY)
  LABELS      a label a line, in the order of the classes' numbers ($LABELS)
  PROMPTS     a text with {label}, or a file with one a line, whose embeddings are averaged ($PROMPTS)"
one_of MODALITY image audio
COLUMNS=uniq_id,audio,label
[[ $MODALITY == audio ]] || COLUMNS=image_id,image,label
evaluate BPE test zero_shot_classify --modalities "text,$MODALITY" --selected-cols "$COLUMNS" \
    --labels "$LABELS" --prompts "$PROMPTS" "$@"
