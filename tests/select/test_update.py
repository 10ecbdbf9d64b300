"""Which rows a later model is asked again, and the selection that follows: worked out by hand."""

import json

import numpy as np
import pytest
from datasets import Dataset

from hf_rap.errors import SettingError
from hf_rap.select import select_cognitive
from hf_rap.select.comparison import with_scores
from hf_rap.select.update import Plan, advice_of, apply_update, describe_update, plan_update

MANY = 40
EVIDENCE = ("rap_id", "rap_image_rewards", "rap_text_rewards", "rap_image_tokens", "rap_text_tokens", "rap_settings")


def evidence(right, start=0, *, attempts=5, tokens=2, **settings):
    """A row per number: so many of its attempts with the image are right, none without."""
    return Dataset.from_dict(
        {
            "question": [f"question {start + row}" for row in range(len(right))],
            "rap_id": [f"row {start + row}" for row in range(len(right))],
            "rap_image_rewards": [[1.0] * count + [0.0] * (attempts - count) for count in right],
            "rap_text_rewards": [[0.0] * attempts] * len(right),
            "rap_image_tokens": [[tokens] * attempts] * len(right),
            "rap_text_tokens": [[tokens] * attempts] * len(right),
            "rap_settings": [json.dumps(settings)] * len(right),
        }
    )


def selected(right, method="any-right", **options):
    return select_cognitive(with_scores(evidence(right, model="before")), method=method, **options)


# Half of the rows are always right and half are never: the prior holds no others, so nothing is left to chance.
CLEAR = [5] * MANY + [0] * MANY


def test_rows_whose_rate_is_clear_and_not_trained_on_are_not_asked():
    """Of the 80 a twentieth, 4, is drawn to check."""
    plan = plan_update(selected(CLEAR), [None] * 80)
    assert plan.counts() == {"asked": 0, "drawn": 4, "log": 0, "before": 76}
    assert plan.shift == 0.0
    assert plan_update(selected(CLEAR), [None] * 80, check_share=0).counts()["drawn"] == 0


def test_a_row_that_the_training_contradicts_is_asked_and_one_that_it_confirms_is_not():
    """Never right before and always right in training; always right in both; not judged in training says nothing."""
    rewards = [None] * 80
    rewards[0], rewards[79], rewards[78] = [1.0] * 16, [1.0] * 16, [None] * 16
    plan = plan_update(selected(CLEAR), rewards, check_share=0)
    assert plan.chance[79] == 1.0
    assert plan.source[[0, 78, 79]].tolist() == ["log", "before", "asked"]


def test_rows_that_were_not_trained_on_move_with_the_others():
    """Where the trained rows went from half right to nearly always, half right is no longer sure to be in the band."""
    right = [2, 3] * MANY
    chosen = selected(right, "difficulty")
    rewards = [[1.0] * 8 if row < 20 else None for row in range(80)]
    still, moved = plan_update(chosen, [None] * 80), plan_update(chosen, rewards)
    assert moved.shift > 2  # log-odds of 0.5 are 0, those of 0.95 are 2.9
    assert moved.chance[20:].mean() > still.chance[20:].mean() + 0.1


def test_the_same_seed_asks_the_same_rows():
    """In whatever order; another seed checks others."""
    first, same, other = (plan_update(selected(CLEAR), [None] * 80, seed=seed) for seed in (0, 0, 1))
    assert first.ask.tolist() == same.ask.tolist() != other.ask.tolist()


def test_rows_that_could_not_be_judged_are_never_asked():
    """Nothing says what they would do, and they would fail again."""
    ds = evidence([5] * MANY + [0] * MANY, model="before")
    unread = [None if row == 7 else rewards for row, rewards in enumerate(ds["rap_image_rewards"])]
    ds = ds.remove_columns("rap_image_rewards").add_column("rap_image_rewards", unread)
    plan = plan_update(select_cognitive(with_scores(ds), method="any-right"), [None] * 80, ask_above=0, check_share=1)
    assert plan.source[7] == "before"
    assert plan.counts()["before"] == 1


@pytest.fixture
def four():
    """Rows that the rule keeps by one right reply: yes, yes, no, no; one of each source."""
    before = selected([1, 2, 0, 0])
    return before, Plan(np.array(["asked", "log", "before", "drawn"], dtype=object), np.zeros(4), 0.5, 0.1)


def test_each_row_has_the_evidence_that_the_plan_says(four):
    """The first is never right now, the second by its log; the last is right once. Replies of before do not stay beside the log."""
    before, plan = four
    asked = evidence([0, 0, 0, 1], model="after").select([0, 3])
    after = apply_update(
        before, plan, asked, [None, [0.0, 0.0, None], None, None], {"engine": "training log", "steps": [3, 4]}
    )
    scored = after.scored
    assert scored["rap_id"][:] == ["row 0", "row 1", "row 2", "row 3"]
    assert scored["question"][:] == before.scored["question"][:]
    assert scored["rap_update"][:] == ["asked", "log", "before", "drawn"]
    assert scored["rap_image_rewards"][1] == [0.0, 0.0, None]
    assert scored["rap_image_tokens"][1] is None
    assert scored["rap_text_rewards"][1] == [0.0] * 5
    assert scored["rap_difficulty"][:] == [1.0, 1.0, 1.0, 0.8]
    assert scored["rap_keep"][:] == [False, False, False, True]
    models = [json.loads(text) for text in scored["rap_settings"]]
    assert models[0] == models[3] == {"model": "after"}
    assert models[1] == {"engine": "training log", "steps": [3, 4], "text": "as before"}
    assert models[2] == {"model": "before"}
    assert after.remarks[-1].startswith(
        "An update: 2 rows were asked again, 1 have rewards of the training and 1 the evidence of before"
    )


