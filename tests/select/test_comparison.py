"""Selections side by side, from Python and from the command line."""

import json
from io import BytesIO

import pytest
from click.testing import CliRunner
from datasets import Dataset
from PIL import Image

from hf_rap.cli import cli
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.scorers import add_scores, cde_score, difficulty_score
from hf_rap.select import select_cognitive
from hf_rap.select.comparison import Compared, compare_methods
from hf_rap.versions.plots import draw_comparison

EVIDENCE = {
    "rap_image_rewards": [[1.0, 1.0, 1.0, 1.0, 0.0], [1.0] * 5, [0.0] * 5, [1.0, 0.0, 0.0, 0.0, 0.0]],
    "rap_text_rewards": [[0.0] * 5, [1.0] * 5, [0.0] * 5, [0.0] * 5],
}
SCORES = {"rap_cde": [0.8, 0.0, 0.0, 0.2], "rap_difficulty": [0.2, 0.0, 1.0, 0.8]}


def test_sizes_means_and_overlaps_by_hand():
    """rap keeps row 0, difficulty rows 0 and 3, hardest (one row, as rap) row 2."""
    found = compare_methods(Dataset.from_dict(SCORES), ["hardest", "rap", "difficulty"])
    assert found.selections == (
        Compared("hardest", 1, 1.0, 0.0),
        Compared("rap", 1, 0.2, 0.8),
        Compared("difficulty", 2, 0.5, 0.5),
    )
    assert found.jaccard == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.5), (0.0, 0.5, 1.0))


def test_an_empty_selection_has_no_means_and_no_overlap_with_itself():
    """Unknown is None, and is drawn as such."""
    found = compare_methods(Dataset.from_dict({"rap_difficulty": [0.0, 0.0]}), ["difficulty"])
    assert (found.selections, found.jaccard) == ((Compared("difficulty", 0, None, None),), ((None,),))
    assert Image.open(BytesIO(draw_comparison(found.as_dict()))).size[0] > 500


def test_selections_by_several_counterfactuals():
    """Against a blank picture row 0 keeps its cde, row 1 gains one and row 3 loses its own."""
    rows = {**SCORES, **EVIDENCE, "rap_blank_rewards": [[0.0] * 5, [0.0] * 5, [0.0] * 5, [1.0] * 5]}
    rows["rap_difficulty"] = [0.2, 0.2, 1.0, 0.8]  # nothing is always solved
    found = compare_methods(Dataset.from_dict(rows), ["rap", "rap:blank"])
    assert found.selections == (
        Compared("rap", 1, 0.2, 0.8, {"blank": 0.8}),
        Compared("rap:blank", 2, 0.2, 0.4, {"blank": 0.9}),
    )
    assert found.jaccard == ((1.0, 0.5), (0.5, 1.0))
    with pytest.raises(MissingColumnError, match=r"'rap_shuffled_rewards'.*hf-rap controls"):
        compare_methods(Dataset.from_dict(rows), ["rap:shuffled"])


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["rap", "best"], "method is 'best': it takes one of rap"),
        (["rap", "rap"], "each once"),
        ([], "it takes some of"),
        (["rap:grey"], "behind the colon goes one of blank, shuffled"),
        (["random:blank"], "only rap, rap-paper goes by a cde"),
        (["random"], "Method 'random' needs a budget"),
    ],
)
def test_bad_lists_of_methods_are_refused(methods, message):
    """Before anything is selected."""
    with pytest.raises(SettingError, match=message):
        compare_methods(Dataset.from_dict(SCORES), methods)


def test_a_method_without_its_column_is_told():
    """With the way to the column."""
    with pytest.raises(MissingColumnError, match="'rap_limr'"):
        compare_methods(Dataset.from_dict(SCORES), ["rap", "limr"])


def tokens(*counts):
    return [[count] * 5 for count in counts]


def test_all_methods_are_compared_or_say_what_they_lack():
    """Ten of eighteen go by rewards and tokens; each of the others names the column that is not there."""
    rows = {**EVIDENCE, "rap_image_tokens": tokens(1, 2, 3, 4), "rap_text_tokens": tokens(1, 1, 1, 1)}
    found = compare_methods(Dataset.from_dict(rows), "all")
    assert {each.method: (each.rows, each.tokens) for each in found.selections} == {
        "rap": (1, 70),  # 5 (1 + 2 + 3 + 4) with the image and 20 on the question alone
        "rap-paper": (1, 70),
        "rap-released": (1, 70),
        "difficulty": (2, 50),
        "learnability": (1, 50),
        "pass-gap": (1, 50),
        "any-right": (3, 50),
        "hardest-tenth": (1, 50),
        "hardest": (1, 50),
        "s1": (1, 10),  # the first replies alone
        "longest": (1, 50),
        "random": (1, 0),
    }
    assert {name: why.split(".")[0] for name, why in found.lacking.items()} == {
        "rap:blank": "there is no column 'rap_blank_rewards'",
        "rap:shuffled": "there is no column 'rap_shuffled_rewards'",
        "variance-promotion": "there is no column 'rap_image_responses'",
        "visual-dependence": "there is no column 'rap_visual_dependence'",
        "limr": "there is no column 'rap_limr'",
        "bis": "there is no column 'rap_bis'",
        "bis-posterior": "there is no column 'steps_with_score'",
    }
    assert "not compared:\n  rap:blank: there is no column" in str(found)
    assert "\n 1 rap" in str(found)
    assert "rap_limr" in found._repr_html_()


