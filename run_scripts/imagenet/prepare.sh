#!/usr/bin/env bash
# ImageNet-1k: official download -> manifests. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare imagenet "$@"