def test_the_counts_add_up(four):
    """Two kept before, none of them stays, one comes; 2 rows took 2 arms x 5 attempts x 3 tokens, where they took 2 before."""
    before, plan = four
    asked = evidence([0, 0, 0, 1], tokens=3, model="after").select([0, 3])
    rewards = [None, [0.0], None, None]
    facts = describe_update(before, plan, apply_update(before, plan, asked, rewards, {}))
    assert facts["rows"] == {"asked": 1, "drawn": 1, "log": 1, "before": 1}
    assert facts["changed"] == {"asked": 1, "drawn": 1, "log": 1, "before": 0}
    assert [facts[name] for name in ("kept_before", "stayed", "went", "came", "kept")] == [2, 0, 2, 1, 1]
    assert (facts["tokens"], facts["tokens_for_all"]) == (60, 120)  # 4 rows x 2 x 5 x 2, times 60 / 40


def test_too_many_changes_among_the_drawn_rows_are_said():
    """Of ten drawn at a bound of 0.1 one may change by the plan's own chance; with two the others are not as was thought."""
    facts = {"rows": {"asked": 5, "drawn": 10, "log": 0, "before": 85}, "ask_above": 0.1}
    assert advice_of({**facts, "changed": {"drawn": 1}}) is None
    assert advice_of({**facts, "changed": {"drawn": 2}}).startswith("That is more than the bound of 0.1")
    assert advice_of({**facts, "rows": {"drawn": 0}, "changed": {"drawn": 0}}) is None


def test_an_update_can_be_updated(four):
    """The next one says anew where each row is from, and its rule is that of before."""
    before, plan = four
    asked = evidence([0, 0, 0, 1], model="after").select([0, 3])
    after = apply_update(before, plan, asked, [None, [0.0], None, None], {})
    nothing = Plan(np.array(["before"] * 4, dtype=object), np.zeros(4), 0.0, 0.1)
    again = apply_update(after, nothing, after.scored.select([]), [None] * 4, {})
    assert again.scored["rap_update"][:] == ["before"] * 4
    assert (again.scored["rap_keep"][:], again.rule) == (after.scored["rap_keep"][:], after.rule)


def test_grades_that_count_as_right_from_a_lower_bound_on_stay_so():
    """The attempts on the question alone are of before: 0.5 is right there."""
    ds = evidence([5, 5], correct=0.5)
    ds = ds.remove_columns("rap_text_rewards").add_column("rap_text_rewards", [[0.5] * 5] * 2)
    before = select_cognitive(with_scores(ds), method="any-right")
    plan = Plan(np.array(["log", "before"], dtype=object), np.zeros(2), 0.0, 0.1)
    after = apply_update(before, plan, before.scored.select([]), [[1.0, 0.0], None], {})
    assert with_scores(after.scored.remove_columns(["rap_cde"]))["rap_cde"][:] == [-0.5, 0.0]


def test_other_rows_than_those_of_the_plan_are_refused(four):
    """By their ids: a table in another order would give every row the evidence of another."""
    before, plan = four
    asked = evidence([0, 0, 0, 1]).select([3, 0])
    with pytest.raises(SettingError, match="by their rap_id and in its order"):
        apply_update(before, plan, asked, [None] * 4, {})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"max_ace": 0.1}, "The rule goes by attention"),
        ({"control": "blank"}, "The rule goes by another control"),
        ({"probe_prior": True}, "what a probe foretold"),
    ],
)
def test_a_rule_that_needs_more_than_rewards_is_refused(rule, message):
    """With what to do."""
    chosen = selected(CLEAR)
    with pytest.raises(SettingError, match=message):
        plan_update(type(chosen)(chosen.scored, {**chosen.rule, **rule}, chosen.funnel, chosen.method), [None] * 80)


def test_spared_attempts_and_drawn_rows_are_refused():
    """Of a collection that stopped early; and of a method that decides by no rewards at all."""
    ds = evidence([5, 0], model="before").add_column(
        "rap_adaptive", [json.dumps({"mode": "exact", "attempts": 5}), None]
    )
    with pytest.raises(SettingError, match="were spared"):
        plan_update(select_cognitive(with_scores(ds), method="any-right"), [None] * 2)
    with pytest.raises(SettingError, match="cannot be repeated on other counts"):
        plan_update(selected(CLEAR, "random", budget=3), [None] * 80)
