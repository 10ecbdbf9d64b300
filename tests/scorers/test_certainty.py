"""How sure scores are, and selecting on that."""

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from hf_rap import CDEScore, DifficultyScore, add_scores, fit_prior, select_cognitive, select_difficulty, stability
from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.select.rap import NOT_ABOVE
from hf_rap.stats.counts import read_counts
from hf_rap.stats.posterior import Posterior
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts

REWARDS = Features({name: List(Value("float64")) for name in ("rap_image_rewards", "rap_text_rewards")})


def evidence(rows=300, attempts=5, seed=0):
    """Rewards of simulated rows; the last three are told apart by what is missing."""
    random = np.random.default_rng(seed)
    p1 = random.beta(0.6, 0.6, rows)
    p0 = p1 * random.random(rows)
    image, text = ((random.random((rows, attempts)) < p[:, None]).astype(float).tolist() for p in (p1, p0))
    image[-3:], text[-3:] = [[None] * 5, None, [1.0, None, 1.0]], [[0.0], None, [0.0, 1.0, None]]
    return Dataset.from_dict({"rap_image_rewards": image, "rap_text_rewards": text}, features=REWARDS)


def column(ds, name):
    return np.array(ds[name][:], dtype=float)


def test_a_row_gets_what_its_counts_say():
    """The columns are the posterior of the row, whichever batch it came in; null where there is no score."""
    ds = evidence()
    prior = fit_prior(ds)
    scored = add_scores(ds, CDEScore(prior=prior, min_cde=0.4), DifficultyScore(prior=prior, low=0.2, high=0.8))
    posterior = Posterior(prior, *read_counts("test", ds))
    known = ~np.isnan(column(scored, "rap_cde"))
    assert known[-3:].tolist() == [False, False, True]
    for name, expected in {
        "rap_cde_mean": posterior.cde_mean(),
        "rap_cde_low": posterior.cde_interval(0.9)[0],
        "rap_cde_high": posterior.cde_interval(0.9)[1],
        "rap_cde_probability": posterior.cde_above(0.4),
        "rap_difficulty_mean": 1 - posterior.pass_rate_mean(),
        "rap_difficulty_low": 1 - posterior.pass_rate_interval(0.9)[1],
        "rap_difficulty_high": 1 - posterior.pass_rate_interval(0.9)[0],
        "rap_difficulty_probability": posterior.pass_rate_within(0.2, 0.8),
    }.items():
        assert scored.features[name] == Value("float64")
        assert np.isnan(column(scored, name)[~known]).all()
        assert np.allclose(column(scored, name)[known], expected[known], atol=1e-6)
    batched = ds.map(CDEScore(prior=prior, min_cde=0.4), batched=True, batch_size=7)
    assert np.array_equal(column(batched, "rap_cde_low"), column(scored, "rap_cde_low"), equal_nan=True)


def test_five_of_five_is_not_always():
    """Also where most rows are solved, the expected difficulty of a row that was always solved is above 0."""
    ds = evidence()
    prior = fit_prior(ds)
    row = DifficultyScore(prior=prior)({"rap_image_rewards": [[1.0] * 5]})
    assert row["rap_difficulty"] == [0.0]
    assert 0 < row["rap_difficulty_mean"][0] < row["rap_difficulty_high"][0] < 0.5


def test_a_row_without_an_image_is_judged_by_its_question():
    """As `rap_difficulty` is: its attempts on the question alone are those of the row as it is given."""
    prior = fit_prior(evidence())
    alone = {"rap_image_rewards": [None], "rap_text_rewards": [[1.0, 0.0]], "rap_error": ["no_image: none"]}
    with_image = {"rap_image_rewards": [[1.0, 0.0]], "rap_text_rewards": [None], "rap_error": [None]}
    assert DifficultyScore(prior=prior)(alone) == DifficultyScore(prior=prior)(with_image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95, "prior": True}, "confidence is 95: it takes a number above 0 and below 1, or None"),
        ({"confidence": 0.9}, r"needs the prior of the dataset: .*Score\(prior=fit_prior\(ds\)"),
    ],
)
@pytest.mark.parametrize("score", [CDEScore, DifficultyScore])
def test_options_out_of_range_are_refused(score, options, message):
    """Not a percentage, and not without a prior."""
    options = {**options, **({"prior": fit_prior(evidence())} if "prior" in options else {})}
    with pytest.raises(SettingError, match=message):
        score(**options)


def test_thresholds_out_of_range_are_refused():
    """min_cde is a difference of rates, a band lies in [0, 1]."""
    prior, batch = fit_prior(evidence()), {"rap_image_rewards": [[1.0]], "rap_text_rewards": [[1.0]]}
    for outside in (2, 1.01, -1.01):
        with pytest.raises(SettingError, match=f"min_cde is {outside}: it takes a number between -1 and 1"):
            CDEScore(prior=prior, min_cde=outside)
    for bound in (1, -1):
        assert CDEScore(prior=prior, min_cde=bound)(batch)["rap_cde_probability"]
    with pytest.raises(SettingError, match=r"low is 0\.8: it takes a pass rate of at most high=0\.2"):
        DifficultyScore(low=0.8, high=0.2)


def test_what_is_no_reward_is_told():
    """With its row."""
    ds = Dataset.from_dict({"rap_image_rewards": [[1.0], [7.0, 1.0]], "rap_text_rewards": [[1.0], [0.0]]})
    with pytest.raises(LayoutError, match=r"but row 1 has 7\. "):
        fit_prior(ds)
    with pytest.raises(MissingColumnError, match="rap_image_rewards"):
        fit_prior(ds.remove_columns("rap_image_rewards"))
    with pytest.raises(SettingError, match="takes a Dataset, not a list"):
        fit_prior([])


