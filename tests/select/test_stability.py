"""What is said about a fresh scoring, against fresh scorings."""

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from hf_rap import stability
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.scorers import add_scores, cde_score, difficulty_score
from hf_rap.select import select_cognitive, select_difficulty, split_stages
from hf_rap.select.held_out import HeldOut
from hf_rap.select.stability import describe_stability
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts


def pass_rates(rows, seed):
    """Rows that the text alone never answers more often than the image does."""
    random = np.random.default_rng(seed)
    p1 = random.beta(0.6, 0.6, rows)
    return p1, p1 * random.random(rows)


def score(rates, attempts, seed):
    """One scoring of rows with these pass rates."""
    random = np.random.default_rng(seed)
    columns = {"rap_id": [f"row {number}" for number in range(len(rates[0]))]}
    for name, rate in zip(("rap_image_rewards", "rap_text_rewards"), rates, strict=True):
        rewards = (random.random((len(rate), attempts)) < rate[:, None]).astype(float)
        starts = np.arange(0, rewards.size + 1, attempts, dtype=np.int32)
        columns[name] = pa.ListArray.from_arrays(pa.array(starts), pa.array(rewards.ravel()))
    return add_scores(Dataset(pa.table(columns)), cde_score, difficulty_score)


def overlap(one, other):
    kept = [set(selection.kept_rows.tolist()) for selection in (one, other)]
    return len(kept[0] & kept[1]) / len(kept[0] | kept[1])


RULES = {
    "cde alone": {"replace_easy": False},
    "with replacement": {},
    "with a floor": {"min_replacement_cde": 0.1},
    "budget": {"budget": 0.1},
    "quantile": {"min_cde": "q0.8", "replace_easy": False},
    "probability": {"min_cde": 0.3, "min_probability": 0.6, "replace_easy": False},
    "band": {"method": "difficulty"},
    "released": {"method": "rap-released"},
    "hardest": {"method": "hardest", "budget": 0.3},
    "learnability": {"method": "learnability", "budget": 0.3},
    "pass-gap": {"method": "pass-gap", "budget": 0.3},
    "any-right": {"method": "any-right"},
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_reruns_agree_as_far_as_was_said(rule):
    """Within 0.05 of the mean overlap with three fresh scorings of the same rows, five attempts."""
    rates = pass_rates(1500, seed=1)
    first = select_cognitive(score(rates, 5, seed=2), **rule)
    said = stability(first.scored, first.rule, attempts=[5])
    real = [overlap(first, select_cognitive(score(rates, 5, seed=seed), **rule)) for seed in (3, 4, 5)]
    assert said.jaccard == pytest.approx(np.mean(real), abs=0.05)
    assert said.lowest - 0.05 < min(real) <= max(real) < said.highest + 0.05
    assert [point.jaccard for point in said.curve] == [said.jaccard]


def test_the_share_that_is_kept_again_is_that_of_the_selection():
    """Against how much of the first selection three fresh scorings kept, on average."""
    rates = pass_rates(1500, seed=1)
    first = select_cognitive(score(rates, 5, seed=2), replace_easy=False)
    said = stability(first.scored, first.rule)
    again = [select_cognitive(score(rates, 5, seed=seed), replace_easy=False) for seed in (3, 4, 5)]
    shares = [np.isin(first.kept_rows, other.kept_rows).mean() for other in again]
    assert said.kept_again == pytest.approx(np.mean(shares), abs=0.05)
    assert said.kept == len(first.kept_rows)


@pytest.mark.parametrize("attempts", [3, 16])
def test_other_numbers_of_attempts(attempts):
    """From five attempts it is said how far two scorings with three, or sixteen, agree."""
    rates = pass_rates(3000, seed=1)
    curve = stability(score(rates, 5, seed=2), {"replace_easy": False}, attempts=[attempts]).curve
    one, other = (select_cognitive(score(rates, attempts, seed=seed), replace_easy=False) for seed in (3, 4))
    (said,) = [point.jaccard for point in curve if point.attempts == attempts]
    assert said == pytest.approx(overlap(one, other), abs=0.05)


def test_rows_that_nothing_can_move():
    """All attempts right with the image and wrong without, in forty rows: a fresh scoring keeps nearly all."""
    ds = Dataset.from_dict({"rap_image_rewards": [[1.0] * 8] * 40, "rap_text_rewards": [[0.0] * 8] * 40})
    found = stability(ds, {"replace_easy": False})
    assert found.kept == 40
    assert found.attempts == 8
    assert found.jaccard > 0.97
    assert [point.attempts for point in found.curve] == [5, 8, 16, 32]


def test_a_rule_may_be_that_of_a_selection():
    """The thresholds as they were asked for, the same as the options by name."""
    selection = select_cognitive(score(pass_rates(200, 1), 5, 2), min_cde="q0.7", seed=3)
    by_name = stability(selection.scored, {"min_cde": "q0.7", "seed": 3})
    assert stability(selection.scored, selection.rule) == by_name
    assert describe_stability(selection) == by_name.as_dict()


def test_attempts_that_were_not_judged():
    """They stay not judged, and a row without any is never kept."""
    image, text = [[1.0, None, 1.0], None] * 20, [[0.0, 0.0, None], [0.0]] * 20
    found = stability(
        Dataset.from_dict({"rap_image_rewards": image, "rap_text_rewards": text}), {"replace_easy": False}
    )
    assert found.kept == 20
    assert found.attempts == 2
    assert "20 rows have judged attempts with the image" in found.note


def test_rows_with_other_numbers_of_attempts():
    """No number stands for the dataset then."""
    image, text = [[1.0] * 3, [1.0] * 9] * 20, [[0.0] * 3, [0.0] * 9] * 20
    found = stability(
        Dataset.from_dict({"rap_image_rewards": image, "rap_text_rewards": text}), {"replace_easy": False}
    )
    assert found.attempts is None
    assert [point.attempts for point in found.curve] == [5, 8, 16, 32]


def test_what_cannot_be_said():
    """With the reason, for the card."""
    ds = score(pass_rates(100, 1), 5, 2)
    unscored = ds.remove_columns(["rap_image_rewards", "rap_text_rewards"])
    assert "rap_image_rewards" in describe_stability(select_cognitive(unscored))["unknown"]
    by_chance = select_cognitive(ds, method="random", budget=10)
    assert "Method 'random' cannot be repeated" in describe_stability(by_chance)["unknown"]
    assert "split_stages" in describe_stability(split_stages(ds).one)["unknown"]
    nothing = select_cognitive(ds, min_cde=1.0)
    assert "no row is kept" in describe_stability(nothing)["unknown"]
    others = ds.remove_columns("rap_cde").add_column("rap_cde", [0.9] * 100)
    assert "another selection" in describe_stability(select_cognitive(others))["unknown"]


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ({"min_cd": 0.5}, {}, "'min_cd', which is no option"),
        ({"low": 0.2}, {}, "'low', which is no option"),
        ({"min_cde": 7}, {}, "min_cde is 7"),
        ({}, {"attempts": [0]}, r"attempts is \[0\]: it takes whole numbers of 1 or more"),
    ],
)
def test_options_out_of_range_are_refused(rule, options, message):
    """Before anything is drawn."""
    with pytest.raises(SettingError, match=message):
        stability(score(pass_rates(100, 1), 5, 2), rule, **options)


