# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "hf-rap",
#   "huggingface_hub>=2.4",
#   "torchvision", # what the processors of Qwen-VL, SmolVLM and InternVL are built on
# ]
# ///
"""Keep the rows of a dataset on which the image decides whether a model is right, as a job on Hugging Face.

    hf buckets create USER/runs --private
    hf jobs uv run --flavor l4x1 --timeout 4h --attempts 3 --secrets HF_TOKEN -v hf://buckets/USER/runs:/runs \
        select_rows.py SOURCE USER/TARGET --model MODEL --run /runs/NAME --job-timeout 4h

Before a model is loaded it stops, with a sentence, where there is no token that may write TARGET, no GPU, no row that can
be used, no bucket below the run folder, or more work than fits into --job-timeout. Then it becomes `hf-rap run`, to
which all other options go. The evidence lies in the run folder: a job that was stopped goes on from there.

`hf jobs` keeps --timeout, --attempts and --dry-run for itself, also behind the name of the script. So here they are
--job-timeout (say it twice), --replies (per row, with the image and without) and --measure N (time N rows and end).

With vLLM: `hf jobs uv run --with vllm --image vllm/vllm-openai ... --engine vllm`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError

import hf_rap
from hf_rap.errors import RunError

# Attempts a second of a model of 3B weights on one H200, replies of 256 tokens (docs/engines.md of hf-rap). Most cards are
# slower, so a job that does not fit at this rate does not fit.
ATTEMPTS_PER_SECOND = {"transformers": 11.1, "vllm": 43.3}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Options of `hf-rap run` that say which rows there are and how they are read.
OF_ROWS = [
    "config",
    "revision",
    "split",
    "question",
    "images",
    "answer",
    "choices",
    "answers-as",
    "choice-form",
    "turns",
    "several",
    "labels",
    "id",
]


def stop(sentence: str) -> NoReturn:
    """End the job; 2, since trying again changes nothing."""
    print(f"select_rows: {sentence} No model was loaded.", file=sys.stderr, flush=True)
    sys.exit(2)


def seconds(text: str) -> int:
    """A duration as `hf jobs` writes it: 90, 90s, 30m, 4h, 1d."""
    read = re.fullmatch(r"(\d+)([smhd]?)", text)
    if read is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 30m or 4h")
    return int(read[1]) * UNITS[read[2] or "s"]


def parsed() -> tuple[argparse.Namespace, list[str]]:
    """What this script reads, and what is for `hf-rap run` alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("source", help="dataset on the Hub: name:config@revision#split")
    parser.add_argument("target", help="dataset that is made or gets a version: user/name")
    parser.add_argument("--model", required=True, help="vision-language model on the Hub")
    parser.add_argument("--run", required=True, help="folder on a mounted bucket, or hf://buckets/USER/NAME/FOLDER")
    parser.add_argument("--engine", default="transformers", help="transformers or vllm")
    parser.add_argument("--replies", type=int, default=5, help="per row, with the image and without (5)")
    parser.add_argument("--version", help="of the dataset that is made (1.0.0)")
    parser.add_argument("--job-timeout", type=seconds, default="30m", help="the --timeout of the job (30m)")
    parser.add_argument("--rows-per-second", type=float, help="as --measure has told")
    parser.add_argument("--measure", type=int, metavar="N", help="only time N rows and estimate the whole")
    parser.add_argument("--cpu", action="store_true", help="go on without a GPU")
    for name in OF_ROWS:
        parser.add_argument(f"--{name}")
    return parser.parse_known_args()


