#!/usr/bin/env bash
# Fetches the stamps and their recordings and makes manifests, pictures, sounds and a vocabulary.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
usage "Usage: [OUT=DIR] [PYTHON=...] $0 [OPTIONS]
Fetches the Debian package tuxpaint-stamps-default (no root) and makes \$OUT/data (stage 1), \$OUT/sounds (stage 2) and
\$OUT/views (to evaluate): a quarter of an hour, 5 GB.
  OUT=$OUT
OPTIONS are those of python -m one_peace.examples.tuxpaint.speech.prepare, such as
  --package FILE   a .deb you have, instead of downloading it
  --voices 0       people only, no synthetic voices: five minutes, 1.2 GB" "$@"
exec "$PYTHON" -m one_peace.examples.tuxpaint.speech.prepare --out "$OUT" "$@"
