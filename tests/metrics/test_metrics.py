"""The metrics load with `evaluate` and give the numbers worked out by hand."""

import pytest

from hf_rap.errors import SettingError
from hf_rap.metrics import METRICS, metric_path
from hf_rap.metrics.rates import pass_at_k

evaluate = pytest.importorskip("evaluate", reason="pip install hf-rap[train]")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_accuracy_leaves_out_what_cannot_be_judged():
    """Right, wrong, right by option, and an unreadable gold: 2 of 3."""
    metric = evaluate.load(metric_path("rap_accuracy"))
    found = metric.compute(
        predictions=["\\boxed{5}", "6", "The answer is (B).", "1"],
        references=[["5"], ["5", "7"], ["40"], ["see solution"]],
        questions=["", "", "(A) 30 (B) 40", ""],
    )
    assert found == {"accuracy": pytest.approx(2 / 3), "judged": 3, "unreadable": 1}


def test_pass_at_k_of_several_questions():
    """1 of 4 right: pass@2 = 1 - 3/6 = 0.5; none of 2 right: 0; mean 0.25. Nobody has 8 replies."""
    metric = evaluate.load(metric_path("pass_at_k"))
    found = metric.compute(predictions=[["5", "6", "7", "8"], ["1", "2"]], references=[["5"], ["5"]], k=[1, 2, 8])
    assert found == {
        "pass@1": 0.125, "questions@1": 2, "pass@2": 0.25, "questions@2": 2, "pass@8": None, "questions@8": 0,
    }  # fmt: skip


def test_modality_gap_compares_the_same_questions():
    """With image 2 of 2, without 1 of 2; the third cannot be judged on either side."""
    metric = evaluate.load(metric_path("modality_gap"))
    found = metric.compute(
        predictions=["5", "6", "7"], text_predictions=["5", "0", "7"], references=[["5"], ["6"], ["n/a"]]
    )
    assert found == {
        "modality_gap": 0.5, "image_accuracy": 1.0, "text_accuracy": 0.5, "judged": 2, "unreadable": 1,
    }  # fmt: skip


def test_nothing_judged_is_unknown():
    """Not 0."""
    found = evaluate.load(metric_path("rap_accuracy")).compute(predictions=["1"], references=[["n/a"]])
    assert found == {"accuracy": None, "judged": 0, "unreadable": 1}


@pytest.mark.parametrize(
    ("rewards", "k", "expected"),
    [
        ([1, 1, 1], 3, 1.0),
        ([0, 0, 0], 1, 0.0),
        ([1, 0], 2, 1.0),
        ([1, 0, 0, None], 3, 1.0),
        ([1, 0, 0, None], 1, 1 / 3),
        ([None], 1, None),
        ([], 1, None),
    ],
)
def test_pass_at_k(rewards, k, expected):
    """Unjudged replies are not among the n; fewer than k leave it open."""
    assert pass_at_k(rewards, k) == pytest.approx(expected)


def test_pass_at_zero():
    """Cannot be asked."""
    with pytest.raises(SettingError, match="k is 0: it takes a whole number of 1 or more"):
        pass_at_k([1], 0)


def test_unknown_metric_is_named():
    """With those that are there."""
    with pytest.raises(SettingError, match=", ".join(METRICS)):
        metric_path("bleu")
