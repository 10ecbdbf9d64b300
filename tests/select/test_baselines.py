"""Random, hardest, longest and learning impact by hand."""

import inspect
from dataclasses import fields

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError, SettingError
from hf_rap.evidence.rollouts import Rollouts
from hf_rap.papers import PAPER
from hf_rap.scorers import ACEScore, add_limr_score
from hf_rap.select import select_cognitive, select_hardest, select_limr, select_longest, select_random
from hf_rap.select.methods import METHODS
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts


def reasons(selection):
    return selection.scored["rap_reason"][:]


def test_a_draw_depends_on_seed_and_id_alone():
    """Not on the order of the rows."""
    ds = Dataset.from_dict({"rap_id": [f"row{number}" for number in range(50)]})
    drawn = [set(select_random(ds, budget=10, seed=seed).selected["rap_id"]) for seed in range(3)]
    assert len(set(map(frozenset, drawn))) == 3
    assert set(select_random(ds.select(range(50)[::-1]), budget=10, seed=1).selected["rap_id"]) == drawn[1]


def test_a_stratified_draw_keeps_the_shares():
    """30 and 10 rows share 8 as 6 and 2."""
    ds = Dataset.from_dict({"topic": ["a"] * 30 + ["b"] * 10})
    selection = select_random(ds, budget=0.2, stratify_by="topic")
    assert sorted(selection.selected["topic"]) == ["a"] * 6 + ["b"] * 2
    assert selection.rule == {
        "method": "random",
        "method_version": "2",
        "budget": 8,
        "stratify_by": "topic",
        "seed": 0,
        "asked": {"budget": 0.2},
    }


def test_rows_with_an_error_and_no_score_are_not_drawn():
    """One that has a score all the same can be."""
    ds = Dataset.from_dict(
        {"rap_cde": [None, 0.1, 0.2], "rap_error": ["gold_unreadable: ?", "not_judged: one attempt", None]}
    )
    assert reasons(select_random(ds, budget=2)) == ["gold_unreadable", "drawn", "drawn"]
    with pytest.raises(SettingError, match="asks for 3 rows, but only 2 of 3 can be ranked"):
        select_random(ds, budget=3)


def test_the_hardest_rows_by_hand():
    """Unknown is not hard."""
    ds = Dataset.from_dict({"rap_difficulty": [0.2, 1.0, None, 0.8]})
    assert reasons(select_hardest(ds, budget=2)) == ["not_hardest", "hardest", "not_scored", "hardest"]


def test_the_longest_replies_by_hand():
    """Means 2, 10 and 4; not the number of attempts, and no attempts are no length."""
    tokens = [[1, 3], [10], [1, 2, 9], None, [None]]
    ds = Dataset.from_dict({"rap_image_tokens": tokens}, Features({"rap_image_tokens": List(Value("int32"))}))
    expected = ["not_longest", "longest_response", "longest_response", "not_scored", "not_scored"]
    assert reasons(select_longest(ds, budget=2)) == expected


def epochs(rows):
    return Dataset.from_dict({"rap_epoch_rewards": rows}, Features({"rap_epoch_rewards": List(Value("float64"))}))


def test_learning_impact_by_hand():
    """Means 0.25 and 0.5 over the epochs; sum of (1 - m)^2 = 0.5625 + 0.25 = 0.8125."""
    ds = add_limr_score(epochs([[0.0, 0.0], [0.25, 0.5], [0.5, 1.0]]))
    # 1 - (0.0625 + 0.25) / 0.8125 = 0.6153846, 1, the same again
    assert [round(score, 6) for score in ds["rap_limr"]] == [0.615385, 1.0, 0.615385]
    assert reasons(select_limr(ds)) == ["learning_impact"] * 3
    assert reasons(select_limr(ds, min_limr=0.7)) == ["low_learning_impact", "learning_impact", "low_learning_impact"]
    assert reasons(select_cognitive(ds, method="limr")) == ["learning_impact"] * 3


def test_a_missing_epoch_is_left_out_of_both_sums():
    """Means 0.5 (two rows) and 0.5 (one row): row 0 has only the first, row 2 was never seen."""
    ds = add_limr_score(epochs([[0.0, None], [1.0, 0.5], None, [None, None]]))
    # 1 - 0.25 / 0.25 = 0; 1 - (0.25 + 0) / (0.25 + 0.25) = 0.5
    assert ds["rap_limr"][:] == [0.0, 0.5, None, None]
    assert reasons(select_limr(ds, min_limr=0.5)) == [
        "low_learning_impact",
        "learning_impact",
        "not_scored",
        "not_scored",
    ]


