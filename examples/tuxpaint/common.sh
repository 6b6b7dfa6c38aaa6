# Shared by prepare.sh, train.sh and evaluate.sh, also of other EXAMPLEs; sourced, not run.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
PYTHON="${PYTHON:-$([ -x "$ROOT/.venv/bin/python" ] && echo "$ROOT/.venv/bin/python" || command -v python3)}"
OUT="$(realpath -m "${OUT:-$ROOT/outputs/${EXAMPLE:-tuxpaint}}")"
# The audio stem: a spectrogram of 80 bands, 12.5 frames a second instead of 50 of eight windows each
STEM="${STEM:-[(80, 512, 160), (256, 8, 8)]}"
SHORT_SOUNDS=(task.max_duration=2 "++task.feature_encoder_spec='$STEM'")
# What a run this small has no use for: half precision, gradients of several batches, activations computed again
SMALL_RUN=(common.fp16=false "optimization.update_freq=[1]" model.encoder.checkpoint_activations=false)
# Stage 2 without the denoising contrast
ALIGNING_ALONE=(criterion.dcl_audio_alpha=0 criterion.dcl_al_text_alpha=0 criterion.dcl_al_audio_alpha=0)
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
if [ "${CPU:-0}" = 1 ]; then # fairseq starts a process for each GPU it sees, whatever it computes on
    export CUDA_VISIBLE_DEVICES=
fi

# needs FILE REMEDY: ends the script where FILE is missing.
needs() {
    [ -f "$1" ] || { echo "no $1: $2" >&2; exit 1; }
}

# processes BATCH: SHARED_BATCH, what each of PROCESSES on a CPU takes; they share threads, too.
processes() {
    SHARED_BATCH=(dataset.batch_size="$1")
    if [ "${CPU:-0}" = 1 ] && [ "${PROCESSES:-1}" -gt 1 ]; then
        export PROCESSES OMP_NUM_THREADS="$(((OMP_NUM_THREADS + PROCESSES - 1) / PROCESSES))"
        SHARED_BATCH=(dataset.batch_size="$(($1 / PROCESSES))" ++criterion.gather_with_grad=true) # as of one process
    fi
}

# report FOLDER MANIFEST TITLE OPTION...: $OUT/report/FOLDER: retrieval by $CHECKPOINT on $OUT/MANIFEST.
report() {
    local folder="$OUT/report/$1" manifest="$OUT/$2" title="$3"
    shift 3
    "$PYTHON" -m one_peace.examples.retrieval_report "$CHECKPOINT" "$manifest" --out "$folder" --title "$title" "$@"
}

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
