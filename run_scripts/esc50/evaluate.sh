#!/usr/bin/env bash
# Evaluates a pretrained checkpoint on ESC-50, without training, with the prompt of the release.
set -euo pipefail

export MODALITY=audio TITLE="ESC-50, without training"
export RESULTS=${RESULTS:-outputs/esc50/results}
if [[ -z ${PROMPTS:-} ]]; then
    export PROMPTS="This is a sound of {label}"
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/../zero_shot/evaluate.sh" "$@"
