"""Balanced information by hand, and what holds for all rollouts."""

import json
import math

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from hf_rap import BISScore, add_scores, bis_score, load_process_rewards, select_top
from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.exports.internvl_prm import export_internvl_prm

from .visualprm import SOURCES, write


def batch(*rows):
    return {"steps_with_score": [None if row is None else [{"score": score} for score in row] for row in rows]}


# scores -> p, p (1 - p), R, (p (1 - p) + 0.05) R
BY_HAND = [
    ([1.0, 1.0, 1.0], 0, 1, 0.05),  # all right, surely: no mixture, 0.05 * 1
    ([0.25, 0.75], 0, 0.5, 0.025),  # all right, half the time: 0.05 * 0.5
    ([0.0, 0.0], 0, 1, 0.05),  # all wrong: R is 1
    ([0.0], 0, 1, 0.05),  # one wrong step
    ([1.0], 0, 1, 0.05),  # one right step
    ([0.0625], 0, 0.0625, 0.003125),  # one step, right once in 16: 0.05 / 16
    ([1.0, 0.0], 0.25, 1, 0.3),  # the best there is
    ([0.5, 0.0], 0.25, 0.5, 0.15),
    ([1.0, 0.5, 0.0, 0.0], 0.25, 0.75, 0.225),
    ([0.0625, 0.0], 0.25, 0.0625, 0.01875),  # mixed, but the positive is hardly one
    ([1.0, 1.0, 1.0, 0.0], 0.1875, 1, 0.2375),  # p = 3/4
    ([0.75, 0.0, 0.0, 0.0], 0.1875, 0.75, 0.178125),  # p = 1/4
    ([0.5, 0.5, 0.5, 0.5, 0.0], 0.16, 0.5, 0.105),  # p = 4/5
]


@pytest.mark.parametrize(("scores", "mixture", "reliability", "bis"), BY_HAND)
def test_score_by_hand(scores, mixture, reliability, bis):
    """All positive, all negative, one step, mixed, extreme."""
    found = bis_score(batch(scores))
    assert found["rap_bis"] == [pytest.approx(bis, abs=1e-15)]
    assert found["rap_bis_mixture"] == [pytest.approx(mixture, abs=1e-15)]
    assert found["rap_bis_reliability"] == [reliability]
    assert found["rap_bis_mean"] == [sum(scores) / len(scores)]
    assert found["rap_bis_steps"] == [len(scores)]
    assert found["rap_bis_positive"] == [sum(score > 0 for score in scores)]


def test_stricter_labels():
    """Above 2 of 16, one of these steps is positive, and reliability is its score alone."""
    strict = BISScore(alpha=0.2, threshold=2 / 16)(batch([0.125, 0.5, 0.0625, 0.0]))
    assert (strict["rap_bis_positive"], strict["rap_bis_reliability"]) == ([1], [0.5])
    assert strict["rap_bis"] == [pytest.approx((0.25 * 0.75 + 0.2) * 0.5)]


def test_rows_without_steps_have_no_score():
    """Null and empty, in a batch with others and alone."""
    assert bis_score(batch(None, [], [1.0]))["rap_bis"] == [None, None, 0.05]
    assert bis_score(batch(None))["rap_bis_steps"] == [None]
    for rows in ([None, None], [[], []]):
        assert add_scores(Dataset.from_dict({"steps_with_score": rows}), bis_score)["rap_bis"][:] == [None, None]


def test_unusable_scores_are_an_error_with_their_row():
    """Null, NaN and what is outside [0, 1] is not scored in silence."""
    for wrong in (None, math.nan, -0.1, 1.1):
        with pytest.raises(LayoutError, match="the first is in row 1 of the batch"):
            bis_score(batch([0.5, 1.0], [0.0, wrong]))


def test_wrong_options_and_input_are_refused():
    """With what was given."""
    with pytest.raises(SettingError, match=r"alpha is -1: it takes a number of 0 or more"):
        BISScore(alpha=-1)
    with pytest.raises(SettingError, match=r"threshold is 1: it takes a number of 0 or more and below 1"):
        BISScore(threshold=1)
    with pytest.raises(MissingColumnError, match="annotate-steps"):
        bis_score({"other": []})
    with pytest.raises(SettingError, match="takes batches"):
        bis_score({"steps_with_score": [["no struct"]]})


rollouts = st.lists(st.lists(st.floats(0, 1) | st.integers(0, 16).map(lambda n: n / 16), max_size=12), max_size=8)


