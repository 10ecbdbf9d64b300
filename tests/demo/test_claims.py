"""What the README claims of planted rows, measured on the built-in model."""

import pytest

from hf_rap import Rollouts, add_scores, cde_score, collect_evidence, difficulty_score, select_cognitive
from hf_rap.cli.demo_results import kept_share, precision, results_per_kind
from hf_rap.demo import demo_engine, make_planted


@pytest.fixture(scope="module")
def scored():
    """600 planted rows with their scores, five attempts per arm."""
    evidence = collect_evidence(make_planted(600), Rollouts(demo_engine(), attempts=5, max_new_tokens=64))
    return add_scores(evidence, cde_score, difficulty_score)


@pytest.mark.slow
def test_kept_rows_need_their_image(scored):
    """By cde alone at 0.5: at least 97 % need it, and at most 2 % of those that the text gives away are kept."""
    results = results_per_kind(select_cognitive(scored, min_cde=0.5, replace_easy=False))
    assert precision(results) >= 0.97
    assert kept_share(results, "text_gives_it_away") <= 0.02
    assert kept_share(results, "needs_image") >= 0.5


@pytest.mark.slow
def test_kept_rows_need_their_image_by_default_too(scored):
    """With a floor for replacements, and not without."""
    assert precision(results_per_kind(select_cognitive(scored))) >= 0.97
    assert precision(results_per_kind(select_cognitive(scored, method="rap-paper"))) < 0.97


@pytest.mark.slow
def test_pass_rates_spread(scored):
    """Some kinds are always solved, some never, some in between."""
    rates = {result.kind: result.image_rate for result in results_per_kind(select_cognitive(scored))}
    assert rates["trivial"] > 0.95
    assert rates["unsolvable"] < 0.1
    assert 0.3 < rates["hard"] < 0.8
    assert rates["gold_unreadable"] is None
