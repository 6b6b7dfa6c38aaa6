# Shared by prepare.sh, train.sh and evaluate.sh; sourced, not run.
EXAMPLE=tuxpaint_speech
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
STAGE1="$(realpath -m "${STAGE1:-$OUT/stage1.pt}")"
export OUT PATH="$(dirname "$PYTHON"):$PATH"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}" OMP_WAIT_POLICY=PASSIVE
