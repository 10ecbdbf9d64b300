"""Every fact of a small hand-made selection, worked out by hand."""

import json

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.rows.provenance import SourceInfo
from hf_rap.select import select_cognitive
from hf_rap.versions.facts import MAX_SHOWN, collect_facts

ONE = json.dumps({"model": "m", "seed": 0})
OTHER = json.dumps({"model": "m", "seed": 1})
# cde: 1 - 0 = 1, 1/2 - 0 = 0.5, 1 - 1 = 0, null, 0 - 1/2 = -0.5, 1/1 - 0 = 1
ROWS = {
    "source": ["a", "a", "b", "b", None, "a"],
    "rap_image_rewards": [[1, 1], [1, 0], [1, 1], None, [0, 0], [1, None]],
    "rap_text_rewards": [[0, 0], [0, 0], [1, 1], [0, 1], [1, 0], [0, 0]],
    "rap_image_tokens": [[10, 20], [1, 1], [1, 1], None, [1, 1], [1, 3]],
    "rap_text_tokens": [[1, 1]] * 6,
    "rap_image_truncated": [[False, True], [False, False], [False, False], None, [False, False], [False, True]],
    "rap_text_truncated": [[False, False]] * 6,
    "rap_error": [None, None, None, "no_image: no image", None, "not_judged: 1 of 2: took too long"],
    "rap_settings": [ONE, ONE, ONE, OTHER, ONE, ONE],
    "rap_cde": [1.0, 0.5, 0.0, None, -0.5, 1.0],
    "rap_difficulty": [0.0, 0.5, 0.0, 0.5, 1.0, 0.0],
}
NUMBERS = Value("float64")
FEATURES = Features(
    {
        "source": Value("string"),
        "rap_image_rewards": List(NUMBERS),
        "rap_text_rewards": List(NUMBERS),
        "rap_image_tokens": List(Value("int32")),
        "rap_text_tokens": List(Value("int32")),
        "rap_image_truncated": List(Value("bool")),
        "rap_text_truncated": List(Value("bool")),
        "rap_error": Value("string"),
        "rap_settings": Value("string"),
        "rap_cde": Value("float64"),
        "rap_difficulty": Value("float64"),
    }
)


@pytest.fixture(scope="module")
def facts():
    selection = select_cognitive(Dataset.from_dict(ROWS, FEATURES), min_cde=0.2, replace_easy=False)
    source = SourceInfo("user/data", "main", "train", "abc", "mit")
    return collect_facts(selection, name="n", version="1.0.0", source=source, group_by="source")


def test_rows_and_funnel(facts):
    """Three of six rows are kept: cde 1, 0.5 and 1 are above 0.2."""
    assert facts["rows"] == {"all": 6, "kept": 3, "share": 0.5}
    assert [(step["step"], step["rows"]) for step in facts["funnel"]] == [
        ("rows", 6),
        ("scored", 5),
        ("image_needed", 3),
        ("selected", 3),
    ]
    assert facts["funnel"][1] == {"step": "scored", "rows": 5, "came_in": 0, "meaning": "have a score: rap_cde"}
    assert facts["rule"]["min_cde"] == 0.2


def test_reasons_are_counted_with_their_meaning(facts):
    """Reasons of kept rows come first, and every row has one."""
    counted = [(one["reason"], one["kept"], one["rows"]) for one in facts["reasons"]]
    assert counted == [
        ("image_needed", True, 3),
        ("image_misleads", False, 1),
        ("no_image", False, 1),
        ("solved_without_image", False, 1),
    ]
    assert facts["reasons"][0]["when"] == "rap_cde > min_cde"
    assert facts["reasons"][2]["meaning"] == "the row has no image, so cde is not defined"


def test_groups_count_null_as_a_value(facts):
    """Rows without a source are counted, under null."""
    assert facts["groups"] == {
        "column": "source",
        "shown": [
            {"value": "a", "rows": 3, "kept": 3},
            {"value": "b", "rows": 2, "kept": 0},
            {"value": None, "rows": 1, "kept": 0},
        ],
        "others": None,
    }


def test_scores_are_summed_up(facts):
    """-0.5, 0, 0.5, 1, 1: quartiles at the second, third and fourth; the mean is 2 / 5."""
    assert facts["scores"] == {
        "rap_cde": {
            "known": 5,
            "unknown": 1,
            "min": -0.5,
            "lower_quartile": 0.0,
            "median": 0.5,
            "upper_quartile": 1.0,
            "max": 1.0,
            "mean": 0.4,
            "mean_kept": 0.833333,
        },
        "rap_ace": None,
        "rap_difficulty": {
            "known": 6,
            "unknown": 0,
            "min": 0.0,
            "lower_quartile": 0.0,
            "median": 0.25,
            "upper_quartile": 0.5,
            "max": 1.0,
            "mean": 0.333333,
            "mean_kept": 0.166667,
        },
    }


