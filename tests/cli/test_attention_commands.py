"""hf-rap attention, score and inspect --attention on the built-in model."""

import json

import pytest
from click.testing import CliRunner

from hf_rap.cli import cli
from hf_rap.demo import make_planted
from hf_rap.errors import MissingColumnError, SettingError, SourceError
from hf_rap.rows.sources import load_source
from hf_rap.scorers import ACEScore


def run(*arguments):
    """What the command prints on stdout, as JSON."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(*arguments):
    """Runs a command that raises."""
    CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Planted rows, their evidence, and the scores."""
    folder = tmp_path_factory.mktemp("attention")
    make_planted(12).to_parquet(folder / "rows.parquet")
    run(
        *("rollouts", folder / "rows.parquet", "--model", "demo", "--attempts", 2, "--max-new-tokens", 48),
        *("--out", folder / "evidence.parquet", "--json"),
    )
    return folder


@pytest.fixture(scope="module")
def scored(folder):
    """The file of scores, with a second pass for the attention."""
    read = run(
        *("attention", folder / "evidence.parquet", "--model", "demo", "--out", folder / "read.parquet", "--json")
    )
    assert (read["rows"], read["attempts that cannot be read"]) == (12, 0)
    found = run("score", folder / "read.parquet", "--out", folder / "scored.parquet", "--json")
    assert set(found) == {"rows", "rap_cde unknown", "rap_ace unknown", "rap_difficulty unknown", "file"}
    return folder / "scored.parquet"


def test_ace_is_scored_only_where_attention_was_read(folder, scored):
    """Without rap_attention the usual scores are two."""
    found = run("score", folder / "evidence.parquet", "--out", folder / "two.parquet", "--json")
    assert "rap_ace unknown" not in found
    rule = run("select", scored, "--json", "--keep-easy")["rule"]
    assert rule["asked"]["max_ace"] == "auto"
    assert rule["max_ace"] > 0


def test_the_options_of_ace_are_on_the_command_line(folder, scored, tmp_path, caplog):
    """The same numbers as in Python; they are refused where there is no ace to score."""
    options = {"part": "answer", "normalise": "reply", "form": "literal", "heads": "mean", "attempts": "first"}
    words = [word for name, value in options.items() for word in (f"--ace-{name}", value)]
    words += ["--ace-sigma", 1.5, "--ace-min-column", 2]
    run("score", folder / "read.parquet", *words, "--out", tmp_path / "scored.parquet", "--json")
    expected = ACEScore(**options, sigma=1.5, min_column=2)(load_source(str(folder / "read.parquet"))[:])
    found = load_source(str(tmp_path / "scored.parquet"))
    assert found["rap_ace"][:] == expected["rap_ace"]
    assert found["rap_ace_settings"][:] == expected["rap_ace_settings"]
    assert any(ace is not None for ace in expected["rap_ace"])
    wrong = ["score", str(folder / "evidence.parquet"), "--ace-part", "answer", "--out", str(tmp_path / "x.parquet")]
    done = CliRunner().invoke(cli, wrong)
    assert done.exit_code == 2
    assert "--ace-... is for the score ace" in done.stderr
    run("select", scored, "--max-ace", 0.1, "--min-cde", -1, "--keep-easy", "--json")
    assert "rap_ace is windowed here" in caplog.text


def test_token_ids_are_kept(folder, tmp_path):
    """And read by a second pass: `--keep-ids`."""
    out = tmp_path / "ids.parquet"
    few = ("--attempts", 1, "--max-new-tokens", 48, "--keep-ids", "--out", out, "--json")
    run("rollouts", folder / "rows.parquet", "--model", "demo", *few)
    assert "rap_image_token_ids" in load_source(str(out)).column_names
    read = run("attention", out, "--model", "demo", "--out", tmp_path / "read.parquet", "--json")
    assert read["attempts that cannot be read"] == 0


def test_a_reply_is_drawn(scored, tmp_path):
    """The file named, and the facts behind it."""
    out = tmp_path / "x.png"
    found = run("inspect", scored, "--row", "planted-0-00001", "--attention", "--out", out, "--json")
    assert out.read_bytes().startswith(b"\x89PNG")
    assert (found["row"], found["attempts"], found["file"]) == ("planted-0-00001", 2, str(out))
    assert found["rap_ace"] > 0
    again = ("--out", out, "--overwrite", "--json")
    both = [run("inspect", scored, "--row", "planted-0-00001", "--attention", "--attempt", n, *again) for n in (1, 2)]
    assert max(one["log_psi_windowed"] for one in both) == found["log_psi_windowed"]


def test_what_cannot_be_drawn_is_said(folder, scored):
    """No such row, no such attempt, no attention in the file."""
    with pytest.raises(SourceError, match="has the rap_id 'nobody'"):
        refused("inspect", scored, "--row", "nobody", "--attention")
    with pytest.raises(SettingError, match="--attempt 3: the row 'planted-0-00001' has 2 replies"):
        refused("inspect", scored, "--row", "planted-0-00001", "--attention", "--attempt", 3)
    with pytest.raises(MissingColumnError, match="reads column 'rap_attention'"):
        refused("inspect", folder / "evidence.parquet", "--row", "planted-0-00001", "--attention")
    with pytest.raises(SourceError, match="'x'"):
        refused("inspect", scored, "--row", "x")
    for wrong in (["--attention"], ["--out", "x.png"]):
        assert CliRunner().invoke(cli, ["inspect", str(scored), *wrong]).exit_code == 2
