"""Every callable in `map` in other surroundings: the same columns, and nothing on stderr that is ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from every_callable import CALLABLES, everything, new_columns, rows_for
from in_surroundings import SPAWNED

HERE = Path(__file__).parent
C = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
# Not even root writes below /proc.
NO_HOME = {"HOME": "/proc/nobody", "HF_HOME": None, "XDG_CACHE_HOME": None}
SURROUNDINGS = {
    "optimised": (("-O",), "plain", {}),
    "our warnings are errors": ((), "strict", {}),
    "locale C": ((), "plain", C),
    "no writable home": ((), "plain", NO_HOME),
    "fork": ((), "fork", {}),
    "spawn": ((), "spawn", {}),
    "threads": ((), "threads", {}),
}
ALWAYS = ("our warnings are errors", "threads")


@pytest.fixture(scope="module")
def plain():
    """By name, as JSON has it."""
    ds = everything()
    columns = {
        name: new_columns(call, rows_for(call, ds).map(call, batched=True, batch_size=3))
        for name, call in CALLABLES.items()
    }
    return json.loads(json.dumps(columns))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.exhaustive) for name in SURROUNDINGS]
)
def test_columns_are_the_same_in_all_surroundings(name, plain, tmp_path):
    """Of every callable; of three where each process loads everything anew."""
    options, way, changes = SURROUNDINGS[name]
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}{os.pathsep}{HERE}", **changes}
    done = subprocess.run(
        [sys.executable, *options, str(HERE / "in_surroundings.py"), way],
        cwd=tmp_path,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    columns = json.loads(done.stdout.decode("utf-8"))
    assert columns == ({each: plain[each] for each in SPAWNED} if way == "spawn" else plain)
    assert b"hf_rap" not in done.stderr, done.stderr.decode()
