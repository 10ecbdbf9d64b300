#!/usr/bin/env bash
# Reads our exports with every trainer's own loader, each in an environment of its own.
#
#   scripts/check_trainers.sh                 all of them
#   scripts/check_trainers.sh trl verl        some
#
# PYTHON   a Python that has hf_rap installed (default: .venv/bin/python)
# ENVS     where the environments go (default: a folder below TMPDIR); they are kept for the next time
# BASE     the Python that they are made with (default: python3)
# EASYR1_SRC, MM_EUREKA_SRC  checkouts, whose loaders are then run; they are on no package registry
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
ENVS=${ENVS:-${TMPDIR:-/tmp}/hf-rap-trainers}
BASE=${BASE:-python3}
TORCH=$(sed -n 's/^TORCH := //p' Makefile)
export PYTHONPATH=$PWD HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false HF_DATASETS_DISABLE_PROGRESS_BARS=1 OMP_NUM_THREADS=1
# Of its own: nothing is to be read that an earlier run left behind.
HF_DATASETS_CACHE=$(mktemp -d)
export HF_DATASETS_CACHE
WORK=$(mktemp -d)
trap 'rm -rf "$WORK" "$HF_DATASETS_CACHE"' EXIT

# Beside scripts/requirements/TRAINER.txt: the trainer without its dependencies, so no CUDA, vLLM, deepspeed or flash-attn.
itself() {
  case $1 in
    verl) echo verl==0.9.1 ;;
    openrlhf) echo openrlhf==0.11.2 ;;
    ms-swift) echo ms-swift==4.6.0 ;;
    llama-factory) echo llamafactory==0.9.5 ;;
  esac
}

"$PYTHON" scripts/trainer_fixture.py "$WORK/exports é 1"
for trainer in "${@:-trl easyr1 verl ms-swift llama-factory openrlhf}"; do
  for one in $trainer; do
    if [[ $one == easyr1 && -z ${EASYR1_SRC:-} ]]; then
      "$PYTHON" scripts/read_with_trainer.py easyr1-schema "$WORK/exports é 1"
      continue
    fi
    if [[ ! -e $ENVS/$one/ready ]]; then
      "$BASE" -m venv "$ENVS/$one"
      "$ENVS/$one/bin/pip" install --quiet "$TORCH" --requirement "scripts/requirements/$one.txt"
      if [[ -n $(itself "$one") ]]; then "$ENVS/$one/bin/pip" install --quiet --no-deps "$(itself "$one")"; fi
      if [[ $one == verl || $one == easyr1 ]]; then "$ENVS/$one/bin/pip" install --quiet --no-deps torchvision==0.28.0 qwen-vl-utils; fi
      touch "$ENVS/$one/ready"
    fi
    "$ENVS/$one/bin/python" scripts/read_with_trainer.py "$one" "$WORK/exports é 1"
  done
done
