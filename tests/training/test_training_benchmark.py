"""benchmarks/training.py: it really trains, and compares at equal steps and at equal sampled tokens."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("trl", reason="pip install hf-rap[train]")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    """The modules of the benchmark, which import each other by their plain names."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_budget_waits_for_the_steps_and_for_every_token_budget(benchmark):
    """10 tokens a step; 3 steps, 25 and 41 tokens: those are reached at steps 3 and 5, where it stops."""
    from training_grpo import Budget

    budget = Budget(3, (25, 41), every=2)
    saved, stopped = [], []
    for step in range(1, 11):
        budget.tokens += 10
        control = SimpleNamespace(should_save=False, should_training_stop=False)
        budget.on_step_end(None, SimpleNamespace(global_step=step), control)
        saved += [step] if control.should_save else []
        stopped += [step] if control.should_training_stop else []
    assert budget.reached == {25: 3, 41: 5}
    assert budget.tokens_at == {step: 10 * step for step in range(1, 11)}
    assert saved == [2, 3, 5, 8]  # every 2 until step 3, every 8 after it, and where a budget is reached
    assert stopped == [5, 6, 7, 8, 9, 10]  # the trainer stops at the first


def test_budget_of_steps_holds_where_tokens_come_first(benchmark):
    """All tokens in the first step: the steps are made all the same."""
    from training_grpo import Budget

    budget = Budget(2, (5,), every=10)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    budget.tokens += 9
    budget.on_step_end(None, SimpleNamespace(global_step=1), control)
    assert (control.should_save, control.should_training_stop) == (True, False)
    budget.on_step_end(None, SimpleNamespace(global_step=2), control)
    assert control.should_training_stop


def test_a_run_trains_and_its_tokens_are_those_of_trl(benchmark, tmp_path):
    """The weights move, the models are where the budget says, and tokens agree with TRL's own mean lengths."""
    import torch
    from training_grpo import Budget, Recipe, train
    from transformers import AutoModelForImageTextToText

    from hf_rap.demo import MODEL, make_planted

    torch.set_num_threads(1)
    rows = make_planted(120).filter(
        lambda kind, source: kind in ("needs_image", "hard") and source == "where",
        input_columns=["kind", "source"],
    )  # seldom always right, and seldom always wrong
    recipe = Recipe(learning_rate=1e-3, group=4, prompts_per_step=2, temperature=1.5, warmup=0)
    budget = Budget(5, (200,), every=10)
    trained = train(str(MODEL), rows, tmp_path, budget, recipe=recipe, seed=0, cpu=True)
    steps = len(trained["reward"])
    reached = trained["reached"][200]
    assert steps == max(5, reached)
    assert trained["tokens_at"][reached] >= 200 > trained["tokens_at"].get(reached - 1, 0)
    counts = [trained["tokens_at"][step] - trained["tokens_at"].get(step - 1, 0) for step in range(1, steps + 1)]
    assert counts == pytest.approx([8 * length for length in trained["mean_lengths"]])
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-5", f"checkpoint-{reached}"}
    assert min(trained["no_signal"]) < 1, "groups of equal rewards prove nothing"
    before, after = (
        AutoModelForImageTextToText.from_pretrained(path).state_dict() for path in (MODEL, tmp_path / "checkpoint-5")
    )
    moved = {name for name, weights in before.items() if not torch.equal(weights, after[name])}
    assert any("vision" in name for name in moved)
    assert any("language" in name for name in moved)


def test_fewer_rows_than_a_step_takes_are_refused(benchmark, tmp_path):
    """TRL would drop the last, incomplete batch of every epoch, which is all of them, and end without a step."""
    from training_grpo import Budget, Recipe, train

    from hf_rap.demo import MODEL, make_planted

    rows = make_planted(60).select(range(7))
    with pytest.raises(ValueError, match=r"There are 7 rows to train on, and one step takes 8: .*--rows"):
        train(str(MODEL), rows, tmp_path, Budget(1, (), 1), recipe=Recipe(), seed=0, cpu=True)


@pytest.mark.exhaustive
def test_quick_run_from_start_to_table(tmp_path):
    """Two arms, two steps, as a user runs it; a second call trains nothing and prints the same tables."""
    from hf_rap.demo import MODEL

    words = ["--work", "work", "--out", "out", "--images", "out"]
    command = [sys.executable, str(ROOT / "benchmarks" / "training.py"), *words]
    small = [
        "--quick",
        "--start",
        str(MODEL),
        "--rows",
        "40",
        "--steps",
        "2",
        "--every",
        "2",
        "--prompts-per-step",
        "4",
    ]
    options = {
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
        "capture_output": True,
        "text": True,
    }
    done = subprocess.run(
        [*command, *small, "--arms", "difficulty band+whole pool", "--workers", "1"], check=False, **options
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "training-wasteful.json").read_text())
    for run in results["runs"]:
        reached = run["reached"][str(run["tokens_equal"])]
        assert run["tokens_at"][str(reached)] >= run["tokens_equal"]
        assert {"2", str(reached)} <= set(run["measured"])
        assert run["steps_made"] >= 2
    assert results["plan"]["arms"] == ["whole pool", "difficulty band"]
    whole = results["runs"][0]
    assert whole["arm"] == "whole pool"
    scoring = results["chosen"]["0"]["image_tokens"] + results["chosen"]["0"]["text_tokens"]
    assert whole["tokens_with_scoring"] == whole["tokens_equal"] + scoring
    assert (tmp_path / "out" / "training-wasteful.png").read_bytes().startswith(b"\x89PNG")
    other = subprocess.run([*command, *small, "--learning-rate", "0.5"], check=False, **options)
    assert other.returncode == 1
    assert (
        "work holds runs of another plan (learning_rate 0.0001, now 0.5). Name another --work folder." in other.stderr
    )
    again = subprocess.run([*command, "--report"], check=False, **options)
    assert again.returncode == 0, again.stderr
    assert again.stdout in done.stdout
    assert "| whole pool, the tokens of scoring spent on it as well |" in again.stdout
