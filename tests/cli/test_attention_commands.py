"""hf-rap attention, score and inspect --attention on the built-in model."""

import json

import pytest
from click.testing import CliRunner

from hf_rap.cli import cli
from hf_rap.demo import make_planted
from hf_rap.errors import MissingColumnError, SettingError, SourceError


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


def test_a_reply_is_drawn(scored, tmp_path):
    """The file named, and the facts behind it."""
    out = tmp_path / "x.png"
    found = run("inspect", scored, "--row", "planted-0-00001", "--attention", "--out", out, "--json")
    assert out.read_bytes().startswith(b"\x89PNG")
    assert (found["row"], found["attempts"], found["file"]) == ("planted-0-00001", 2, str(out))
    assert found["rap_ace"] > 0
    both = [
        run("inspect", scored, "--row", "planted-0-00001", "--attention", "--attempt", n, "--out", out, "--json")
        for n in (1, 2)
    ]
    assert max(one["log_psi_windowed"] for one in both) == found["log_psi_windowed"]


def test_what_cannot_be_drawn_is_said(folder, scored):
    """No such row, no such attempt, no attention in the file."""
    with pytest.raises(SourceError, match="has the rap_id 'nobody'"):
        refused("inspect", scored, "--row", "nobody", "--attention")
    with pytest.raises(SettingError, match="--attempt 3: the row 'planted-0-00001' has 2 replies"):
        refused("inspect", scored, "--row", "planted-0-00001", "--attention", "--attempt", 3)
    with pytest.raises(MissingColumnError, match="reads column 'rap_attention'"):
        refused("inspect", folder / "evidence.parquet", "--row", "planted-0-00001", "--attention")
    for wrong in (["--row", "x"], ["--attention"], ["--out", "x.png"]):
        assert CliRunner().invoke(cli, ["inspect", str(scored), *wrong]).exit_code == 2
