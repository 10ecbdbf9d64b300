"""Marks of a person: every form in which they come back, and what they do to a selection of any method."""

import json

import numpy as np
import pytest
from datasets import Dataset

from hf_rap.errors import MissingColumnError, SettingError, SourceError
from hf_rap.select import (
    Method,
    Reason,
    select_cognitive,
    select_difficulty,
    select_limr,
    select_random,
    select_top,
    split_stages,
)
from hf_rap.select.again import decide_again, select_again
from hf_rap.select.comparison import compare_methods
from hf_rap.select.overrides import read_marks
from hf_rap.select.stability import describe_stability, stability
from hf_rap.select.sweep import sweep
from hf_rap.stats.counts import Counts

# rap keeps 0007 and b (cde above 0.5, not always solved) and takes c for e, which is always solved.
ROWS = {
    "rap_id": ["0007", "b", "c", "d", "e"],
    "rap_cde": [0.8, 0.6, 0.4, 0.0, 0.9],
    "rap_difficulty": [0.2, 0.2, 0.4, 0.9, 0.0],
}
MARKS = {"0007": "drop", "b": "wrong_gold", "d": "keep"}
REASONS = ["by_hand", "wrong_gold", "hard_replacement", "by_hand", "always_solved"]
KEPT = [False, False, True, True, False]


def rows():
    """Five scored rows."""
    return Dataset.from_dict(ROWS)


def decided(selection):
    """Both columns of decisions."""
    return selection.scored["rap_keep"][:], selection.scored["rap_reason"][:]


def write_csv(folder):
    """What the page exports."""
    path = folder / "marks.csv"
    path.write_text("rap_id,mark\n0007,drop\nb,wrong_gold\nd,keep\n")
    return path


def write_spreadsheet(folder):
    """All rows, as a spreadsheet saves them: byte order mark, semicolons, further columns, most marks empty."""
    path = folder / "marks.csv"
    lines = ["question;mark;rap_id", '"a ""b""; c";Drop;0007', "x;wrong gold;b", "y;;c", "z; KEEP ;d", "w;;e", ""]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return path


def write_tabs(folder):
    """Separated by tabs, a question with a line break among the columns."""
    path = folder / "marks.tsv"
    path.write_text('rap_id\tmark\tquestion\n0007\tdrop\t"two\nlines"\nb\twrong-gold\t\nd\tkeep\t\n')
    return path


def write_json(folder):
    """A list of objects."""
    path = folder / "marks.json"
    path.write_text(json.dumps([{"rap_id": name, "mark": mark, "by": "ann"} for name, mark in MARKS.items()]))
    return path


def write_json_object(folder):
    """One object."""
    path = folder / "marks.json"
    path.write_text(json.dumps(MARKS))
    return str(path)


def write_json_lines(folder):
    """An object per line, one of them without a mark."""
    path = folder / "marks.jsonl"
    lines = [{"rap_id": name, "mark": mark} for name, mark in {**MARKS, "c": None}.items()]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return path


def write_parquet(folder):
    """Parquet with further columns."""
    path = folder / "marks.parquet"
    Dataset.from_dict({"n": [1, 2, 3], "mark": list(MARKS.values()), "rap_id": list(MARKS)}).to_parquet(path)
    return path


def as_mapping(_):
    """A mapping."""
    return MARKS


def as_dictionaries(_):
    """What `DataFrame.to_dict("records")` gives: NaN where a cell is empty."""
    empty = {"rap_id": "e", "mark": float("nan")}
    return [empty, *({"rap_id": name, "mark": mark} for name, mark in MARKS.items())]


def as_dataset(_):
    """A dataset of all rows, in which some have a mark."""
    return Dataset.from_dict({"rap_id": ROWS["rap_id"], "mark": [MARKS.get(name) for name in ROWS["rap_id"]]})


