"""A selection method from outside: one object, and nothing of hf-rap has to know it."""

import json

import numpy as np
import pytest
from datasets import Dataset, load_dataset

from hf_rap import compare_methods, publish_to_folder, select_cognitive, select_top
from hf_rap.cli.files import read_selection, write_file
from hf_rap.demo import make_planted
from hf_rap.errors import SettingError
from hf_rap.select import Citation, Decision, Method, Reason, Step

BIBTEX = "@article{roe2026middle,\n  title={The middle is enough},\n  year={2026}\n}"


def decide_middle(ds, settings):
    rates = 1 - np.array(ds["rap_difficulty"][:])
    keep = (rates > 0.25) & (rates < 0.75)
    reason = np.where(keep, "in_the_middle", "at_an_end").astype(object)
    return Decision(keep, reason, (Step("rows", len(ds)), Step("selected", int(keep.sum()))), {"width": 0.5})


MIDDLE = Method(
    "middle",
    decide_middle,
    "rows that {model} solves about every second time",
    reasons=(Reason("in_the_middle", True, "half solved"), Reason("at_an_end", False, "nearly always or never solved")),
    meanings={"width": "of the band"},
    ranks_by="rap_difficulty",
    citations=(Citation("The rule", BIBTEX),),
)


@pytest.fixture
def ds():
    """Pictures with scores: pass rates 0, 0.2, 0.4, ..., 1."""
    rates = [number % 6 / 5 for number in range(24)]
    scored = make_planted(24).add_column("rap_difficulty", [1 - rate for rate in rates])
    return scored.add_column("rap_cde", [rate - 0.25 for rate in rates])


def card_of(selection, tmp_path):
    folder = tmp_path / "version"
    publish_to_folder(selection, folder)
    return (folder / "README.md").read_text(), json.loads((folder / "rap.json").read_text())["facts"]


def test_a_method_of_ones_own_has_a_true_card(ds, tmp_path):
    """Its sentence, its reasons, its paper, and the score that it goes by; nobody else's."""
    selection = select_cognitive(ds, method=MIDDLE)
    assert selection.reasons == {"at_an_end": 16, "in_the_middle": 8}
    assert "kept     in_the_middle   8" in repr(selection)
    card, facts = card_of(selection, tmp_path)
    assert "to reason: rows that the model solves about every second time." in card
    assert "| `in_the_middle` | kept | 8 | half solved |" in card
    assert "| `width` | 0.5 | of the band |" in card
    assert BIBTEX in card
    assert "2506.04755" not in card
    assert facts["samples"][0]["score"]["name"] == "rap_difficulty"
    assert load_dataset(str(tmp_path / "version"), "selected", split="train").num_rows == 8


def test_its_file_keeps_what_it_says(ds, tmp_path):
    """A selection that is written and read in another process, which does not know the method, has the same card."""
    write_file(select_cognitive(ds, method=MIDDLE), tmp_path / "selected.parquet")
    selection, _ = read_selection(tmp_path / "selected.parquet")
    assert BIBTEX in card_of(selection, tmp_path)[0]


def test_a_function_alone_is_a_method(ds, tmp_path):
    """Which rows are kept, as booleans; reasons and card name the function."""

    def never_solved(rows, settings):
        return [difficulty == 1 for difficulty in rows["rap_difficulty"]]

    selection = select_cognitive(ds, method=never_solved)
    assert selection.reasons == {"dropped_by_never_solved": 20, "kept_by_never_solved": 4}
    card, _ = card_of(selection, tmp_path)
    assert "rows by the rule `never_solved`" in card
    assert "The rule `never_solved` follows no paper." in card


def test_a_score_that_ranks_names_its_own_paper(ds, tmp_path):
    """Rows of questions that are ranked by their difficulty are no process-reward data."""
    card, _ = card_of(select_top(ds, by="rap_difficulty", count=8, per=None), tmp_path)
    assert "vision-language models to reason: of each dataset the highest `rap_difficulty`." in card
    assert "process reward" not in card
    assert "2602.04145" not in card
    assert "2506.04755" in card


def test_it_is_compared_with_the_others(ds):
    """By itself, not only by name."""
    comparison = compare_methods(ds, [MIDDLE, "difficulty", "random"])
    assert [(each.method, each.rows) for each in comparison.selections] == [
        ("middle", 8),
        ("difficulty", 16),
        ("random", 8),
    ]


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("midle", "method is 'midle': it takes one of rap, rap-paper, rap-released"),
        (3, "method is 3: it takes a name, a Method, or a function"),
        (
            lambda ds, settings: [1, 0],
            "gave list of type int64 and shape (2,): it takes a boolean per row, shape (24,)",
        ),
        (
            Method(
                "m",
                lambda ds, _: Decision(np.ones(24, bool), np.full(24, "odd", object), (), {}),
                "rows",
                (MIDDLE.reasons),
            ),
            "gives the reason 'odd', which is not among its reasons",
        ),
        ("top", "has options of its own: use `hf_rap.select_top`"),
    ],
)
def test_what_is_missing_is_said(ds, method, says):
    """In a sentence, not as a KeyError."""
    with pytest.raises(SettingError) as error:
        select_cognitive(ds, method=method)
    assert says in str(error.value)


def test_only_the_option_that_it_looks_at_is_taken(ds):
    """The others are refused when they are changed."""
    with pytest.raises(SettingError, match="budget=3 means nothing to method 'middle'"):
        select_cognitive(ds, method=MIDDLE, budget=3)


def test_a_needed_column_is_asked_for():
    """By name, before it decides."""
    from hf_rap.columns import LIMR
    from hf_rap.errors import MissingColumnError

    with pytest.raises(MissingColumnError, match="rap_limr"):
        select_cognitive(Dataset.from_dict({"a": [1]}), method=Method("m", decide_middle, "rows", needs=(LIMR,)))