@given(rollouts, st.floats(0, 2))
def test_scores_stay_in_their_range(rows, alpha):
    """0 to 0.25 + alpha; the parts too; a row without steps has none."""
    found = BISScore(alpha=alpha)(batch(*rows))
    assert [score is None for score in found["rap_bis"]] == [not row for row in rows]
    known = [score for score in found["rap_bis"] if score is not None]
    assert all(0 <= score <= 0.25 + alpha for score in known)
    assert all(value is None or 0 <= value <= 0.25 for value in found["rap_bis_mixture"])
    assert all(value is None or 0 <= value <= 1 for value in found["rap_bis_reliability"])


@given(rollouts, st.randoms())
def test_the_order_of_steps_does_not_matter(rows, random):
    """To the last bit."""
    shuffled = [random.sample(row, len(row)) for row in rows]
    assert bis_score(batch(*shuffled)) == bis_score(batch(*rows))


@given(rollouts)
def test_without_alpha_and_mixture_the_score_is_zero(rows):
    """Rollouts that are all positive or all negative."""
    uniform = [row for row in rows if len({score > 0 for score in row}) == 1]
    assert BISScore(alpha=0)(batch(*uniform))["rap_bis"] == [0.0] * len(uniform)


def plain_selection(files, alpha, ratio):
    """The published definition, one line at a time: the lines to train on, in order."""
    lines = []
    for source in sorted(files):
        ranked = []
        for index, row in enumerate(files[source]):
            scores = [step["score"] for step in row["steps_with_score"]]
            positive = [score for score in scores if score > 0]
            p = len(positive) / len(scores)
            reliability = sum(positive) / len(positive) if positive else 1.0
            ranked.append((-(p * (1.0 - p) + alpha) * reliability, index))
        for _, index in sorted(sorted(ranked)[: max(1, int(len(ranked) * ratio))], key=lambda pair: pair[1]):
            row = files[source][index]
            question = (row.get("question_orig") or row["question"]).strip()
            steps = [step["step"].strip() + "<prm>" for step in row["steps_with_score"]]
            labels = [1.0 if step["score"] > 0 else 0.0 for step in row["steps_with_score"]]
            human = {"from": "human", "value": f"Question: {question}\nProcess: " + "\n\n".join(steps)}
            turns = [human, {"from": "gpt", "value": labels}]
            lines.append(json.dumps({"image": row["image"], "conversations": turns}, ensure_ascii=False))
    return lines


@pytest.mark.parametrize(("alpha", "ratio"), [(0.2, 0.1), (0.05, 0.25)])
def test_selection_and_export_are_those_of_the_published_definition(tmp_path, alpha, ratio):
    """Row for row, against a plain second implementation, with ties, three sources, and alpha as in the paper and in the README of its release."""
    files = write(tmp_path / "annotations", 700)
    scored = add_scores(load_process_rewards(tmp_path / "annotations"), bis_score)
    selection = select_top(scored, ratio=ratio, alpha=alpha)
    assert selection.rule["alpha"] == alpha
    export_internvl_prm(selection.selected, tmp_path / "train.jsonl")
    expected = plain_selection(files, alpha, ratio)
    assert (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines() == expected
    assert len(expected) == sum(int(len(rows) * ratio) for rows in files.values())


def test_plain_map_gives_the_same_scores(tmp_path):
    """And so do batches of any size."""
    write(tmp_path, 20)
    ds = load_process_rewards(tmp_path)
    scored = add_scores(ds, bis_score)
    assert ds.map(bis_score, batched=True, batch_size=7)["rap_bis"][:] == scored["rap_bis"][:]
    assert bis_score(ds[:])["rap_bis"] == scored["rap_bis"][:]
    assert scored.unique("source") == list(SOURCES)


def test_ablations_are_one_call_each():
    """Mixture, reliability and the lowest average rank other rows first."""
    rows = [[1.0, 1.0], [1.0, 0.0], [0.0625, 0.0], [0.5, 0.5]]
    scored = add_scores(Dataset.from_dict(batch(*rows)), bis_score)

    def first(**options):
        return select_top(scored, count=1, per=None, **options).selected["steps_with_score"][0]

    assert [step["score"] for step in first(by="rap_bis")] == [1.0, 0.0]
    assert [step["score"] for step in first(by="rap_bis_mixture")] == [1.0, 0.0]
    assert [step["score"] for step in first(by="rap_bis_reliability", ties="first")] == [1.0, 1.0]
    assert [step["score"] for step in first(by="rap_bis_mean", lowest=True)] == [0.0625, 0.0]
