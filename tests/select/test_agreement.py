"""The same rules on the evidence of several models."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from datasets import Dataset

from hf_rap.cli import cli
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.scorers import add_scores, difficulty_score
from hf_rap.select import select_cognitive
from hf_rap.select.agreement import Pair, compare_models
from hf_rap.select.stability import stability

ATTEMPTS = 4


def evidence(right, ids="abcdefgh", **columns):
    """A row per number: so many of four attempts with the image are right, none without."""
    rewards = [[1.0] * number + [0.0] * (ATTEMPTS - number) for number in right]
    return Dataset.from_dict(
        {
            "rap_id": list(ids[: len(right)]),
            "rap_image_rewards": rewards,
            "rap_text_rewards": [[0.0] * ATTEMPTS] * len(right),
            **columns,
        }
    )


BEFORE = (0, 1, 2, 3, 4, 4, 0, 2)
AFTER = (1, 2, 3, 4, 4, 4, 0, 2)


def test_overlap_and_chance_by_hand():
    """The band keeps b, c, d, h before and a, b, c, h after: three of five, by chance 2 of 6."""
    found = compare_models({"before": evidence(BEFORE), "after": evidence(AFTER)}, ["difficulty"])
    (pair,) = found.pairs
    assert (pair.names, pair.rows, pair.jaccard) == (("before", "after"), (4, 4), 0.6)
    assert pair.by_chance == round(2 / 6, 6)  # 4 * 4 / 8 rows in both, 4 + 4 - 2 in either
    assert found.rows == 8


def test_the_ceiling_is_what_stability_says_of_each():
    """And the overlap is shown as a share of their mean."""
    tables = {"before": evidence(BEFORE), "after": evidence(AFTER)}
    (pair,) = compare_models(tables, ["any-right"]).pairs
    said = [
        stability(select_cognitive(add_scores(ds, difficulty_score), method="any-right"), attempts=()).jaccard
        for ds in tables.values()
    ]
    assert pair.reruns == tuple(said)
    assert pair.of_ceiling == round(pair.jaccard / np.mean(said), 6)
    assert Pair("x", ("a", "b"), (1, 1), 0.5, (0.8, None), 0.1).of_ceiling is None


def test_rows_are_matched_by_id_whatever_their_order():
    """Only those that both have count, each once; the same model in another order agrees with itself."""
    rows = evidence(BEFORE)
    shuffled = rows.select([7, 3, 5, 1, 0, 2, 2])
    found = compare_models({"one": rows, "two": shuffled}, ["difficulty", "rap"])
    assert (found.rows, found.rows_of) == (6, {"one": 8, "two": 7})
    assert [pair.jaccard for pair in found.pairs] == [1.0, 1.0]
    assert "6 rows are in all of them (one 8, two 7)" in str(found)


def test_three_checkpoints_make_three_pairs_and_share_one_budget():
    """Ranking rules keep as many rows of each as the band keeps of the first."""
    tables = {"start": evidence(BEFORE), "middle": evidence(AFTER), "end": evidence((4,) * 7 + (1,))}
    found = compare_models(tables, ["learnability", "difficulty"])
    of_learnability = [pair for pair in found.pairs if pair.method == "learnability"]
    assert [pair.names for pair in of_learnability] == [("start", "middle"), ("start", "end"), ("middle", "end")]
    assert {rows for pair in of_learnability for rows in pair.rows} == {4}


def test_a_rule_that_decides_by_no_counts_has_no_ceiling():
    """Said with the reason; a draw by id is the same for every model."""
    found = compare_models({"before": evidence(BEFORE), "after": evidence(AFTER)}, ["random"], budget=3)
    assert (found.pairs[0].jaccard, found.pairs[0].reruns) == (1.0, (None, None))
    assert "cannot be repeated on other counts" in found.ceilings_unknown["random"]
    assert "rerun unknown:" in str(found)


def test_all_methods_say_what_one_of_the_files_lacks():
    """The column is named, and whose it is."""
    tokens = [[1] * ATTEMPTS] * 8
    tables = {"before": evidence(BEFORE, rap_image_tokens=tokens), "after": evidence(AFTER)}
    found = compare_models(tables, "all")
    assert found.lacking["longest"].startswith("after: there is no column 'rap_image_tokens'")
    assert {pair.method for pair in found.pairs} == {
        *(
            "rap",
            "rap-paper",
            "difficulty",
            "learnability",
            "pass-gap",
            "any-right",
            "hardest-tenth",
            "hardest",
            "random",
        )
    }


@pytest.mark.parametrize(
    ("tables", "error", "message"),
    [
        ({"one": evidence}, SettingError, "two datasets or more by their names"),
        ([evidence, evidence], SettingError, "two datasets or more by their names"),
        (
            {"one": evidence, "two": lambda right: evidence(right, "ijklmnop")},
            SettingError,
            "one and two have no rap_id in common",
        ),
        (
            {"one": evidence, "two": lambda right: evidence(right).remove_columns("rap_id")},
            MissingColumnError,
            "'rap_id'",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(tables, error, message):
    """With what to do."""
    made = {name: make(BEFORE) for name, make in tables.items()} if isinstance(tables, dict) else [1, 2]
    with pytest.raises(error, match=message):
        compare_models(made, ["difficulty"])


def test_the_command_compares_two_files(tmp_path):
    """As a table, as JSON, and as a plot."""
    for name, right in (("before", BEFORE), ("after", AFTER)):
        evidence(right).to_parquet(tmp_path / f"{name}.parquet")
    files = [str(tmp_path / "before.parquet"), str(tmp_path / "after.parquet")]
    files += ["--plot", str(tmp_path / "agreement.png")]
    done = CliRunner().invoke(cli, ["compare", *files, "--methods", "difficulty"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "agreement.png").read_bytes().startswith(b"\x89PNG")
    assert "difficulty  before - after     4     4    0.600" in done.output
    as_json = json.loads(CliRunner().invoke(cli, ["compare", *files, "--methods", "difficulty", "--json"]).stdout)
    assert as_json["pairs"][0]["jaccard"] == 0.6
    refused = CliRunner().invoke(cli, ["compare", files[0], files[0], "--methods", "difficulty"])
    assert "A SOURCE is named twice" in refused.output
    swept = CliRunner().invoke(cli, ["compare", *files, "--sweep", "min_cde=0:1:0.5"])
    assert "--sweep is about one SOURCE" in swept.output


def test_in_a_notebook_it_is_a_table():
    found = compare_models({"before": evidence(BEFORE), "after": evidence(AFTER)}, ["difficulty"])
    assert "<table" in found._repr_html_()
    assert repr(found).startswith("Agreement: 8 rows are in all of them")
