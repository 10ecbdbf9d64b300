"""--prompt and --keep-system: the same prompts as in Python, by name or from a file."""

import json

import pytest
from click.testing import CliRunner
from datasets import load_dataset

from hf_rap.cli import cli
from hf_rap.cli.options import PRESETS
from hf_rap.demo import make_planted
from hf_rap.rows.presets import find_prompt
from hf_rap.rows.prompts import PromptTemplate

SHORT = ["--model", "demo", "--attempts", "1", "--max-new-tokens", "8"]


def run(*words, code=0):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "planted.parquet"
    make_planted(6).to_parquet(path)
    return path


def asked(path, column="rap_settings"):
    """The prompt of the rows of a file."""
    ds = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(path.parent / "cache"))
    (text,) = set(ds.with_format("arrow")[:][column].drop_null().to_pylist())
    return PromptTemplate.from_settings(json.loads(text))


def test_rollouts_take_a_name_or_a_file(planted, tmp_path):
    """And --keep-system beside either; without any of them it is the default."""
    (tmp_path / "mine.yaml").write_text('prefix: "Q: "\nsuffix: " Box it."\n')
    mine = PromptTemplate(prefix="Q: ", suffix=" Box it.")
    for number, (words, expected) in enumerate(
        [
            ([], find_prompt("default")),
            (["--prompt", "easyr1"], find_prompt("easyr1")),
            (["--prompt", tmp_path / "mine.yaml"], mine),
            (["--prompt", "bare", "--keep-system"], PromptTemplate(keep_system=True)),
        ]
    ):
        out = tmp_path / f"{number}.parquet"
        run("rollouts", planted, *SHORT, *words, "--out", out)
        assert asked(out) == expected


def test_the_other_commands_take_it_too(planted, tmp_path):
    """Likelihood asks at once, attention as the replies were asked; an export takes what its rows say, unless told."""
    run("rollouts", planted, *SHORT, "--prompt", "trl", "--out", tmp_path / "evidence.parquet")
    run("attention", tmp_path / "evidence.parquet", "--model", "demo", "--out", tmp_path / "attention.parquet")
    assert asked(tmp_path / "attention.parquet", "rap_attention_settings") == find_prompt("trl")
    for words, name in (([], "at-once"), (["--prompt", "bare"], "bare")):
        out = tmp_path / f"{name}.parquet"
        run("likelihood", planted, "--model", "demo", *words, "--out", out)
        assert asked(out, "rap_likelihood_settings") == find_prompt(name)
    for words, expected in (([], {"trl": 4}), (["--prompt", "bare"], {"bare": 4})):
        done = run("export", tmp_path / "evidence.parquet", "--to", "trl", "--drop", "--json", *words)
        assert {name: rows > 0 for name, rows in json.loads(done.stdout)["prompts"].items()} == dict.fromkeys(
            expected, True
        )


def test_the_old_option_goes_on_for_now(planted, tmp_path):
    """It is no longer in the help, and says what took its place; both at once are refused."""
    out = tmp_path / "out.parquet"
    done = run("rollouts", planted, *SHORT, "--instruction", " Box it.", "--out", out)
    assert "--instruction is now a file with `suffix: ...` for --prompt" in done.stderr
    assert asked(out) == PromptTemplate(suffix=" Box it.")
    assert "--instruction" not in run("rollouts", "--help").output
    both = ["--instruction", "x", "--prompt", "bare", "--out", tmp_path / "both.parquet"]
    assert "Give --prompt alone" in run("rollouts", planted, *SHORT, *both, code=2).output


@pytest.mark.parametrize("prompt", ["qwen", "missing.yaml"])
def test_a_prompt_that_there_is_not_is_refused_before_a_model_is_loaded(planted, tmp_path, prompt):
    """With the names that there are."""
    words = ["--model", "no/model", "--prompt", prompt, "--out", tmp_path / "x.parquet"]
    done = CliRunner().invoke(cli, [str(word) for word in ("rollouts", planted, *words)])
    assert f"prompt is {prompt!r}: it takes one of {', '.join(PRESETS)}" in str(done.exception)


def test_process_reward_exports_take_no_prompt(planted, tmp_path):
    """They have a form of their own for question and steps."""
    words = ["--to", "trl-prm", "--prompt", "bare", tmp_path / "out"]
    assert "takes no --prompt" in run("export", planted, *words, code=2).output
