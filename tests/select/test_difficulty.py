"""The difficulty prior by hand."""

import json

import pytest
from datasets import Dataset

from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.select import select_cognitive, select_difficulty, split_stages
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts
from hf_rap.versions.plots import draw_plots


def rows(difficulty, **others):
    return Dataset.from_dict({"rap_difficulty": difficulty, **others})


def reasons(selection):
    return selection.scored["rap_reason"][:]


def test_the_published_band_by_hand():
    """Pass rates 1, 0.9, 0.8, 0.2, 0.1, 0 and unknown against 0.084 to 0.87."""
    ds = rows([0.0, 0.1, 0.2, 0.8, 0.9, 1.0, None], rap_error=[None] * 6 + ["no_image: none"])
    selection = select_difficulty(ds)
    assert reasons(selection) == ["too_easy", "too_easy", "moderate", "moderate", "moderate", "too_hard", "no_image"]
    assert selection.rule == {
        "method": "difficulty",
        "method_version": "1",
        "low": 0.084,
        "high": 0.87,
        "min_probability": None,
    }
    assert {step.name: step.rows for step in selection.funnel} == {"rows": 7, "scored": 6, "selected": 3}
    assert reasons(select_cognitive(ds, method="difficulty")) == reasons(selection)


def test_rows_at_a_bound_are_in():
    """Whatever 1 - 0.7 is in floats: 0.30000000000000004."""
    assert reasons(select_difficulty(rows([0.13, 0.916]), low=0.084, high=0.87)) == ["moderate"] * 2
    assert reasons(select_difficulty(rows([0.3, 0.9]), low=0.1, high=0.7)) == ["moderate"] * 2


def test_stages_divide_the_band_at_a_pass_rate():
    """Pass rate 0.5 and more is stage one."""
    one, two = split_stages(rows([0.0, 0.2, 0.5, 0.6, 0.8, 1.0]))
    assert reasons(one) == ["too_easy", "stage_one", "stage_one", "other_stage", "other_stage", "too_hard"]
    assert reasons(two) == ["too_easy", "other_stage", "other_stage", "stage_two", "stage_two", "too_hard"]


def test_stages_of_given_sizes_are_disjoint_and_the_second_is_the_hardest():
    """Stage one is drawn from the rest: another seed draws others."""
    ds = rows([place / 100 for place in range(100)], name=list(range(100)))
    one, two = split_stages(ds, sizes=(20, 10), seed=1)
    assert two.selected["name"][:] == list(range(82, 92))  # 0.92 and more is below a pass rate of 0.084
    assert len(one.selected) == 20
    assert not set(one.selected["name"]) & set(two.selected["name"])
    assert split_stages(ds, sizes=(20, 10), seed=1).one.selected["name"][:] == one.selected["name"][:]
    assert split_stages(ds, sizes=(20, 10), seed=2).one.selected["name"][:] != one.selected["name"][:]


def test_a_dataset_that_is_always_solved_gives_an_empty_selection():
    """A U shape with one arm is no error."""
    selection = select_difficulty(rows([0.0, 0.0]))
    assert (len(selection.selected), selection.reasons) == (0, {"too_easy": 2})
    facts = collect_facts(selection, name="x", version="1.0.0")
    assert facts["pass_rates"]["all"] == [0] * 10 + [2]
    assert "plots/difficulty.png" in draw_plots(facts)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda ds: select_difficulty(ds, low=0.9, high=0.1),
            r"low is 0\.9: it takes a pass rate of at most high=0\.1",
        ),
        (lambda ds: select_difficulty(ds, low=-0.1), r"low is -0\.1: it takes a number between 0 and 1"),
        (lambda ds: select_difficulty(ds, high=87), "high is 87: it takes a number between 0 and 1"),
        (lambda ds: split_stages(ds, middle=0.95), r"middle is 0\.95: it takes a number between 0\.084 and 0\.87"),
        (lambda ds: split_stages(ds, middle=0.5, sizes=(1, 1)), "give one of them"),
        (lambda ds: split_stages(ds, sizes=(2, 2)), r"asks for 2 and 2 rows, but only 1 of 3 are inside"),
        (lambda ds: split_stages(ds, sizes=(1, 0)), "it takes two numbers of rows"),
        (
            lambda ds: select_cognitive(ds, method="difficulty", budget=2),
            "budget=2 means nothing to method 'difficulty'",
        ),
        (lambda ds: select_difficulty(ds.select([])), "a dataset without rows"),
    ],
)
def test_bad_options_are_refused(call, message):
    """With the value and what would work."""
    with pytest.raises(SettingError, match=message):
        call(rows([0.0, 0.5, 1.0]))


def test_a_missing_score_is_told_with_a_way_out():
    """What to run."""
    with pytest.raises(MissingColumnError, match=r"'rap_difficulty'.*ds\.map\(difficulty_score"):
        select_difficulty(Dataset.from_dict({"a": [1]}))


def test_the_card_names_the_method_and_can_be_reproduced():
    """Facts, plot and card of a stage; the code on the card makes the same selection."""
    ds = rows(
        [0.0, 0.2, 0.6, 1.0], rap_image_rewards=[[1.0] * 5, [1.0] * 4 + [0.0], [1.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5]
    )
    stages = split_stages(ds)
    facts = json.loads(json.dumps(collect_facts(stages.two, name="user/x", version="1.0.0")))
    assert facts["pass_rates"] == {
        "centres": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        "width": 0.2,
        "all": [1, 0, 1, 0, 1, 1],
        "kept": [0, 0, 1, 0, 0, 0],
    }
    card = render_card(facts)
    assert "rows that are neither nearly always nor nearly never solved" in card
    assert "plots/difficulty.png" in card
    assert "2505.13261" in card
    assert "2506.04755" not in card
    code = card.split("The decision, from the scores:")[1].split("```python")[1].split("```")[0]
    names = {}
    exec(code.replace('load_dataset("user/x", "scored", split="train")', "ds"), {"ds": ds}, names)
    assert reasons(names["selection"]) == reasons(stages.two)
