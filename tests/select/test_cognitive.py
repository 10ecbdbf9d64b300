"""The selection by hand."""

import json

import numpy as np
import pytest
from datasets import Dataset, Features, Image, IterableDataset, List, Value

from hf_rap.columns import ERROR_CODES
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.select import METHODS, Step, select_cognitive
from hf_rap.select.rap import RAP
from hf_rap.stats.thresholds import Quantile

NO_DRM = {"replace_easy": False}


def scored(cde, **columns):
    """A dataset with these columns; `difficulty` is short for `rap_difficulty`, and so on."""
    columns = {"cde": cde, **columns}
    names = {"cde", "ace", "difficulty", "error", "id", "image_rewards"}
    types = {"rap_error": Value("string"), "rap_image_rewards": List(Value("float64"))}
    columns = {f"rap_{name}" if name in names else name: values for name, values in columns.items()}
    ds = Dataset.from_dict({name: values for name, values in columns.items() if name not in types})
    for name in types.keys() & columns.keys():
        ds = ds.add_column(name, columns[name], feature=types[name])
    return ds


def reasons(selection):
    return selection.scored["rap_reason"][:]


def test_every_reason_of_the_rule_by_hand():
    """One row per reason, with the funnel that counts them."""
    ds = scored(
        #      0     1     2    3    4    5    6     7    8    9
        cde=[None, None, 0.5, 0.6, 0.8, 0.6, 0.6, 0.4, 0.4, 0.2],
        ace=[0.0, 0.0, 0.0, 0.1, 0.2, None, 0.0, 0.2, 0.0, 0.1],
        difficulty=[1, None, 0.4, 0.4, 0.2, 0.2, 0.0, 0.6, 0.6, 0.6],
        error=["no_image: none", None, None, None, None, None, None, None, "engine_failed: one attempt", None],
    )
    selection = select_cognitive(ds)
    assert reasons(selection) == [
        "no_image",
        "not_scored",
        "image_helps_little",  # 0.5 is not above 0.5
        "image_needed",  # ace 0.1 is not above 0.1
        "attention_biased",
        "attention_unknown",
        "always_solved",
        "image_helps_little",  # as hard as the next, but its attention is biased
        "hard_replacement",  # ties with row 9 in difficulty, has the higher cde
        "image_helps_little",  # only one row left, so only one comes in
    ]
    keeps = {reason.name: reason.kept for reason in RAP.reasons}
    assert selection.scored["rap_keep"][:] == [keeps.get(reason, False) for reason in reasons(selection)]
    assert selection.funnel == (
        Step("rows", 10),
        Step("scored", 8),
        Step("image_needed", 4),  # 3, 4, 5, 6
        Step("attention_known", 3),
        Step("attention_unbiased", 2),
        Step("not_always_solved", 1),
        Step("replaced", 2, came_in=1),
        Step("selected", 2, came_in=1),
    )
    assert selection.reasons == {
        "image_helps_little": 3,
        **dict.fromkeys(
            [
                "always_solved",
                "attention_biased",
                "attention_unknown",
                "hard_replacement",
                "image_needed",
                "no_image",
                "not_scored",
            ],
            1,
        ),
    }


def test_selected_and_rejected_are_the_rows_in_their_order():
    """Together they are all rows."""
    selection = select_cognitive(scored([0.6, 0.1, 0.9], name=["a", "b", "c"]), **NO_DRM)
    assert selection.selected["name"][:] == ["a", "c"]
    assert selection.rejected.to_list() == [
        {"name": "b", "rap_cde": 0.1, "rap_keep": False, "rap_reason": "image_helps_little"}
    ]


def test_the_decision_columns_have_their_types():
    """A bool and a string beside what was there."""
    selection = select_cognitive(scored([0.6]), **NO_DRM)
    assert selection.scored.features == Features(
        {"rap_cde": Value("float64"), "rap_keep": Value("bool"), "rap_reason": Value("string")}
    )


@pytest.mark.parametrize("cde", [0.6 - 0.4, np.float32(0.2), 0.2])
@pytest.mark.parametrize("min_cde", [0.2, np.float32(0.2), Quantile(0.5)])
def test_a_cde_of_one_fifth_is_never_above_one_fifth(cde, min_cde):
    """However both are stored."""
    assert reasons(select_cognitive(scored([cde]), min_cde=min_cde, **NO_DRM)) == ["image_helps_little"]
    assert reasons(select_cognitive(scored([cde]), min_cde=0.19, **NO_DRM)) == ["image_needed"]


