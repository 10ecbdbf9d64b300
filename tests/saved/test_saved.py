"""What users have on disk from earlier states of hf-rap is read with the same numbers.

Each folder here was written by `make_saved.py` with the code of its day, and is never written again.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from hf_rap.columns import KEEP, REASON
from hf_rap.demo import demo_engine
from hf_rap.errors import SettingError
from hf_rap.evidence.rollouts import Rollouts
from hf_rap.exports.exporting import export
from hf_rap.hub import diff
from hf_rap.hub.pulling import pull
from hf_rap.rows.sources import load_source
from hf_rap.runs.collecting import collect_in_run
from hf_rap.runs.listing import list_runs
from hf_rap.scorers import ACEScore, ace_score, cde_score, difficulty_score
from hf_rap.scorers.base import add_scores
from hf_rap.select import select_cognitive
from hf_rap.select.again import select_again
from hf_rap.select.rap import NOT_ABOVE
from hf_rap.stats.settings import counted

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/told.json"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def saved(request, tmp_path):
    """A copy of such a folder."""
    return Path(shutil.copytree(request.param, tmp_path / "saved"))


@pytest.fixture
def told(saved):
    """The numbers of its day."""
    return json.loads((saved / "told.json").read_text())


def rows_of(path):
    """The rows of a Parquet file as users load them."""
    return load_dataset("parquet", data_files=str(path), split="train")


def test_run_is_listed(saved, told):
    """`hf-rap runs` sees the same rows, attempts and failures."""
    (held,) = list_runs(str(saved / "run"))
    (before,) = told["run"]
    numbers = json.loads(json.dumps({**held.as_dict(), "settings": None}))
    assert {name: numbers[name] for name in before} == before


def test_run_is_continued_without_a_question(saved, told, monkeypatch):
    """Every reply is there: the model is never asked."""

    def refuse(*_args):
        raise AssertionError("the model was asked")

    ds = load_source(str(saved / "rows.parquet"))
    rollouts = Rollouts(demo_engine(), attempts=3, max_new_tokens=48, attention=True, seed=5)
    monkeypatch.setattr("hf_rap.engines.loaded_model.LoadedModel.complete", refuse)
    evidence = collect_in_run(getattr(ds, "dataset", ds), rollouts, str(saved / "run"))
    assert evidence["rap_id"][:] == told["ids"]
    assert evidence["rap_image_rewards"][:] == told["image_rewards"]
    assert evidence["rap_text_rewards"][:] == told["text_rewards"]


def test_run_that_goes_on_is_one_run_of_one_model(saved, told):
    """Old rows with their attempts of now: one entry in `hf-rap runs`, and one kind of settings, with the identity."""
    ds = load_source(str(saved / "rows.parquet"))
    more = Rollouts(demo_engine(), attempts=4, max_new_tokens=48, attention=True, seed=5)
    first = collect_in_run(ds.select(range(4)), more, str(saved / "run"))
    assert [rewards[:3] for rewards in first["rap_image_rewards"]] == told["image_rewards"][:4]
    (held,) = list_runs(str(saved / "run"))
    assert (held.rows, held.fewest_attempts, held.most_attempts) == (20, 3, 4)
    assert held.settings["identity"] == str(demo_engine().identity)
    evidence = collect_in_run(ds, replace(more, attempts=3), str(saved / "run"))
    for column in ("rap_settings", "rap_attention_settings"):
        settings = [json.loads(text) for text in evidence[column] if text is not None]
        assert {entry["identity"] for entry in settings} == {str(demo_engine().identity)}
        assert len({json.dumps(counted(entry), sort_keys=True) for entry in settings}) == 1
        assert not {"weights", "revision", "attention"} & set().union(*settings)
    assert (
        json.loads(evidence["rap_settings"][10])["transformers"]
        == json.loads(rows_of(saved / "scored.parquet")["rap_settings"][10])["transformers"]
    )


def test_evidence_scores_the_same(saved, told):
    """Scores are computed anew from what was stored."""
    stored = rows_of(saved / "scored.parquet")
    names = {"cde": "rap_cde", "difficulty": "rap_difficulty", "ace": "rap_ace"}
    evidence = stored.remove_columns([*names.values(), "rap_ace_settings"])
    scored = add_scores(evidence, cde_score, difficulty_score, ace_score)
    for name, column in names.items():
        assert scored[column][:] == pytest.approx(told[name], abs=1e-6)


@pytest.mark.parametrize("saved", [Path(__file__).parent / "flat_house"], ids=["flat_house"], indirect=True)
def test_attention_of_its_day_gives_the_default_and_says_what_it_lacks(saved, told):
    """From a file, and from a run that is continued, whose parts lack what came later."""
    ds = load_source(str(saved / "rows.parquet"))
    rollouts = Rollouts(demo_engine(), attempts=3, max_new_tokens=48, attention=True, seed=5)
    from_run = collect_in_run(getattr(ds, "dataset", ds), rollouts, str(saved / "run"))
    from_file = rows_of(saved / "scored.parquet").remove_columns(["rap_ace", "rap_ace_settings"])
    for evidence in (from_run, from_file):
        assert add_scores(evidence, ace_score)["rap_ace"][:] == pytest.approx(told["ace"], abs=1e-6)
        for options in ({"normalise": "reply"}, {"part": "answer"}, {"part": "thinking"}):
            with pytest.raises(SettingError, match="of rap_attention, which this evidence does not have"):
                evidence.map(ACEScore(**options), batched=True)


def test_version_holds_the_same_decisions(saved, told):
    """`scored` of the version, and the selection made again from it."""
    scored = load_dataset(str(saved / "version"), "scored", split="train")
    assert scored[KEEP.name][:] == told["keep"]
    assert scored[REASON.name][:] == told["reason"]
    rule = json.loads((saved / "version" / "rap.json").read_text())["facts"]["rule"]
    again = select_again(scored, rule)
    assert again.scored[KEEP.name][:] == told["keep"]
    for was, now in zip(told["reason"], again.scored[REASON.name], strict=True):
        assert now in NOT_ABOVE if was == "image_not_needed" else now == was


@pytest.mark.parametrize("limit", [0.0, 0.2, 1 / 3, 0.5, 2 / 3])
def test_scores_decide_as_in_their_day(saved, told, limit):
    """Also those of single precision on a threshold that rows lie on."""
    before = [cde is not None and np.float32(cde) > np.float32(limit) for cde in told["cde"]]
    selection = select_cognitive(rows_of(saved / "scored.parquet"), min_cde=limit, max_ace=None, replace_easy=False)
    assert selection.scored[KEEP.name][:] == before
    assert selection.scored.features["rap_cde"].dtype == "float64"


def test_a_selection_made_again_differs_in_no_row(saved, tmp_path):
    """`hf-rap diff` between the version and a file of today."""
    again = select_cognitive(rows_of(saved / "scored.parquet"), min_cde=0.2, max_ace=None, method="rap-paper")
    again.scored.to_parquet(tmp_path / "again.parquet")
    found = diff(str(saved / "version"), str(tmp_path / "again.parquet"))
    assert (found.rows, found.facts["kept"]["jaccard"]) == ([], 1.0)


def test_the_rule_of_today_differs_in_rows_without_a_floor(saved, tmp_path):
    """`hf-rap diff` between the version and today's default: a replacement that the image does not help is out."""
    today = select_cognitive(rows_of(saved / "scored.parquet"), min_cde=0.2, max_ace=None)
    today.scored.to_parquet(tmp_path / "today.parquet")
    found = diff(str(saved / "version"), str(tmp_path / "today.parquet"))
    assert found.facts["changes"] == [
        {"change": "removed", "was": "hard_replacement", "now": "solved_without_image", "rows": 1}
    ]


@pytest.mark.parametrize("trainer", ["trl", "universal"])
def test_version_is_exported(saved, told, tmp_path, trainer):
    """By folder and by version, with all of its rows."""
    assert export(saved / "version", to=trainer, path=tmp_path / "exported").handoff.ready == sum(told["keep"])
    pulled = pull(saved / "version", version="1.0.0", to=trainer, path=tmp_path / "pulled")
    assert pulled.handoff.ready == sum(told["keep"])
