"""Rows that a probe rules out are not rolled out, the same ones however often it is started, and can be rolled out later."""

import json

import pytest

from hf_rap import (
    Probing,
    Rollouts,
    add_scores,
    cde_score,
    collect_in_run,
    collect_probed,
    difficulty_score,
    select_cognitive,
)
from hf_rap.demo import demo_engine, make_planted

pytest.importorskip("sklearn", reason="scikit-learn is an extra")
pytestmark = pytest.mark.exhaustive
PROBING = Probing(recall=0.8, first=60, audit=0.1, settle=3)


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """160 planted rows, two attempts."""
    url = str(tmp_path_factory.mktemp("probed") / "run")
    planted, rollouts = make_planted(160), Rollouts(demo_engine(), attempts=2, max_new_tokens=64)
    return planted, rollouts, url, collect_probed(planted, rollouts, probing=PROBING, url=url)


def test_some_rows_are_left_out_and_say_so(collected):
    """With the reason of a selection, and what was done in every row."""
    _, _, _, evidence = collected
    (record,) = {text for text in evidence["rap_probed"] if text}
    record = json.loads(record)
    left_out = [row for row, error in enumerate(evidence["rap_error"]) if (error or "").startswith("below_probe")]
    assert len(left_out) == record["left_out"] > 0
    assert record["labelled"] >= 60
    assert all(not evidence["rap_image_responses"][row] for row in left_out)
    selection = select_cognitive(add_scores(evidence, cde_score, difficulty_score))
    assert selection.reasons["below_probe"] == len(left_out)


def test_a_second_start_says_the_same(collected):
    """All that it needs is in the run."""
    planted, rollouts, url, evidence = collected
    again = collect_probed(planted, rollouts, probing=PROBING, url=url)
    assert again.to_list() == evidence.to_list()


def test_what_was_left_out_is_rolled_out_later(collected):
    """The same run without a probe has all attempts, those that are there as they were."""
    planted, rollouts, url, evidence = collected
    whole = collect_in_run(planted, rollouts, url)
    assert {len(replies) for replies in whole["rap_image_responses"] if replies is not None} == {2}
    for before, after in zip(evidence["rap_image_responses"], whole["rap_image_responses"], strict=True):
        assert not before or before == after
