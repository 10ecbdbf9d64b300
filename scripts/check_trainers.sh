#!/usr/bin/env bash
# Reads our exports with every trainer's own loader, and passes the lines to paste through its own check of arguments,
# each in an environment of its own. Ends with the table of docs/measurements/trainers.md.
#
#   scripts/check_trainers.sh                 all of them
#   scripts/check_trainers.sh trl verl        some
#
# PYTHON   a Python that has hf_rap installed (default: .venv/bin/python)
# ENVS     where the environments go (default: a folder below TMPDIR); they are kept for the next time
# BASE     the Python that they are made with (default: python3)
# EASYR1_SRC, MM_EUREKA_SRC, SKYRL_SRC, SLIME_SRC  checkouts, whose loaders are then run; they are on no package registry
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

# The environment of a trainer; the checkouts of MM-EUREKA, SkyRL and slime need nothing that verl's and OpenRLHF's have not.
environment() {
  if [[ ! -e $ENVS/$1/ready ]]; then
    "$BASE" -m venv "$ENVS/$1"
    "$ENVS/$1/bin/pip" install --quiet "$TORCH" --requirement "scripts/requirements/$1.txt"
    if [[ -n $(itself "$1") ]]; then "$ENVS/$1/bin/pip" install --quiet --no-deps "$(itself "$1")"; fi
    if [[ $1 == verl || $1 == easyr1 ]]; then "$ENVS/$1/bin/pip" install --quiet --no-deps torchvision==0.28.0 qwen-vl-utils; fi
    touch "$ENVS/$1/ready"
  fi
}

"$PYTHON" scripts/trainer_fixture.py "$WORK/exports é 1"
for trainer in "${@:-trl easyr1 verl ms-swift llama-factory openrlhf mm-eureka skyrl slime}"; do
  for one in $trainer; do
    checkout=$(tr a-z- A-Z_ <<<"$one")_SRC
    case $one in
      easyr1 | mm-eureka | skyrl | slime)
        if [[ -z ${!checkout:-} ]]; then
          if [[ $one == easyr1 ]]; then "$PYTHON" scripts/read_with_trainer.py easyr1-schema "$WORK/exports é 1"; fi
          echo "$one: its own loader is not run, $checkout names no checkout"
          continue
        fi
        ;;
    esac
    reader=$one checker=$one
    case $one in
      mm-eureka) reader=verl checker=openrlhf ;;
      skyrl | slime) reader=verl checker= ;;
    esac
    environment "$reader"
    "$ENVS/$reader/bin/python" scripts/read_with_trainer.py "$one" "$WORK/exports é 1"
    if [[ -n $checker ]]; then
      environment "$checker"
      "$ENVS/$checker/bin/python" scripts/check_lines.py "$one" "$WORK/exports é 1"
    fi
  done
done
"$PYTHON" scripts/trainers_table.py "$WORK/exports é 1"
