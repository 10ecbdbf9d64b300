"""The scripts that check every trainer run, for the one whose loader is installed here."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from hf_rap import Limits, export
from hf_rap.demo import MODEL, make_planted
from hf_rap.training import add_epoch_rewards

ROOT = Path(__file__).parents[2]


def run(tmp_path, *words: str, **options) -> subprocess.CompletedProcess:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *words], env=environment, text=True, capture_output=True, timeout=120, check=False
    )


@pytest.mark.exhaustive
def test_trl_reads_its_export_and_the_universal_one(tmp_path):
    """Questions, answers, pixels and verdicts."""
    pytest.importorskip("trl", reason="pip install hf-rap[train]")
    reader, folder = str(ROOT / "scripts" / "read_with_trainer.py"), tmp_path / "exports é 1"
    assert run(tmp_path, str(ROOT / "scripts" / "trainer_fixture.py"), str(folder)).returncode == 0
    done = run(tmp_path, reader, "trl", str(folder))
    share = "rows 18 of 18, golds 18 of 18, pixels as scored 23 of 23, prompt as scored 18 of 18"
    assert (done.returncode, done.stdout.count(share)) == (0, 2), done.stderr
    assert "reward: 100 of 100 verdicts as in scoring" in done.stdout
    lines = run(tmp_path, str(ROOT / "scripts" / "check_lines.py"), "trl", str(folder))
    assert lines.stdout.startswith("  lines: accepted for 3 rows on 1 GPU(s): 2 per step"), lines.stderr
    table = run(tmp_path, str(ROOT / "scripts" / "trainers_table.py"), str(folder))
    assert "`trl` | 18 of 18 | 18 of 18 | 23 of 23 | 18 of 18 | 100 of 100 | 15 of 15 |" in table.stdout


@pytest.mark.exhaustive
def test_trl_trains_by_the_line_as_printed(tmp_path):
    """Two steps with the small model; appended is what a machine without GPU needs, and no more than two steps."""
    pytest.importorskip("trl", reason="pip install hf-rap[train]")
    done = export(
        make_planted(12), tmp_path / "rows é", to="trl", drop=True, limits=Limits(model=str(MODEL), val_rows=2)
    )
    words = [*shlex.split(done.snippet.replace("\\\n", " ")), "--use_cpu", "--bf16=False", "--dtype=float32"]
    words += ["--max_steps=2", "--report_to=none", "--eval_strategy=no", "--max_completion_length=16"]
    command = str(Path(sys.executable).with_name(words[0]))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
    }
    ran = subprocess.run(
        [command, *words[1:]], env=environment, text=True, capture_output=True, timeout=600, check=False, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    files = sorted((tmp_path / "rows é-out" / "completions").glob("*.parquet"))
    assert [len(pq.read_table(file)) for file in files] == [24, 24]  # three prompts of eight replies, twice
    # Every reward is that of a row, though planted rows share their questions.
    ds = load_dataset(
        "parquet", data_files=str(done.path / "train.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    _, report = add_epoch_rewards(ds, tmp_path / "rows é-out", steps_per_epoch=1)
    assert (report.keyed_by, report.attempts, report.rows_seen, report.strangers) == ("id", 48, 6, 0)
