"""`hf-rap pass-rates`: from a column, or a file of rollouts, to a selection whose card says what is known and what is not."""

import json
import re

import click
import pytest
from click.testing import CliRunner

from hf_rap.cli import cli
from hf_rap.demo import make_planted


@pytest.fixture
def folder(tmp_path):
    """Twelve planted rows with pass rates of 0, 1/2 and 1, one of which is unknown."""
    ds = make_planted(12).remove_columns("id")
    ds = ds.add_column("PassRate_7BBase", [-1.0] + [0.0, 0.5, 1.0, 0.5] * 2 + [0.5, 0.0, 1.0])
    ds.to_parquet(tmp_path / "rows.parquet")
    return tmp_path


def run(*words):
    """Exit code, and what was said."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    return done.exit_code, click.unstyle(done.output) + str(done.exception or "")


def test_a_column_becomes_a_selection(folder):
    """Without the number of attempts there is a difficulty, which a band takes."""
    out, chosen = folder / "evidence.parquet", folder / "selection.parquet"
    code, text = run("pass-rates", folder / "rows.parquet", "--out", out)
    assert code == 0, text
    assert "without a pass rate  1" in text
    assert "7BBase, as the column says" in text
    code, text = run("select", out, "--method", "difficulty", "--out", chosen)
    assert code == 0, text
    code, text = run("select", out, "--out", folder / "rap.parquet")
    assert code == 1
    assert "rap_cde" in text


@pytest.mark.slow
def test_the_card_says_what_is_known(folder):
    """Model and sampling as they were told, or unknown; and that nobody was asked."""
    out, scored, chosen, version = (folder / name for name in ("e.parquet", "s.parquet", "c.parquet", "version"))
    for words in (
        ("pass-rates", folder / "rows.parquet", "--attempts", "4", "--out", out),
        ("score", out, "--out", scored),
        ("select", scored, "--method", "difficulty", "--out", chosen),
        ("publish", chosen, "--to-folder", version),
    ):
        code, text = run(*words)
        assert code == 0, text
    card = (version / "README.md").read_text()
    assert "| `model` | `7BBase, as the column says` |" in card
    assert "| `sampling` | `unknown` |" in card
    assert (
        "These pass rates were published by others and are taken over as they stand: hf-rap has asked no model" in card
    )
    assert "`rate_unknown`" in card


def test_rollouts_of_a_file(folder):
    """And options that are for the other kind are told."""
    path, out = folder / "rollouts.jsonl", folder / "evidence.parquet"
    lines = [{"example_id": row, "reward": row % 2, "completion": "\\boxed{no}"} for row in range(12)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ("pass-rates", folder / "rows.parquet", "--rollouts", path, "--out", out, "--json")
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert json.loads(done.stdout)["without a pass rate"] == 0
    code, text = run("score", out, "--regrade", "--out", folder / "scored.parquet")
    assert code == 0, text
    assert re.search(r"graded by +hf_rap", text)
    assert "no cde: nothing was asked on the text alone" in text
    assert (
        "--scale is for pass rates in a column"
        in run("pass-rates", "x", "--rollouts", path, "--scale", "count", "--out", folder / "other.parquet")[1]
    )
    assert "--by is for --rollouts" in run("pass-rates", "x", "--by", "qid", "--out", folder / "other.parquet")[1]
