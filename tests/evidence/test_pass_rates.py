"""Pass rates that others have published: each scale read right, or refused in a sentence that names the row."""

import json
import math

import pytest
from datasets import Dataset

from hf_rap import (
    add_pass_rates,
    add_scores,
    cde_score,
    difficulty_score,
    list_doubts,
    regrade,
    select_cognitive,
    select_difficulty,
    select_top,
)
from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError
from hf_rap.scorers import usual_scores
from hf_rap.select import select_hardest


def rows(**columns):
    """Rows with these columns."""
    return Dataset.from_dict(columns)


def settings(evidence):
    """What the card will say of them."""
    (text,) = set(evidence["rap_settings"])
    return json.loads(text)


def test_rates_of_known_attempts_become_rewards():
    """As many 1 and 0 as the rate says, and the scores and bands that need no more."""
    evidence = add_pass_rates(rows(pass_rate=[0.0, 0.375, 1.0]), attempts=8)
    assert [sum(rewards) for rewards in evidence["rap_image_rewards"]] == [0, 3, 8]
    scored = add_scores(evidence, difficulty_score)
    assert scored["rap_difficulty"][:] == [1.0, 0.625, 0.0]
    assert select_difficulty(scored, 0.1, 0.9).reasons == {"moderate": 1, "too_easy": 1, "too_hard": 1}


def test_rates_of_unknown_attempts_become_a_difficulty():
    """No attempt is made up."""
    evidence = add_pass_rates(rows(pass_rate=[0.25, None, math.nan, -1.0]))
    assert evidence["rap_difficulty"][:] == [0.75, None, None, None]
    assert "rap_image_rewards" not in evidence.column_names
    assert [error and error.partition(":")[0] for error in evidence["rap_error"]] == [None] + ["rate_unknown"] * 3
    assert select_difficulty(evidence, 0.1, 0.9).reasons == {"moderate": 1, "rate_unknown": 3}
    assert select_hardest(evidence, budget=1).reasons == {"hardest": 1, "rate_unknown": 3}
    assert select_top(evidence, by="rap_difficulty", ratio=1.0, per=None).reasons == {"top": 1, "rate_unknown": 3}


def test_virl39k_is_known_once_the_model_is_said():
    """Two models are two columns; -1 is no rate of 7BBase, and nobody tells how replies were drawn."""
    virl = rows(PassRate_32BTrained=[1.0, 0.0], PassRate_7BBase=[0.5, -1.0])
    with pytest.raises(LayoutError, match="Several columns may be pass rates: PassRate_32BTrained, PassRate_7BBase"):
        add_pass_rates(virl)
    evidence = add_pass_rates(virl, "PassRate_7BBase")
    assert evidence["rap_difficulty"][:] == [0.5, None]
    assert settings(evidence) == {
        "engine": "published",
        "column": "PassRate_7BBase",
        "model": "7BBase, as the column says",
        "sampling": "unknown",
        "attempts": "unknown",
    }


def test_mmfinereason_is_known():
    """Two of four right is 0.5; with the number of replies that its pipeline draws, rewards; a verdict beside it is no rate."""
    rates = rows(qwen3vl_4b_pass_rate=[0.5, 0.0, None], is_consistent=[True, False, True])
    evidence = add_pass_rates(rates)
    assert evidence["rap_difficulty"][:] == [0.5, 1.0, None]
    assert settings(evidence)["model"] == "qwen3vl_4b, as the column says"
    assert [row and sum(row) for row in add_pass_rates(rates, attempts=4)["rap_image_rewards"]] == [2, 0, None]


def test_open_r1_has_a_grade_for_each_reply():
    """NaN is a reply that nobody could grade; the replies come along, so that doubts of golds can be listed."""
    evidence = add_pass_rates(
        rows(
            problem=["2 + 2?", "3 + 3?"],
            answer=["5", "6"],
            images=[[], []],
            pass_rate_generations=[[r"\boxed{4}"] * 10, [r"\boxed{6}"] * 10],
            pass_rate_rewards=[[0.0] * 10, [1.0] * 9 + [math.nan]],
        ),
        model="Qwen/Qwen2.5-7B",
        sampling="temperature 0.7",
    )
    assert evidence["rap_image_rewards"][1] == [1.0] * 9 + [None]
    assert (settings(evidence)["model"], settings(evidence)["sampling"]) == ("Qwen/Qwen2.5-7B", "temperature 0.7")
    assert [(doubt.row, doubt.answer) for doubt in list_doubts(evidence).doubts] == [(0, "4")]


def test_published_replies_are_graded_again():
    """By the built-in verifier: what others took for wrong may be right, and the other way round."""
    published = rows(
        problem=["2 + 2?", "1 / 2?"],
        answer=["4", "0.5"],
        images=[[], []],
        pass_rate_generations=[[r"\boxed{4.0}", "4 or 5"], [r"\boxed{1/2}", "none"]],
        pass_rate_rewards=[[0.0, 1.0], [1.0, 0.0]],
    )
    again = regrade(add_pass_rates(published))
    assert again["rap_image_rewards"][:] == [[1.0, 0.0], [1.0, 0.0]]
    assert json.loads(again["rap_settings"][0])["verifier"] == "hf_rap"
    assert "rap_text_rewards" not in again.column_names


