"""`hf-rap doubt`: a list to look at, marks that come back, and lines to send to the makers of a dataset."""

import csv
import json

import click
import pytest
from click.testing import CliRunner
from datasets import Dataset

from hf_rap.cli import cli


@pytest.fixture
def folder(tmp_path):
    """Evidence of three rows, the gold of the first of which is doubtful."""
    answers = ["7" * 10, "3" * 10, "3" * 10]
    Dataset.from_dict(
        {
            "problem": ["=How many?\n\x1b[31mred"] * 3,
            "images": [[]] * 3,
            "answer": ["3"] * 3,
            "rap_id": ["0007", "b", "c"],
            "rap_image_responses": [[rf"\boxed{{{answer}}}" for answer in row] for row in answers],
            "rap_image_rewards": [[float(answer == "3") for answer in row] for row in answers],
            "rap_text_responses": [["\\boxed{9}"] * 10] * 3,
            "rap_text_rewards": [[0.0] * 10] * 3,
        }
    ).to_parquet(tmp_path / "evidence.parquet")
    return tmp_path


def run(*words):
    """Exit code, and what was said."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    return done.exit_code, click.unstyle(done.output) + str(done.exception or "")


def test_doubtful_rows_are_printed_and_written(folder):
    """To look at, as JSON lines, and as JSON on stdout; nothing in a question steers the terminal."""
    source, lines = folder / "evidence.parquet", folder / "doubts.jsonl"
    code, text = run("doubt", source, "--out", lines)
    assert code == 0, text
    assert "1 of 3 rows with attempts have a gold that is wrong with a probability of at least 0.5" in text
    assert "0007 (row 0)" in text
    assert "\x1b" not in text
    (row,) = map(json.loads, lines.read_text().splitlines())
    assert (row["rap_id"], row["gold"], row["answer"], row["image_answer"]) == ("0007", "3", "7", 10)
    done = CliRunner().invoke(cli, ["doubt", str(source), "--json"])
    assert [found["rap_id"] for found in json.loads(done.stdout)["doubts"]] == ["0007"]


def test_another_verifier_says_what_is_the_same(folder, monkeypatch):
    """One to which nothing is: then no two attempts agree, and no gold is doubtful."""
    (folder / "says_never_same.py").write_text("def never(reply, gold, question):\n    return 0.0\n")
    monkeypatch.chdir(folder)
    source = folder / "evidence.parquet"
    assert "1 of 3 rows" in run("doubt", source)[1]
    answers = [rf"\boxed{{{'7' * (1 + place)}}}" for place in range(10)]
    rows = Dataset.from_parquet(str(source), cache_dir=str(folder / "cache")).to_list()
    Dataset.from_list([{**rows[0], "rap_image_responses": answers}]).to_parquet(folder / "different.parquet")
    assert "0 of 1 rows" in run("doubt", folder / "different.parquet", "--verifier", "says_never_same:never")[1]
    (folder / "says_always_same.py").write_text("def always(reply, gold, question):\n    return 1.0\n")
    assert "1 of 1 rows" in run("doubt", folder / "different.parquet", "--verifier", "says_always_same:always")[1]


def test_marks_in_the_table_come_back(folder):
    """An untouched file changes nothing, and a mark drops its row as `wrong_gold`; no text is a formula of a spreadsheet."""
    source, table, out = folder / "evidence.parquet", folder / "doubts.csv", folder / "selection.parquet"
    assert run("doubt", source, "--out", table)[0] == 0
    (row,) = csv.DictReader(table.open())
    assert (row["rap_id"], row["mark"], row["question"]) == ("0007", "", "'=How many?\n\x1b[31mred")
    scored = folder / "scored.parquet"
    assert run("score", source, "--out", scored)[0] == 0
    code, text = run("select", scored, "--overrides", table, "--out", out)
    assert code == 0, text
    table.write_text("rap_id,mark\n0007,wrong_gold\n")
    code, text = run("select", scored, "--overrides", table, "--out", folder / "marked.parquet")
    assert code == 0, text
    marked = Dataset.from_parquet(str(folder / "marked.parquet"), cache_dir=str(folder / "cache"))
    assert marked["rap_reason"][0] == "wrong_gold"


def test_what_cannot_be_written_is_said_before_anything_is_read(folder):
    """Another ending, and a file that is there."""
    assert "give a name that ends in .csv or .jsonl" in run("doubt", "nowhere", "--out", "doubts.xlsx")[1]
    (folder / "mine.csv").write_text("my own")
    code, text = run("doubt", folder / "evidence.parquet", "--out", folder / "mine.csv")
    assert code == 1
    assert "--overwrite" in text
    assert (folder / "mine.csv").read_text() == "my own"
