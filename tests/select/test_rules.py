"""Published rules by hand, and the table that says what each is."""

import json

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.scorers import add_scores, difficulty_score
from hf_rap.select import METHODS, select_cognitive
from hf_rap.select.again import decide_again, select_again
from hf_rap.select.pass_rates import pass_gap_of
from hf_rap.select.rules import RULES, tokens_of
from hf_rap.select.step_trust import trust
from hf_rap.select.top import TOP
from hf_rap.select.variety import distinct_trigrams
from hf_rap.stats.counts import Counts, read_counts


def solved(*right, attempts=8):
    """Rows of which so many attempts are right."""
    rewards = [[0.0] * (attempts - number) + [1.0] * number for number in right]
    rows = {"rap_id": [f"row {place}" for place in range(len(right))], "rap_image_rewards": rewards}
    return add_scores(Dataset.from_dict(rows), difficulty_score)


def kept(ds, method, **options):
    return select_cognitive(ds, method=method, **options).kept_rows.tolist()


def step(correct, total=16):
    score = None if correct is None else correct / total
    return {"step": "so", "score": score, "num_mc_correct": correct, "num_mc_total": total}


def test_learnability_is_highest_in_the_middle():
    """Of 8: p (1 - p) is 0, 7/64, 15/64, 16/64, 12/64 and 0."""
    ds = solved(0, 1, 3, 4, 6, 8)
    assert [kept(ds, "learnability", budget=budget) for budget in (1, 2, 3, 4)] == [
        [3],
        [2, 3],
        [2, 3, 4],
        [1, 2, 3, 4],
    ]


def test_rates_as_far_from_a_half_are_level():
    """1 of 5 and 4 of 5 are 4/25 each: which comes first is the seed's to say, not the last bit's."""
    ds = solved(1, 4, attempts=5)
    assert {tuple(kept(ds, "learnability", budget=1, seed=seed)) for seed in range(20)} == {(0,), (1,)}


def test_a_budget_above_what_a_rule_tells_apart_is_remarked_upon():
    """Two of three kept rows are never or always solved."""
    selection = select_cognitive(solved(0, 8, 4), method="learnability", budget=3)
    assert selection.remarks[0].startswith("2 of 3 kept rows have a p (1 - p) of 0: always or never solved.")
    assert select_cognitive(solved(0, 8, 4), method="learnability", budget=1).remarks == ()


def test_the_gap_is_what_more_attempts_would_solve():
    """Eight attempts, N = 8: any right, less the share that is."""
    ds = solved(0, 1, 2, 8)
    assert pass_gap_of(read_counts("test", ds)[0], 8).tolist() == [0, 0.875, 0.75, 0]
    assert [kept(ds, "pass-gap", budget=budget) for budget in (1, 2)] == [[1], [1, 2]]


@pytest.mark.parametrize(
    ("right", "judged", "gap"),
    [
        (2, 8, 11 / 14 - 1 / 4),  # 1 - C(6, 4) / C(8, 4) = 1 - 15/70 = 11/14
        (5, 8, 1 - 5 / 8),  # three wrong ones are fewer than four
        (1, 4, 3 / 4),
        (0, 8, 0),
        (4, 4, 0),
    ],
)
def test_the_gap_for_four_attempts_is_without_bias(right, judged, gap):
    """By the estimator of arXiv 2107.03374."""
    # The estimate for (2, 8): of C(8, 4) = 70 draws 55 have a right one.
    found = pass_gap_of(Counts(np.array([float(right)]), np.array([judged])), 4)[0]
    assert found == pytest.approx(gap, abs=1e-12)


