"""`hf-rap recipe`: its steps are commands, its numbers have sources, and the three of them run to their ends."""

import json
import re
import shlex
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from datasets import load_dataset

from hf_rap.cli import cli
from hf_rap.cli.recipe import RECIPES, read_recipe, values_of
from hf_rap.papers import NUMBERS, PAPER

ROOT = Path(__file__).parents[2]


def run(*words, code=0):
    """What the command says."""
    done = CliRunner().invoke(cli, ["recipe", *map(str, words)])
    assert done.exit_code == code, (done.output, done.exception)
    return click.unstyle(done.output)


@pytest.mark.parametrize("name", RECIPES)
def test_every_step_is_a_command_with_options_that_it_has(name):
    """Parsed by the command itself, with the numbers of the paper and with those of the demo."""
    recipe = read_recipe(name)
    for model in ("somebody/model", "demo"):
        values = values_of(recipe, "rows.parquet", model, Path("folder"))
        for step in recipe.steps:
            command, *words = step.words(values)
            found = cli.get_command(click.Context(cli), command)
            assert found.make_context(command, words, resilient_parsing=False)


@pytest.mark.parametrize("name", RECIPES)
def test_no_number_stands_in_a_recipe(name):
    """They stand in hf_rap.papers, with their source; a version is no number of a paper."""
    for step in read_recipe(name).steps:
        words = [word for word in shlex.split(step.command) if word != "1.0.0"]
        assert not [word for word in words if re.search(r"(^|[,=])[\d.]+($|,)", word)], step.name


def test_every_number_has_a_source():
    """One of these, and what it is."""
    for name, number in NUMBERS.items():
        assert re.match(r"paper|release \(|abstract|ours", number.where), name
        assert number.what, name
    assert (NUMBERS["rap.min_cde"].value, NUMBERS["rap.min_cde"].where) == (PAPER.min_cde, "paper")
    assert NUMBERS["bis.readme_alpha"].where.startswith("release (JinYuanLi0012/Balanced-Info-MPRM, README")


def test_the_pages_are_what_the_recipes_say(monkeypatch):
    """Rendered again by the script that writes them."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from render_recipes import DOCS, pages

    assert {path: (DOCS / path).read_text(encoding="utf-8") for path in pages()} == pages()


def test_only_printed_nothing_is_written(tmp_path, monkeypatch):
    """The commands, with the names that were given, ready to paste."""
    monkeypatch.chdir(tmp_path)
    said = run("rap", "user/name#train", "--model", "Qwen/Qwen2.5-VL-7B-Instruct", "--folder", "my run", "--only-print")
    assert (
        "$ hf-rap rollouts 'user/name#train' --model Qwen/Qwen2.5-VL-7B-Instruct --attempts 5 --temperature 1.0 --prompt rap "
        "--max-new-tokens 2048 --attention --run 'my run/run' --out 'my run/evidence.parquet'"
    ) in said
    assert "not here: train (needs eight GPUs, a checkout of EasyR1)" in said
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_said(tmp_path):
    """Before anything is asked."""
    assert "--stop-after takes a step of rap: rollouts, score, select, publish, export, got 'train'" in " ".join(
        run("rap", "--model", "demo", "--stop-after", "train", code=2).split()
    )
    assert "Only the model 'demo' brings rows of its own" in run("rap", "--model", "user/model", code=2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert "is not empty and holds no recipe" in run("rap", "--model", "demo", "--folder", tmp_path / "full", code=2)


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(tmp_path):
    """What is there is not done again, and a folder belongs to one recipe, source and model."""
    folder = tmp_path / "prior"
    words = ["difficulty-prior", "--model", "demo", "--folder", folder]
    said = run(*words, "--stop-after", "score")
    assert "2/5 score: the share of failed attempts" in said
    assert "3/5" not in said
    rewards = pq.read_table(folder / "evidence.parquet", columns=["rap_image_rewards", "rap_text_rewards"])
    assert max(map(len, filter(None, rewards["rap_image_rewards"].to_pylist()))) == 16
    assert rewards["rap_text_rewards"].null_count == 60
    written = (folder / "scored.parquet").stat().st_mtime_ns
    said = run(*words)
    assert "scored.parquet is there already" in said
    assert (folder / "scored.parquet").stat().st_mtime_ns == written
    train = {
        name: load_dataset("parquet", data_files=str(folder / "trl" / name / "train.parquet"))["train"]
        for name in ("one", "two")
    }
    held_out = {name: pq.read_table(folder / "trl" / name / "val.parquet")["id"].to_pylist() for name in train}
    ids = {name: {*train[name]["id"], *held_out[name]} for name in train}
    assert (len(ids["one"]), len(ids["two"])) == (6, 3)
    assert not ids["one"] & ids["two"]
    assert "check the result" in str(train["two"][0]["prompt"])
    assert "check the result" not in str(train["one"][0]["prompt"])
    assert str(folder.absolute() / "trl" / "two-grpo.yaml") in (folder / "trl" / "train.sh").read_text()
    assert "holds this with recipe 'difficulty-prior', and not 'rap'" in " ".join(
        run("rap", "--model", "demo", "--folder", folder, code=2).split()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rap", pytest.param("bis", marks=pytest.mark.exhaustive)])
def test_the_others_run_to_their_end(tmp_path, name):
    """On the built-in model; the rule of the version is the paper's."""
    run(name, "--model", "demo", "--folder", tmp_path / name)
    rule = json.loads((tmp_path / name / f"{name}-selected" / "rap.json").read_text())["facts"]["rule"]
    if name == "rap":
        assert (rule["method"], rule["min_cde"], rule["max_ace"]) == ("rap-paper", 0.5, 0.1)
        assert (tmp_path / name / "easyr1" / "random" / "train.parquet").is_file()
        assert len(list((tmp_path / name / "easyr1").glob("*.yaml"))) == 9
        settings = pq.read_table(tmp_path / name / "scored.parquet", columns=["rap_ace_settings"])[0].to_pylist()
        assert {json.loads(text)["form"] for text in settings if text} == {"literal"}
        assert len(load_dataset(str(tmp_path / name / f"{name}-selected"), "control")["train"]) == rule_rows(
            tmp_path / name
        )
    else:
        assert (rule["by"], rule["alpha"]) == ("rap_bis", 0.05)
        lines = (tmp_path / name / "internvl" / "train.jsonl").read_text().splitlines()
        assert any(len(json.loads(line)["conversations"][1]["value"]) > 1 for line in lines)  # several steps in one


def rule_rows(folder):
    """Rows that were selected."""
    return sum(pq.read_table(folder / "selection.parquet", columns=["rap_keep"])["rap_keep"].to_pylist())
