#!/usr/bin/env bash
# The fast tests, the wheel and the demo in an environment that scripts/environment.sh made.
#
#   scripts/try_environment.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$folder/bin/hf-rap" env
"$folder/bin/pytest" -q -m "not slow and not exhaustive" --numprocesses auto --maxprocesses 4 --dist worksteal
"$folder/bin/pytest" -q tests/wheel
"$folder/bin/hf-rap" demo --out "$work/demo"
