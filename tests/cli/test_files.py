"""Files between two commands."""

import pyarrow.parquet as pq
import pytest

from hf_rap.cli.files import open_source, read_selection, write_file
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
    with pytest.raises(OSError, match="No space left"):
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
