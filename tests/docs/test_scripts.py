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


@pytest.mark.exhaustive
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


SMALL = ("--rows", "24", "--attempts", "2")
long = pytest.mark.exhaustive


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "options", "printed"),
    [
        pytest.param("planted", ("--rows", "12", "--attempts", "2"), "| planted kind | rows |", marks=long),
        pytest.param("batches", (), "| auto |", marks=long),
        pytest.param(
            "gpu",
            ("--size", "tiny", "--rows", "4", "4", "--batches", "2", "4", "--new-tokens", "4"),
            "operations per step: ",
            marks=long,
        ),
        pytest.param("scoring", ("--rows", "2000", "--rounds", "1"), "| 2,000 | add_scores + select | 1 |", marks=long),
        pytest.param("rollouts", ("--rows", "4", "--rounds", "1"), "ratio: ", marks=long),
        pytest.param("probe", ("--attempts", "2", "--seeds", "1"), "| 200 | ", marks=long),
        pytest.param("controls", SMALL, "| kept, cde > 0.5 | text | blank | shuffled |", marks=long),
        pytest.param("dependence", SMALL[:2], "| AUC for cde > 0.5 |", marks=long),
        pytest.param("likelihood", (*SMALL, "--steps", "2"), "| left out, lowest size, either sign |", marks=long),
    ],
)
def test_benchmarks_run(tmp_path, benchmark, options, printed):
    """Each prints its tables."""
    assert printed in run(str(ROOT / "benchmarks" / f"{benchmark}.py"), *options, cwd=tmp_path)
