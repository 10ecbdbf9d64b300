"""One rule of what is solved, wherever rewards are read."""

import json

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from hf_rap import (
    ACEScore,
    CDEScore,
    DifficultyScore,
    add_scores,
    cde_score,
    difficulty_score,
    fit_prior,
    select_cognitive,
    select_difficulty,
    stability,
)
from hf_rap.metrics.rates import pass_at_k
from hf_rap.stats.counts import count_rewards, read_counts
from hf_rap.stats.settings import correct_of
from hf_rap.versions.facts import collect_facts

FEATURES = Features(
    {
        "rap_id": Value("string"),
        "rap_image_rewards": List(Value("float64")),
        "rap_text_rewards": List(Value("float64")),
        "rap_settings": Value("string"),
    }
)


def evidence(image, text, correct=None):
    """Rows with these rewards, which count as solved from `correct` on."""
    told = None if correct is None else json.dumps({"verifier": "anls", "verifier_version": "1", "correct": correct})
    rows = {"rap_id": [f"row {n}" for n in range(len(image))], "rap_image_rewards": image, "rap_text_rewards": text}
    return Dataset.from_dict({**rows, "rap_settings": [told] * len(image)}, FEATURES)


# Never right but well-formed, solved once, always right, half right by halves.
IMAGE = [[0.1] * 5, [1.0, 0.1, 0.1, 0.1, 0.1], [1.0] * 5, [0.5] * 5]
TEXT = [[0.1] * 5, [0.1] * 5, [0.0] * 5, [0.0] * 5]


def test_a_row_that_is_never_right_is_not_brought_in_as_a_hard_one():
    """[0.1] * 5 has difficulty 1 and not 0.9; the row that was solved once takes the place of the easy one."""
    scored = add_scores(evidence(IMAGE, TEXT), cde_score, difficulty_score)
    assert scored["rap_difficulty"][:] == pytest.approx([1.0, 0.8, 0.0, 1.0])
    assert scored["rap_cde"][:] == pytest.approx([0.0, 0.2, 1.0, 0.0])
    reasons = select_cognitive(scored, method="rap-paper").scored["rap_reason"][:]
    assert reasons == ["never_solved", "hard_replacement", "always_solved", "never_solved"]


def test_the_threshold_comes_with_the_evidence():
    """From 0.5 on, the last row is always solved; scores on batches, tables and streams count alike."""
    ds = evidence(IMAGE, TEXT, correct=0.5)
    scored = add_scores(ds, cde_score, difficulty_score)
    assert scored["rap_difficulty"][:] == pytest.approx([1.0, 0.8, 0.0, 0.0])
    assert ds.map(cde_score, batched=True)["rap_cde"][:] == scored["rap_cde"][:]
    streamed = ds.to_iterable_dataset().map(difficulty_score, batched=True)
    assert [row["rap_difficulty"] for row in streamed] == pytest.approx(scored["rap_difficulty"][:])
    image, text = read_counts("test", ds)
    assert (image.solved.tolist(), image.judged.tolist()) == ([0, 1, 5, 5], [5] * 4)
    assert text.solved.tolist() == [0, 0, 0, 0]


def test_rows_may_have_thresholds_of_their_own():
    """Of several collections in one dataset each counts by its own."""
    settings = [
        json.dumps({"correct": 0.5}),
        None,
        json.dumps({"correct": 0.2}),
        "not JSON",
        json.dumps({"correct": 2}),
    ]
    ds = Dataset.from_dict(
        {**{name: [[0.4, 0.6, None, 1.0]] * 5 for name in ("rap_image_rewards", "rap_text_rewards")},
         "rap_id": list("abcde"), "rap_settings": settings},
        FEATURES,
    )  # fmt: skip
    assert [correct_of(text) for text in settings] == [0.5, 1.0, 0.2, 1.0, 1.0]
    image, _ = read_counts("test", ds)
    assert image.solved.tolist() == [2, 1, 3, 1, 1]
    assert [round(3 * (1 - one)) for one in add_scores(ds, difficulty_score)["rap_difficulty"]] == [2, 1, 3, 1, 1]


def test_prior_intervals_stability_and_card_count_alike():
    """Rewards of 0.9 and 0.1 that count from 0.8 on are to all of them what rewards of 1 and 0 are."""
    rng = np.random.default_rng(0)
    solved = rng.random((2, 80, 5)) < rng.random((2, 80, 1))
    parts = evidence(*np.where(solved, 0.9, 0.1).tolist(), correct=0.8)
    whole = evidence(*solved.astype(float).tolist())
    prior = fit_prior(whole)
    assert fit_prior(parts) == prior
    scorers = (CDEScore(prior=prior), DifficultyScore(prior=prior))
    one, other = (add_scores(ds, *scorers) for ds in (parts, whole))
    drop = ["rap_settings", "rap_image_rewards", "rap_text_rewards"]
    assert one.remove_columns(drop).to_list() == other.remove_columns(drop).to_list()
    for options in ({}, {"min_probability": 0.6, "replace_easy": False}, {"method": "difficulty"}):
        decided = [select_cognitive(ds, **options).scored["rap_reason"][:] for ds in (one, other)]
        assert decided[0] == decided[1]
    assert select_difficulty(one, min_probability=0.5).reasons == select_difficulty(other, min_probability=0.5).reasons
    assert stability(parts, {"min_cde": 0.2}, draws=3) == stability(whole, {"min_cde": 0.2}, draws=3)
    cards = [collect_facts(select_cognitive(ds), name="n", version="1.0.0")["arms"] for ds in (one, other)]
    assert cards[0] == cards[1]
    assert cards[0]["image"]["pass_rate"] == round(float(solved[0].mean()), 6)


def test_attempts_that_are_solved_are_the_correct_ones_of_ace():
    """`ACEScore(attempts="correct")` and pass@k go by the same threshold."""
    entry = {"error": None, "product_max": [-1.0, -1.0, -0.5, -0.5], "window_max": [-0.1] * 4}
    other = {**entry, "window_max": [-0.9] * 4}
    rows = {"rap_attention": [[entry, other]], "rap_image_rewards": [[0.6, 0.4]]}
    score = ACEScore(attempts="correct", min_column=1)
    assert score(rows)["rap_ace"] == [None]
    half = score({**rows, "rap_settings": ['{"correct": 0.5}']})["rap_ace"]
    assert half == ACEScore(attempts="first", min_column=1)(rows)["rap_ace"]
    assert pass_at_k([0.6, 0.4, None], 1) == 0.0
    assert pass_at_k([0.6, 0.4, None], 1, correct=0.5) == 0.5


def test_a_threshold_per_row_is_broadcast():
    """Counts of an Arrow column of lists, one of them null and one empty."""
    import pyarrow as pa

    from hf_rap.columns import IMAGE_REWARDS

    rewards = pa.array([[0.2, 0.6], None, [], [0.6, None]], pa.list_(pa.float64()))
    counts = count_rewards("test", IMAGE_REWARDS, rewards, np.array([0.2, 1.0, 1.0, 0.7]))
    assert (counts.solved.tolist(), counts.judged.tolist()) == ([2, 0, 0, 0], [2, 0, 0, 1])
