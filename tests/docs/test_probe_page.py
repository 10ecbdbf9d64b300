"""The page about foretelling: its example runs."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "probe.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs(capsys):
    """On planted rows and the built-in model; every row that can be read has a foretold cde."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(code, "docs/probe.md", "exec"), names)
    assert "Probe: fitted to" in capsys.readouterr().out
    foretold = names["foretold"]
    pairs = zip(foretold["rap_probe_cde"], foretold["rap_states_error"], strict=True)
    assert all((cde is None) == (error is not None) for cde, error in pairs)