def scored(**options):
    return add_scores(evidence(**options), CDEScore(), DifficultyScore())


def reasons(selection):
    return np.array(selection.scored["rap_reason"][:])


def test_the_surely_needed_rows_are_kept():
    """Exactly those with a probability of at least 0.6; those whose score alone passes are named."""
    ds = scored()
    posterior = Posterior(fit_prior(ds), *read_counts("test", ds))
    cde = column(ds, "rap_cde")
    sure = (posterior.cde_above(0.5) >= 0.6) & ~np.isnan(cde)
    selection = select_cognitive(ds, min_probability=0.6, replace_easy=False)
    assert np.array_equal(np.array(selection.scored["rap_keep"]), sure)
    assert 0 < sure.sum() < np.sum(cde > 0.5)
    assert set(reasons(selection)[sure]) == {"image_probably_needed"}
    assert set(reasons(selection)[~sure & (cde > 0.5)]) == {"not_sure_enough"}
    assert set(reasons(selection)[cde <= 0.5]) == set(NOT_ABOVE[:-1])
    assert selection.rule["min_probability"] == 0.6
    card = render_card(collect_facts(selection, name="a", version="1.0.0"))
    assert "| `min_probability` | 0.6 |" in card
    assert "min_probability=0.6" in card


def test_replacements_need_their_floor_as_surely():
    """Rows that are always solved make room; those that come in have a floor that holds with the probability."""
    ds = scored(rows=2000)
    posterior = Posterior(fit_prior(ds), *read_counts("test", ds))
    selection = select_cognitive(ds, min_probability=0.6, min_replacement_cde=0.2)
    replaced, solved = (reasons(selection) == reason for reason in ("hard_replacement", "always_solved"))
    assert 0 < replaced.sum() <= solved.sum()
    assert posterior.cde_above(0.2)[replaced].min() >= 0.6
    assert posterior.cde_above(0.5)[solved].min() >= 0.6


def test_a_band_that_is_surely_met():
    """The true pass rate is inside with at least the probability."""
    ds = scored()
    inside = Posterior(fit_prior(ds), *read_counts("test", ds)).pass_rate_within(0.2, 0.8)
    selection = select_difficulty(ds, 0.2, 0.8, min_probability=0.7)
    keep = np.array(selection.scored["rap_keep"])
    known = ~np.isnan(column(ds, "rap_difficulty"))
    assert np.array_equal(keep, known & (inside >= 0.7))
    assert set(reasons(selection)[keep]) == {"probably_moderate"}
    assert "not_sure_enough" in selection.reasons
    published = select_cognitive(ds, method="difficulty", min_probability=0.7)
    assert published.rule == {
        "method": "difficulty",
        "method_version": "1",
        "low": 0.084,
        "high": 0.87,
        "min_probability": 0.7,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_probability": 80}, "min_probability is 80: it takes a number above 0 and below 1, or None"),
        ({"min_probability": 0.8, "budget": 10}, "budget how many rows to keep whatever they are: give one"),
        ({"min_probability": 0.8, "method": "random", "budget": 10}, "means nothing to method 'random'"),
        ({"min_probability": 0.8, "method": "rap-released"}, "means nothing to method 'rap-released'"),
    ],
)
def test_what_does_not_go_with_a_probability(options, message):
    """Said before anything is selected."""
    with pytest.raises(SettingError, match=message):
        select_cognitive(scored(), **options)


def test_a_probability_needs_the_attempts():
    """A score alone does not say how many there were."""
    with pytest.raises(MissingColumnError, match="min_probability reads the attempts behind a score"):
        select_cognitive(scored().remove_columns("rap_text_rewards"), min_probability=0.8)


def renamed(ds):
    """The same rewards, of the blank arm instead of the question alone."""
    return ds.rename_column("rap_text_rewards", "rap_blank_rewards")


@pytest.mark.slow
def test_a_control_is_as_sure_as_its_own_attempts():
    """Prior, intervals, min_probability and stability of another control are those of its rewards."""
    text, blank = evidence(), renamed(evidence())
    rule = {"min_probability": 0.8, "replace_easy": False, "min_cde": 0.3}
    found = []
    for ds, control in ((text, "text"), (blank, "blank")):
        scored = add_scores(ds, CDEScore(prior=fit_prior(ds, control=control), control=control), DifficultyScore())
        selection = select_cognitive(scored, **rule)
        told = stability(scored, selection.rule).as_dict()
        found.append((scored["rap_cde_probability"][:], selection.scored["rap_keep"][:], told))
        assert selection.rule.get("control", "text") == control
    assert found[0] == found[1]
    assert sum(found[0][1]) > 10


def test_a_prior_of_another_control_is_refused():
    """Its p0 is another pass rate."""
    ds = evidence().add_column("rap_blank_rewards", evidence(seed=1)["rap_text_rewards"][:])
    with pytest.raises(SettingError, match=r"has a prior for 'text': fit_prior\(ds, control='blank'\)"):
        add_scores(ds, CDEScore(prior=fit_prior(ds), control="blank"))
    scored = add_scores(renamed(evidence()), CDEScore(control="blank"))
    with pytest.raises(MissingColumnError, match="rap_blank_rewards"):
        select_cognitive(scored.remove_columns("rap_blank_rewards"), min_probability=0.8, replace_easy=False)