WAYS = [
    *(write_csv, write_spreadsheet, write_tabs, write_json, write_json_object, write_json_lines, write_parquet),
    *(as_mapping, as_dictionaries, as_dataset),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_marks_come_back_in_every_form(way, tmp_path):
    """Each form says the same, and an id stays the text that it is."""
    assert read_marks(way(tmp_path)).by_id == MARKS


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [select_difficulty, select_random, select_cognitive], ids=lambda method: method.__name__
)
def test_marks_of_an_earlier_selection_are_taken(method):
    """Of whatever method, as a Selection or as the rows that a version has."""
    options = {"budget": 2} if method is select_random else {}
    earlier = method(rows(), overrides=MARKS, **options)
    for overrides in (earlier, earlier.scored):
        assert decided(select_cognitive(rows(), overrides=overrides)) == (KEPT, REASONS)


def test_a_mark_decides_about_its_row(tmp_path):
    """The rule keeps 0007, b and c, and drops d and e: what is marked has the reason of its mark, c and e their own."""
    assert decided(select_cognitive(rows(), overrides=write_csv(tmp_path))) == (KEPT, REASONS)


@pytest.mark.slow
def test_numbers_name_rows_of_a_dataset_whose_ids_are_numbers():
    """Ids of the user such as 7 are texts in rap_id."""
    ds = rows().remove_columns("rap_id").add_column("rap_id", ["1", "2", "3", "4", "5"])
    assert select_cognitive(ds, overrides={np.int64(1): "drop", 4: "keep"}).kept_rows.tolist() == [1, 2, 3]


def test_the_rule_and_the_funnel_count_the_marks():
    """The rule keeps 3: two of them leave, one comes in; the rule record is small and ready for JSON."""
    selection = select_cognitive(rows(), overrides=MARKS)
    assert [tuple(step) for step in selection.funnel] == [
        ("rows", 5, 0),
        ("scored", 5, 0),
        ("image_needed", 3, 0),
        ("not_always_solved", 2, 0),
        ("replaced", 3, 1),
        ("by_rule", 3, 1),
        ("not_dropped_by_hand", 1, 1),
        ("by_hand", 2, 2),
        ("selected", 2, 2),
    ]
    record = json.loads(json.dumps(selection.rule["by_hand"]))
    assert record == {"keep": 1, "drop": 1, "wrong_gold": 1, "digest": read_marks(MARKS).digest}
    assert selection.remarks == (
        "By hand 2 of the 3 rows that the rule keeps are dropped, and 1 that it drops are kept.",
    )


@pytest.mark.slow
def test_marks_that_agree_with_the_rule_are_marks_all_the_same():
    """A person has looked at the row: that is its reason, and no row more or less is kept."""
    selection = select_cognitive(rows(), overrides={"b": "keep", "d": "drop"})
    assert selection.kept_rows.tolist() == [0, 1, 2]
    assert selection.scored["rap_reason"][1:4:2] == ["by_hand", "by_hand"]
    assert [step.name for step in selection.funnel[-2:]] == ["by_rule", "selected"]


def test_no_marks_change_nothing():
    """None, an empty mapping and a file with a header alone give the rule's own selection."""
    plain = select_cognitive(rows())
    selection = select_cognitive(rows(), overrides={"b": "  "})
    assert (selection.rule, selection.funnel, selection.method) == (plain.rule, plain.funnel, plain.method)
    for nothing in (None, {}, [], {"b": None}):
        assert not read_marks(nothing)


@pytest.mark.slow
def test_the_budget_is_that_of_the_rule():
    """Two rows by cde are e and 0007 without replacement; one is dropped and d is kept: the others do not move."""
    selection = select_cognitive(rows(), replace_easy=False, budget=2, overrides={"e": "drop"})
    assert selection.kept_rows.tolist() == [0]
    assert "; the budget is that of the rule alone" in selection.remarks[-1]
    assert select_cognitive(
        rows(), replace_easy=False, budget=2, overrides={"e": "drop", "d": "keep"}
    ).kept_rows.tolist() == [0, 3]