def test_histogram_has_a_bar_per_possible_score(facts):
    """Two attempts per arm: cde goes in steps of 1/2."""
    assert facts["histogram"] == {
        "centres": [-1.0, -0.5, 0.0, 0.5, 1.0],
        "width": 0.5,
        "came_in": [0, 0, 0, 0, 0],
        "all": [0, 1, 1, 1, 2],
        "kept": [0, 0, 0, 1, 2],
    }


def test_a_score_between_two_bars_counts_in_the_higher_one():
    """Without attempts the bars are 0.1 wide: 0.44 is in that of 0.4, 0.45 and 0.54 in that of 0.5."""
    ds = Dataset.from_dict({"rap_cde": [0.44, 0.45, 0.54, -0.45, -1.0, 1.0]})
    histogram = collect_facts(select_cognitive(ds, replace_easy=False), name="n", version="1.0.0")["histogram"]
    bars = {centre: rows for centre, rows in zip(histogram["centres"], histogram["all"], strict=True) if rows}
    assert bars == {-1.0: 1, -0.4: 1, 0.4: 1, 0.5: 2, 1.0: 1}


def test_arms_count_what_was_asked_and_judged(facts):
    """With the image: 10 attempts, one not judged, 6 of 9 right; of the kept rows 4 of 5."""
    assert facts["arms"]["image"] == {
        "rows": 5,
        "attempts_per_row": [{"attempts": 2, "rows": 5}],
        "attempts": 10,
        "not_judged": 1,
        "pass_rate": 0.666667,
        "pass_rate_kept": 0.8,
        "truncated": {"attempts": 2, "share": 0.2},
        "tokens": {"total": 40, "mean": 4.0},
    }
    assert facts["arms"]["text"] == {
        "rows": 6,
        "attempts_per_row": [{"attempts": 2, "rows": 6}],
        "attempts": 12,
        "not_judged": 0,
        "pass_rate": 0.333333,
        "pass_rate_kept": 0.0,
        "truncated": {"attempts": 0, "share": 0.0},
        "tokens": {"total": 12, "mean": 1.0},
    }


def test_errors_say_how_many_rows_are_scored_all_the_same(facts):
    """A row with one attempt that was not judged has a cde; a row without an image has none."""
    assert [(one["code"], one["rows"], one["scored"]) for one in facts["errors"]] == [
        ("no_image", 1, 0),
        ("not_judged", 1, 1),
    ]


def test_mixed_settings_are_counted(facts):
    """Two settings: five rows have one, one row the other."""
    assert facts["settings"] == {
        "different": 2,
        "rows": 6,
        "shown": [{"rows": 5, "values": {"model": "m", "seed": 0}}, {"rows": 1, "values": {"model": "m", "seed": 1}}],
    }


def test_settings_that_differ_in_nothing_that_counts_are_one():
    """Rows of two batch sizes compare; what the rows disagree about is told as it is."""
    told = [
        json.dumps({"model": "m", "batch_size": size, "torch": "2.13", "not_counted": ["batch_size", "torch"]})
        for size in (16, 4)
    ]
    rows = {**ROWS, "rap_settings": [told[0], told[1], told[0], told[1], told[0], None]}
    selection = select_cognitive(Dataset.from_dict(rows, FEATURES), replace_easy=False)
    found = collect_facts(selection, name="n", version="1.0.0")["settings"]
    values = {"model": "m", "batch_size": [16, 4], "torch": "2.13"}
    shown = [{"rows": 5, "values": values, "not_counted": ["batch_size", "torch"]}]
    assert found == {"different": 1, "rows": 5, "shown": shown}


def test_source_and_licence(facts):
    """They come from the source; a licence that is given goes first."""
    assert facts["source"] == {"id": "user/data", "config": "main", "split": "train", "revision": "abc"}
    assert facts["licence"] == "mit"
    selection = select_cognitive(Dataset.from_dict({"rap_cde": [1.0]}), replace_easy=False)
    source = SourceInfo("user/data", licence="mit")
    assert collect_facts(selection, name="n", version="1.0.0", source=source, licence="cc0-1.0")["licence"] == "cc0-1.0"


def test_facts_survive_json(facts):
    """The card is rendered from the facts of the manifest, too."""
    assert json.loads(json.dumps(facts)) == facts


