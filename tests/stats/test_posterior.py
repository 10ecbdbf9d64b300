"""What a few attempts say about pass rates, against closed forms and brute force."""

import numpy as np
import pytest

from hf_rap.errors import SettingError
from hf_rap.stats.beta import CELLS, fit_beta, grid
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import Posterior, Prior, fit_counts


def counts(solved, judged) -> Counts:
    solved = np.asarray(solved, dtype=float)
    return Counts(solved, np.broadcast_to(np.asarray(judged, dtype=np.int64), solved.shape))


def simulate(rows: int, attempts: int, seed: int = 0):
    """Pass rates (p1, p0) where the text alone is never better, and counts of both arms."""
    random = np.random.default_rng(seed)
    p1 = random.beta(0.6, 0.6, rows)
    p0 = p1 * random.random(rows)
    return p1, p0, *(counts(random.binomial(attempts, p), attempts) for p in (p1, p0))


FLAT = fit_counts(counts([], 1), counts([], 1))


@pytest.mark.parametrize(("solved", "judged"), [(5, 5), (0, 5), (3, 8), (20, 32)])
def test_a_flat_prior_gives_the_beta_posterior(solved, judged):
    """Without anything known beforehand p1 is Beta(k + 1, n - k + 1)."""
    posterior = Posterior(FLAT, counts([solved], judged), counts([0], 0))
    a, b = solved + 1, judged - solved + 1
    random = np.random.default_rng(0)
    drawn = random.beta(a, b, 400_000)
    assert posterior.pass_rate_mean()[0] == pytest.approx(a / (a + b), abs=0.002)
    low, high = posterior.pass_rate_interval(0.9)
    assert [low[0], high[0]] == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=0.005)
    assert posterior.pass_rate_within(0.3, 0.71)[0] == pytest.approx(
        np.mean((drawn >= 0.3) & (drawn <= 0.71)), abs=0.005
    )


def test_five_of_five_by_hand():
    """The distribution function of Beta(6, 1) is x^6."""
    posterior = Posterior(FLAT, counts([5], 5), counts([0], 0))
    low, high = posterior.pass_rate_interval(0.9)
    assert low[0] == pytest.approx(0.05 ** (1 / 6), abs=0.003)
    assert high[0] == pytest.approx(0.95 ** (1 / 6), abs=0.003)
    assert posterior.pass_rate_within(0.5, 1)[0] == pytest.approx(1 - 0.5**6, abs=0.002)


def test_cde_against_brute_force():
    """Pass rates are drawn from the prior, counts from them, and those are kept that came out as observed."""
    _, _, image, text = simulate(3_000, 5)
    prior = fit_counts(image, text)
    random = np.random.default_rng(1)
    cell = random.choice(prior.weights.size, 2_000_000, p=prior.weights.ravel())
    p1, p0 = (grid()[part] for part in np.divmod(cell, CELLS + 2))
    k1, k0 = random.binomial(5, p1), random.binomial(3, p0)
    for one, other in ((5, 0), (4, 1), (3, 0), (2, 2)):
        cde = (p1 - p0)[(k1 == one) & (k0 == other)]
        posterior = Posterior(prior, counts([one], 5), counts([other], 3))
        assert posterior.cde_mean()[0] == pytest.approx(cde.mean(), abs=0.006)
        assert posterior.cde_above(0.47)[0] == pytest.approx(np.mean(cde > 0.47), abs=0.012)
        low, high = posterior.cde_interval(0.8)
        assert [low[0], high[0]] == pytest.approx(np.quantile(cde, [0.1, 0.9]), abs=0.025)


@pytest.mark.parametrize("attempts", [3, 5, 16])
def test_probabilities_come_true(attempts):
    """Of the rows that are above the threshold with probability P, a share of P is; the interval holds 90 %."""
    p1, p0, image, text = simulate(4_000, attempts)
    posterior = Posterior(fit_counts(image, text), image, text)
    said, true = posterior.cde_above(0.5), p1 - p0 > 0.5
    tenth = np.minimum((said * 10).astype(int), 9)
    off = sum(abs(np.sum(said[tenth == one]) - np.sum(true[tenth == one])) for one in range(10)) / len(said)
    assert off < 0.03
    low, high = posterior.cde_interval(0.9)
    assert np.mean((p1 - p0 >= low) & (p1 - p0 <= high)) == pytest.approx(0.9, abs=0.05)
    assert np.mean(posterior.cde_mean()) == pytest.approx(np.mean(p1 - p0), abs=0.02)


def test_arms_of_a_row_are_not_independent():
    """The product of two Betas misses that the text alone is never better; the joint prior does not."""
    p1, p0, image, text = simulate(4_000, 5)
    joint = fit_counts(image, text)
    product = np.outer(joint.weights.sum(axis=1), joint.weights.sum(axis=0))
    apart = Prior(product, joint.rows, joint.image, joint.text)
    image_solved, text_solved = counts([5.0], 5), counts([2.0], 5)
    true = np.mean((p1 - p0 > 0.5)[(image.solved == 5) & (text.solved == 2)])
    with_joint, with_product = (
        Posterior(prior, image_solved, text_solved).cde_above(0.5)[0] for prior in (joint, apart)
    )
    assert abs(with_joint - true) < 0.05 < abs(with_product - true)