@pytest.mark.slow
def test_an_identical_row_stays_a_duplicate():
    """The first of equal ids is kept by hand, the second counts once as ever."""
    ds = Dataset.from_dict({name: [*column, column[3]] for name, column in ROWS.items()})
    selection = select_cognitive(ds, overrides={"d": "keep"})
    assert selection.scored["rap_reason"][3:] == ["by_hand", "always_solved", "duplicate"]
    assert selection.kept_rows.tolist() == [0, 1, 2, 3]


@pytest.mark.slow
def test_replies_that_share_an_id_share_its_mark():
    """Two rollouts of a question whose gold is wrong are both out."""
    steps = [[{"step": "s", "score": score, "num_mc_correct": 1, "num_mc_total": 2}] for score in (0.5, 0.5, 0.5)]
    ds = Dataset.from_dict({"rap_id": ["q", "q", "r"], "rap_bis": [0.3, 0.2, 0.1], "steps_with_score": steps})
    selection = select_top(ds, count=3, per=None, overrides={"q": "wrong_gold"})
    assert selection.scored["rap_reason"][:] == ["wrong_gold", "wrong_gold", "top"]


@pytest.mark.slow
def test_every_method_takes_marks():
    """What the rule says of the row does not matter, and neither does which rule it is."""
    ds = rows().add_column("rap_limr", [0.9] * 5).add_column("rap_bis", [0.5] * 5)
    marks = {"0007": "drop", "d": "keep"}

    def third(ds, _):
        return np.arange(len(ds)) == 2

    selections = [
        select_difficulty(ds, 0.9, 1.0, overrides=marks),
        select_top(ds, ratio=0.2, per=None, overrides=marks),
        select_limr(ds, overrides=marks),
        select_random(ds, budget=1, overrides=marks),
        select_cognitive(ds, method=third, overrides=marks),
        select_cognitive(ds, method="hardest", budget=1, overrides=marks),
        *split_stages(ds, low=0.05, overrides={"0007": "drop", "d": "keep"}),
    ]
    for selection in selections[:-2]:
        assert (selection.scored["rap_keep"][0], selection.scored["rap_keep"][3]) == (False, True)
        assert {row for row in (0, 3) if selection.scored["rap_reason"][row] == "by_hand"} == {0, 3}
    # d has a pass rate of 0.1, which is below the 0.5 that divides the stages.
    one, two = selections[-2:]
    assert (one.kept_rows.tolist(), two.kept_rows.tolist()) == ([1, 2], [3])
    assert (one.scored["rap_reason"][3], two.scored["rap_reason"][3]) == ("other_stage", "by_hand")


@pytest.mark.slow
def test_a_row_in_neither_stage_is_kept_in_none():
    """The mark does not say in which; stages are disjoint."""
    with pytest.raises(SettingError, match="1 rows are marked keep and are in neither stage, the first is 'e'"):
        split_stages(rows(), overrides={"e": "keep", "b": "keep"})


def test_marks_of_rows_that_have_gone_are_remarked_upon():
    """Those of an earlier version do not block; that they change nothing is said, with an id."""
    selection = select_cognitive(rows(), overrides={"b": "drop", "old-1": "drop", "old-2": "keep"})
    assert selection.remarks[-1] == (
        "2 of the 3 marks are about rows that are not in this dataset, such as 'old-1', 'old-2': they change nothing."
    )
    assert selection.rule["by_hand"] == {
        "keep": 0,
        "drop": 1,
        "wrong_gold": 0,
        "digest": read_marks({"b": "drop"}).digest,
    }


