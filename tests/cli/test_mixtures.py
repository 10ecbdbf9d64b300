"""Several SOURCEs in one command, --without, and what the card says of a mixture."""

import io
import json

import pytest
from click.testing import CliRunner
from datasets import Dataset, Features, Image, List, Value, load_dataset
from PIL import Image as PILImage

from hf_rap import Completion, Rollouts, add_scores, cde_score, difficulty_score
from hf_rap.cli import cli
from hf_rap.cli.files import write_file
from hf_rap.evidence.collector import collect_evidence
from hf_rap.rows.mixing import mix_datasets
from hf_rap.rows.provenance import SourceInfo, describe_mixture

S = Value("string")


def picture(colour="red"):
    file = io.BytesIO()
    PILImage.new("RGB", (8, 6), colour).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """geo.parquet with three rows, of which two are equal; science.parquet with a multiple choice that is none."""
    monkeypatch.chdir(tmp_path)
    geo = [{"images": [picture()], "problem": f"Find {x}.", "answer": "3"} for x in "xyx"]
    Dataset.from_list(geo, features=Features({"images": List(Image()), "problem": S, "answer": S})).to_parquet(
        "geo.parquet"
    )
    science = [
        {"question": "Which?", "image": picture(), "choices": ["a", "b"], "answer": answer} for answer in ("b", "c")
    ]
    features = Features({"question": S, "image": Image(), "choices": List(S), "answer": S})
    Dataset.from_list(science, features=features).to_parquet("science.parquet")
    Dataset.from_list(geo[1:2], features=Features({"images": List(Image()), "problem": S, "answer": S})).to_parquet(
        "test.parquet"
    )
    return tmp_path


def hf_rap(*words):
    return CliRunner().invoke(cli, words)


def test_several_sources_are_inspected_as_one(folder):
    """Each is counted, with what is twice, what cannot be read, and what stands in the test set."""
    result = hf_rap("inspect", "geo.parquet", "science.parquet", "--without", "test.parquet", "--json")

    found = json.loads(result.stdout)
    assert (found["rows"], found["usable"], found["duplicates"]) == (5, 3, 1)
    assert found["codes"] == {"in_test_set": 1, "gold_unreadable": 1}
    assert "geo: 3 rows; 1 stand earlier" in result.stderr
    assert "science: 2 rows; not readable: gold_unreadable: 1" in result.stderr
    assert "1 rows stand in test and are not asked (in_test_set)" in result.stderr


def test_rows_of_a_test_set_are_left_out_of_a_single_source(folder):
    """Its other columns stay."""
    result = hf_rap("inspect", "geo.parquet", "--without", "test.parquet", "--json")

    found = json.loads(result.stdout)
    assert (found["rows"], found["usable"], found["codes"]) == (3, 2, {"in_test_set": 1})


def test_parts_of_the_source_are_flags_for_one_source_alone(folder):
    """With several they are written into the source."""
    result = hf_rap("inspect", "geo.parquet", "science.parquet", "--split", "train")

    assert result.exit_code == 2
    assert "are for one SOURCE" in result.output


def test_a_source_is_given_once(folder):
    """Its rows would all be duplicates."""
    assert "A SOURCE is given twice" in hf_rap("inspect", "geo.parquet", "geo.parquet").output


class Sees:
    """Right with the picture, wrong without."""

    def describe(self):
        return {"model": "sees"}

    def complete(self, requests, sampling):
        return [
            [Completion(r"\boxed{3}" if request.images else r"\boxed{A}", 3, False)] * request.attempts
            for request in requests
        ]


@pytest.mark.slow
def test_the_card_lists_the_sources_with_their_licences(folder):
    """The strictest first; equal rows are kept once, and the row of no option is dropped with its reason."""
    names = ("geo", "science")
    mixture = mix_datasets(
        {name: load_dataset("parquet", data_files=f"{name}.parquet", split="train") for name in names}
    )
    infos = {
        "geo": SourceInfo("user/geo", licence="mit"),
        "science": SourceInfo("user/science", licence="cc-by-nc-4.0"),
    }
    evidence = collect_evidence(mixture.ds, Rollouts(Sees(), attempts=2, layout=mixture.layout))
    write_file(
        add_scores(evidence, cde_score, difficulty_score),
        folder / "scored.parquet",
        source=describe_mixture(infos, mixture.rows),
        layout=mixture.layout,
    )

    for words in (
        ("select", "scored.parquet", "--keep-easy", "--out", "selection.parquet"),
        ("publish", "selection.parquet", "--to-folder", "v"),
    ):
        result = hf_rap(*words)
        assert result.exit_code == 0, result.output
    card = (folder / "v" / "README.md").read_text()
    facts = json.loads((folder / "v" / "rap.json").read_text())["facts"]

    rows = [line for line in card.splitlines() if line.startswith(("| `geo` |", "| `science` |"))]
    assert "| `science` | 2 | `user/science` | unknown | unknown | unknown | `cc-by-nc-4.0` |" in rows
    assert "| `geo` | 3 | `user/geo` | unknown | unknown | unknown | `mit` |" in rows
    assert "A mixture of 2 sources" in card
    assert {reason["reason"]: reason["rows"] for reason in facts["reasons"]} == {
        "image_needed": 2,
        "duplicate": 1,
        "gold_unreadable": 1,
        "never_solved": 1,
    }
    selected = load_dataset("v", "selected", split="train")
    assert selected["data_source"][:] == ["geo", "geo"]
    assert "rap_unasked" not in selected.column_names
