#!/usr/bin/env bash
# NLVR2: official download -> manifests. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare nlvr2 "$@"
