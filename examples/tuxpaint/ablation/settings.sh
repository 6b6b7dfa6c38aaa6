# Shared by prepare.sh, train.sh and evaluate.sh; sourced, not run.
EXAMPLE=tuxpaint_ablation
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
HERE="$ROOT/examples/tuxpaint/ablation"
TUXPAINT="$(realpath -m "${TUXPAINT:-$ROOT/outputs/tuxpaint}")"