@pytest.mark.slow
def test_a_row_with_an_error_may_be_kept_and_is_counted():
    """A person may know better; the card says how many such rows there are, and why."""
    ds = rows().add_column("rap_error", [None, None, None, "image_missing: no such file", None])
    selection = select_cognitive(ds, overrides={"d": "keep"})
    assert selection.scored["rap_keep"][3]
    assert selection.remarks[-1] == (
        "1 of the rows that are kept by hand have an error (image_missing: 1); a trainer may refuse them."
    )


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"b": "maybe"}, "overrides: the mark is 'maybe', and marks are keep, drop, wrong_gold"),
        ({"b": True}, "the mark is True, and marks are keep, drop, wrong_gold"),
        ({7.0: "drop"}, "the rap_id is 7.0, and a mark needs the rap_id of its row, a text"),
        ({"": "drop"}, "the rap_id is '', and"),
        ([{"rap_id": "b", "mark": "drop"}, {"rap_id": "b", "mark": "keep"}], "two marks: drop .overrides, entry 0. and keep"),
        ([{"id": "b", "mark": "drop"}], "overrides, entry 0, has no 'rap_id' .it has: id, mark."),
        (["b"], "overrides, entry 0, is 'b': it takes a dictionary"),
        (Dataset.from_dict({"rap_id": ["b"]}), "overrides has no 'mark' .it has: rap_id."),
        (7, "overrides is 7: it takes a file"),
    ],
)  # fmt: skip
def test_what_is_no_mark_is_refused(overrides, says):
    """With the place, the value and what there may be."""
    with pytest.raises(SettingError, match=says):
        read_marks(overrides)


def test_marks_of_another_dataset_are_refused():
    """With an id of either; a spreadsheet that made 7 of 0007 is the usual cause."""
    says = "None of the 2 marks in overrides is about one of these 5 rows: the first mark is about '7', and the first row is '0007'"
    with pytest.raises(SettingError, match=says):
        select_cognitive(rows(), overrides={"7": "drop", "y": "keep"})


def test_the_same_mark_twice_is_one():
    """Two people agree."""
    twice = [{"rap_id": "b", "mark": "drop"}, {"rap_id": "b", "mark": "Drop"}]
    assert read_marks(twice).by_id == {"b": "drop"}


