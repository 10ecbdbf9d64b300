"""`--overrides`: a person's marks from the file of the page to the card of a version, and on to the next one."""

import json

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from datasets import load_dataset

from hf_rap.cli import cli
from hf_rap.demo import make_planted
from hf_rap.select import select_cognitive


@pytest.fixture
def scored(tmp_path):
    """Eight planted rows with scores: the first four have a cde above 0.5."""
    ds = make_planted(8)
    scores = {
        "rap_id": [f"row-{place}" for place in range(8)],
        "rap_cde": [0.8] * 4 + [0.0] * 4,
        "rap_difficulty": [0.2] * 4 + [0.8] * 4,
    }
    for name, column in scores.items():
        ds = ds.remove_columns([name] if name in ds.column_names else []).add_column(name, column)
    ds.to_parquet(tmp_path / "scored.parquet")
    (tmp_path / "marks.csv").write_text("rap_id,mark\nrow-0,drop\nrow-1,wrong_gold\nrow-7,keep\ngone,drop\n")
    return tmp_path


def run(folder, *words):
    """What the command said."""
    done = CliRunner().invoke(cli, [str(folder / word) if (folder / word).exists() else word for word in words])
    return done.exit_code, click.unstyle(done.output) + str(done.exception or "")


def decisions(path):
    """The reason of each row that is kept."""
    rows = pq.read_table(path, columns=["rap_id", "rap_keep", "rap_reason"]).to_pylist()
    return {row["rap_id"]: row["rap_reason"] for row in rows if row["rap_keep"]}


KEPT = {"row-2": "image_needed", "row-3": "image_needed", "row-7": "by_hand"}


@pytest.mark.slow
def test_marks_go_through_select_and_publish_to_the_card(scored):
    """The card counts them and its snippet makes the same selection; so does the rule of the version with its rows."""
    out, folder = scored / "selection.parquet", scored / "version"
    code, said = run(scored, "select", "scored.parquet", "--overrides", "marks.csv", "--out", str(out))
    assert code == 0, said
    assert "By hand 2 of the 4 rows that the rule keeps are dropped, and 1 that it drops are kept." in said
    assert "1 of the 4 marks are about rows that are not in this dataset, such as 'gone'" in said
    assert decisions(out) == KEPT
    assert run(scored, "publish", "selection.parquet", "--to-folder", str(folder))[0] == 0
    card = (folder / "README.md").read_text()
    assert "| 1 | kept | `by_hand`<br>a person has looked at the row and marked it: keep, or drop |" in card
    assert "| 1 | dropped | `wrong_gold`<br>a person has looked at the row, and its gold answer is wrong |" in card
    assert "| `by_hand` | 3 | 37.5 % | 1 | marked keep, though the rule drops them |" in card
    assert "    overrides=scored,  # the marks of a person, in rap_reason\n" in card
    rows = load_dataset(str(folder), "scored", split="train")
    again = select_cognitive(rows, overrides=rows)
    assert again.scored["rap_reason"][:] == rows["rap_reason"][:]
    assert again.rule["by_hand"] == json.loads((folder / "rap.json").read_text())["facts"]["rule"]["by_hand"]


@pytest.mark.slow
def test_publish_takes_marks_of_a_selection_that_is_there(scored):
    """Select, look at the page, mark, publish: the file of the selection stays as it was."""
    out, folder = scored / "selection.parquet", scored / "version"
    assert run(scored, "select", "scored.parquet", "--out", str(out))[0] == 0
    before = out.read_bytes()
    code, said = run(scored, "publish", "selection.parquet", "--overrides", "marks.csv", "--to-folder", str(folder))
    assert code == 0, said
    assert "3 of 8 rows selected" in said
    (file,) = (folder / "scored").glob("*.parquet")
    assert (decisions(file), out.read_bytes()) == (KEPT, before)


@pytest.mark.slow
def test_other_ways_to_select_take_marks(scored):
    """--top, a band and a stage: the marks of the file go before each of them."""
    out = scored / "selection.parquet"
    (scored / "marks.csv").write_text("rap_id,mark\nrow-0,drop\n")
    for words in (
        ("--top", "2", "--by", "rap_cde", "--ties", "first"),
        ("--method", "difficulty", "--low", "0.5"),
        ("--method", "difficulty", "--stage", "one"),
    ):
        marks = ("--overrides", "marks.csv", "--out", str(out), "--overwrite")
        code, said = run(scored, "select", "scored.parquet", *words, *marks)
        assert code == 0, said
        assert "row-0" not in decisions(out)
        assert "dropped  by_hand" in said


def test_a_wrong_file_is_said_before_anything_is_read(scored):
    """The rows are not even looked for."""
    (scored / "marks.csv").write_text("rap_id,mark\nrow-0,maybe\n")
    code, said = run(scored, "select", "no_such.parquet", "--overrides", "marks.csv")
    assert code == 1
    assert "marks.csv, line 2: the mark is 'maybe', and marks are keep, drop, wrong_gold" in said


def test_other_marks_are_another_selection(scored):
    """A file is not replaced by one with other marks, though the name of their file is the same."""
    words = ("select", "scored.parquet", "--overrides", "marks.csv", "--out", str(scored / "selection.parquet"))
    assert run(scored, *words)[0] == run(scored, *words)[0] == 0
    (scored / "marks.csv").write_text("rap_id,mark\nrow-0,keep\n")
    code, said = run(scored, *words)
    assert code == 1
    assert "with other options" in said


@pytest.mark.slow
def test_compare_takes_the_marks_of_a_selection_and_given_ones(scored):
    """Of a file of select its own; a sweep takes them, too."""
    assert (
        run(scored, "select", "scored.parquet", "--overrides", "marks.csv", "--out", str(scored / "s.parquet"))[0] == 0
    )
    plot = ("--plot", str(scored / "plot.png"), "--json")
    code, said = run(scored, "compare", "s.parquet", "--methods", "rap", *plot)
    assert (code, json.loads(said[said.index("{") : said.rindex("}") + 1])["selections"][0]["rows"]) == (0, 3), said
    marks = ("--overrides", "marks.csv")
    code, said = run(scored, "compare", "scored.parquet", *marks, "--sweep", "min_cde=0.5,0.9", *plot)
    points = json.loads(said[said.index("{") : said.rindex("}") + 1])["points"]
    assert (code, [point["rows"] for point in points]) == (0, [3, 1])