def test_rows_with_fewer_attempts_than_most_have_no_gap():
    """One row has three judged attempts, the others eight."""
    ds = solved(1, 4, 2)
    rewards = ds["rap_image_rewards"][:]
    rewards[0] = [1.0, 0.0, 0.0]
    rows = Dataset.from_dict({"rap_id": ds["rap_id"][:], "rap_image_rewards": rewards})
    selection = select_cognitive(rows, method="pass-gap", budget=1)
    assert selection.scored["rap_reason"][:] == ["not_scored", "not_widest_gap", "widest_gap"]
    assert selection.rule["attempts"] == 8
    with pytest.raises(SettingError, match="no row has one that was judged"):
        select_cognitive(Dataset.from_dict({"rap_image_rewards": [[None, None]]}), method="pass-gap", budget=1)


def test_any_right_drops_what_is_never_solved():
    """And keeps what is always solved; of other than eight attempts it says so."""
    assert kept(solved(0, 1, 8), "any-right") == [1, 2]
    assert select_cognitive(solved(0, 1, 8), method="any-right").remarks == ()
    five = select_cognitive(solved(0, 1, 5, attempts=5), method="any-right")
    assert five.remarks == ("Most rows have 5 attempts; of 8, as published, fewer rows would have none right.",)
    sixteen = select_cognitive(solved(0, 1, attempts=16), method="any-right")
    assert sixteen.remarks == ("Most rows have 16 attempts; of 8, as published, more rows would have none right.",)


def test_the_hardest_tenth_of_twenty_rows_is_two():
    """Those with one and two of eight right; the others have three or more."""
    ds = solved(*([3] * 9), 2, *([8] * 9), 1)
    assert kept(ds, "hardest-tenth") == [9, 19]
    assert kept(ds, "hardest-tenth", budget=0.1) == [9, 19]
    with pytest.raises(SettingError, match=r"budget=0\.5 means nothing to method 'hardest-tenth'"):
        kept(ds, "hardest-tenth", budget=0.5)


def test_diversity_counts_runs_of_three_words():
    """Four runs of which three differ; without a run, replies; a null reply is none."""
    replies = [
        ["a b c d", "a b c e"],
        ["a b c", "a b c"],
        ["4", "4", "5"],
        [],
        [None],
        None,
        [" x  y\nz ", "x y z"],
        ["", ""],
    ]
    found = distinct_trigrams(pa.array(replies, pa.list_(pa.string())))
    assert [None if np.isnan(value) else round(float(value), 4) for value in found] == [
        0.75,
        0.5,
        0.6667,
        None,
        None,
        None,
        0.5,
        0.5,
    ]


def test_runs_do_not_reach_from_one_reply_into_the_next():
    """Three words of two replies are no run, so these rows go by whole replies."""
    assert distinct_trigrams(pa.array([["a b", "c d"], ["a b", "a b"]])).tolist() == [1.0, 0.5]


def test_diversity_is_the_same_in_parts(monkeypatch):
    """Rows are read a few at a time."""
    replies = pa.array([[f"a b {row % 3} c", "a b 0 c", "d"] for row in range(7)] + [None, ["x"]])
    whole = distinct_trigrams(replies)
    monkeypatch.setattr("hf_rap.select.variety._ROWS_AT_ONCE", 2)
    assert np.array_equal(distinct_trigrams(replies), whole, equal_nan=True)
    assert whole[:3].tolist() == [0.5, 1.0, 1.0]


def test_columns_of_other_types_are_told_or_unknown():
    """In a sentence, so that a comparison of all rules goes on."""
    bad = solved(1).add_column("rap_image_responses", ["a b c"])
    with pytest.raises(
        LayoutError,
        match="reads a list of replies per row from 'rap_image_responses', but the column is of type string",
    ):
        kept(bad, "variance-promotion", budget=1)
    nothing = solved(1).add_column("rap_image_responses", [None]).add_column("steps_with_score", [None])
    for name in ("variance-promotion", "bis-posterior"):
        with pytest.raises(SettingError, match="none of 1 can be ranked"):
            kept(nothing, name, budget=1)


