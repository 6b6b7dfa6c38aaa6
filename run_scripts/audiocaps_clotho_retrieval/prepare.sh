#!/usr/bin/env bash
# AudioCaps, Clotho and MACS: official download -> manifests. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare audiocaps_clotho_retrieval "$@"
