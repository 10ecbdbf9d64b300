"""An unfinished run can be read as it stands; and a file of evidence may be a folder of them."""

import json
from pathlib import Path

import datasets
import pytest
from click.testing import CliRunner
from stubs import make_rows, stub_rollouts

from hf_rap import collect_evidence, collect_in_run
from hf_rap.cli import cli
from hf_rap.demo import make_planted
from hf_rap.errors import RunError
from hf_rap.runs.fill import Run


def test_a_run_that_is_not_finished_is_read_as_it_stands(tmp_path):
    """Rows that are done are those of the whole evidence, in their order; equal rows are missing together."""
    run = str(tmp_path / "run")
    half, ds = make_rows(20), datasets.concatenate_datasets([make_rows(40), make_rows(2, start=30)])
    collect_in_run(half, stub_rollouts(), run)
    with Run(ds, stub_rollouts(), run) as running:
        assert running.lacking() == list(range(20, 42))
        with pytest.raises(RunError, match="22 of 42 rows are not in the run"):
            running.read()
        partial = running.read(partial=True)
    assert partial.to_list() == collect_evidence(half, stub_rollouts()).to_list()
    with Run(make_rows(5, start=100), stub_rollouts(), run) as running, pytest.raises(RunError, match="5 of 5 rows"):
        running.read(partial=True)


def invoke(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run over 12 planted rows that has 5 of them."""
    folder = tmp_path_factory.mktemp("begun")
    planted = make_planted(12)
    planted.to_parquet(folder / "rows.parquet")
    planted.select(range(5)).to_parquet(folder / "few.parquet")
    options = ["--model", "demo", "--dtype", "float32", "--device", "cpu", "--attempts", "2", "--max-new-tokens", "24"]
    options += ["--run", folder / "run"]
    done = invoke("rollouts", folder / "few.parquet", *options)
    assert done.exit_code == 0, done.output
    return folder, options


def test_the_command_says_how_many_rows_are_missing(begun, tmp_path):
    """They are left out of the file, which is scored like any other; a folder holds the same rows as a file."""
    folder, options = begun
    out = tmp_path / "partial"
    done = invoke("rollouts", folder / "rows.parquet", *options, "--partial", "--out", f"{out}/")
    assert done.exit_code == 0, done.output
    assert "--partial: 7 of 12 rows are not in the run yet, and are left out" in done.output
    assert [path.name for path in out.iterdir()] == ["train-00000-of-00001.parquet"]
    scored = invoke("score", out, "--out", tmp_path / "scored.parquet")
    assert scored.exit_code == 0, scored.output
    assert len(datasets.Dataset.from_parquet(str(tmp_path / "scored.parquet"), cache_dir=str(tmp_path / "cache"))) == 5


def test_partial_asks_nothing_and_needs_a_run(begun, tmp_path):
    """Without --run there is nothing to read."""
    folder, options = begun
    parts = sorted(Path(folder, "run").rglob("*.parquet"))
    invoke("rollouts", folder / "rows.parquet", *options, "--partial", "--out", tmp_path / "a.parquet")
    assert sorted(Path(folder, "run").rglob("*.parquet")) == parts
    done = invoke("rollouts", folder / "rows.parquet", "--model", "demo", "--partial", "--out", tmp_path / "b.parquet")
    assert "--partial reads what a --run holds so far" in done.output
    assert done.exit_code == 2


def test_a_folder_is_written_again_by_its_own_command_alone(begun, tmp_path):
    """And what else lies in a folder is nobody's to remove, with --overwrite or without."""
    folder, options = begun
    out = tmp_path / "evidence"
    few = ["rollouts", folder / "few.parquet", *options, "--out", out]
    assert invoke(*few).exit_code == 0
    assert invoke(*few).exit_code == 0
    other = invoke("rollouts", folder / "few.parquet", *options, "--seed", "3", "--out", out)
    assert "There is `hf-rap rollouts` with other options at" in str(other.exception)
    (out / "notes.txt").write_text("mine")
    assert "holds other files" in str(invoke(*few, "--overwrite").exception)
    assert (out / "notes.txt").read_text() == "mine"


def test_large_evidence_becomes_several_files(begun, tmp_path, monkeypatch):
    """Each says where its rows come from, and they read as one."""
    import pyarrow.parquet as pq

    monkeypatch.setattr("hf_rap.rows.parquet.SHARD_BYTES", 1)
    monkeypatch.setattr("hf_rap.rows.parquet.ROW_GROUP_ROWS", 2)
    monkeypatch.setattr("hf_rap.cli.files.ROWS_PER_BATCH", 2)
    folder, options = begun
    out = tmp_path / "evidence"
    assert invoke("rollouts", folder / "few.parquet", *options, "--out", out).exit_code == 0
    files = sorted(out.iterdir())
    assert [path.name for path in files] == [f"train-0000{number}-of-00003.parquet" for number in range(3)]
    assert len({pq.read_schema(path).metadata[b"hf_rap"] for path in files}) == 1
    assert json.loads(pq.read_schema(files[0]).metadata[b"hf_rap"])["source"]["id"] == "few.parquet"
    told = invoke("inspect", out, "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["rows"] == 5