def test_variance_promotion_by_hand():
    """0.8 p (1 - p) + 0.2 d: 0.2 + 0.1, 0.15 + 0.2, 0 + 0.2, and unknown without replies."""
    ds = solved(4, 2, 0, 4).add_column(
        "rap_image_responses", [["a b c", "a b c"], ["a b c", "d e f"], ["a b c", "d e f"], None]
    )
    found = [kept(ds, "variance-promotion", budget=budget) for budget in (1, 2, 3)]
    assert found == [[1], [0, 1], [0, 1, 2]]
    assert select_cognitive(ds, method="variance-promotion", budget=1).scored["rap_reason"][3] == "not_scored"


def test_visual_dependence_ranks_its_column_and_says_what_is_missing():
    """Whoever has not measured it is told the name of the column."""
    ds = Dataset.from_dict({"rap_visual_dependence": [0.5, None, -0.1, 2.0]})
    assert kept(ds, "visual-dependence", budget=2) == [0, 3]
    with pytest.raises(MissingColumnError, match="'rap_visual_dependence'"):
        kept(solved(1), "visual-dependence", budget=1)


@pytest.mark.parametrize(
    ("correct", "total", "above", "probability"),
    [
        (0, 0, 0.5, 0.5),  # nothing known: half of [0, 1] is above a half
        (1, 1, 0.5, 0.75),  # density 2 s: 1 - 1/4
        (0, 1, 0.5, 0.25),
        (1, 2, 0.5, 0.5),  # density 6 s (1 - s), symmetric
        (2, 2, 0.5, 0.875),  # density 3 s^2: 1 - 1/8
        (1, 1, 0.2, 0.96),  # 1 - 0.04
        (8, 16, 0.5, 0.5),
    ],
)
def test_the_trust_in_a_step_is_the_upper_tail_of_its_beta(correct, total, above, probability):
    """The share of right continuations was anything before."""
    assert trust(correct, total, above) == pytest.approx(probability, abs=1e-12)


def test_trust_and_mean_order_rollouts_differently():
    """One of two right has the mean of eight of sixteen, 0.5; two of two has 1, and less trust (0.875) than 14 of 16."""
    steps = [[step(2, 2), step(0, 2)], [step(14), step(0)], [step(1), step(0)], [step(8), step(None)], []]
    ds = Dataset.from_dict({"steps_with_score": steps, "rap_bis": [0.3, 0.2625, 0.01875, None, None]})
    assert kept(ds, "bis", budget=1) == [0]
    assert kept(ds, "bis-posterior", budget=1) == [1]
    reasons = select_cognitive(ds, method="bis-posterior", budget=3).scored["rap_reason"][:]
    assert reasons == ["most_trusted"] * 3 + ["not_scored"] * 2


def test_steps_without_counts_or_with_impossible_ones_are_refused():
    """Each with what to do."""
    bare = Dataset.from_dict({"steps_with_score": [[{"step": "so", "score": 0.5}]]})
    with pytest.raises(SettingError, match="no such fields: annotate with `hf-rap annotate-steps`"):
        kept(bare, "bis-posterior", budget=1)
    wrong = Dataset.from_dict({"steps_with_score": [[step(3)], [step(17)]]})
    with pytest.raises(SettingError, match="Row 1 has a step with 17 right of 16 continuations"):
        kept(wrong, "bis-posterior", budget=1)


def test_rewards_that_cannot_be_are_refused():
    with pytest.raises(LayoutError, match=r"Method 'pass-gap' reads rewards in .* row 0 has 2"):
        kept(Dataset.from_dict({"rap_image_rewards": [[2.0]]}), "pass-gap", budget=1)


