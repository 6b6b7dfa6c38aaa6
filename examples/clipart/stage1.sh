# For EXAMPLEs that build on this one's stage 1; sourced, not run.
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
CLIPART="$(realpath -m "${CLIPART:-$ROOT/outputs/clipart}")"
STAGE1="${STAGE1:-$CLIPART/checkpoints/checkpoint_best.pt}"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}" OMP_WAIT_POLICY=PASSIVE
