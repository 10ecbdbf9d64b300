"""The cut of a probe and its audit: numbers worked out by hand, and a collection on planted rows."""

import json

import numpy as np
import pytest

from hf_rap import Rollouts, collect_in_run, fit_prior
from hf_rap.adaptive.probed import collect_probed
from hf_rap.adaptive.probing import Probing, audit_of, next_size, share_at_most
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import SettingError
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import Posterior, fit_counts

pytest.importorskip("sklearn", reason="pip install hf-rap[probe]")


def test_a_recall_says_how_many_rows_a_cut_takes():
    """k = (K + 1)(1 - recall) is 1 at K = 99 for 99 %, at 9 for 90 %; 198 still give 1, and 199 give 2."""
    assert (Probing(recall=0.99).needed, Probing(recall=0.95).needed, Probing(recall=0.9).needed) == (99, 19, 9)
    assert [Probing(recall=0.99).may_lose(count) for count in (98, 99, 198, 199)] == [0, 1, 1, 2]


def test_the_slice_grows_to_what_it_needs():
    """60 of 200 are worth keeping: 99 take 330; of none nobody can tell, so threefold; and never beyond all rows."""
    assert next_size(200, 60, 99, 5_000) == 330
    assert next_size(200, 0, 99, 5_000) == 600
    assert next_size(200, 60, 99, 250) == 250


def test_the_audit_bounds_what_was_lost():
    """No success in 100 trials: at most 1 - 0.05 ** (1 / 100); 2 of 100 audited among 1,000 left out are 20 lost beside 180."""
    assert share_at_most(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert share_at_most(3, 3) == 1
    audit = audit_of(100, 2, 1_000, 180)
    assert audit.recall == 0.9
    assert audit.low < 0.9
    assert audit_of(0, 0, 1_000, 180).recall is None


@pytest.mark.parametrize("options", [{"recall": 1}, {"recall": 0}, {"first": 10}, {"audit": 2}, {"settle": 0}])
def test_options_out_of_their_range(options):
    """Refused by name."""
    with pytest.raises(SettingError, match=next(iter(options))):
        Probing(**options)


def test_each_row_has_a_prior_by_what_is_foretold():
    """400 rows that are solved as foretold: one attempt says little beside it, and no foretelling leaves the prior of all."""
    rng = np.random.default_rng(0)
    rates = np.repeat([[0.05, 0.05], [0.95, 0.05]], 200, axis=0) + rng.uniform(-0.04, 0.04, (400, 2))
    image, text = (Counts(rng.binomial(4, arm).astype(float), np.full(400, 4)) for arm in rates.T)
    prior = fit_counts(image, text, rates=rates)
    asked = np.array([[0.05, 0.05], [0.95, 0.05], [np.nan, np.nan]])
    one = Counts(np.ones(3), np.ones(3, dtype=np.int64)), Counts(np.zeros(3), np.ones(3, dtype=np.int64))
    low, high, unknown = Posterior(prior, *one, asked).cde_above(0.5)
    assert low < unknown < high
    assert high > 0.95
    (alone,) = Posterior(fit_counts(image, text), *(arm.rows([0]) for arm in one)).cde_above(0.5)
    assert unknown == pytest.approx(alone)
    with pytest.raises(SettingError, match="nothing is foretold"):
        Posterior(prior, *one)
    with pytest.raises(SettingError, match="probe is 'yes'"):
        fit_prior(None, probe="yes")


@pytest.mark.exhaustive
def test_a_collection_leaves_out_and_can_go_on(tmp_path):
    """At recall 70 % on 240 planted rows: those left out say so, the same again gives the same, and all can be made later."""
    ds, rollouts = make_planted(240), Rollouts(demo_engine(), attempts=3, max_new_tokens=48)
    options = {"probing": Probing(recall=0.7, first=80, audit=0.1), "url": str(tmp_path / "run")}
    made = collect_probed(ds, rollouts, **options)
    record = json.loads(made["rap_probed"][0])
    out = [str(error).startswith("below_probe: foretold cde is ") for error in made["rap_error"]]
    assert sum(out) == record["left_out"] > 60
    assert all(
        row["rap_image_rewards"] is None for row, left in zip(made.remove_columns("images"), out, strict=True) if left
    )
    again = collect_probed(ds, rollouts, **options)
    assert again.remove_columns("images").to_list() == made.remove_columns("images").to_list()
    later = collect_in_run(ds, rollouts, options["url"])
    assert not any(str(error).startswith("below_probe") for error in later["rap_error"])
    cannot = collect_probed(ds.select(range(60)), rollouts, url=options["url"])
    record = json.loads(cannot["rap_probed"][0])
    assert (record["cut"], record["labelled"]) == (None, 60)
    assert "a cut at recall 0.99 takes 99 of these" in record["why"]
