#!/usr/bin/env bash
# ESC-50: official download -> manifest and labels. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare esc50 "$@"
