#!/usr/bin/env bash
# COCO retrieval: official download -> manifests. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare coco_retrieval "$@"
