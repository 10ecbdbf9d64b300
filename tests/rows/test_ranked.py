"""Files of a row group stored by score, as dictionaries: other bytes in the file, the same rows to every reader."""

import io

import datasets
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, List, Value

from hf_rap.rows.parquet import write_shards
from hf_rap.rows.ranked import rank_files

FEATURES = Features(
    {
        "id": Value("string"),
        "score": Value("float64"),
        "images": List(Image()),
        "image": Image(),
        "raw": Value("binary"),
        "big": Value("large_binary"),
        "name": Value("large_string"),
    }
)
A, B, C = b"A" * 900, b"B" * 600, b"C" * 300


def table_of(rows) -> pa.Table:
    schema = FEATURES.arrow_schema
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)], schema
    )


def file(content, path=None):
    return {"bytes": content, "path": path}


ROWS = table_of(
    [
        ("a", 0.1, [file(A), file(B, "b.png")], file(C), A, B, "x"),
        ("b", None, [], None, None, None, None),
        ("c", 0.9, [file(B)], file(None, "gone.png"), B, B, "y"),
        ("d", 0.5, None, file(A), b"", A, "z"),
        ("e", float("nan"), [None, file(A)], file(C), C, None, "z"),
    ]
)


def test_files_stand_by_score_and_rows_as_they_were():
    """The best row's file comes first, files are there once, and unknown scores come last."""
    ranked = rank_files(ROWS, "score")
    assert ranked["raw"].combine_chunks().dictionary.to_pylist() == [B, b"", A, C]
    assert ranked["image"].combine_chunks().field("bytes").dictionary.to_pylist() == [A, C]
    assert ranked["images"].combine_chunks().values.field("bytes").dictionary.to_pylist() == [B, A]
    assert ranked["id"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert ranked["images"].to_pylist() == ROWS["images"].to_pylist()


def test_every_reader_sees_the_same_rows(tmp_path):
    """Types, nulls and metadata included; for pyarrow it is the very table that it is without ranking."""
    (plain,) = write_shards([ROWS, ROWS], FEATURES, tmp_path / "plain")
    (ranked,) = write_shards([ROWS, ROWS], FEATURES, tmp_path / "ranked", rank_by="score")
    told, tables = pq.read_table(plain), pq.read_table(ranked)
    assert tables.schema.equals(told.schema, check_metadata=True)
    without_nan = [[str(row) for row in table.to_pylist()] for table in (told, tables)]
    assert without_nan[0] == without_nan[1]
    assert [str(row) for row in pl.read_parquet(ranked).to_dicts()] == [
        str(row) for row in pl.read_parquet(plain).to_dicts()
    ]
    lengths = (
        "select id, len(images), octet_length(images[1].bytes), octet_length(image.bytes), octet_length(raw) from "
    )
    assert duckdb.sql(f"{lengths} '{ranked}'").fetchall() == duckdb.sql(f"{lengths} '{plain}'").fetchall()
    for streaming in (False, True):
        rows = datasets.load_dataset("parquet", data_files=str(ranked), split="train", streaming=streaming)
        assert rows.features == datasets.load_dataset("parquet", data_files=str(plain), split="train").features
        undecoded = rows.cast_column("images", List(Image(decode=False))).cast_column("image", Image(decode=False))
        assert [row["images"] for row in undecoded][:3] == ROWS["images"].to_pylist()[:3]


def test_a_file_that_comes_twice_is_stored_once(tmp_path):
    """Several questions may be about one picture."""
    rows = table_of([(str(n), 0.5, [file(A * 100)], None, None, None, None) for n in range(50)])
    (path,) = write_shards([rows], FEATURES, tmp_path / "out", rank_by="score")
    assert path.stat().st_size < 100_000
    assert pq.read_table(io.BytesIO(path.read_bytes()))["images"].to_pylist() == rows["images"].to_pylist()