def test_draws_follow_the_posterior():
    """As many draws are above the threshold as the probabilities say, row by row."""
    image, text = counts(np.repeat([5.0, 3, 0], 20_000), 5), counts(np.repeat([1.0, 0, 4], 20_000), 5)
    posterior = Posterior(FLAT, image, text)
    p1, p0 = posterior.draw(np.random.default_rng(0))
    assert min(p1.min(), p0.min()) >= 0
    assert max(p1.max(), p0.max()) <= 1
    for start in (0, 20_000, 40_000):
        rows = slice(start, start + 20_000)
        assert np.mean((p1 - p0)[rows] > 0.4) == pytest.approx(posterior.cde_above(0.4)[start], abs=0.015)
        assert np.mean(p1[rows]) == pytest.approx(posterior.pass_rate_mean()[start], abs=0.01)


def test_order_of_rows_does_not_matter():
    """Every row gets what its own counts say."""
    _, _, image, text = simulate(200, 4)
    turned = np.random.default_rng(3).permutation(200)
    prior = fit_counts(image, text)
    found = Posterior(prior, image, text).cde_above(0.5)
    again = Posterior(
        prior, Counts(image.solved[turned], image.judged[turned]), Counts(text.solved[turned], text.judged[turned])
    )
    assert np.array_equal(again.cde_above(0.5), found[turned])


def test_the_beta_is_found_again():
    """Ten thousand rows of Beta(2, 0.7) with rows of 3, 5 and 16 attempts."""
    random = np.random.default_rng(0)
    judged = random.choice([3, 5, 16], 10_000)
    a, b = fit_beta(counts(random.binomial(judged, random.beta(2, 0.7, 10_000)), judged))
    assert a == pytest.approx(2, rel=0.1)
    assert b == pytest.approx(0.7, rel=0.1)


@pytest.mark.parametrize("solved", [0, 2, 5])
def test_rows_that_are_all_alike(solved):
    """All rows with the same counts have a prior, near these counts."""
    same = counts(np.full(100, float(solved)), 5)
    posterior = Posterior(fit_counts(same, same), same, same)
    assert posterior.pass_rate_mean()[0] == pytest.approx(solved / 5, abs=0.05)
    assert posterior.cde_mean()[0] == pytest.approx(0, abs=0.01)


def test_too_few_rows_are_told_of():
    """Under 30 rows nothing is fitted; an arm that was not asked leaves the other as it is."""
    few = fit_counts(counts([1.0, 2], 3), counts([0.0, 0], 3))
    assert "2 rows have judged attempts with the image and 2 rows" in few.note
    assert np.array_equal(few.weights, FLAT.weights)
    assert fit_counts(counts(np.ones(30), 3), counts(np.ones(30), 3)).note is None
    alone = fit_counts(counts(np.full(100, 3.0), 3), counts(np.zeros(100), 0))
    assert "0 rows have judged attempts on the question alone" in alone.note
    assert Posterior(alone, counts([1.0], 1), counts([0.0], 0)).pass_rate_mean()[0] > 0.95


def test_what_was_not_judged():
    """A row without attempts is unknown; one arm alone leans on the prior for the other."""
    _, _, image, text = simulate(500, 5)
    prior = fit_counts(image, text)
    posterior = Posterior(prior, Counts(np.array([0.0, 5]), np.array([0, 5])), counts([0.0, 0], 0))
    assert np.isnan(posterior.cde_above(0.5)[0])
    assert np.isnan(posterior.cde_interval()[0][0])
    assert 0 < posterior.cde_above(0.5)[1] < 1


def test_parts_of_a_reward():
    """Rewards between 0 and 1 lie between those of 0 and 1."""
    image = counts([2.0, 2.5, 3.0], 5)
    means = Posterior(FLAT, image, counts([0.0] * 3, 0)).pass_rate_mean()
    assert means[0] < means[1] < means[2]
    assert means[1] == pytest.approx(3.5 / 7, abs=0.002)


@pytest.mark.parametrize("solved", [-1.0, 6.0, np.nan])
def test_what_is_no_count(solved):
    """The row and its counts are named."""
    with pytest.raises(SettingError, match=r"row 1, with .* of 5"):
        fit_counts(counts([1.0, solved], 5), counts([1.0, 1], 5))


def test_lengths_must_agree():
    """Both arms belong to the same rows."""
    with pytest.raises(SettingError, match="lengths"):
        fit_counts(counts([1.0], 5), counts([1.0, 1], 5))


def test_a_level_is_a_share():
    """90 is no share."""
    with pytest.raises(SettingError, match="90"):
        Posterior(FLAT, counts([1.0], 5), counts([1.0], 5)).cde_interval(90)
