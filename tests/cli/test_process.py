"""The commands for process-reward data, one after the other as a user would type them."""

import json
import subprocess
import sys

import pytest
from datasets import load_dataset
from PIL import Image

from hf_rap.cli import cli
from hf_rap.cli.files import read_selection
from tests.process.visualprm import write


def run(*arguments):
    """The command in this process; what it printed on stdout."""
    from click.testing import CliRunner

    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """datasets takes two local folders of the same name for one."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def annotations(tmp_path):
    """Three files, one line of which is broken, and their pictures."""
    files = write(tmp_path / "annotations", 12)
    for row in [row for rows in files.values() for row in rows]:
        for name in [row["image"]] if isinstance(row["image"], str) else row["image"]:
            (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), "red").save(tmp_path / "root" / name)
    first = tmp_path / "annotations" / "ai2d_train.jsonl"
    first.write_text("{" + first.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path / "annotations"


@pytest.mark.slow
def test_from_files_to_a_version_and_exports(tmp_path, annotations):
    """score --bis, select --top, export to both trainers, publish; the card says the alpha."""
    scored, selected = tmp_path / "scored.parquet", tmp_path / "selection.parquet"
    counts = json.loads(run("score", annotations, "--bis", "--images", tmp_path / "root", "--out", scored, "--json"))
    assert counts == {
        "rows": 78,
        **dict.fromkeys(
            [f"rap_bis{part} unknown" for part in ("_mixture", "_reliability", "_mean", "_steps", "_positive", "")], 1
        ),
        "line_broken": 1,
        "file": str(scored),
    }
    told = json.loads(run("select", scored, "--top", "0.1", "--per", "source", "--out", selected, "--json"))
    assert told["rule"]["alpha"] == 0.05
    assert told["reasons"] == {"below_quota": 71, "top": 6, "line_broken": 1}  # 1 of 12, 2 of 26, 3 of 39
    assert json.loads(run("export", selected, tmp_path / "t", "--to", "internvl-prm", "--json"))["rows"] == 6
    run("export", selected, tmp_path / "u", "--to", "trl-prm")
    assert len(load_dataset("parquet", data_files=str(tmp_path / "u" / "train.parquet"), split="train")) == 6

    run("publish", selected, "--to-folder", tmp_path / "version")
    rows = load_dataset(str(tmp_path / "version"), "selected", split="train")
    assert len(rows) == 6
    assert {"images", "problem", "steps_with_score", "rap_bis", "rap_reason"} <= set(rows.column_names)
    everything = load_dataset(str(tmp_path / "version"), "scored", split="train")
    assert everything["rap_error"][0].startswith("line_broken: ai2d_train.jsonl line 1")
    card = (tmp_path / "version" / "README.md").read_text(encoding="utf-8")
    assert "(alpha = 0.05)" in card
    assert "| `line_broken` | 1 | 0 | the line of the file is no JSON object of the expected types |" in card
    assert 'selection = select_top(\n    scored,\n    by="rap_bis",\n    ratio=0.1,' in card
    assert "2602.04145" in card
    assert str(tmp_path) not in card


def test_the_card_reproduces_the_selection(tmp_path, annotations):
    """Its lines, run on `scored`, keep the same rows."""
    run("score", annotations, "--bis", "--images", tmp_path / "root", "--out", tmp_path / "s.parquet")
    run(
        "select",
        tmp_path / "s.parquet",
        "--top",
        "20",
        "--by",
        "rap_bis_mean",
        "--lowest",
        "--out",
        tmp_path / "k.parquet",
    )
    run("publish", tmp_path / "k.parquet", "--to-folder", tmp_path / "version")
    card = (tmp_path / "version" / "README.md").read_text(encoding="utf-8")
    code = card.split("<summary>How to reproduce")[1].split("```python\n")[1].split("```")[0]
    names = {}
    exec(code.replace('load_dataset("version"', f'load_dataset("{tmp_path}/version"'), names)
    selection, _ = read_selection(tmp_path / "k.parquet")
    assert names["selection"].scored["rap_keep"][:] == selection.scored["rap_keep"][:]
    assert len(selection.selected) == 20


@pytest.mark.slow
def test_strict_stops_with_one_line(annotations, tmp_path):
    """On stderr, with file and line; exit code 1."""
    command = [
        sys.executable,
        "-m",
        "hf_rap",
        "score",
        annotations,
        "--bis",
        "--strict",
        "--out",
        tmp_path / "s.parquet",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "hf-rap: 1 of 78 rollouts cannot be used: line_broken: ai2d_train.jsonl line 1: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.slow
def test_annotate_steps_takes_replies_of_rollouts(tmp_path):
    """From planted pictures to step scores with the built-in model."""
    from hf_rap.demo import make_planted

    make_planted(8).to_parquet(tmp_path / "planted.parquet")
    run(
        "rollouts",
        tmp_path / "planted.parquet",
        "--model",
        "demo",
        "--attempts",
        1,
        "--max-new-tokens",
        40,
        "--out",
        tmp_path / "e.parquet",
    )
    told = json.loads(
        run(
            "annotate-steps",
            tmp_path / "e.parquet",
            "--model",
            "demo",
            "--continuations",
            2,
            "--max-new-tokens",
            40,
            "--out",
            tmp_path / "a.parquet",
            "--json",
        )
    )
    assert told["rows"] > 0
    scored = json.loads(run("score", tmp_path / "a.parquet", "--bis", "--out", tmp_path / "s.parquet", "--json"))
    assert (scored["rows"], scored["rap_bis unknown"]) == (told["rows"], 0)


@pytest.mark.slow
def test_demo_prm_does_the_whole_job(tmp_path):
    """Annotates, scores, selects, exports and publishes, and says so."""
    shown = run("demo-prm", "--rows", 12, "--continuations", 4, "--out", tmp_path / "demo")
    assert "Selection: " in shown
    assert load_dataset(str(tmp_path / "demo" / "version"), "selected", split="train")["rap_bis"][0] > 0
    lines = (tmp_path / "demo" / "internvl" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    images = [json.loads(line)["image"] for line in lines]
    assert all((tmp_path / "demo" / "internvl" / name).is_file() for name in images)
