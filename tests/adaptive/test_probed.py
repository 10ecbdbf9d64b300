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
from hf_rap.errors import MissingColumnError, SettingError

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


def test_a_source_that_the_slice_does_not_hold_is_rolled_out(tmp_path):
    """Rows that a probe rules out are rolled out where nobody knows their source; rows of known sources are still left out."""
    planted, rollouts, url = (
        make_planted(240),
        Rollouts(demo_engine(), attempts=3, max_new_tokens=48),
        str(tmp_path / "run"),
    )
    options = {"recall": 0.7, "first": 80, "audit": 0.0, "min_auc": 0.6}
    whole = collect_probed(planted, rollouts, probing=Probing(**options), url=url)
    out = [row for row, error in enumerate(whole["rap_error"]) if (error or "").startswith("below_probe")]
    new = out[:20]
    sources = ["new" if row in new else "abc"[row % 3] for row in range(len(planted))]
    evidence = collect_probed(
        planted.add_column("origin", sources), rollouts, probing=Probing(**options, by="origin"), url=url
    )
    assert evidence["rap_id"][:] == whole["rap_id"][:]
    assert json.loads(evidence["rap_probed"][0])["labelled"] == json.loads(whole["rap_probed"][0])["labelled"]
    assert [evidence["rap_probe_cde"][row] for row in new] == [None] * 20
    assert [len(evidence["rap_image_rewards"][row]) for row in new] == [3] * 20
    still = {row for row, error in enumerate(evidence["rap_error"]) if (error or "").startswith("below_probe")}
    assert still
    assert still.isdisjoint(new)

    alone = planted.add_column("origin", ["a"] * len(planted))
    evidence = collect_probed(alone, rollouts, probing=Probing(**options, by="origin"), url=url)
    record = json.loads(evidence["rap_probed"][0])
    assert (record["cut"], record["left_out"]) == (None, 0)
    assert record["why"] == "nothing is foretold of too many of the rows worth keeping"
    assert not any((error or "").startswith("below_probe") for error in evidence["rap_error"])


def test_a_column_of_sources_that_is_not_there_is_refused_at_once(tmp_path):
    """By name, before a run is made."""
    with pytest.raises(MissingColumnError, match="origin"):
        collect_probed(
            make_planted(6), Rollouts(demo_engine()), probing=Probing(by="origin"), url=str(tmp_path / "run")
        )
    assert not list(tmp_path.iterdir())


def test_several_processes_need_the_states_beforehand(tmp_path):
    """A sentence says how; a rank would get no rows of the others."""
    with pytest.raises(SettingError, match=r"collect_in_run\(ds, PromptStates\(engine\), url\)"):
        collect_probed(make_planted(6), Rollouts(demo_engine()), url=str(tmp_path / "run"), rank=1, world=2)
    assert not list(tmp_path.iterdir())
