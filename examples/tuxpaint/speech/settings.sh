# Shared by prepare.sh, train.sh and evaluate.sh; sourced, not run.
EXAMPLE=tuxpaint_speech
# 12.5 frames a second as elsewhere, but of six convolutions: what a sound looks like must not depend on when it begins
STEM="${STEM:-[(80, 512, 160), (192, 4, 2), (192, 3, 1), (192, 4, 2), (192, 3, 1), (256, 4, 2), (256, 3, 1)]}"
PROCESSES="${PROCESSES:-2}"
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
STAGE1="$(realpath -m "${STAGE1:-$OUT/stage1.pt}")"
export OUT PATH="$(dirname "$PYTHON"):$PATH"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}" OMP_WAIT_POLICY=PASSIVE