def test_what_is_not_there_is_unknown():
    """Scores alone: no pass rates, errors, settings, source or licence, and nothing is made up."""
    selection = select_cognitive(Dataset.from_dict({"rap_cde": [0.9, float("nan")]}), replace_easy=False)
    facts = collect_facts(selection, name="n", version="1.0.0")
    assert facts["rows"]["kept"] == 1
    assert facts["scores"]["rap_cde"]["unknown"] == 1
    assert facts["scores"]["rap_difficulty"] is None
    assert facts["arms"] == {"image": None, "text": None}
    assert (
        facts["errors"] is facts["settings"] is facts["groups"] is facts["licence"] is facts["images_missing"] is None
    )
    assert facts["source"] == {"id": None, "config": None, "split": None, "revision": None}
    assert len(facts["histogram"]["centres"]) == 21


def test_nothing_known_is_not_zero():
    """No score at all: the summary has counts and no numbers."""
    ds = Dataset.from_dict({"rap_cde": [None, None]}, Features({"rap_cde": Value("float64")}))
    facts = collect_facts(select_cognitive(ds, replace_easy=False), name="n", version="1.0.0")
    summary = facts["scores"]["rap_cde"]
    assert (summary["known"], summary["unknown"], summary["mean"], summary["median"]) == (0, 2, None, None)


def test_many_values_are_cut_and_the_rest_is_summed_up():
    """Group values and error codes beyond the limit are counted together; no row is lost."""
    rows = MAX_SHOWN + 5
    ds = Dataset.from_dict(
        {
            "rap_cde": [0.9] * rows,
            "lot": list(range(rows)),
            "rap_error": [f"code_{number:03d}: x" for number in range(rows)],
        }
    )
    facts = collect_facts(select_cognitive(ds, replace_easy=False), name="n", version="1.0.0", group_by="lot")
    assert len(facts["groups"]["shown"]) == MAX_SHOWN
    assert facts["groups"]["others"] == {"values": 5, "rows": 5, "kept": 5}
    assert facts["errors"][-1] == {"code": "others", "rows": 5, "scored": 5, "meaning": "5 other codes"}
    assert sum(one["rows"] for one in facts["errors"]) == rows


def test_strata_are_the_groups_unless_others_are_named():
    """`stratify_by` of the selection is counted without being asked for."""
    ds = Dataset.from_dict({"rap_cde": [0.9, 0.8, 0.7], "topic": ["x", "x", "y"], "odd": [[1], [2], [3]]})
    selection = select_cognitive(ds, replace_easy=False, budget=2, stratify_by="topic")
    assert collect_facts(selection, name="n", version="1.0.0")["groups"]["column"] == "topic"
    assert collect_facts(selection, name="n", version="1.0.0", group_by="odd")["groups"] is None


def test_attention_counts_replies_and_what_could_not_be_read():
    """Five replies with the image, two of them unreadable; the options of rap_ace are told once."""
    from hf_rap.columns import ATTENTION, features_of, struct_fields

    nothing = dict.fromkeys(struct_fields(ATTENTION))
    read = {**nothing, "tokens": ["a", "b"], "product_max": [-1.0, -1.0]}
    empty, long = ({**nothing, "error": error} for error in ("reply_empty: no text", "too_long: 600: more than 512"))
    told = json.dumps({"form": "literal"})
    rows = {
        "rap_attention": [[read, read], None, [read, empty, None], [long]],
        "rap_cde": [1.0, 0.0, 1.0, 1.0],
        "rap_ace": [0.05, None, 0.2, None],
        "rap_ace_settings": [told, None, told, None],
    }
    features = Features({**features_of((ATTENTION,)), "rap_cde": Value("float64"), "rap_ace": Value("float64")})
    ds = Dataset.from_dict(rows, Features({**features, "rap_ace_settings": Value("string")}))
    selection = select_cognitive(ds.select([3, 2, 1, 0]), replace_easy=False)
    facts = collect_facts(selection, name="n", version="1.0.0")
    assert facts["attention"] == {
        "attempts": 5,
        "read": 3,
        "errors": [
            {"code": "reply_empty", "attempts": 1, "meaning": "the reply has no text"},
            {"code": "too_long", "attempts": 1, "meaning": "prompt and reply do not fit into the model's context"},
        ],
    }
    assert facts["ace_settings"] == {"different": 1, "rows": 2, "shown": [{"rows": 2, "values": {"form": "literal"}}]}
    assert (facts["scores"]["rap_ace"]["known"], facts["scores"]["rap_ace"]["unknown"]) == (2, 2)
    assert facts["rule"]["max_ace"] == 0.1


def test_without_attention_there_is_none(facts):
    """Unknown is None."""
    assert facts["attention"] is None
    assert facts["ace_settings"] is None
