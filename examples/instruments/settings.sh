# Shared by prepare.sh, train.sh and evaluate.sh; sourced, not run.
EXAMPLE=instruments
PROCESSES="${PROCESSES:-2}"
source "$(dirname "${BASH_SOURCE[0]}")/../clipart/stage1.sh"
BATCH="${BATCH:-128}"
export PATH="$(dirname "$PYTHON"):$PATH" SIZE="${SIZE:-tiny}" BPE="$CLIPART/data/bpe" DATA="$OUT/data"
