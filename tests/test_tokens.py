"""No test tells a token, and the fixture that looks for one finds it wherever it is told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Each as the body of a test.
WAYS = {
    "printed": "print(os.environ['HF_TOKEN'])",
    "printed and read": "print(os.environ['HF_TOKEN']); capsys.readouterr()",
    "logged": "logging.getLogger('x').warning('sent %s', os.environ['HF_TOKEN'])",
    "raised": """
    try:
        raise ValueError(os.environ['HF_TOKEN'])
    except ValueError as error:
        try:
            raise SourceError('no') from error
        except SourceError:
            pass""",
    "printed by a process": """
    code = "import os; print(os.environ['HF_TOKEN'])"
    subprocess.run([sys.executable, "-c", code], capture_output=True)""",
    "written": "(tmp_path / 'deep').mkdir(); (tmp_path / 'deep' / 'file').write_text('x' + os.environ['HF_TOKEN'])",
    "not told": "assert os.environ['HF_TOKEN']",
}


@pytest.mark.slow
def test_a_token_is_found_wherever_it_is_told(tmp_path):
    """A test for each way to tell it, run with the fixtures of all tests; all but the last fail."""
    head = "import logging, os, subprocess, sys\nfrom hf_rap.errors import SourceError\n"
    tests = [
        f"def test_{n}(tmp_path{', capsys' if 'capsys' in code else ''}):\n    {code}\n"
        for n, code in enumerate(WAYS.values())
    ]
    (tmp_path / "test_ways.py").write_text(head + "\n".join(tests))
    (tmp_path / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=no", "-rA", "."]
    with (tmp_path / "report").open("wb") as report:
        env = {
            name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"
        }  # that of who runs these tests
        subprocess.Popen(words, cwd=tmp_path, stdout=report, stderr=report, env=env).wait(120)
    lines = (tmp_path / "report").read_text().splitlines()
    outcomes = [[line.split()[0] for line in lines if f"::test_{n}" in line] for n in range(len(WAYS))]
    for name in ("report", "conftest.py"):
        (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)  # the token, compiled
    assert dict(zip(WAYS, outcomes, strict=True)) == {way: ["PASSED"] + ["ERROR"] * (way != "not told") for way in WAYS}
