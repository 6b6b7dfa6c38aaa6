#!/usr/bin/env bash
# Fetches clip art and stamps and makes manifests, pictures and a vocabulary in $OUT/data.
set -euo pipefail
EXAMPLE=clipart
source "$(dirname "${BASH_SOURCE[0]}")/../tuxpaint/common.sh"
usage "Usage: [OUT=DIR] [PYTHON=...] $0 [OPTIONS]
Fetches the Debian packages openclipart-svg and tuxpaint-stamps-default (no root) and makes manifests in \$OUT/data.
OUT (now $OUT) is where everything of this example goes.
OPTIONS are those of python -m one_peace.examples.clipart.prepare, such as
  --package FILE --stamps-package FILE   packages you have, instead of downloading them
  --image-size 128 --vocab-size 3000     the pictures' side in pixels, the vocabulary's size" "$@"
exec "$PYTHON" -m one_peace.examples.clipart.prepare --out "$OUT/data" "$@"
