"""What the selection keeps of planted rows whose kind is known, from the counts that the built-in model gave once."""

import json
from pathlib import Path

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.demo import IMAGE_IS_NEEDED
from hf_rap.scorers import add_scores, cde_score, difficulty_score
from hf_rap.select import METHODS, select_cognitive, sweep
from hf_rap.select.predicates import untrue_reasons

COUNTS = json.loads((Path(__file__).parents[2] / "docs" / "evidence" / "planted-counts.json").read_text())
REWARDS = List(Value("float64"))


def planted(name):
    """The rows of one draw, with their scores: kind, and as many right attempts as were counted."""
    attempts = int(name.split()[-2])
    rows = COUNTS[name]
    features = Features(
        {
            "rap_id": Value("string"),
            "kind": Value("string"),
            "rap_image_rewards": REWARDS,
            "rap_text_rewards": REWARDS,
            "rap_error": Value("string"),
        }
    )
    seed = name.split()[3].rstrip(",")
    arms = [
        [None if row[place] is None else [1.0] * row[place] + [0.0] * (attempts - row[place]) for row in rows]
        for place in (1, 2)
    ]
    columns = {
        "rap_id": [f"planted-{seed}-{number:05}" for number in range(len(rows))],
        "kind": [row[0] for row in rows],
        "rap_image_rewards": arms[0],
        "rap_text_rewards": arms[1],
        "rap_error": ["gold_unreadable: no answer" if row[1] is None else None for row in rows],
    }
    return add_scores(Dataset.from_dict(columns, features), cde_score, difficulty_score)


def share_needed(selection):
    """Of the kept rows those that cannot be answered without their image."""
    kinds = selection.selected["kind"][:]
    return sum(kind in IMAGE_IS_NEEDED for kind in kinds) / len(kinds)


@pytest.mark.parametrize("draw", COUNTS)
def test_kept_rows_need_their_image(draw):
    """At least 97 % with the default settings, whatever the draw; the paper to the letter keeps 89 to 96 %."""
    ds = planted(draw)
    assert share_needed(select_cognitive(ds)) >= 0.97
    assert 0.89 <= share_needed(select_cognitive(ds, method="rap-paper")) < 0.96


def test_rows_that_nobody_solves_say_so():
    """No planted row of noise has a reason that speaks of its image, unless it was guessed."""
    selection = select_cognitive(planted("600 rows, seed 0, 5 attempts"))
    assert untrue_reasons(selection, METHODS["rap"]) == []
    reasons = [
        why
        for why, kind in zip(selection.scored["rap_reason"], selection.scored["kind"], strict=True)
        if kind == "unsolvable"
    ]
    assert max(set(reasons), key=reasons.count) == "never_solved"


def test_a_dead_threshold_is_remarked():
    """240 rows, without a floor: the same 40 for every min_cde below 0.8, those of a band, three of four replacements."""
    ds = planted("240 rows, seed 0, 5 attempts")
    paper = select_cognitive(ds, method="rap-paper")
    assert paper.remarks == (
        (
            "30 of the 40 kept rows (75%) are replacements: they are in for their difficulty, not by min_cde. A higher "
            "min_replacement_cde asks more of them, replacements= says how many come in."
        ),
        (
            "The kept rows are those with a pass rate from 0.2 to 0.8 with the image, no more and no less: a plain band of pass "
            "rates keeps them too, without a reply on the question alone."
        ),
        "Every min_cde from 0 to just below 0.8 keeps the same 40 rows: there it decides nothing.",
    )
    assert f"  remark   {paper.remarks[0]}" in str(paper)
    few = select_cognitive(ds, method="rap-paper", replacements=4)
    assert few.remarks == ()


def test_a_sweep_shows_the_same():
    """Rows, the share that came in later, and the overlap with the published band: 1 is the very same rows."""
    found = sweep(planted("240 rows, seed 0, 5 attempts"), "min_cde", (0, 0.4, 0.8), method="rap-paper")
    assert (found.option, found.method, found.rows) == ("min_cde", "rap-paper", 240)
    assert [(point.value, point.rows, point.came_in, point.band) for point in found.points] == [
        (0.0, 40, 0.225, 1.0),
        (0.4, 40, 0.75, 1.0),
        (0.8, 27, 1.0, 0.675),
    ]
    assert all(point.random < 0.2 for point in found.points)
