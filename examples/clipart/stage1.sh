# For EXAMPLEs that build on this one's stage 1; sourced, not run.
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
CLIPART="$(realpath -m "${CLIPART:-$ROOT/outputs/clipart}")"
STAGE1="${STAGE1:-$CLIPART/checkpoints/checkpoint_best.pt}"
export OMP_NUM_THREADS="${THREADS:-$(nproc)}" OMP_WAIT_POLICY=PASSIVE

# needs FILE WHAT: ends the script where FILE is missing.
needs() {
    [ -f "$1" ] || { echo "no $1: $2" >&2; exit 1; }
}
