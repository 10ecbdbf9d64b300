"""Images inside Parquet files: raw, so that a store of chunks takes them once."""

import random

import hf_xet
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Features, Image, List, Value

from hf_rap.rows.parquet import write_shards

FEATURES = Features(
    {
        "id": Value("string"),
        "score": Value("float64"),
        "images": List(Image()),
        "image": Image(),
        "raw": Value("binary"),
    }
)


def table_of(rows: int) -> pa.Table:
    noise = random.Random(0)
    pictures = [{"bytes": noise.randbytes(30_000), "path": None} for _ in range(rows)]
    columns = [[f"row-{n}" for n in range(rows)], [n / 7 for n in range(rows)], [[one] for one in pictures]]
    schema = FEATURES.arrow_schema
    arrays = [*columns, [None] * rows, [b"x"] * rows]
    return pa.table([pa.array(values, field.type) for values, field in zip(arrays, schema, strict=True)], schema)


def test_files_are_raw_and_the_rest_is_compressed(tmp_path):
    """With a page index, which the viewer of the Hub reads few rows by."""
    (path,) = write_shards([table_of(3)], FEATURES, tmp_path / "out")
    group = pq.read_metadata(path).row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    assert {name: column.compression for name, column in columns.items()} == {
        "id": "SNAPPY",
        "score": "SNAPPY",
        "images.list.element.bytes": "UNCOMPRESSED",
        "images.list.element.path": "SNAPPY",
        "image.bytes": "UNCOMPRESSED",
        "image.path": "SNAPPY",
        "raw": "UNCOMPRESSED",
    }
    assert all(column.has_offset_index for column in columns.values())
    assert pq.read_table(path).equals(table_of(3))


@pytest.mark.slow
@pytest.mark.parametrize("change", ["a row less", "a row in front", "other scores"])
def test_a_small_change_stores_little_anew(tmp_path, change):
    """By the chunks of hf-xet: of 9 MB under a tenth, where compressed images would all be new behind a change."""
    table = table_of(300)
    changed = {
        "a row less": pa.concat_tables([table.slice(0, 100), table.slice(101)]),
        "a row in front": pa.concat_tables([table.slice(100, 1), table]),
        "other scores": table.set_column(1, "score", pa.array([n / 3 for n in range(300)])),
    }[change]
    new = []
    for name, rows in (("before", table), ("after", changed)):
        (path,) = write_shards([rows], FEATURES, tmp_path / name)
        commit = hf_xet.XetSession().new_upload_commit(endpoint=f"local://{tmp_path / 'store'}")
        commit.start_upload_file(str(path))
        new.append(commit.wait_to_finish().dedup_metrics.new_bytes)
    assert new[0] > 8_900_000
    assert new[1] < 0.1 * new[0]
