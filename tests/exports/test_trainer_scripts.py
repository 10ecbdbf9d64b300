"""The scripts that check every trainer run, for the one whose loader is installed here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_trl_reads_its_export_and_the_universal_one(tmp_path):
    """Questions, answers, pixels and verdicts."""
    pytest.importorskip("trl", reason="pip install hf-rap[train]")
    reader, folder = str(ROOT / "scripts" / "read_with_trainer.py"), tmp_path / "exports é 1"
    assert run(tmp_path, str(ROOT / "scripts" / "trainer_fixture.py"), str(folder)).returncode == 0
    done = run(tmp_path, reader, "trl", str(folder))
    assert (done.returncode, done.stdout.count("18 rows, 23 of 23 images identical")) == (0, 2), done.stderr
    assert "reward: 100 of 100 verdicts as in scoring" in done.stdout