@pytest.mark.parametrize(
    ("columns", "options", "right"),
    [
        ({"pass_rate": ["3/8", "0 / 4", "2 of 2", None, ""]}, {}, [3, 0, 2, None, None]),
        ({"pass_rate": [37.5, 0.0, 100.0]}, {"scale": "percent", "attempts": 8}, [3, 0, 8]),
        ({"pass_rate": ["37.5%", "0%", "100 %"]}, {"attempts": 8}, [3, 0, 8]),
        ({"pass_rate": ["0.375", "-1", "1"]}, {"attempts": 8}, [3, None, 8]),
        ({"right": [3, 0, 8]}, {"column": "right", "scale": "count", "attempts": 8}, [3, 0, 8]),
        ({"right": [3, 0], "n": [8, 4]}, {"column": "right", "scale": "count", "attempts": "n"}, [3, 0]),
        ({"solve_rate": [0.33, 0.67]}, {"attempts": 3}, [1, 2]),  # two digits behind the point
        ({"model_pass_rate": [[True, False], [True, True]]}, {}, [1, 2]),
        ({"pass@1": [0.5, -5.0]}, {"unknown": -5, "attempts": 2}, [1, None]),
        ({"success_rate": [True, False]}, {}, [1, 0]),
        ({"extra_info": [{"pass_rate": 0.5}, None]}, {"column": "extra_info.pass_rate", "attempts": 2}, [1, None]),
        ({"extra_info.pass_rate": [0.5]}, {"column": "extra_info.pass_rate", "attempts": 2}, [1]),
        ({"pass_rate": [0, 1]}, {"scale": "fraction", "attempts": 4}, [0, 4]),
    ],
    ids=str,
)
def test_scales(columns, options, right):
    """Fractions, percentages, counts, texts, lists of grades, single grades, and other numbers for unknown."""
    evidence = add_pass_rates(rows(**columns), **options)
    assert [None if rewards is None else sum(rewards) for rewards in evidence["rap_image_rewards"]] == right


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ({"pass_rate": [0.5, 37.5]}, {}, "Row 1 has 37.5 in 'pass_rate', which is no fraction: say scale='percent'"),
        ({"pass_rate": [37.5, 0.5]}, {"scale": "percent"}, "Row 1 has 0.5 in 'pass_rate' and row 0 has 37.5"),
        ({"pass_rate": [0.5, 2.0]}, {"scale": "fraction"}, "Row 1 has 2 in 'pass_rate', and a fraction is at most 1"),
        ({"pass_rate": [101.0]}, {"scale": "percent"}, "Row 0 has 101"),
        ({"pass_rate": ["3/8", "0.5"]}, {}, "Row 1 has '0.5' in 'pass_rate', a number, and row 0 has '3/8', k of n"),
        ({"pass_rate": ["9/8"]}, {}, "Row 0 has '9/8'"),
        ({"pass_rate": ["hard"]}, {}, "Row 0 has 'hard' in 'pass_rate', which is no pass rate"),
        ({"pass_rate": [0.5, -5.0]}, {}, "Row 1 has -5 in 'pass_rate', and no pass rate is below 0"),
        ({"pass_rate": [0.5, math.inf]}, {}, "Row 1 has inf"),
        ({"pass_rate": [0.3]}, {"attempts": 8}, "Row 0 has a pass rate of 0.3 in 'pass_rate', which is no share of 8"),
        ({"pass_rate": [1, 0]}, {"attempts": 8}, "'pass_rate' has 0 and 1 alone, as in row 0"),
        ({"pass_rate": [9]}, {"attempts": 8, "scale": "count"}, "Row 0 has 9 right attempts of 8"),
        ({"pass_rate": [1]}, {"scale": "count"}, "Row 0 has 1 right attempts in 'pass_rate', of how many is not said"),
        ({"pass_rate": [0.5, 0.5], "n": [2, 0]}, {"attempts": "n"}, "Row 1 has 0 attempts"),
        ({"pass_rate": [0.5, 0.5], "n": [2, None]}, {"attempts": "n"}, "Row 1 has a pass rate in 'pass_rate' and no"),
        ({"pass_rate_rewards": [[2.0]]}, {}, "Row 0 has 2.0 in a list of 'pass_rate_rewards', and grades are from 0"),
        ({"answers": [["a"]]}, {"column": "answers"}, "they are replies: name the column with their grades"),
        ({"pass_rate_rewards": [[1.0]], "pass_rate_generations": [["a", "b"]]}, {}, "Row 0 has 2 replies"),
        ({"difficulty": [0.5]}, {}, "No column is called like a pass rate"),
    ],
    ids=str,
)
def test_what_is_open_is_refused_with_its_row(columns, options, says):
    """Mixed and ambiguous scales above all."""
    with pytest.raises(LayoutError) as refused:
        add_pass_rates(rows(**columns), **options)
    assert says in str(refused.value)


def test_rules_that_need_the_text_arm_refuse():
    """In a sentence, by the column that they lack; and the usual scores leave cde out."""
    evidence = add_pass_rates(rows(pass_rate=[0.5]), attempts=2)
    assert usual_scores(evidence) == ("difficulty",)
    with pytest.raises(MissingColumnError, match="rap_text_rewards"):
        add_scores(evidence, cde_score)
    with pytest.raises(MissingColumnError, match="rap_cde"):
        select_cognitive(add_scores(evidence, difficulty_score))


def test_evidence_that_is_there_stays():
    """Nothing is replaced, and a column that is not there is named."""
    with pytest.raises(ColumnExistsError, match="rap_image_rewards"):
        add_pass_rates(rows(pass_rate=[0.5], rap_image_rewards=[[1.0]]), attempts=2)
    with pytest.raises(MissingColumnError, match="passrate"):
        add_pass_rates(rows(pass_rate=[0.5]), "passrate")