def check_token(api: HfApi, target: str) -> bool:
    """Whether the target is there; stops where the token may not write it."""
    try:
        account = api.whoami()
    except LocalTokenNotFoundError:
        stop("there is no token: add --secrets HF_TOKEN to `hf jobs uv run`.")
    except HfHubHTTPError as error:
        stop(f"the Hub does not take the token: {str(error).splitlines()[0]}.")
    if ((account.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        stop(f"the token is for reading only, and {target} is to be written.")
    try:
        api.auth_check(target, repo_type="dataset", write=True)
    except RepositoryNotFoundError:
        return False
    except HfHubHTTPError as error:
        stop(f"the token of {account['name']} may not write {target}: {str(error).splitlines()[0]}.")
    return True


def check_machine(run: str, *, cpu: bool) -> None:
    """A GPU, and in a job a run folder that outlives it."""
    if not cpu and not torch.cuda.is_available():
        stop("there is no GPU: choose a --flavor that has one (`hf jobs hardware`), or pass --cpu for a small model.")
    parents = [Path(run).absolute(), *Path(run).absolute().parents][:-1]  # without the root, which is a mount
    if "JOB_ID" in os.environ and "://" not in run and not any(map(os.path.ismount, parents)):
        stop(
            f"{run} would end with the job: mount a bucket, -v hf://buckets/USER/NAME:/runs, and pass --run /runs/NAME."
        )


def usable_rows(source: str, options: list[str]) -> int:
    """How many rows can be scored; stops where none can."""
    command = [sys.executable, "-m", "hf_rap", "inspect", source, *options, "--json"]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if told.returncode:
        stop(f"{source} cannot be read, see above.")
    inspection = json.loads(told.stdout)
    if not inspection["usable"]:
        codes = ", ".join(f"{code}: {rows:,}" for code, rows in inspection["codes"].items())
        stop(f"none of {inspection['rows']:,} rows can be used ({codes}).")
    return int(inspection["usable"])


def rows_done(run: str, model: str) -> int:
    """Rows of this model that the run holds."""
    try:
        held = hf_rap.list_runs(run)
    except RunError:  # none yet; one that cannot be read is told by hf-rap run, before it loads a model
        return 0
    return max((entry.rows for entry in held if entry.kind == "rollouts" and model in (entry.model, "demo")), default=0)


def check_time(rows: int, given: argparse.Namespace) -> None:
    """What is left fits into the job."""
    rate = given.rows_per_second or ATTEMPTS_PER_SECOND.get(given.engine, 11.1) / (2 * given.replies)
    needed = rows / rate
    where = "as measured" if given.rows_per_second else "3B weights on one H200, replies of 256 tokens"
    print(f"select_rows: {rows:,} rows to ask, about {needed / 60:,.0f} min at {rate:.3g} rows/s ({where})", flush=True)
    if needed > given.job_timeout:
        stop(
            f"{rows:,} rows take about {needed / 3600:.1f} h at {rate:.3g} rows/s ({where}), and the job ends after "
            f"{given.job_timeout / 3600:.1f} h: give the job a longer --timeout and the script the same --job-timeout, or measure "
            "this card with --measure 64 and pass --rows-per-second."
        )


def main() -> None:
    """Checks, then `hf-rap run` in the place of this process, so that signals of the job reach it."""
    given, others = parsed()
    api = HfApi()
    is_there = check_token(api, given.target)
    check_machine(given.run, cpu=given.cpu)
    named = {name: getattr(given, name.replace("-", "_")) for name in OF_ROWS}
    options = [word for name, value in named.items() if value is not None for word in (f"--{name}", value)]
    rows = usable_rows(given.source, options)
    if given.measure is None:
        check_time(max(rows - rows_done(given.run, given.model), 0), given)
        if not is_there:  # the token that may not is known now, and not in four hours
            try:
                api.create_repo(given.target, repo_type="dataset", private="--public" not in others, exist_ok=True)
            except HfHubHTTPError as error:
                stop(f"{given.target} cannot be made: {str(error).splitlines()[0]}.")
    version = [] if "--bump" in others else ["--version", given.version or "1.0.0"]
    command = [given.source, given.target, "--model", given.model, "--run", given.run, "--engine", given.engine]
    command += ["--attempts", str(given.replies), *version, *options, *others]
    command += [] if given.measure is None else ["--dry-run", str(given.measure)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "hf_rap", "run", *command])


if __name__ == "__main__":
    main()
