"""--out replaces nothing that was made in another way, and a full disk is one line."""

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import Dataset

from hf_rap import cli as command_line
from hf_rap.cli import cli, main
from hf_rap.errors import SourceError

SCORES = {"rap_cde": [0.9, 0.1], "rap_difficulty": [0.4, 0.6]}


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """A file with two scores."""
    monkeypatch.chdir(tmp_path)
    Dataset.from_dict(SCORES).to_parquet("scored.parquet")
    return tmp_path


def select(*more):
    return CliRunner().invoke(cli, ["select", "scored.parquet", "--keep-easy", "--out", "out.parquet", *more])


def test_the_same_command_may_be_started_again(scored):
    """It gives the same file."""
    assert select().exit_code == 0
    first = Path("out.parquet").read_bytes()
    assert select().exit_code == 0
    assert Path("out.parquet").read_bytes() == first


def test_another_command_does_not_replace_its_file(scored):
    """Unless it is told to; what was there stays."""
    assert select().exit_code == 0
    before = Path("out.parquet").read_bytes()

    refused = select("--min-cde", "0.2")
    assert isinstance(refused.exception, SourceError)
    assert str(refused.exception) == (
        "There is `hf-rap select` with other options at out.parquet: give another name, or --overwrite."
    )
    assert Path("out.parquet").read_bytes() == before

    assert select("--min-cde", "0.2", "--overwrite").exit_code == 0
    assert Path("out.parquet").read_bytes() != before


def test_a_file_of_somebody_else_is_never_replaced_unasked(scored):
    """The source itself, say."""
    for name, content in (("out.parquet", b"mine"), ("scored.parquet", Path("scored.parquet").read_bytes())):
        Path(name).write_bytes(content)
        words = ["select", "scored.parquet", "--out", name]
        refused = CliRunner().invoke(cli, words)
        assert str(refused.exception).startswith(f"There is something that this command has not made at {name}")
        assert Path(name).read_bytes() == content


def test_a_picture_is_not_replaced_either(scored):
    """`inspect --attention --out` writes no Parquet."""
    Path("a.png").write_bytes(b"mine")

    refused = CliRunner().invoke(cli, ["inspect", "scored.parquet", "--row", "x", "--attention", "--out", "a.png"])

    assert str(refused.exception).startswith("There is something that this command has not made at a.png")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(monkeypatch, capsys, number):
    """Of whatever write; another error of the system keeps its traceback."""

    def fails(**_):
        raise OSError(number, os.strerror(number), "/data/cache.arrow")

    monkeypatch.setattr(command_line, "cli", fails)
    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        "hf-rap: the disk is full (/data/cache.arrow): make room and start again. What was there before is as it was.\n"
    )


def test_another_error_of_the_system_is_a_bug(monkeypatch):
    """It keeps its traceback."""

    def fails(**_):
        raise OSError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(command_line, "cli", fails)
    with pytest.raises(OSError, match="No such file"):
        main()


def test_a_disk_that_fails_is_one_line(monkeypatch, capsys):
    """Whatever it was that could not be read."""

    def fails(**_):
        raise OSError(errno.EIO, "Input/output error", "/data/cache.arrow")

    monkeypatch.setattr(command_line, "cli", fails)
    with pytest.raises(SystemExit):
        main()

    assert capsys.readouterr().err == (
        "hf-rap: a file cannot be read or written (/data/cache.arrow): Input/output error; see to it and start again. What was "
        "there before is as it was.\n"
    )


def test_how_it_runs_makes_no_other_file():
    """Whatever an engine declares as rounding alone, and what belongs to the run folder; secrets are in no file."""
    from hf_rap import EndpointEngine, TransformersEngine, VLLMEngine
    from hf_rap.cli.how import how_names
    from hf_rap.cli.rollouts import rollouts
    from hf_rap.engines.options import ROUNDING, marked

    engines = (EndpointEngine("http://host/v1", model="m"), TransformersEngine("m"), VLLMEngine("m"))
    options = {parameter.name for parameter in rollouts.params}
    rounding = {
        name.removesuffix("_size") if "parallel" in name else name for e in engines for name in marked(e, ROUNDING)
    }
    of_engines = rounding & options
    assert {"timeout", "retries", "wait_for_server", "max_reply_bytes", "data_parallel", "device"} < of_engines
    of_runs = {"rows_per_part", "retry_errors", "max_errors", "max_total_tokens", "ray", "ray_workers", "trackio"}
    assert how_names(rollouts) == of_engines | of_runs
