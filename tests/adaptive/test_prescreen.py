"""The pre-screen: what is left out, what is not, and that nothing is lost without a word."""

from dataclasses import dataclass, field

import pytest
from datasets import Dataset, Value

from hf_rap import (
    Likelihood,
    Rollouts,
    add_scores,
    cde_score,
    collect_evidence,
    collect_in_run,
    difficulty_score,
    select_cognitive,
)
from hf_rap.adaptive.prescreen import collect_prescreened
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.scorers import likelihood_cde_score


@dataclass(frozen=True)
class Counting:
    """The built-in model, and which rows it was asked."""

    seen: list = field(default_factory=list, compare=False)

    def complete(self, requests, sampling):
        self.seen.extend(request.row_id for request in requests)
        return demo_engine().complete(requests, sampling)

    def describe(self):
        return demo_engine().describe()


SCORES = [-3.0, None, 0.5, -0.25, 2.0, -1.0, 0.0, 7.0, -9.0, 0.25, 0.75, 1.0]


def looked_at(scores=SCORES):
    """Twelve planted rows with these scores of the first look."""
    return make_planted(12).add_column("rap_likelihood_cde", scores, feature=Value("float64"))


def rollouts(engine=None):
    return Rollouts(engine or demo_engine(), attempts=2, max_new_tokens=48)


def bare(ds):
    return ds.remove_columns("images").to_list()


@pytest.mark.slow
def test_rows_below_the_cut_are_not_asked_and_say_so():
    """The others have the same evidence as without, all in the order of the dataset."""
    engine = Counting()
    found = collect_prescreened(looked_at(), rollouts(engine), min_likelihood_cde=-0.5)
    rows, plain = bare(found.evidence), bare(collect_evidence(looked_at(), rollouts()))
    out = [0, 5, 8]
    assert (found.cut, found.left_out) == (-0.5, 3)
    assert not {rows[place]["rap_id"] for place in out} & set(engine.seen)
    assert rows[0]["rap_error"] == "below_prescreen: likelihood_cde is -3, below -0.5: not rolled out"
    assert [rows[place]["rap_id"] for place in out] == [plain[place]["rap_id"] for place in out]
    evidence = [column.name for column in rollouts().writes if column.name not in {"rap_id", "rap_error"}]
    assert all(rows[place][name] is None for place in out for name in evidence)
    assert [row for place, row in enumerate(rows) if place not in out] == [
        row for place, row in enumerate(plain) if place not in out
    ]
    assert found.evidence.features == collect_evidence(looked_at(), rollouts()).features


def test_the_reason_survives_into_the_selection():
    """Such a row is neither kept nor a replacement, and nothing is hidden."""
    found = collect_prescreened(looked_at(), rollouts(), min_likelihood_cde="q0.5")
    scored = add_scores(found.evidence, cde_score, difficulty_score)
    selection = select_cognitive(scored)
    assert selection.reasons["below_prescreen"] == found.left_out == 5
    assert found.cut == 0.25  # the middle of eleven that are known


def test_unknown_is_not_low_and_the_edge_stays():
    """A row without a score is rolled out, and so is one at the cut."""
    found = collect_prescreened(looked_at(), rollouts(), min_likelihood_cde=7.0)
    passed = [row["rap_likelihood_cde"] for row in bare(found.evidence) if "below" not in (row["rap_error"] or "")]
    assert passed == [None, 7.0]
    assert collect_prescreened(looked_at(), rollouts(), min_likelihood_cde=-10).left_out == 0


@pytest.mark.slow
def test_a_run_is_reused_with_another_cut(tmp_path):
    """The cut is no part of what a run depends on."""

    def through(ds, collector):
        return collect_in_run(ds, collector, str(tmp_path / "run"))

    engine = Counting()
    first = collect_prescreened(looked_at(), rollouts(engine), min_likelihood_cde=0.5, collect=through)
    asked = set(engine.seen)
    engine.seen.clear()
    second = collect_prescreened(looked_at(), rollouts(engine), min_likelihood_cde=-0.5, collect=through)
    assert first.left_out > second.left_out
    assert not asked & set(engine.seen)
    assert bare(second.evidence) == bare(collect_prescreened(looked_at(), rollouts(), min_likelihood_cde=-0.5).evidence)


def test_what_cannot_work_is_refused():
    """No first look yet, no cut, no row that passes."""
    with pytest.raises(MissingColumnError, match="hf-rap likelihood"):
        collect_prescreened(make_planted(12), rollouts(), min_likelihood_cde=0)
    with pytest.raises(SettingError, match="min_likelihood_cde is 'low'"):
        collect_prescreened(looked_at(), rollouts(), min_likelihood_cde="low")
    with pytest.raises(SettingError, match="No row has a rap_likelihood_cde of at least 9"):
        collect_prescreened(looked_at([0.0] * 12), rollouts(), min_likelihood_cde=9)


def test_a_shuffled_dataset_gives_the_same_rows():
    """An indices mapping changes nothing but the order."""
    straight = bare(collect_prescreened(looked_at(), rollouts(), min_likelihood_cde=0).evidence)
    mixed = bare(collect_prescreened(looked_at().shuffle(seed=3), rollouts(), min_likelihood_cde=0).evidence)
    assert sorted(mixed, key=lambda row: row["id"]) == sorted(straight, key=lambda row: row["id"])


def test_from_the_first_look_to_the_evidence():
    """Likelihood, its score, and the pre-screen, one after the other."""
    looked = add_scores(collect_evidence(make_planted(12), Likelihood(demo_engine())), likelihood_cde_score)
    found = collect_prescreened(looked, rollouts(), min_likelihood_cde="q0.3")
    assert isinstance(found.evidence, Dataset)
    assert 1 <= found.left_out <= 3
