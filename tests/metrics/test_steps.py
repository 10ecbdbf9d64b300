"""Metrics over steps: the figures of the released evaluation script, worked-out examples, and what is refused."""

import random

import numpy as np
import pytest

from hf_rap.errors import SettingError
from hf_rap.metrics import metric_path
from hf_rap.metrics.steps import best_of, best_threshold, read_steps, rows_held_out, step_f1

evaluate = pytest.importorskip("evaluate", reason="pip install hf-rap[train]")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def released_fixture():
    """Forty rows of the shape of VisualProcessBench, from a seed."""
    draw = random.Random(5)
    scores, labels, sources = [], [], []
    for _ in range(40):
        labels.append([draw.choice([1, 1, 1, -1, -1, 0]) for _ in range(draw.randint(1, 7))])
        scores.append([round(min(1, max(0, 0.5 + 0.25 * label + draw.gauss(0, 0.35))), 4) for label in labels[-1]])
        sources.append(draw.choice(["MMMU", "MathVision", "DynaMath"]))
    return {"predictions": scores, "references": labels, "sources": sources}


@pytest.mark.parametrize(
    ("options", "expected", "per_source"),
    [
        (
            {"threshold": 0.5},
            {
                "over_sources": 0.7216158033103449,
                "pooled": 0.7232704402515724,
                "right": 0.779874213836478,
                "threshold": 0.5,
            },
            {"MMMU": 0.7624602332979851, "MathVision": 0.7257362355953905, "DynaMath": 0.6792750197005516},
        ),
        (
            {"held_out": 0.0},
            {
                "over_sources": 0.7666935089251076,
                "pooled": 0.7687108886107634,
                "wrong": 0.7021276595744681,
                "threshold": 0.3994,
            },
            {"MMMU": 0.82281284606866, "MathVision": 0.7678947368421052, "DynaMath": 0.7161125319693095},
        ),
    ],
)
def test_figures_of_the_released_script(options, expected, per_source):
    """What JinYuanLi0012/Balanced-Info-MPRM, eval/prm/evaluate_visualprocessbench_prm.py (81c3de6), gives for these rows."""
    figures = evaluate.load(metric_path("step_f1")).compute(**released_fixture(), **options)
    assert {name: figures[name] for name in expected} == pytest.approx(expected)
    assert figures["per_source"] == pytest.approx(per_source)
    assert (figures["steps"], figures["rows"]) == (132, 40)


def test_f1_by_hand():
    """Right: 2 hits, 1 missed, 1 wrong called right: 4/6. Wrong: 1 hit, 1 called right, 1 right called wrong: 2/4."""
    steps = read_steps([[0.9, 0.8, 0.2, 0.7, 0.1, 0.99]], [[1, 1, 1, -1, -1, 0]])
    assert step_f1(steps, 0.5) == (pytest.approx(4 / 6), pytest.approx(2 / 4), pytest.approx((4 / 6 + 2 / 4) / 2), 5)


def test_a_threshold_is_found_on_other_rows():
    """Half of the rows decide it and are in no figure; the same half for the same seed."""
    given = released_fixture()
    metric = evaluate.load(metric_path("step_f1"))
    figures = metric.compute(**given)
    apart = rows_held_out(40, 0.5, 0)
    assert figures["rows"] == 20 == apart.sum()
    kept = {
        name: [value for value, out in zip(values, apart, strict=True) if not out] for name, values in given.items()
    }
    assert figures == metric.compute(**kept, threshold=figures["threshold"])
    decides = read_steps(*([value for value, out in zip(given[name], apart, strict=True) if out] for name in given))
    assert figures["threshold"] == best_threshold(decides)


def test_the_best_threshold_is_the_best_of_all():
    """Against trying every score, on random rows of two sources."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = [rng.choice([1, -1, 0], size=rng.integers(1, 5)).tolist() for _ in range(12)]
        scores = [rng.integers(0, 6, size=len(row)).astype(float).tolist() for row in labels]
        steps = read_steps(scores, labels, ["a"] * 6 + ["b"] * 6)

        def figure(threshold, steps=steps):
            parts = [steps.of(steps.source == number) for number in (0, 1)]
            return sum(step_f1(part, threshold).macro * len(part.scores) for part in parts) / len(steps.scores)

        figures = {threshold: figure(threshold) for threshold in sorted(set(steps.scores.tolist()))}
        best = max(figures.values())
        assert best_threshold(steps) == next(t for t, value in figures.items() if value == pytest.approx(best))


def test_the_reply_with_the_best_steps():
    """By its weakest step the second, by the mean the first; without steps never, without a reward unknown."""
    scores = [[[0.9, 0.3], [0.5, 0.5], []], [[0.2], [0.1]]]
    rewards = [[1.0, 0.0, 1.0], [None, 1.0]]
    assert best_of(scores, rewards, "min") == [0.0, None]
    assert best_of(scores, rewards, "mean") == [1.0, None]
    assert best_of(scores, rewards, "last") == [0.0, None]
    assert best_of(scores, rewards, "product") == [1.0, None]  # 0.27 against 0.25
    figures = evaluate.load(metric_path("best_of_n")).compute(predictions=scores, references=rewards)
    assert figures == {"best": 0.0, "mean": pytest.approx((2 / 3 + 1) / 2), "any": 1.0, "questions": 1}


@pytest.mark.parametrize(
    ("scores", "labels", "sentence"),
    [
        ([[0.5, 0.5]], [[1]], "row 0 has 2 scores for 1 steps"),
        ([[0.5], [float("nan")]], [[1], [1]], "row 1 has the score nan"),
        ([[0.5]], [[2]], "row 0 has the label 2"),
        ([[0.5]], [[1], [1]], "1 rows of scores, 2 of labels"),
    ],
)
def test_what_does_not_fit_is_refused(scores, labels, sentence):
    """The released script leaves steps out without a word."""
    with pytest.raises(SettingError, match=sentence):
        read_steps(scores, labels)


def test_no_step_to_find_a_threshold_on():
    """All of them neutral."""
    with pytest.raises(SettingError, match="No step is left to find a threshold on"):
        best_threshold(read_steps([[0.5]], [[0]]))