def everything():
    """Rows with all that any rule reads."""
    ds = solved(1, 4, 5, 3, attempts=5)
    more = {
        "rap_cde": [0.2, 0.8, 0.0, 0.6],
        "rap_text_rewards": [[0.0] * 5] * 4,
        "rap_blank_rewards": [[0.0] * 5] * 4,
        "rap_shuffled_rewards": [[0.0] * 5] * 4,
        "rap_image_responses": [["a b c", "a b d"]] * 4,
        "rap_image_tokens": [[3, 4], [4, 5], [1, 2], [9, 1]],
        "rap_visual_dependence": [0.1, 0.2, 0.3, 0.4],
        "rap_limr": [0.5, 0.7, 0.1, 0.9],
        "rap_bis": [0.1, 0.2, 0.3, 0.05],
        "steps_with_score": [[step(8), step(0)]] * 4,
    }
    return Dataset.from_dict({**{name: ds[name][:] for name in ds.column_names}, **more})


def test_every_method_has_an_entry():
    """And the two controls of rap, which are scores of their own."""
    assert set(RULES) == {*METHODS, TOP.name, "rap:blank", "rap:shuffled"}
    assert all(rule.formula and rule.defaults and rule.cost for rule in RULES.values())


@pytest.mark.parametrize("name", METHODS)
def test_what_a_rule_needs_is_what_it_reads(name):
    """It works with these columns alone, and tells each that is taken away."""
    needs = RULES[name].needs
    ds = everything().select_columns(["rap_id", *needs])
    options = {"budget": 2} if METHODS[name].needs_budget else {}
    assert len(select_cognitive(ds, method=name, **options).kept_rows)
    for column in needs:
        with pytest.raises(MissingColumnError, match=f"'{column}'"):
            select_cognitive(ds.remove_columns(column), method=name, **options)


NEW = (
    "learnability",
    "pass-gap",
    "any-right",
    "hardest-tenth",
    "variance-promotion",
    "visual-dependence",
    "bis",
    "bis-posterior",
)


@pytest.mark.parametrize("name", NEW)
def test_a_selection_by_a_rule_can_be_made_again_and_overruled(name):
    """From its own record, as JSON keeps it; a mark of a person goes before it."""
    options = {"budget": 2} if METHODS[name].needs_budget else {}
    selection = select_cognitive(everything(), method=name, **options)
    rule = json.loads(json.dumps(selection.rule))
    assert select_again(selection.scored, rule).scored["rap_reason"][:] == selection.scored["rap_reason"][:]
    first = int(selection.kept_rows[0])
    marked = select_cognitive(everything(), method=name, overrides={f"row {first}": "wrong_gold"}, **options)
    assert marked.scored["rap_reason"][first] == "wrong_gold"


@pytest.mark.parametrize("name", ["learnability", "pass-gap", "any-right", "hardest-tenth"])
def test_a_rule_by_counts_decides_the_same_on_these_counts(name):
    """What stability repeats is the rule itself; rows without an image go by the attempts on their text."""
    rows = {
        "rap_id": list("abcd"),
        "rap_image_rewards": [[1.0, 0.0], [0.0, 0.0], None, [1.0, 1.0]],
        "rap_text_rewards": [[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]],
        "rap_error": [None, None, "no_image: the row has none", None],
    }
    ds = add_scores(Dataset.from_dict(rows), difficulty_score)
    options = {"budget": 2} if METHODS[name].needs_budget else {}
    selection = select_cognitive(ds, method=name, **options)
    again = decide_again(ds, selection.rule)(*read_counts("test", ds))
    assert np.flatnonzero(again).tolist() == selection.kept_rows.tolist()


def test_tokens_of_a_rule_are_those_of_the_replies_that_it_reads():
    """By hand: 29 with the image, of which the first ones have 17, and 12 on the question alone."""
    ds = everything().add_column("rap_text_tokens", [[1, 2], [3], None, [6]])
    found = {name: tokens_of(ds, RULES[name]) for name in ("rap", "difficulty", "s1", "random", "limr", "rap:blank")}
    assert found == {"rap": 41, "difficulty": 29, "s1": 17, "random": 0, "limr": None, "rap:blank": None}