def test_the_bounds_of_a_band_are_the_rule():
    """Not the published ones."""
    selection = select_difficulty(score(pass_rates(300, 1), 5, 2), 0.3, 0.7)
    assert describe_stability(selection)["kept"] == len(selection.kept_rows)


def test_missing_rewards_are_told():
    """With a way out."""
    with pytest.raises(MissingColumnError, match=r"Make it first: ds\.map\(Rollouts"):
        stability(Dataset.from_dict({"rap_cde": [0.9]}), {})


def test_the_card_says_it():
    """The overlap, and the curve as a table."""
    selection = select_cognitive(score(pass_rates(300, 1), 5, 2))
    facts = {**collect_facts(selection, name="a", version="1.0.0"), "stability": describe_stability(selection)}
    card = render_card(facts)
    said = facts["stability"]
    assert f"are expected to overlap by {100 * said['jaccard']:.1f} %" in card
    assert f"| 5 (as here) | {100 * said['jaccard']:.1f} % |" in card
    assert "| 32 |" in card
    unknown = render_card({**facts, "stability": {"unknown": "why not"}})
    assert "unknown (why not)" in unknown


def test_a_selection_is_its_rows_and_its_rule():
    """As a newcomer calls it, with or without the rows beside it."""
    rewards = {"rap_image_rewards": [[1.0] * 5, [1.0, 0.0, 0.0, 0.0, 0.0]] * 50, "rap_text_rewards": [[0.0] * 5] * 100}
    ds = add_scores(Dataset.from_dict(rewards), cde_score, difficulty_score)
    selection = select_cognitive(ds, min_cde=0.5, replace_easy=False)
    found = stability(ds, selection.rule)
    assert stability(ds, selection) == stability(selection) == stability(selection.scored, selection) == found
    with pytest.raises(
        SettingError, match="rule is None: it takes options of select_cognitive by name, or a Selection"
    ):
        stability(ds)


def test_a_bias_that_both_scorings_share_shows_in_held_out_attempts():
    """60 rows are always right and 60 never; of 20 every second attempt is, and of 4 the others, and a probe foretells all 84 as right.

    Every second attempt keeps 60 + 20 rows, of which the others bear out 60: precision 60 / 80. Those bear out 60 + 4: recall 60 / 64.
    """
    image = [[1.0] * 4] * 60 + [[0.0] * 4] * 60 + [[1.0, 0.0] * 2] * 20 + [[0.0, 1.0] * 2] * 4
    foretold = [0.9] * 60 + [0.05] * 60 + [0.9] * 20 + [0.05] * 4
    columns = {
        "rap_image_rewards": image,
        "rap_text_rewards": [[0.0] * 4] * 144,
        "rap_probe_image_rate": foretold,
        "rap_probe_text_rate": [0.05] * 144,
    }
    ds = add_scores(Dataset.from_dict(columns), cde_score, difficulty_score)
    rule = {"min_cde": 0.5, "min_probability": 0.5, "replace_easy": False, "probe_prior": True}
    found = stability(ds, rule, draws=8)
    assert found.held_out == HeldOut(0.75, 0.9375, 144)
    assert found.as_dict()["held_out"] == {"precision": 0.75, "recall": 0.9375, "rows": 144}
    said = "of 144 rows that half of the attempts decide, by the other half: precision 75.0%, recall 93.8%"
    assert said in repr(found)
    selection = select_cognitive(ds, **rule)
    facts = {**collect_facts(selection, name="a", version="1.0.0"), "stability": describe_stability(selection)}
    assert "(144 rows): precision 75.0 %, recall 93.8 %" in render_card(facts)
    assert "held_out" not in stability(ds, {**rule, "probe_prior": False}, draws=4).as_dict()
