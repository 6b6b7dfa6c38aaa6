#!/usr/bin/env bash
# Fetches the stamps and makes manifests, pictures and a vocabulary in $OUT/data.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
usage "Usage: [OUT=DIR] [PYTHON=...] $0 [OPTIONS]
Fetches the Debian package tuxpaint-stamps-default (no root) and makes manifests in \$OUT/data.
OUT (now $OUT) is where everything of this example goes.
OPTIONS are those of python -m one_peace.examples.tuxpaint.prepare, such as
  --languages en,de,fr   captions to train with (default en; all = every language)
  --package FILE         a .deb you have, instead of downloading it" "$@"
exec "$PYTHON" -m one_peace.examples.tuxpaint.prepare --out "$OUT/data" "$@"
