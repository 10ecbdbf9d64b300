"""Scripts and benchmarks run, on inputs small enough for a test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words, cwd):
    """A script of the repository; fails with what it said."""
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_small_model_can_be_trained_further(tmp_path):
    """Two steps from scratch, two more from there; the folder loads."""
    from hf_rap import TransformersEngine

    script = str(ROOT / "scripts" / "train_demo_model.py")
    run(script, "--steps", "2", "--batch", "2", "--out", "first", cwd=tmp_path)
    run(script, "--steps", "2", "--batch", "2", "--continue-from", "first", "--out", "second", cwd=tmp_path)
    assert TransformersEngine(str(tmp_path / "second")).describe()["architecture"] == "LlavaForConditionalGeneration"


@pytest.mark.slow
def test_starting_is_measured(tmp_path):
    """Both figures are printed; the bounds are wide, for a machine may be busy."""
    printed = run(str(ROOT / "benchmarks" / "startup.py"), "--rounds", "1", cwd=tmp_path)
    ratio, seconds = re.search(r"datasets: ([\d.]+) .*\nhf-rap --help: ([\d.]+) s; wanted", printed).groups()
    assert 0 < float(ratio) < 0.5
    assert 0 < float(seconds) < 5


@pytest.mark.slow
def test_benchmarks_run(tmp_path):
    """Each prints its tables."""
    planted = run(str(ROOT / "benchmarks" / "planted.py"), "--rows", "12", "--attempts", "2", cwd=tmp_path)
    assert planted.startswith("| planted kind | rows |")
    rollouts = run(str(ROOT / "benchmarks" / "rollouts.py"), "--rows", "4", "--rounds", "1", cwd=tmp_path)
    assert "ratio: " in rollouts
    controls = run(str(ROOT / "benchmarks" / "controls.py"), "--rows", "24", "--attempts", "2", cwd=tmp_path)
    assert "| kept, cde > 0.5 | text | blank | shuffled |" in controls
    small = ("--rows", "24", "--attempts", "2", "--steps", "2")
    likelihood = run(str(ROOT / "benchmarks" / "likelihood.py"), *small, cwd=tmp_path)
    assert likelihood.count("| left out, lowest size, either sign |") == 2
