"""The stub engine is a module beside the tests: child processes and Ray workers import it, too."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "endpoint"))  # the servers


@pytest.fixture
def run(tmp_path):
    """The URL of a run that does not exist yet."""
    return str(tmp_path / "run")


@pytest.fixture
def log(tmp_path):
    """Where the stub writes what it was asked."""
    return str(tmp_path / "asked")
