"""`hf-rap env` says what somebody who helps needs, and nothing that is secret."""

import getpass
import json
import os
import platform
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from hf_rap.cli import cli
from hf_rap.environment import describe_environment
from hf_rap.version import VERSION

CANARY = "hf_CanaryCanaryCanary"


def printed(*words):
    """What the command prints on stdout."""
    done = CliRunner().invoke(cli, ["env", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_versions_engine_and_machine_are_told():
    """One line each: name, two spaces or more, value."""
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in printed().splitlines())
    assert lines["hf-rap"] == VERSION
    assert lines["Python"] == f"{platform.python_version()} ({platform.python_implementation()})"
    assert lines["system"].startswith(platform.system())
    assert re.fullmatch(r"[1-9]\d* of [1-9]\d*", lines["cores"])
    assert lines["engine"].startswith("TransformersEngine on ")
    assert lines["datasets"] == version("datasets")
    assert lines["torch"] == version("torch")


def test_json_is_what_python_gives():
    """The same facts for programs."""
    assert json.loads(printed("--json")) == describe_environment()


def test_every_dependency_is_listed():
    """With those of the extras; what is not installed is null, not left out."""
    packages = describe_environment()["packages"]
    assert {"accelerate", "huggingface-hub", "math-verify", "transformers", "ray", "trl", "torchvision"} <= set(
        packages
    )
    assert packages["vllm"] is None or re.match(r"\d", packages["vllm"])


def test_nothing_secret_is_told(monkeypatch, tmp_path):
    """Tokens, other variables, the home folder, the working folder, and the names of user and host stay here."""
    folder = tmp_path / CANARY
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_HOME", "USER"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("HOME", f"/home/{CANARY}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{CANARY}@proxy")
    for text in (printed(), printed("--json")):
        assert CANARY not in text
        assert sys.prefix not in text
        assert str(Path(__file__).parents[2]) not in text
        words = set(re.findall(r"[\w.-]+", text))
        assert not words & ({getpass.getuser(), socket.gethostname()} - {"localhost"})


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("raise OSError('/home/me/lib/libcudart.so.12: cannot open')", "OSError: libcudart.so.12: cannot open"),
        (
            "raise ImportError(\"cannot import name 'x' from 'y' (/home/me/y.py)\")",
            "ImportError: cannot import name 'x' from 'y' (y.py)",
        ),
        ("raise RuntimeError('C:\\\\Users\\\\me\\\\c10.dll is broken\\nmore')", "RuntimeError: c10.dll is broken"),
    ],
)
def test_a_torch_that_does_not_load_is_told(tmp_path, fault, told):
    """Its versions are told all the same, and where it lies is not."""
    (tmp_path / "torch.py").write_text(fault)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    done = subprocess.run(
        [sys.executable, "-m", "hf_rap", "env", "--json"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["engine"] == {
        "name": "TransformersEngine", "device": None, "gpus": None, "cuda": None, "rocm": None, "fault": told,
    }  # fmt: skip
    assert found["packages"]["torch"] == version("torch")


def test_a_home_folder_with_a_space_is_not_told(monkeypatch):
    """Half of a path must not stay behind."""
    from hf_rap.environment import without_paths

    monkeypatch.setenv("HOME", "/home/Jo Do")
    assert without_paths("cannot open '/home/Jo Do/lib/x.so' or /home/Jo Do/y.py") == "cannot open 'x.so' or y.py"
