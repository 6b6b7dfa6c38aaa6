# Shared by prepare.sh, train.sh and evaluate.sh, also of other EXAMPLEs; sourced, not run.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
PYTHON="${PYTHON:-$([ -x "$ROOT/.venv/bin/python" ] && echo "$ROOT/.venv/bin/python" || command -v python3)}"
OUT="$(realpath -m "${OUT:-$ROOT/outputs/${EXAMPLE:-tuxpaint}}")"
# The audio stem: 25 frames a second, by three convolutions; a third of the time of the released seven with 50
STEM="${STEM:-[(64, 40, 20), (64, 4, 4), (64, 8, 8)]}"
SHORT_STEM=("++task.feature_encoder_spec='$STEM'" "++model.encoder.audio_adapter.feature_encoder_spec='$STEM'")
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

# curves LOG METRIC...: $OUT/report/curves.png of a run of stage 2, if there is its LOG.
curves() {
    [ -f "$1" ] || return 0
    "$PYTHON" -m one_peace.examples.plots.curves "$1" --out "$OUT/report/curves.png" --title "Stage 2" --metrics "${@:2}"
}

# usage TEXT ARGS...: prints TEXT and ends the script if ARGS ask for help.
usage() {
    local text="$1" argument
    shift
    for argument in "$@"; do
        case "$argument" in -h | --help) echo "$text"; exit 0 ;; esac
    done
}
