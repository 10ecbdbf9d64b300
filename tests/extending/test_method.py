"""A selection method from outside: one object, and nothing of hf-rap has to know it."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
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
    assert "| 8 | kept | `in_the_middle`<br>half solved |" in card
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
    assert "vision-language models to reason: the highest `rap_difficulty`." in card
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
            "gave the reason 'odd', which is not among its reasons",
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


KEEP = [row % 3 == 0 for row in range(24)]


@pytest.mark.parametrize(
    "given",
    [
        KEEP,
        tuple(KEEP),
        iter(KEEP),
        (keep for keep in KEEP),
        np.array(KEEP),
        np.array(KEEP, dtype=object),
        [np.bool_(keep) for keep in KEEP],
        pd.Series(KEEP),
        pa.array(KEEP),
    ],
    ids=lambda given: type(given).__name__,
)
def test_booleans_of_any_library_are_read(ds, given):
    """A list, a generator, an array, a series."""
    selection = select_cognitive(ds, method=lambda rows, settings: given)
    assert selection.kept_rows.tolist() == list(range(0, 24, 3))
    assert selection.rule == {"method": "lambda", "method_version": "1"}
    assert selection.reasons == {"dropped_by_lambda": 16, "kept_by_lambda": 8}


def decision(**parts):
    usual = {
        "keep": KEEP,
        "reason": ["in" if keep else "out" for keep in KEEP],
        "funnel": (Step("rows", 24), Step("selected", 8)),
        "rule": {},
    }
    return Decision(**{**usual, **parts})


def test_the_parts_of_a_decision_are_read(ds, tmp_path):
    """Lists for arrays, pairs for steps, numbers of numpy; steps that are not told are all rows and those that are kept."""
    rule = {"width": np.float32(0.5), "rows": np.int64(3), "edges": np.array([0, 1]), "name": None}
    given = decision(rule=rule, funnel=[("rows", 24), ("near", np.int64(9)), ("selected", 8.0)])
    selection = select_cognitive(ds, method=lambda rows, settings: given)
    assert selection.rule == {
        "method": "lambda",
        "method_version": "1",
        "width": 0.5,
        "rows": 3,
        "edges": [0, 1],
        "name": None,
    }
    assert selection.funnel == (Step("rows", 24), Step("near", 9), Step("selected", 8))
    assert selection.reasons == {"out": 16, "in": 8}
    card_of(selection, tmp_path)
    short = select_cognitive(ds, method=lambda rows, settings: decision(funnel=()))
    assert short.funnel == (Step("rows", 24), Step("selected", 8))


async def asynchronous(ds, settings):
    return KEEP


def forgets(ds, settings):
    """Has no return."""


IN_AND_OUT = (Reason("in", True, "kept"), Reason("out", False, "dropped"))


@pytest.mark.parametrize(
    ("decide", "says"),
    [
        (lambda ds, s: [1] * 24, "gave list of type int64 and shape (24,): it takes a boolean per row, shape (24,)"),
        (lambda ds, s: [0, 3, 6], "gave list of type int64 and shape (3,)"),
        (lambda ds, s: [True] * 23, "gave list of type bool and shape (23,)"),
        (lambda ds, s: [*KEEP[:-1], None], "gave list of type object and shape (24,)"),
        (lambda ds, s: np.array(KEEP)[:, None], "gave ndarray of type bool and shape (24, 1)"),
        (lambda ds, s: ds.select([0]), "gave Dataset of type object"),
        (lambda ds, s: {"keep": KEEP}, "gave dict of type object"),
        (forgets, "Method 'forgets' gave NoneType of type object and shape ()"),
        (asynchronous, "Method 'asynchronous' is asynchronous: it takes a function that returns which rows are kept."),
        (lambda ds: KEEP, "cannot be called with (dataset, settings): too many positional arguments."),
        (lambda ds, s, more: KEEP, "cannot be called with (dataset, settings): missing a required argument: 'more'."),
        (lambda ds, s: decision(reason=["in"]), "gave 1 reasons for 24 rows: Decision.reason takes one name per row."),
        (lambda ds, s: decision(reason="in"), "gave 'in' for 24 rows"),
        (lambda ds, s: decision(reason=["in", None] * 12), "gave the reason None for row 1: every row has one, by its name."),
        (lambda ds, s: decision(reason=["in", ""] * 12), "gave the reason '' for row 1"),
        (lambda ds, s: decision(reason=[0, 1] * 12), "gave the reason 0 for row 0"),
        (lambda ds, s: decision(reason=["in"] * 24), "gave the reason 'in', of kept rows, to row 1, which it drops."),
        (lambda ds, s: decision(reason=["out"] * 24), "gave the reason 'out', of dropped rows, to row 0, which it keeps."),
        (lambda ds, s: decision(funnel=8), "gave the funnel 8: it takes Step(name, rows), one after the other."),
        (lambda ds, s: decision(funnel=("rows", "kept")), "it takes Step(name, rows)"),
        (lambda ds, s: decision(funnel=(Step("rows", 24), Step("selected", 9))), "gave a funnel from 24 to 9 rows: the first step"),
        (lambda ds, s: decision(rule={"width": {1}}), "The rule of method 'lambda' gives width={1}, which JSON cannot hold."),
        (lambda ds, s: decision(rule={"width": float("nan")}), "gives width=nan, which JSON cannot hold."),
        (lambda ds, s: decision(rule=3), "The rule of method 'lambda' gives 3: it takes a dictionary of names"),
        (lambda ds, s: decision(rule={"method": "rap"}), "has 'method', which is its name"),
    ],
)  # fmt: skip
def test_what_is_no_decision_is_told(ds, decide, says):
    """Before anything is selected, published or written."""
    name = decide.__name__.strip("<>")
    with pytest.raises(SettingError) as error:
        select_cognitive(ds, method=Method(name, decide, "rows", reasons=IN_AND_OUT))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"name": ""}, "name is '': it takes a text."),
        ({"decide": "rap"}, "decide is 'rap': it takes a function (dataset, settings)"),
        ({"decide": dict}, "decide is <class 'dict'>"),
        ({"sentence": None}, "sentence is None: it takes a text, or a function of the rule that gives one."),
        ({"reasons": ("in", "out")}, "reasons is ('in', 'out'): it takes a tuple of Reason(name, kept, meaning)."),
        ({"reasons": {"in": True}}, "reasons is {'in': True}: it takes a tuple of Reason"),
        ({"reasons": IN_AND_OUT * 2}, "each name once."),
        ({"citations": (BIBTEX,)}, "it takes a tuple of Citation(lead, bibtex)."),
        ({"citations": BIBTEX}, "it takes a tuple of Citation(lead, bibtex)."),
        ({"options": ("budgt",)}, "options is ['budgt']: it takes names of options of select_cognitive."),
        ({"needs": 3}, "needs is 3: it takes a tuple of columns."),
        ({"ranks_by": 3}, "ranks_by is 3: it takes a text, or None."),
    ],
)
def test_a_method_that_cannot_be_is_told_when_it_is_made(parts, says):
    """When its module is imported."""
    with pytest.raises(SettingError) as error:
        Method(**{"name": "own", "decide": decide_middle, "sentence": "rows", **parts})
    assert says in str(error.value)


def test_a_forgotten_comma_is_no_mistake():
    """`(Citation(...))` is no tuple, and a citation itself is one of two texts."""
    method = Method(
        "own", decide_middle, "rows", reasons=IN_AND_OUT[0], citations=Citation("It", BIBTEX), options="budget"
    )
    assert (method.reasons, method.options) == (IN_AND_OUT[:1], ("budget",))
    assert method.citations == (Citation("It", BIBTEX),)
    assert Method("own", decide_middle, "rows", needs="rap_cde").needs == ("rap_cde",)


@pytest.mark.parametrize("method", [Method("rap", decide_middle, "rows"), Method("top", decide_middle, "rows")])
def test_a_method_has_no_name_of_ours(ds, method):
    """Its card, its stability and `reselect` would be those of the other."""
    with pytest.raises(
        SettingError, match=f"^A method of hf_rap is called '{method.name}': give this one another name"
    ):
        select_cognitive(ds, method=method)

    def random(rows, settings):
        return KEEP

    with pytest.raises(SettingError, match=r"^A method of hf_rap is called 'random': give this function another name"):
        select_cognitive(ds, method=random)


def test_the_score_that_a_card_shows_has_to_be_there(ds):
    """Told before anything is written."""
    from hf_rap.errors import MissingColumnError

    with pytest.raises(MissingColumnError, match=r"^own reads column 'rap_bis'"):
        select_cognitive(ds, method=Method("own", lambda rows, settings: KEEP, "rows", ranks_by="rap_bis"))
