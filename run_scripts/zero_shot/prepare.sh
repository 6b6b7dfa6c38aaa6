#!/usr/bin/env bash
# A folder with a sub-folder for each class, of pictures or sounds: manifest and labels. --help lists the options.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../launch.sh"

prepare labelled_folder "$@"
