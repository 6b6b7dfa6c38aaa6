#!/usr/bin/env bash
# FSD50K: official download -> manifests. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare fsd50k "$@"