def test_a_run_that_always_solves_everything_has_no_learning_impact():
    """0 / 0 is unknown."""
    assert add_limr_score(epochs([[1.0], [1.0]]))["rap_limr"][:] == [None, None]


def test_bad_epoch_rewards_are_refused():
    """Rows with other numbers of epochs, rewards outside their range, no such column, a score that is there."""
    with pytest.raises(LayoutError, match="Row 1 has 1 epochs in 'rap_epoch_rewards' where 2 were expected"):
        add_limr_score(epochs([[0.0, 1.0], [0.0]]))
    with pytest.raises(LayoutError, match=r"Row 1 has 2\.0"):
        add_limr_score(epochs([[0.0], [2.0]]))
    with pytest.raises(MissingColumnError, match="add_epoch_rewards"):
        add_limr_score(Dataset.from_dict({"a": [1]}))
    with pytest.raises(ColumnExistsError, match="rap_limr"):
        add_limr_score(add_limr_score(epochs([[0.5]])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "random"}, "Method 'random' needs a budget"),
        ({"method": "hardest"}, "Method 'hardest' needs a budget"),
        ({"method": "random", "budget": 2, "max_ace": 0.5}, "max_ace=0.5 means nothing to method 'random'"),
        ({"method": "limr", "budget": 2}, "budget=2 means nothing to method 'limr'"),
    ],
)
def test_options_that_a_method_does_not_know_are_refused(options, message):
    """Rather than ignored."""
    ds = Dataset.from_dict({"rap_difficulty": [0.1, 0.2], "rap_limr": [0.1, 0.9]})
    with pytest.raises(SettingError, match=message):
        select_cognitive(ds, **options)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_what_it_says_and_has_a_card(method):
    """The same interface: decisions for all rows, a rule, a funnel, and a card that names the method."""
    rewards = [[0, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1] * 5, [0] * 5]
    ds = Dataset.from_dict(
        {
            "rap_cde": [0.2, 0.6, 0.0, 0.0],
            "rap_difficulty": [0.8, 0.4, 0.0, 1.0],
            "rap_limr": [0.5, 0.7, 0.1, -1.0],
            "rap_image_tokens": [[3], [4], [1], [9]],
            "rap_image_rewards": [[float(one) for one in row] for row in rewards],
            "rap_text_rewards": [[0.0] * 5, [0.0] * 5, [1.0] * 5, [0.0] * 5],
            "rap_image_responses": [["a b c"], ["a b d"], ["a"], ["b"]],
            "rap_visual_dependence": [0.1, 0.2, 0.3, None],
            "rap_bis": [0.1, 0.2, 0.3, None],
        }
    )
    if method == "bis-posterior":
        steps = [{"step": "so", "score": 0.5, "num_mc_correct": 8, "num_mc_total": 16}]
        ds = ds.add_column("steps_with_score", [steps] * 4)
    options = {"budget": 2} if METHODS[method].needs_budget else {}
    selection = select_cognitive(ds, method=method, **options)
    assert len(selection.selected) + len(selection.rejected) == len(ds) == sum(selection.reasons.values())
    assert selection.funnel[-1].rows == len(selection.selected) > 0
    assert selection.rule["method"] == method
    facts = collect_facts(selection, name="x", version="1.0.0")
    assert all(one["meaning"] for one in facts["reasons"])
    card = render_card(facts)
    assert f"| `method` | `{method}` |" in card
    code = card.split("The decision, from the scores:")[1].split("```python")[1].split("```")[0]
    names = {}
    exec(code.replace('load_dataset("x", "scored", split="train")', "ds"), {"ds": ds}, names)
    assert reasons(names["selection"]) == reasons(selection)


def test_defaults_are_those_of_the_paper():
    """Wherever they are used, they stand in one place."""
    rollouts = {field.name: field.default for field in fields(Rollouts)}
    assert (rollouts["attempts"], rollouts["temperature"]) == (PAPER.attempts, PAPER.temperature)
    selecting = inspect.signature(select_cognitive).parameters
    assert (selecting["min_cde"].default, PAPER.max_ace) == (PAPER.min_cde, 0.1)
    assert (selecting["max_ace"].default, PAPER.sigma) == ("auto", ACEScore().sigma)


def test_a_seed_is_welcome_everywhere():
    """`hf-rap run` has one seed for sampling and selection."""
    ds = Dataset.from_dict({"rap_difficulty": [0.5]})
    assert len(select_cognitive(ds, method="difficulty", seed=7).selected) == 1
