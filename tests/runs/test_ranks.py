"""Several processes: accelerate launch, and Dataset.map with ranks."""

import os
import re
import subprocess
import sys

import datasets
import pytest

from hf_rap import Rollouts, collect_evidence, list_runs
from hf_rap.demo import demo_engine, make_planted
from hf_rap.engines.transformers_engine import TransformersEngine


def plain(ds):
    """Everything but the pictures, and the settings of the library versions."""
    return ds.remove_columns(["images", "rap_settings"]).to_list()


@pytest.mark.slow
def test_accelerate_shares_a_run_between_processes(tmp_path):
    """Two processes write the parts, the first writes the file; the evidence is that of one process."""
    planted = make_planted(48)
    planted.to_parquet(tmp_path / "rows.parquet")
    run, out = tmp_path / "run", tmp_path / "evidence.parquet"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = ["-m", "hf_rap", "rollouts", str(tmp_path / "rows.parquet"), "--model", "demo", "--dtype", "float32"]
    command += ["--device", "cpu", "--attempts", "2", "--max-new-tokens", "32", "--rows-per-part", "6"]
    command += ["--run", str(run), "--out", str(out)]
    done = subprocess.run(
        [*launch, *command],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    done_by = [int(number) for number in re.findall(r"rollouts, process \d of 2: (\d+) of \d+ rows", done.stderr)]
    assert sum(done_by) == 48, done.stderr
    (held,) = list_runs(str(run))
    assert (held.rows, held.parts) == (48, 8)
    shared = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
    alone = collect_evidence(planted, Rollouts(demo_engine(), attempts=2, max_new_tokens=32))
    assert plain(shared) == plain(alone)


def test_map_with_ranks_gives_the_same():
    """num_proc with with_rank=True, for those who prefer map."""
    planted = make_planted(12)
    rollouts = Rollouts(TransformersEngine(demo_engine().model, dtype="float32"), attempts=2, max_new_tokens=32)
    ranked = planted.map(rollouts, batched=True, num_proc=2, with_rank=True)
    alone = planted.map(rollouts, batched=True)
    assert plain(ranked) == plain(alone)
