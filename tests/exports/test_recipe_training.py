"""The training of a paper: what is compared differs in its rows alone, batches divide, and stage two follows on stage one."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from hf_rap import PromptTemplate, select_top, split_stages
from hf_rap.cli import cli
from hf_rap.cli.export_recipe import WEIGHTS as COMMAND_WEIGHTS
from hf_rap.errors import ExportError, SettingError
from hf_rap.exports.base import Given
from hf_rap.exports.limits import Limits
from hf_rap.exports.published import ALGORITHMS, CONFIGS, RECIPES, Plan, numbers_of, published_batches
from hf_rap.exports.recipe import export_recipe, export_stages
from hf_rap.papers import NUMBERS
from hf_rap.training import WEIGHTS, add_difficulty_hint

from .awkward import FEATURES, dataset, row

WITH_ID = type(FEATURES)({**FEATURES, "rap_id": FEATURES["id"], "rap_difficulty": FEATURES["rap_cde"]})
PROMPT = PromptTemplate(suffix="\nThink.")


def scored(count):
    """Rows whose cde rises from 0; a fifth of them of each difficulty from 0 to 0.8."""
    rows = [
        row(f"r{number}", rap_id=f"r{number}", rap_cde=number / count, rap_difficulty=number % 5 / 5)
        for number in range(count)
    ]
    return dataset(*rows, features=WITH_ID)


def best(count, of):
    """A selection of so many of so many rows."""
    return select_top(scored(of), by="rap_cde", count=count, per=None)


def ids(file):
    return set(pq.read_table(file, columns=["id"])["id"].to_pylist())


@pytest.mark.parametrize(
    ("rows", "gpus", "prompts", "update", "at_once", "read_at_once"),
    [
        (3, 1, 3, 3, 3, 15),  # 15 replies: by threes to learn from, all to read
        (79, 1, 76, 76, 4, 10),  # 76 by fours, three wait; 380 replies are 38 times ten
        (79, 8, 72, 72, 3, 15),  # 72 on 8 GPUs: 45 replies on each
        (5159, 8, 512, 128, 4, 16),  # as published: 80 replies on each GPU in an update, 320 in a step
        (600, 8, 512, 128, 4, 16),
        (200, 8, 192, 96, 4, 15),  # 24 prompts on each GPU, of which 12 are the most that divide below 16
    ],
)
def test_batches_divide(rows, gpus, prompts, update, at_once, read_at_once):
    """Worked out by hand, for five replies to a prompt: published ones where the rows fill them."""
    assert published_batches(rows, gpus, 5, numbers_of("rap")) == (prompts, update, at_once, read_at_once)


def test_too_few_rows_for_the_gpus_are_said():
    """Before anything is written."""
    with pytest.raises(ExportError, match="3 rows with 5 replies each cannot be shared by 8 GPUs"):
        published_batches(3, 8, 5, numbers_of("rap"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """By the name of the trainer: the best 5 of 16 rows, of which 3 are held out."""
    top = tmp_path_factory.mktemp("recipes")
    limits = Limits(group=5, val_rows=3)
    return {to: export_recipe(best(5, 16), top / to, to=to, prompt=PROMPT, limits=limits) for to in CONFIGS}


@pytest.mark.parametrize("to", list(CONFIGS))
def test_the_three_differ_in_their_rows_alone(written, to):
    """The same rows to validate on, none of them trained on; the configurations are equal but for paths and batches."""
    done = written[to]
    train = {name: ids(done.path / name / "train.parquet") for name in ("selected", "random", "full")}
    held_out = {frozenset(ids(done.path / name / "val.parquet")) for name in train}
    assert len(held_out) == 1
    assert all(not rows & next(iter(held_out)) for rows in train.values())
    assert train["selected"] <= {f"r{number}" for number in range(11, 16)}
    assert len(train["random"]) == len(train["selected"]) == done.rows["selected"]
    assert train["random"] != train["selected"]
    assert len(train["full"]) == 13
    assert train["full"] == train["full"] | train["random"] | train["selected"]
    configs = {file.stem: yaml.safe_load(file.read_text()) for file in done.path.glob("*.yaml")}
    assert sorted(configs) == sorted(f"{name}-{algorithm}" for name in train for algorithm in ALGORITHMS)
    texts = [
        (done.path / f"{name}-rloo.yaml").read_text().replace(f"/{name}", "/X").replace(f"{name}-", "X-")
        for name in ("selected", "random")
    ]
    assert texts[0] == texts[1]
    assert len(done.commands) == 9


def test_the_numbers_of_the_release_are_in_the_configuration(written):
    """Of EasyR1: those of Mrshenshen/RAP, examples/config.yaml, by hand; the prompt in a file of its own."""
    done = written["easyr1"]
    config = yaml.safe_load((done.path / "selected-grpo.yaml").read_text())
    actor, rollout, reward = (config["worker"][part] for part in ("actor", "rollout", "reward"))
    assert (rollout["n"], rollout["temperature"], rollout["tensor_parallel_size"]) == (5, 1.0, 1)
    assert (actor["optim"]["lr"], actor["optim"]["weight_decay"], actor["max_grad_norm"]) == (1e-6, 0.01, 1.0)
    assert (config["algorithm"]["kl_coef"], config["algorithm"]["kl_penalty"]) == (0.01, "low_var_kl")
    assert (config["data"]["max_prompt_length"], config["data"]["max_response_length"]) == (2048, 2048)
    assert (config["trainer"]["total_epochs"], reward["reward_function_kwargs"]) == (30, {"format_weight": 0.1})
    assert Path(config["data"]["format_prompt"]).read_text().endswith('Think." }}{% endif %}')
    assert Path(config["data"]["val_files"]).is_file()
    dapo = yaml.safe_load((done.path / "selected-dapo.yaml").read_text())
    assert (dapo["algorithm"]["online_filtering"], dapo["worker"]["actor"]["clip_ratio_high"]) == (True, 0.28)
    rloo = yaml.safe_load((done.path / "selected-rloo.yaml").read_text())
    assert rloo["algorithm"]["adv_estimator"] == "rloo"


def test_trl_weighs_answer_and_form(written):
    """0.9 and 0.1, each a function of its own."""
    done = written["trl"]
    config = yaml.safe_load((done.path / "full-grpo.yaml").read_text())
    assert config["reward_funcs"] == ["hf_rap.training.accuracy_reward", "hf_rap.training.format_reward"]
    assert config["reward_weights"] == pytest.approx([0.9, 0.1])
    assert config["dataset_test_split"] == "validation"


@pytest.mark.parametrize("name", list(CONFIGS))
def test_a_stage_follows_on_the_one_before(tmp_path, name):
    """One script; the second model is what the first has saved, and the hints are in its prompts alone."""
    stages = split_stages(scored(20), sizes=(8, 4))
    two = replace(stages.two, scored=stages.two.scored.map(add_difficulty_hint, batched=True))
    done = export_stages(stages.one, two, tmp_path / "out", to=name, prompt=PROMPT, limits=Limits(group=4))
    saved = tmp_path / "out-out" / "one-grpo"
    config = yaml.safe_load((done.path / "two-grpo.yaml").read_text())
    model = config["model_name_or_path"] if name == "trl" else config["worker"]["actor"]["model"]["model_path"]
    assert model == str(saved if name == "trl" else saved / "last" / "huggingface")
    script = (done.path / "train.sh").read_text()
    assert script.index("one-grpo.yaml") < script.index("two-grpo.yaml")
    subprocess.run(["bash", "-n", done.path / "train.sh"], check=True)
    column = "prompt" if name == "trl" else "prompt_text"
    hinted = {
        stage: [
            "of the time" in str(cell)
            for cell in pq.read_table(done.path / stage / "train.parquet")[column].to_pylist()
        ]
        for stage in ("one", "two")
    }
    assert not any(hinted["one"])
    assert all(hinted["two"])  # difficulty 0.8: hard
    if name == "trl":
        assert config["reward_funcs"][0] == "reward_trl.weighted_accuracy"
        assert config["scale_rewards"] == "none"
        assert "'exponential', group_size=4" in (done.path / "reward_trl.py").read_text()


def test_rows_in_both_stages_are_refused(tmp_path):
    """They would be seen twice."""
    stage = split_stages(scored(20), sizes=(8, 4)).two
    with pytest.raises(ExportError, match="4 rows are in both stages, such as r"):
        export_stages(stage, stage, tmp_path / "out")


@pytest.mark.slow
def test_the_commands(tmp_path):
    """What stands in the help: a file of hf-rap select, its training; hints are made where they are asked for."""
    scored(60).to_parquet(tmp_path / "scored.parquet")

    def run(*words, code=0):
        done = CliRunner().invoke(cli, [str(word) for word in words])
        assert done.exit_code == code, (done.output, done.exception)
        return " ".join(click.unstyle(done.output).split())

    band = ["select", tmp_path / "scored.parquet", "--method", "difficulty", "--sizes", "20,10", "--stage"]
    for stage in ("one", "two"):
        run(*band, stage, "--out", tmp_path / f"{stage}.parquet")
    common = ["export", tmp_path / "one.parquet", "--to", "trl", tmp_path / "out", "--recipe"]
    assert "needs --then FILE, the selection of stage two" in run(*common, "difficulty-prior", code=2)
    run(*common, "difficulty-prior", "--then", tmp_path / "two.parquet", "--weight", "none")
    config = yaml.safe_load((tmp_path / "out" / "two-grpo.yaml").read_text())
    assert (config["num_generations"], config["scale_rewards"]) == (5, "group")
    said = run(
        "export", tmp_path / "one.parquet", "--recipe", "rap", "--to", "easyr1", tmp_path / "rap", "--group", "4"
    )
    assert said.count("python3 -m verl.trainer.main") == 9
    assert yaml.safe_load((tmp_path / "rap" / "full-grpo.yaml").read_text())["worker"]["rollout"]["n"] == 4
    assert "add --to easyr1 or --to trl, not 'verl'" in run(
        "export", tmp_path / "one.parquet", "--recipe", "rap", "--to", "verl", tmp_path / "no", code=2
    )
    assert "holds all rows; not" in run(
        "export", tmp_path / "scored.parquet", "--recipe", "rap", "--to", "trl", tmp_path / "no", code=2
    )
    run("export", tmp_path / "two.parquet", "--to", "trl", "--hints", tmp_path / "hinted")
    assert "of the time" in str(pq.read_table(tmp_path / "hinted" / "train.parquet")["prompt"].to_pylist()[0])


def test_every_number_of_a_training_has_a_source():
    """Those of both papers have the same names, so that a configuration of either is whole."""
    assert numbers_of("difficulty-prior").keys() >= numbers_of("rap").keys() - {
        *("attempts", "min_cde", "sigma", "max_ace", "prompt", "accuracy_reward", "gpus", "max_new_tokens"),
        *("rows_7b", "rows_3b", "hours_saved_7b", "hours_saved_3b"),
    }
    assert {name.partition(".")[0] for name in NUMBERS} == {"bis", *RECIPES.values()}
    with pytest.raises(SettingError, match="recipe is 'bis': it takes one of rap, difficulty-prior"):
        numbers_of("bis")


@pytest.mark.slow
def test_trl_takes_the_configurations(tmp_path):
    """By the parser of its commands, for 3, 79 and 5,159 rows; those of EasyR1: scripts/check_trainers.sh."""
    pytest.importorskip("trl", reason="pip install hf-rap[train]")
    files = []
    for rows, gpus in ((3, 1), (79, 8), (5159, 8)):
        given = Given(tmp_path / str(rows) / "selected", rows=rows, max_images=1, held_out=1, gpus=gpus, group=5)
        for algorithm in ALGORITHMS:
            files.append(tmp_path / f"{rows}-{gpus}-{algorithm}.yaml")
            files[-1].write_text(yaml.safe_dump(CONFIGS["trl"](Plan(given, numbers_of("rap"), algorithm, algorithm))))
    code = """
import sys
from trl import GRPOConfig, ModelConfig, RLOOConfig, TrlParser
from trl.scripts.grpo import GRPOScriptArguments
from trl.scripts.rloo import RLOOScriptArguments
for file in sys.argv[1:]:
    rows, gpus, algorithm = file.rpartition("/")[2].removesuffix(".yaml").split("-")
    script, config = (RLOOScriptArguments, RLOOConfig) if algorithm == "rloo" else (GRPOScriptArguments, GRPOConfig)
    config = type("Config", (config,), {"world_size": int(gpus)})
    _, config, _ = TrlParser((script, config, ModelConfig)).parse_args_and_config(
        ["--config", file, "--use_cpu=True", "--bf16=False"])
    print(rows, algorithm, config.generation_batch_size // config.num_generations)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    prompts = {"3": "3", "79": "72", "5159": "512"}
    assert done.stdout.split() == [
        word for rows, step in prompts.items() for algorithm in ALGORITHMS for word in (rows, algorithm, step)
    ]


def test_the_weights_of_the_command_are_those_of_training():
    """Named in both, since no trainer's code is imported for an export."""
    assert tuple(WEIGHTS) == COMMAND_WEIGHTS
