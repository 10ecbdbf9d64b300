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
    """k = (K + 1)(1 - recall) / share is 1 at K = 99 for 99 % where nearly all rows are others, 198 still give 1, and 199 give 2."""
    none = Probing(recall=0.99, audit=0)
    assert [none.may_lose(count, 1, 10**9) for count in (98, 99, 198, 199)] == [0, 1, 1, 2]
    assert [Probing(recall=0.9, audit=0).may_lose(count, 1, 10**9) for count in (8, 9)] == [0, 1]


def test_rows_of_slice_and_audit_cannot_be_lost():
    """A quarter is labelled, and a tenth of the rest audited: of 100 rows worth keeping 67.5 can be lost, so 67 labelled ones do.

    (66 + 1) 0.01 = 0.67 is below 0.75 * 0.9 = 0.675, and (67 + 1) 0.01 is not. Where all are labelled, it is as if others were to come.
    """
    probing = Probing(recall=0.99, audit=0.1)
    assert [probing.may_lose(count, 250, 1_000) for count in (66, 67)] == [0, 1]
    assert probing.may_lose(67, 1_000, 1_000) == 0
    assert Probing(recall=0.5, audit=1.0).may_lose(7, 250, 1_000) == 7
    assert Probing(recall=0.5, audit=0.0).may_lose(1, 999, 1_000) == 1


def test_a_slice_and_audit_lose_no_more_than_was_asked():
    """2,000 draws of a slice and an audit from 40 rows worth keeping among 120, foretold at random: 10 % lost, or less, on average."""
    rng, probing = np.random.default_rng(0), Probing(recall=0.9, audit=0.2, first=40)
    worth, lost = np.arange(120) < 40, []
    for _ in range(2_000):
        foretold, order, audited = rng.random(120), rng.permutation(120), rng.random(120) < probing.audit
        size = 10
        while not (place := probing.may_lose(int(worth[order[:size]].sum()), size, 120)):
            size = next_size(size, probing.needed(int(worth[order[:size]].sum()), size, 120), 120)
            assert size < 120
        slice_ = order[:size]
        cut = np.sort(foretold[slice_][worth[slice_]])[place - 1]
        out = (foretold < cut) & ~audited
        out[slice_] = False
        lost.append((out & worth).sum() / 40)
    assert 0.07 < np.mean(lost) < 0.1 + 3 * np.std(lost) / 2_000**0.5


def test_the_slice_grows_to_what_it_needs():
    """60 of 200 are worth keeping: (0.3 n + 1) 0.01 >= (1 - n / 5,000) 0.95 from n = 295 on; of none nobody can tell, so threefold."""
    probing = Probing(recall=0.99, audit=0.05)
    assert probing.needed(60, 200, 5_000) == 295
    assert probing.may_lose(round(0.3 * 295 + 0.5), 295, 5_000) == 1
    assert next_size(200, probing.needed(0, 200, 5_000), 5_000) == 600
    assert next_size(200, 201, 5_000) == 220
    assert next_size(200, 330, 250) == 250


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
    assert record["why"].startswith("60 rows are labelled, ")
    assert record["why"].endswith(" of them worth keeping (cde > 0.5), too few for a cut at recall 0.99")
