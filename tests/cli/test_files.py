"""Files between two commands."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hf_rap.cli import COMMANDS, cli
from hf_rap.cli.files import check_file, open_source, read_selection, write_file
from hf_rap.cli.options import ParquetFile
from hf_rap.demo import make_planted
from hf_rap.errors import MissingColumnError, SourceError
from hf_rap.rows.provenance import SourceInfo
from hf_rap.select import select_cognitive

SOURCE = SourceInfo("user/data", split="train", revision="0" * 40, licence="mit")


@pytest.fixture
def selection():
    """Twelve planted rows with made-up scores."""
    planted = make_planted(12)
    planted = planted.add_column("rap_cde", [0.1 * index for index in range(12)])
    return select_cognitive(planted, replace_easy=False)


def test_selection_comes_back_whole(selection, tmp_path):
    """Rows, images, rule, funnel and provenance."""
    write_file(selection, tmp_path / "a.parquet", source=SOURCE)
    back, source = read_selection(tmp_path / "a.parquet")
    assert (back.rule, back.funnel, source) == (selection.rule, selection.funnel, SOURCE)
    assert back.scored.to_list() == selection.scored.to_list()
    assert back.reasons == selection.reasons


def test_source_is_remembered_across_files(selection, tmp_path):
    """A file of ours answers with what it was made from; another file with itself."""
    write_file(selection.scored, tmp_path / "a.parquet", source=SOURCE)
    assert open_source(str(tmp_path / "a.parquet"))[1] == SOURCE
    selection.scored.to_parquet(tmp_path / "b.parquet")
    assert open_source(str(tmp_path / "b.parquet"))[1].id == "b.parquet"


def test_failed_write_leaves_nothing(selection, tmp_path, monkeypatch):
    """A disk that is full half-way leaves neither the file nor its partial."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(
        SourceError, match=r"a.parquet cannot be written into .*: No space left on device\. .*another --out"
    ):
        write_file(selection, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_file_without_a_selection_is_refused(selection, tmp_path):
    """It says which step is missing."""
    write_file(make_planted(6), tmp_path / "a.parquet")
    with pytest.raises(MissingColumnError, match="or `hf-rap select`"):
        read_selection(tmp_path / "a.parquet")
    selection.scored.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(SourceError, match="does not say how its rows were selected"):
        read_selection(tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"ends in \.parquet"):
        write_file(selection, tmp_path / "a.csv")


def test_a_file_is_checked_again_before_it_is_written(selection, tmp_path):
    """For hours may lie between: a folder that took its place is left alone."""
    (tmp_path / "a.parquet").mkdir()
    with pytest.raises(SourceError, match=r"a\.parquet is a folder: give the name of a file\.$"):
        write_file(selection, tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_check_makes_nothing(tmp_path):
    """Neither the file nor the folders that it will need."""
    path = tmp_path / "some" / "where" / "a.parquet"
    assert check_file(path) == path
    assert list(tmp_path.iterdir()) == []


def said_to_an_ordinary_user(path: Path) -> str:
    """What `check_file` says to somebody who may not do everything, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)  # nobody
            check_file(path)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_folder_that_one_may_not_write_to_is_refused(tmp_path):
    """Read-only, or one that cannot even be looked into."""
    assert said_to_an_ordinary_user(Path("/a.parquet")) == "SourceError: /a.parquet cannot be written: / is read-only."
    closed = tmp_path / "closed"
    (closed / "deep").mkdir(parents=True)
    closed.chmod(0)
    path = closed / "deep" / "a.parquet"
    try:
        said = said_to_an_ordinary_user(path)
    finally:
        closed.chmod(0o700)
    assert said.startswith(f"SourceError: {path} cannot be written: ")


def test_every_parquet_file_to_write_is_checked_at_once():
    """Each command that has one takes it as an option that checks; the options are named here, so a new one is seen."""
    options = {
        name
        for name in COMMANDS
        for option in cli.get_command(None, name).params
        if option.name == "out" and isinstance(option.type, ParquetFile)
    }
    assert options == {
        "annotate-steps",
        "attention",
        "collect",
        "controls",
        "dependence",
        "likelihood",
        "pass-rates",
        "rollouts",
        "score",
        "select",
    }