def test_all_rules_on_image_only_evidence():
    """What others publish, a pass rate per row, is enough for five rules; ranking ones keep as many as the first."""
    found = compare_methods(Dataset.from_dict({"rap_difficulty": [0.0, 0.4, 0.5, 1.0]}), "all")
    sizes = {each.method: each.rows for each in found.selections}
    assert sizes == {
        "difficulty": 2,
        "learnability": 2,
        "any-right": 3,
        "hardest-tenth": 1,
        "hardest": 2,
        "random": 2,
    }
    assert all(each.tokens is None for each in found.selections if each.method != "random")
    assert str(found).splitlines()[2].split() == ["method", "rows", "mean", "difficulty", "mean", "cde"]


def test_all_of_nothing_is_an_error():
    """Rows that no rule can read are told of, with the way to what is missing."""
    with pytest.raises(MissingColumnError, match="'rap_cde'"):
        compare_methods(Dataset.from_dict({"a": [1, 2]}), "all")


def test_a_name_beside_all_is_refused():
    """All is all."""
    with pytest.raises(SettingError, match="method is 'all'"):
        compare_methods(Dataset.from_dict(SCORES), ["all", "rap"])


@pytest.mark.slow
def test_the_command_compares_all(tmp_path):
    """A sentence for what is lacking, never a traceback; as JSON too."""
    source = tmp_path / "evidence.parquet"
    Dataset.from_dict(EVIDENCE).to_parquet(source)
    arguments = ["compare", str(source), "--plot", str(tmp_path / "c.png"), "--methods", "all"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "  limr: there is no column 'rap_limr'" in done.output
    as_json = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert "add_limr_score(ds)" in as_json["lacking"]["limr"]
    assert len(as_json["selections"]) == len(as_json["jaccard"]) == 10


def test_the_command_prints_a_table_and_writes_a_plot(tmp_path):
    """From evidence alone; with --json the same as data."""
    source, plot = tmp_path / "evidence.parquet", tmp_path / "c.png"
    Dataset.from_dict(EVIDENCE).to_parquet(source)
    arguments = ["compare", str(source), "--plot", str(plot)]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "difficulty           2            0.500     0.500" in done.output
    assert Image.open(plot).format == "PNG"
    as_json = CliRunner().invoke(cli, [*arguments, "--methods", "rap,difficulty", "--json"])
    assert json.loads(as_json.stdout)["jaccard"] == [[1.0, 0.5], [0.5, 1.0]]


def test_the_select_command_knows_the_methods(tmp_path):
    """And refuses an option that a method has no use for."""
    source = tmp_path / "scored.parquet"
    Dataset.from_dict(SCORES).to_parquet(source)
    done = CliRunner().invoke(cli, ["select", str(source), "--method", "difficulty", "--json"])
    assert json.loads(done.stdout)["reasons"] == {"moderate": 2, "too_easy": 1, "too_hard": 1}
    refused = CliRunner().invoke(cli, ["select", str(source), "--method", "difficulty", "--min-cde", "0.2"])
    assert isinstance(refused.exception, SettingError)


def test_evidence_is_compared_as_the_command_compares_it():
    """Cde and difficulty are computed where they are not there; what is there stays."""
    rewards = {
        "rap_image_rewards": [[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]],
        "rap_text_rewards": [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]],
    }
    ds = Dataset.from_dict({"rap_id": ["a", "b", "c"], **rewards})
    methods = ["rap", "difficulty"]
    scored = add_scores(ds, cde_score, difficulty_score)
    assert compare_methods(ds, methods) == compare_methods(scored, methods)
    assert compare_methods(select_cognitive(scored), methods) == compare_methods(scored, methods)
    own = scored.remove_columns("rap_cde").add_column("rap_cde", [0.0, 0.9, 0.0])
    assert compare_methods(own, methods) != compare_methods(scored, methods)