@pytest.mark.parametrize(
    ("name", "content", "kind", "says"),
    [
        ("m.csv", b"rap_id,mark\nb,drop\nc,often\n", SettingError, "m.csv, line 3: the mark is 'often'"),
        ("m.csv", b"id,mark\nb,drop\n", SettingError, "m.csv has no 'rap_id' .it has: id, mark."),
        ("m.csv", b"", SettingError, "m.csv has no 'rap_id' .it has: nothing."),
        (
            "m.csv",
            b"rap_id,mark\n\xff\xfe,drop\n",
            SourceError,
            "m.csv cannot be read as marks: it is no text in UTF-8",
        ),
        ("m.csv", b'rap_id,mark\n"b,drop\n', SourceError, "m.csv cannot be read as marks"),
        ("m.json", b"[{]", SourceError, "m.json cannot be read as marks: it is no JSON"),
        ("m.json", b'{"b": ["drop"]}', SettingError, "m.json: the mark is ..drop.., and marks are"),
        ("m.jsonl", b'{"rap_id": "b"}\n', SettingError, "m.jsonl, line 1, has no 'mark'"),
        ("m.parquet", b"PAR1", SourceError, "m.parquet cannot be read as marks: it is no Parquet file"),
        ("m.xlsx", b"PK", SourceError, "m.xlsx: marks are read from .csv, .tsv, .json, .jsonl"),
    ],
)
def test_a_file_that_has_no_marks_is_refused(tmp_path, name, content, kind, says):
    """It names the file and the line."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=says):
        read_marks(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    """A folder is no file either."""
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(SourceError):
            read_marks(path)


def test_rows_without_ids_cannot_be_marked():
    """A mark is by rap_id."""
    with pytest.raises(MissingColumnError, match="rap_id"):
        select_cognitive(rows().remove_columns("rap_id"), overrides={"b": "drop"})


@pytest.mark.slow
def test_a_reason_of_a_method_is_not_taken_for_a_mark():
    """A version tells its marks by their reasons."""
    mine = Method("mine", lambda ds, _: [True] * len(ds), "all", reasons=(Reason("by_hand", True, "all of them"),))
    with pytest.raises(SettingError, match="Method 'mine' gives the reason 'by_hand', which means a person's mark"):
        select_cognitive(rows(), method=mine, overrides={"b": "drop"})
    assert select_cognitive(rows(), method=mine).reasons == {"by_hand": 5}


@pytest.mark.slow
def test_a_selection_is_made_again_with_its_marks():
    """From the rows and the rule of a version; with other thresholds, another method, other marks or none."""
    first = select_cognitive(rows(), overrides=MARKS)
    again = select_again(first.scored, first.rule)
    assert (again.rule, again.funnel, decided(again)) == (first.rule, first.funnel, decided(first))
    lower = select_again(first.scored, first.rule, {"min_cde": -1, "replace_easy": False})
    assert lower.scored["rap_reason"][:] == ["by_hand", "wrong_gold", "image_needed", "by_hand", "image_needed"]
    other = select_again(first.scored, first.rule, {"method": "random", "budget": 1})
    assert other.rule["by_hand"] == first.rule["by_hand"]
    assert select_again(first.scored, first.rule, {"overrides": {"d": "keep"}}).kept_rows.tolist() == [0, 1, 2, 3]
    assert "by_hand" not in select_again(first.scored, first.rule, {"overrides": {}}).rule


@pytest.mark.slow
def test_a_stage_is_made_again_with_its_marks():
    """Of two stages, too."""
    two = split_stages(rows(), low=0.05, overrides={"d": "keep", "b": "drop"}).two
    again = select_again(two.scored, two.rule)
    assert (again.rule, decided(again)) == (two.rule, decided(two))


def with_attempts():
    """Forty rows by five attempts: the first ten are always solved with the image and never without."""
    image = [[1.0] * 5] * 10 + [[0.0] * 5] * 30
    return Dataset.from_dict(
        {
            "rap_id": [f"r{place}" for place in range(40)],
            "rap_image_rewards": image,
            "rap_text_rewards": [[0.0] * 5] * 40,
            "rap_cde": [1.0] * 10 + [0.0] * 30,
            "rap_difficulty": [0.0] * 10 + [1.0] * 30,
        }
    )


@pytest.mark.slow
def test_other_counts_do_not_change_marks():
    """Fresh attempts keep what is kept by hand and bring back nothing that is dropped by hand."""
    ds = with_attempts()
    first = select_cognitive(ds, replace_easy=False, overrides={"r0": "drop", "r39": "keep"})
    none = Counts(np.zeros(40), np.full(40, 5))
    every = Counts(np.full(40, 5.0), np.full(40, 5))
    again = decide_again(first.scored, first.rule)
    assert again(none, none).nonzero()[0].tolist() == [39]
    assert again(every, none).nonzero()[0].tolist() == list(range(1, 40))
    given = decide_again(ds, {"replace_easy": False, "overrides": {"r0": "drop", "r39": "keep"}})
    assert given(none, none).nonzero()[0].tolist() == [39]


@pytest.mark.slow
def test_stability_takes_marks_as_given():
    """A row that is kept by hand is kept again in every draw; the card's facts are those of the selection with its marks."""
    selection = select_cognitive(
        with_attempts(), replace_easy=False, overrides={f"r{row}": "keep" for row in range(40)}
    )
    found = stability(selection, draws=4)
    assert (found.jaccard, found.kept_again) == (1.0, 1.0)
    assert describe_stability(selection)["kept"] == 40


@pytest.mark.slow
def test_a_comparison_takes_the_marks_of_a_selection():
    """So do the values of a sweep, and marks can be given to both."""
    ds = with_attempts()
    selection = select_cognitive(ds, replace_easy=False, overrides={"r0": "drop", "r39": "keep"})
    # rap-paper drops the ten that are always solved: r39 alone is left.
    assert compare_methods(selection, ["rap-paper"]).selections[0].rows == 1
    given = compare_methods(ds, ["rap-paper"], overrides={"r38": "keep", "r39": "keep"})
    assert given.selections[0].rows == 2
    points = sweep(
        ds, "min_cde", (0.5, 1), options={"replace_easy": False, "overrides": {"r0": "drop", "r39": "keep"}}
    ).points
    assert [point.rows for point in points] == [10, 1]
