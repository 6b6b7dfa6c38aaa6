#!/usr/bin/env bash
# RefCOCO, RefCOCO+ or RefCOCOg: official download -> manifests. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare refcoco "$@"
