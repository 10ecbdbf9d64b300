"""Type checkers over code of users: README's blocks and a script; the package's own code is what `make lint` checks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import blocks

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "typing" / "user_script.py"
# `make check-pyright` makes one; where it is somewhere else, name it.
PYRIGHT = os.environ.get("PYRIGHT") or shutil.which("pyright", path=str(ROOT / ".venv-pyright" / "bin"))
MISTAKES = """
from hf_rap import EndpointEngine, Rollouts, add_scores, cde_score
from datasets import Dataset
Rollouts(EndpointEngine("http://host/v1", model="m"), attempts="five")
add_scores(Dataset.from_dict({}), cde_score).no_such_method()
"""


@pytest.fixture
def folder(tmp_path):
    """The Python of the README and the tour, and the script."""
    code = [block.code for page in ("README.md", "docs/tour.md") for block in blocks(page, "python")]
    assert len(code) >= 2
    (tmp_path / "readme.py").write_text("\n".join(code), encoding="utf-8")
    shutil.copy(SCRIPT, tmp_path)
    return tmp_path


def checked(words, folder, **environment):
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.exhaustive
def test_mypy_reads_what_users_write(folder):
    """Strictly; and finds a mistake."""
    words = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    words += ["--cache-dir", str(ROOT / ".mypy_cache")]
    status, said = checked([*words, "readme.py", "user_script.py"], folder, MYPYPATH=str(ROOT))
    assert status == 0, said
    (folder / "mistakes.py").write_text(MISTAKES)
    status, said = checked([*words, "mistakes.py"], folder, MYPYPATH=str(ROOT))
    assert 'has incompatible type "str"; expected "int"' in said
    assert status == 1


@pytest.mark.skipif(
    PYRIGHT is None, reason="it needs Node.js: `make check-pyright` sets it up, in an environment of its own"
)
def test_pyright_reads_what_users_write(folder):
    """To it `Dataset` is a type, so the script's `assert_type` hold what comes out; and it finds mistakes."""
    (folder / "mistakes").mkdir()
    (folder / "mistakes" / "mistakes.py").write_text(MISTAKES)
    settings = {"include": ["."], "exclude": ["mistakes"], "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    words = [PYRIGHT, "--pythonpath", sys.executable, "-p"]
    status, said = checked([*words, "."], folder)
    assert (status, said.strip()) == (0, "0 errors, 0 warnings, 0 informations")
    (folder / "pyrightconfig.json").write_text(json.dumps({**settings, "include": ["mistakes"], "exclude": []}))
    status, said = checked([*words, "."], folder)
    assert status == 1
    assert '"Literal[\'five\']" is not assignable to "int"' in said
    assert 'Cannot access attribute "no_such_method" for class "Dataset"' in said
