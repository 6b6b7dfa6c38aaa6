#!/usr/bin/env bash
# Stage 1 on stamps and drawings: pictures and captions, by the recipe of examples/tuxpaint.
set -euo pipefail
EXAMPLE=clipart
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
export OUT UPDATES="${UPDATES:-5000}"
usage "Usage: [OUT=DIR] [VARIABLE=VALUE ...] $0 [FLAGS OF fairseq-train ...]
Pretrains stage 1 on what prepare.sh left in \$OUT/data; checkpoints go to \$OUT/checkpoints, the log to
\$OUT/train.log. Started again, it goes on from the last checkpoint.
  OUT=$OUT
  UPDATES=$UPDATES
Further variables, flags and defaults are those of examples/tuxpaint/train.sh." "$@"
exec "$ROOT/examples/tuxpaint/train.sh" "$@"
