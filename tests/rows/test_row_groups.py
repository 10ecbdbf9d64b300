"""Row groups are cut by bytes: what a reader has to hold at once."""

import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Features, Image, List, Value

from hf_rap import publish_to_folder, select_cognitive
from hf_rap.exports import writing
from hf_rap.rows import parquet
from hf_rap.rows.parquet import cuts, write_table
from hf_rap.versions import groups as version_groups
from tests.exports.awkward import dataset, row

FEATURES = Features({"id": Value("string"), "images": List(Image())})


def table(*sizes: int) -> pa.Table:
    """A row with one file of each of these sizes."""
    rows = [{"id": "r", "images": [{"bytes": bytes(size), "path": None}]} for size in sizes]
    return pa.Table.from_pylist(rows, FEATURES.arrow_schema)


def groups(path) -> list[int]:
    """Rows of each row group."""
    footer = pq.read_metadata(path)
    return [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]


@pytest.fixture
def thousand(monkeypatch):
    """Row groups of a thousand bytes, and a row above 4,000 is said."""
    for module in (parquet, writing):
        monkeypatch.setattr(module, "ROW_GROUP_BYTES", 1000)
    monkeypatch.setattr(parquet, "LARGE_ROW_BYTES", 4000)
    monkeypatch.setattr(version_groups, "GROUP_BYTES", 500)  # twice that is the most


@pytest.mark.usefixtures("thousand")
@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([[400] * 8], [4, 4]),  # halved twice, to 2 rows of over 800 bytes, of which two reach a thousand
        ([[10], [10], [10]], [3]),
        ([[300], [3000], [300]], [1, 1, 1]),  # the large one stands alone
        ([[300, 300, 3000]], [2, 1]),
    ],
)
def test_row_groups_are_cut_by_bytes(tmp_path, batches, expected):
    """A batch of many large rows is cut, small batches are joined, and every row is there in its order."""
    tables = [table(*sizes) for sizes in batches]
    path = tmp_path / "out.parquet"
    write_table(tables, FEATURES, path, metadata={})
    assert groups(path) == expected
    assert pq.read_table(path).equals(pa.concat_tables(tables))


@pytest.mark.usefixtures("thousand")
def test_a_row_above_the_limit_is_said(tmp_path, caplog):
    """By its number among all rows of the file."""
    with caplog.at_level(logging.WARNING):
        write_table([table(10, 10), table(10, 5000)], FEATURES, tmp_path / "out.parquet", metadata={})
    assert [record.message.split(" has ")[0] for record in caplog.records] == ["Row 3 of a Parquet file"]


def test_cuts_hold_every_row_once():
    """Up to 64 MB together, or one row."""
    sizes = [64_000_000, 0, 1, 63_999_999, 65_000_000, 1]
    assert [list(range(6))[cut] for cut in cuts(sizes)] == [[0, 1], [2, 3], [4], [5]]
    assert list(cuts([])) == []


@pytest.mark.usefixtures("thousand")
def test_exports_and_versions_are_cut_alike(tmp_path):
    """Twelve rows with pictures of over 100 bytes: no row group of the export or of a config has more than eight."""
    from hf_rap import export

    ds = dataset(*(row(f"row-{number}") for number in range(12))).add_column("rap_image_rewards", [[1.0, 0.0]] * 12)
    done = export(ds, tmp_path / "export", to="trl")
    version = publish_to_folder(select_cognitive(ds, min_cde=0.2, replace_easy=False), tmp_path / "version")
    for path in (done.path / "train.parquet", *version.path.glob("*/*.parquet")):
        assert sum(groups(path)) == 12
        assert max(groups(path)) <= 8
