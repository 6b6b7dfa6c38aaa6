#!/usr/bin/env bash
# Flickr30K retrieval: official download -> manifests. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare flickr30k_retrieval "$@"
