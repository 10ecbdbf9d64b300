"""hf-rap likelihood, dependence, controls, score --control and compare, on the built-in model."""

import json

import pytest
from click.testing import CliRunner
from datasets import load_dataset

from hf_rap.cli import cli
from hf_rap.demo import make_planted
from hf_rap.errors import ColumnExistsError, MissingColumnError, SettingError

MODEL = ("--model", "demo")
SHORT = ("--attempts", 2, "--max-new-tokens", 48)


def run(*arguments):
    """What the command prints on stdout, as JSON."""
    done = CliRunner().invoke(cli, [str(argument) for argument in (*arguments, "--json")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Planted rows, looked at, rolled out, and with controls."""
    place = tmp_path_factory.mktemp("controls")
    make_planted(24).to_parquet(place / "rows.parquet")
    run("likelihood", place / "rows.parquet", *MODEL, "--out", place / "looked.parquet")
    run("rollouts", place / "rows.parquet", *MODEL, *SHORT, "--out", place / "evidence.parquet")
    run("controls", place / "evidence.parquet", *MODEL, "--out", place / "controlled.parquet")
    return place


def rows(path):
    return load_dataset("parquet", data_files=str(path), split="train")


def test_likelihood_says_how_the_scores_lie(folder, tmp_path):
    """And leaves the evidence and the score in the file."""
    found = run("likelihood", folder / "rows.parquet", *MODEL, "--lead", "", "--run", tmp_path / "run")
    assert (found["rows"], found["rows with rap_likelihood_error"], found["rap_likelihood_cde unknown"]) == (24, 1, 1)
    assert found["q0.1"] <= found["q0.5"] <= found["q0.9"]
    assert {"rap_likelihood_cde", "rap_gold_spellings"} <= set(rows(folder / "looked.parquet").column_names)


def test_replies_are_read_again_and_scored(folder, tmp_path):
    """Evidence in the file, or in a run; `hf-rap score` makes the score without being told; another word is no arm."""
    out = tmp_path / "read.parquet"
    found = run("dependence", folder / "evidence.parquet", *MODEL, "--run", tmp_path / "run", "--out", out)
    assert (found["rows"], found["replies"], found["replies with an error"]) == (24, 46, 0)
    assert "rap_visual_dependence unknown" in run("score", out, "--out", tmp_path / "scored.parquet")
    assert (
        run("select", tmp_path / "scored.parquet", "--method", "visual-dependence", "--budget", 5)["funnel"]["selected"]
        == 5
    )
    words = ["dependence", str(folder / "evidence.parquet"), *MODEL, "--arms", "white", "--out", "x.parquet"]
    with pytest.raises(SettingError, match="some of text, blank, shuffled, each once"):
        CliRunner().invoke(cli, words, catch_exceptions=False)


def test_selections_by_counterfactual_are_compared(folder, tmp_path):
    """The table has a column of mean cde for each control that was collected."""
    plot = tmp_path / "c.png"
    arguments = ["compare", str(folder / "controlled.parquet"), "--methods", "rap,rap:blank,rap:shuffled"]
    done = CliRunner().invoke(cli, [*arguments, "--plot", str(plot)], catch_exceptions=False)
    head, first = done.stdout.splitlines()[2:4]
    assert head.split() == [
        "method",
        "rows",
        "mean",
        "difficulty",
        "mean",
        "cde",
        "cde:blank",
        "cde:shuffled",
        "tokens",
    ]
    assert first.split()[0] == "rap"
    assert len(first.split()) == 7
    assert plot.read_bytes().startswith(b"\x89PNG")
    as_json = run(*arguments, "--plot", plot)
    assert set(as_json["selections"][1]["mean_controls"]) == {"blank", "shuffled"}


def test_the_control_is_chosen_when_scoring(folder, tmp_path):
    """And the selection remembers it."""
    out = tmp_path / "scored.parquet"
    found = run("score", folder / "controlled.parquet", "--control", "shuffled", "--out", out)
    assert set(found) == {"rows", "rap_cde unknown", "rap_difficulty unknown", "file"}
    assert run("select", out)["rule"]["control"] == "shuffled"
    words = ["score", str(folder / "evidence.parquet"), "--control", "blank", "--out", str(tmp_path / "no.parquet")]
    with pytest.raises(MissingColumnError, match="hf-rap controls"):
        CliRunner().invoke(cli, words, catch_exceptions=False)


def test_controls_say_what_they_did(folder, tmp_path):
    """One arm at a time, and none twice."""
    out = tmp_path / "blank.parquet"
    found = run("controls", folder / "evidence.parquet", *MODEL, "--arms", "blank", "--out", out)
    assert found == {"rows": 24, "rows with rap_blank_error": 1, "file": str(out)}
    words = ["controls", str(out), *MODEL, "--out", str(tmp_path / "no.parquet")]
    with pytest.raises(ColumnExistsError, match="rap_blank_rewards"):
        CliRunner().invoke(cli, words, catch_exceptions=False)
