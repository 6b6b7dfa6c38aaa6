#!/usr/bin/env bash
# Evaluates a pretrained checkpoint on ESC-50, without training, with the prompt of the release.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

export MODALITY=audio TITLE="ESC-50, without training"
export RESULTS=${RESULTS:-$OUTPUTS/esc50/results}
if [[ -z ${PROMPTS:-} ]]; then
    export PROMPTS="This is a sound of {label}"
fi
exec bash "$SCRIPTS/zero_shot/evaluate.sh" "$@"
