#!/usr/bin/env bash
# Makes an environment with this project, its extras and its development tools, or brings one up to date.
#
#   scripts/environment.sh FOLDER locked|newest|oldest TORCH
#
# locked   the versions of constraints.txt
# newest   of everything the newest version
# oldest   the oldest version of everything that pyproject.toml names
# TORCH    what pip is asked for as torch, such as torch==2.13.0. It comes first and by pip, which looks where a machine
#          may offer a build without CUDA; what comes after leaves it alone.
# PYTHON   the Python that the environment is made with (default: python3)
# UV=no    installs everything by pip, as happens where pip has no uv for the machine
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 kind=$2 torch=$3

common=(--quiet) project=(--editable '.[notebook,probe,ray,train]' --group dev)
case $kind in
  locked) common+=(--constraint constraints.txt) project+=(--build-constraint constraints.txt) ;;
  newest) common+=(--upgrade) ;;
  oldest) project+=(--resolution lowest-direct) ;; # uv alone knows this one
  *) echo "locked, newest or oldest, not $kind" >&2 && exit 2 ;;
esac

"${PYTHON:-python3}" -m venv "$folder"
bin=$folder/bin
if [[ -d $folder/Scripts ]]; then bin=$folder/Scripts; fi # Windows
pip=("$bin/python" -m pip --disable-pip-version-check install)
if [[ ${UV:-} != no ]] && "${pip[@]}" "${common[@]}" uv; then
  "${pip[@]}" "${common[@]}" "$torch"
  "$bin/uv" pip install --python "$folder" --override scripts/without-torch.txt "${common[@]}" "${project[@]}"
else
  "${pip[@]}" --quiet --upgrade pip # knows --group since 25.1 and --build-constraint since 25.3
  "${pip[@]}" "${common[@]}" "$torch"
  "${pip[@]}" "${common[@]}" "${project[@]}"
fi