def test_a_score_of_the_users_own_is_taken_as_it_stands():
    """0.8 - 0.6 is 0.20000000000000007 in double precision, for `filter` as for the selector."""
    ds = scored([0.8 - 0.6])
    assert len(ds.filter(lambda row: row["rap_cde"] > 0.2)) == 1
    assert reasons(select_cognitive(ds, min_cde=0.2, **NO_DRM)) == ["image_needed"]


def test_nan_counts_as_unknown():
    """A score column of the user's own may hold it."""
    ds = scored([float("nan"), 0.8], ace=[0.0, float("nan")])
    assert reasons(select_cognitive(ds, **NO_DRM)) == ["not_scored", "attention_unknown"]


def ace_settings(*forms):
    """`rap_ace_settings` of rows scored in these forms."""
    return [None if form is None else json.dumps({"form": form}) for form in forms]


def test_the_usual_limit_of_ace_goes_by_the_form_of_the_score():
    """The paper's 0.1 for the literal form, the most biased tenth for the windowed one, whose level is the model's."""
    ace = [0.05, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    ds = scored([0.8] * 10, ace=ace)
    literal = select_cognitive(ds.add_column("rap_ace_settings", ace_settings(*["literal"] * 10)), **NO_DRM)
    windowed = select_cognitive(ds.add_column("rap_ace_settings", ace_settings(*["windowed"] * 10)), **NO_DRM)
    assert (literal.rule["max_ace"], len(literal.selected)) == (0.1, 1)
    assert (windowed.rule["max_ace"], windowed.selected["rap_ace"][-1]) == (0.9, 0.9)
    assert select_cognitive(ds, **NO_DRM).rule["max_ace"] == 0.1
    mixed = ds.add_column("rap_ace_settings", ace_settings(*["windowed"] * 9, "literal"))
    with pytest.raises(SettingError, match="computed in 2 ways, which do not compare"):
        select_cognitive(mixed, **NO_DRM)
    assert len(select_cognitive(mixed, max_ace=0.5, **NO_DRM).selected) == 5
    for told in ("{}", "no JSON", "[]", json.dumps({"form": ["literal"]})):
        with pytest.raises(SettingError, match="names no form that has a usual limit"):
            select_cognitive(ds.add_column("rap_ace_settings", [told] * 10), **NO_DRM)


def test_attention_is_left_out_where_it_is_not_known_or_not_wanted():
    """Without the column, or with max_ace=None, there is no such step."""
    steps = [
        [step.name for step in select_cognitive(ds, max_ace=max_ace, **NO_DRM).funnel]
        for ds, max_ace in ((scored([0.8]), 0.1), (scored([0.8], ace=[0.9]), None))
    ]
    assert steps == [["rows", "scored", "image_needed", "selected"]] * 2


def test_replacements_are_hard_but_solvable():
    """Difficulty 1 and 0 never come in, nor a row without difficulty."""
    ds = scored([0.8, 0.8, 0.0, 0.0, 0.0, 0.0], difficulty=[0.0, 0.0, 1.0, 0.0, None, 0.2])
    selection = select_cognitive(ds, method="rap-paper")
    assert reasons(selection) == [
        *["always_solved"] * 2,
        "never_solved",
        "solved_without_image",
        "image_changes_nothing",
        "hard_replacement",
    ]
    assert selection.funnel[-1] == Step("selected", 1, came_in=1)


def test_one_failed_attempt_is_the_least_a_replacement_needs():
    """1/M with M the row's judged attempts: 0.2 of 5 is enough, 0.1 in partial rewards is not."""
    rewards = [[1.0] * 5, [1.0, 1.0, 1.0, 1.0, 0.0], [0.9, 0.9, 0.9, 0.9, None]]
    ds = scored([0.8, 0.4, 0.4], difficulty=[0.0, 0.2, 0.1], image_rewards=rewards)
    selection = select_cognitive(ds.select([0, 2]))
    assert reasons(selection) == ["always_solved", "image_helps_little"]
    assert selection.rule["attempts"] == [4, 5]
    assert reasons(select_cognitive(ds.select([0, 1]))) == ["always_solved", "hard_replacement"]
    assert reasons(select_cognitive(ds.select([0, 2]).remove_columns("rap_image_rewards")))[1] == "hard_replacement"


def test_a_floor_keeps_rows_out_that_the_image_does_not_help():
    """min_replacement_cde is strict, as min_cde is, and 0.2 unless told otherwise; the paper has none."""
    ds = scored([0.8, 0.0, 0.2, 0.4], difficulty=[0.0, 0.8, 0.6, 0.4])
    no, little, hard = "solved_without_image", "image_helps_little", "hard_replacement"
    assert reasons(select_cognitive(ds))[1:] == [no, little, hard]
    assert reasons(select_cognitive(ds, min_replacement_cde=0.0))[1:] == [no, hard, little]
    assert reasons(select_cognitive(ds, min_replacement_cde=0.4))[1:] == [no, little, little]
    assert reasons(select_cognitive(ds, min_replacement_cde=None))[1:] == [hard, little, little]
    paper = select_cognitive(ds, method="rap-paper")
    assert (reasons(paper)[1:], paper.rule["min_replacement_cde"]) == ([hard, little, little], None)
    with pytest.raises(SettingError, match=r"min_replacement_cde=0\.1 means nothing to method 'rap-paper'"):
        select_cognitive(ds, method="rap-paper", min_replacement_cde=0.1)


@pytest.mark.parametrize(
    ("replacements", "enter"), [("as many", 4), (1.0, 4), (0.5, 2), (0.3, 1), (0.2, 0), (0, 0), (1, 1), (6, 6), (9, 8)]
)
def test_how_many_come_in_is_an_option(replacements, enter):
    """Four rows leave and eight could come in: a number, or a share of the four rounded down."""
    ds = scored([0.8] * 4 + [0.4] * 8, difficulty=[0.0] * 4 + [0.4] * 8)
    selection = select_cognitive(ds, replacements=replacements)
    assert selection.reasons.get("hard_replacement", 0) == len(selection.selected) == enter
    assert selection.rule["replacements"] == replacements
    names = [step.name for step in selection.funnel]
    assert ("replaced" in names, selection.funnel[-1].came_in) == (enter > 0, enter)


def test_ties_go_by_seed_and_id():
    """Another seed takes another row; the order of the rows makes no difference."""
    ids = [f"row{number}" for number in range(20)]
    ds = scored([0.8] + [0.4] * 19, difficulty=[0.0] + [0.4] * 19, id=ids)
    chosen = [select_cognitive(ds, seed=seed).selected["rap_id"][0] for seed in range(5)]
    assert len(set(chosen)) > 1
    backwards = ds.select(range(20)[::-1])
    assert [select_cognitive(backwards, seed=seed).selected["rap_id"][0] for seed in range(5)] == chosen


def test_ties_without_ids_go_by_seed_and_position():
    """The same call gives the same rows."""
    ds = scored([0.8] + [0.4] * 19, difficulty=[0.0] + [0.4] * 19)
    chosen = [reasons(select_cognitive(ds, seed=seed)).index("hard_replacement") for seed in range(5)]
    assert len(set(chosen)) > 1
    assert [reasons(select_cognitive(ds, seed=seed)).index("hard_replacement") for seed in range(5)] == chosen


def test_a_budget_that_is_too_small_drops_the_lowest_cde():
    """Ties go to the harder row."""
    ds = scored([0.6, 0.8, 0.6, 0.1], difficulty=[0.4, 0.2, 0.2, 0.9])
    selection = select_cognitive(ds, budget=2)
    assert reasons(selection) == ["image_needed", "image_needed", "over_budget", "image_helps_little"]


def test_replacements_are_the_first_to_go_over_budget():
    """They are in for their difficulty, with a lower cde."""
    ds = scored([0.6, 0.8, 0.3], difficulty=[0.4, 0.0, 0.9])
    assert reasons(select_cognitive(ds, budget=1)) == ["image_needed", "always_solved", "over_budget"]


def test_a_budget_that_is_too_large_fills_up_by_cde():
    """But not with rows that fail another step."""
    ds = scored(
        [0.8, 0.5, 0.4, 0.3, 0.2, None], ace=[0, 0.5, 0, 0, None, 0], difficulty=[0.2, 0.5, 0.0, 0.5, 0.5, None]
    )
    assert reasons(select_cognitive(ds, budget=2)) == [
        "image_needed",
        "image_helps_little",  # attention biased, too
        "image_helps_little",  # always solved, too
        "filled_to_budget",
        "image_helps_little",  # attention unknown, too
        "not_scored",
    ]
    assert reasons(select_cognitive(ds, budget=3, **NO_DRM))[2] == "filled_to_budget"


def test_a_budget_that_cannot_be_met_says_what_there_is():
    """Rather than fewer rows in silence."""
    with pytest.raises(
        SettingError, match=r"budget asks for 3 rows, but only 2 of 4 could be in: .* Ask for 2 or fewer"
    ):
        select_cognitive(scored([0.8, None, 0.1, None]), budget=3, **NO_DRM)


@pytest.mark.parametrize(("budget", "rows"), [(1, 1), (1.0, 10), (0.29, 3), (0.01, 1), (np.int64(2), 2)])
def test_a_budget_is_a_number_of_rows_or_a_share_of_all(budget, rows):
    """An int counts rows, a float is a share, at least one row."""
    selection = select_cognitive(scored([0.1] * 10), budget=budget, **NO_DRM)
    assert len(selection.selected) == rows
    assert selection.rule["budget"] == rows
    assert selection.rule["asked"]["budget"] == budget


def test_strata_share_the_budget_in_proportion():
    """Rows that could come in: a 4, b 2, null 1. Of 4 rows that is 2.29, 1.14, 0.57: 2, 1 and 1."""
    ds = scored([0.9, 0.8, 0.7, 0.6, 0.2, 0.1, 0.0, None], topic=["a", "a", "a", "a", "b", "b", None, "b"])
    assert reasons(select_cognitive(ds, budget=4, stratify_by="topic", **NO_DRM)) == [
        "image_needed",
        "image_needed",
        "over_budget",
        "over_budget",
        "filled_to_budget",
        "image_helps_little",
        "filled_to_budget",
        "not_scored",
    ]


def test_equal_remainders_go_by_the_text_of_the_stratum():
    """Not by the order of the rows: of three thirds of a row, "a" gets the row."""
    ds = scored([0.9, 0.8, 0.7], topic=["c", "a", "b"])
    assert select_cognitive(ds, budget=1, stratify_by="topic", **NO_DRM).selected["topic"][:] == ["a"]


def test_strata_may_be_numbers_but_not_lists():
    """What cannot name a group is refused."""
    ds = scored([0.9, 0.1], level=[1, 2], words=[["x"], ["y"]])
    assert reasons(select_cognitive(ds, budget=2, stratify_by="level", **NO_DRM)) == [
        "image_needed",
        "filled_to_budget",
    ]
    with pytest.raises(SettingError, match="stratify_by='words': the values are of type list"):
        select_cognitive(ds, budget=2, stratify_by="words", **NO_DRM)


def test_thresholds_may_be_quantiles():
    """Of ten scores 0.0 .. 0.9 a share of 0.8 is at or below 0.7: two are above."""
    ds = scored([number / 10 for number in range(10)] + [None], ace=[0.9] * 5 + [0.2] * 4 + [0.1, None])
    selection = select_cognitive(ds, min_cde="q0.8", max_ace=Quantile(0.5), **NO_DRM)
    assert selection.selected["rap_cde"][:] == [0.8, 0.9]
    assert {key: selection.rule[key] for key in ("min_cde", "max_ace", "asked")} == {
        "min_cde": 0.7,
        "max_ace": 0.2,
        "asked": {"min_cde": "q0.8", "max_ace": "q0.5", "budget": None},
    }


def test_a_quantile_of_no_scores_is_refused():
    """There is nothing to take it of."""
    with pytest.raises(SettingError, match=r"The quantile q0\.9 is not defined: no row has a score\."):
        select_cognitive(scored([None, None]), min_cde="q0.9", **NO_DRM)


def test_the_rule_is_json_and_complete():
    """Every option, thresholds as used and as asked."""
    ds = scored([0.8, 0.1], difficulty=[0.2, 0.3])
    selection = select_cognitive(ds, min_cde=np.float64(0.5), budget=0.5, seed=np.int64(3), min_replacement_cde=0)
    assert json.loads(json.dumps(selection.rule)) == {
        "method": "rap",
        "method_version": "2",
        "min_cde": 0.5,
        "min_probability": None,
        "max_ace": None,  # no such column
        "replace_easy": True,
        "min_replacement_cde": 0.0,
        "replacements": "as many",
        "budget": 1,
        "stratify_by": None,
        "seed": 3,
        "attempts": None,
        "asked": {"min_cde": 0.5, "max_ace": "auto", "budget": 0.5},
    }


def test_nothing_selected_is_a_selection():
    """And shows."""
    selection = select_cognitive(scored([0.1, None]), **NO_DRM)
    assert len(selection.selected) == 0
    assert repr(selection) == (
        "Selection: 0 of 2 rows\n"
        "  step     rows                2  in all\n"
        "  step     scored              1  have a score: rap_cde\n"
        "  step     image_needed        0  need the image: rap_cde > 0.5\n"
        "  step     selected            0  are selected\n"
        "  dropped  image_helps_little  1  solved more often with the image, but not by more than min_cde\n"
        "  dropped  not_scored          1  cde is null and rap_error does not say why"
    )


def test_thresholds_can_be_tried_again_on_what_was_selected_from():
    """The decision columns are replaced."""
    ds = scored([0.6, 0.3])
    again = select_cognitive(select_cognitive(ds, **NO_DRM).scored, min_cde=0.2, **NO_DRM)
    assert again.scored.to_list() == select_cognitive(ds, min_cde=0.2, **NO_DRM).scored.to_list()


def test_an_indices_mapping_is_followed():
    """A shuffled dataset gets the decisions of its rows."""
    ds = scored([0.6, 0.3, None], name=["a", "b", "c"]).select([2, 0, 1])
    selection = select_cognitive(ds, **NO_DRM)
    assert reasons(selection) == ["not_scored", "image_needed", "image_helps_little"]
    assert selection.selected["name"][:] == ["a"]


def test_images_are_not_decoded_and_formats_stay():
    """Bytes that are no image go through; nulls do not turn into NaN decisions."""
    image = {"bytes": b"not an image", "path": None}
    ds = scored([0.8, None]).add_column("image", [image, image], feature=Image())
    selection = select_cognitive(ds.with_format("numpy", columns=["image"]), **NO_DRM)
    assert selection.scored.format["type"] == "numpy"
    kept = selection.selected.with_format(None).cast_column("image", Image(decode=False))
    assert kept["image"][:] == [image]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_cde": 1.5}, r"min_cde is 1\.5: it takes a number between -1 and 1, or a quantile such as 'q0\.9'"),
        ({"min_cde": "high"}, "min_cde is 'high'"),
        ({"min_cde": "q2"}, "min_cde is 'q2'"),
        ({"min_cde": None}, "min_cde is None"),
        ({"min_cde": float("nan")}, "min_cde is nan"),
        ({"max_ace": -0.1}, r"max_ace is -0\.1: it takes a number of 0 or more"),
        ({"max_ace": float("inf")}, "max_ace is inf"),
        ({"budget": 0}, r"budget is 0: it takes a number of rows \(1, 2, \.\.\.\) or a share"),
        ({"budget": 1.5}, r"budget is 1\.5"),
        ({"budget": True}, "budget is True"),
        ({"budget": "10"}, "budget is '10'"),
        ({"stratify_by": "topic"}, "stratify_by shares out a budget: give a budget too"),
        ({"min_replacement_cde": 2}, "min_replacement_cde is 2: it takes a number between -1 and 1"),
        ({"min_replacement_cde": 0, "replace_easy": False}, "min_replacement_cde is for the replacements"),
        ({"replacements": 3, "replace_easy": False}, "replacements says how many rows replace_easy=True brings in"),
        (
            {"replacements": 1.5},
            r"replacements is 1\.5: it takes a number of rows \(0, 1, \.\.\.\), a share of those that leave",
        ),
        ({"replacements": "all"}, "replacements is 'all'"),
        ({"method": "best"}, "method is 'best': it takes one of rap"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    """With the value and the range."""
    with pytest.raises(SettingError, match=message):
        select_cognitive(scored([0.8], difficulty=[0.2]), **options)


def test_a_quantile_is_a_share():
    """Refused where it is made."""
    with pytest.raises(SettingError, match=r"q is 90: it takes a number between 0 and 1"):
        Quantile(90)


def test_missing_columns_are_told_with_a_way_out():
    """What to run, or what to switch off."""
    with pytest.raises(
        MissingColumnError, match=r"'rap_cde'.*\(it has: a\)\. Make it first: ds\.map\(cde_score, batched=True\)"
    ):
        select_cognitive(Dataset.from_dict({"a": [1]}))
    with pytest.raises(MissingColumnError, match=r"'rap_difficulty'.*difficulty_score.*replace_easy=False"):
        select_cognitive(scored([0.8]))
    with pytest.raises(MissingColumnError, match=r"stratify_by reads column 'topic'"):
        select_cognitive(scored([0.8]), budget=1, stratify_by="topic", **NO_DRM)


def test_only_a_dataset_with_rows_can_be_selected_from():
    """A stream cannot be ranked; nothing cannot be selected from."""
    stream = IterableDataset.from_generator(lambda: iter([{"rap_cde": 0.8}]))
    with pytest.raises(SettingError, match="it takes a Dataset, not a stream"):
        select_cognitive(stream)
    with pytest.raises(SettingError, match="a dataset without rows"):
        select_cognitive(scored([]))


def test_reasons_do_not_clash_with_error_codes():
    """A reason says one thing only."""
    for method in METHODS.values():
        names = [reason.name for reason in method.reasons]
        assert len(set(names)) == len(names)
        assert not set(ERROR_CODES) & set(names)
        assert all(reason.meaning for reason in method.reasons)
