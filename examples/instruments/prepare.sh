#!/usr/bin/env bash
# Fetches three sound fonts and plays their instruments: manifests and sounds in $OUT/data.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
usage "Usage: [OUT=DIR] [PYTHON=...] $0 [OPTIONS]
Fetches the Debian packages fluid-soundfont-gm, csound-soundfont and timgm6mb-soundfont (no root) and plays them into
\$OUT/data.
OUT (now $OUT) is where everything of this example goes.
OPTIONS are those of python -m one_peace.examples.instruments.prepare, such as
  --font FILE --dev-font FILE --test-font FILE   General MIDI sound fonts you have, instead of downloading them
  --clips 192                                    training clips an instrument" "$@"
"$PYTHON" -c 'import tinysoundfont' 2>/dev/null || {
    # its requirement pyaudio needs a compiler and PortAudio, and only plays aloud
    echo "no tinysoundfont: $PYTHON -m pip install --no-deps tinysoundfont==0.3.7" >&2
    exit 1
}
exec "$PYTHON" -m one_peace.examples.instruments.prepare --out "$DATA" "$@"
