"""hf-rap inspect: what it shows, and what `rollouts` and `run` refuse to leave unread."""

import io
import json

import pytest
from click.testing import CliRunner
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap.cli import cli

ROWS = Features(
    {
        "id": Value("string"),
        "question": Value("string"),
        "image": Image(),
        "opts": List(Value("string")),
        "answer": Value("string"),
        "photo": Image(),
    }
)


def picture():
    file = io.BytesIO()
    PILImage.new("RGB", (8, 6)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


@pytest.fixture
def source(tmp_path):
    """Two multiple choices whose options have an unusual name, with a second picture."""
    row = {"question": "Which is north?", "image": picture(), "opts": ["Nevada", "Maine"], "answer": "B"}
    rows = [{**row, "id": name, "photo": picture()} for name in ("a", "b")]
    path = tmp_path / "rows.parquet"
    Dataset.from_list(rows, features=ROWS).to_parquet(path)
    return str(path)


def hf_rap(*words):
    return CliRunner().invoke(cli, words)


def test_rows_are_shown_with_what_is_not_read(source):
    """The chat as it will be, the gold as the grader reads it, and the sentence about the second picture."""
    result = hf_rap("inspect", source, "--choices", "opts", "--prompt", "bare")

    assert result.exit_code == 0
    assert (
        "row 0 (a)\n  user: [8 x 6]Which is north?\n  A. Nevada\n  B. Maine\n  gold: B (Maine), read as B (choice)"
        in result.output
    )
    assert "The columns photo look like pictures, and nothing reads them." in result.output
    assert "choices: opts" in result.output


def test_one_row_is_shown_without_a_picture_of_its_attention(source):
    """As text, and as JSON."""
    words = ("inspect", source, "--choices", "opts", "--row", "b", "--prompt", "bare")

    assert hf_rap(*words).stdout.startswith("row 1 (b)\n  user: [8 x 6]Which is north?\n  A. Nevada")
    assert json.loads(hf_rap(*words, "--json").stdout)["read_as"] == ["B (choice)"]


@pytest.mark.parametrize("command", ["rollouts", "run"])
def test_a_picture_that_nothing_reads_stops_before_a_model_is_loaded(source, tmp_path, command):
    """And `--ignore-columns` goes on, to the model that is not there."""
    target = ["--out", str(tmp_path / "e.parquet")] if command == "rollouts" else ["--to-folder", str(tmp_path / "v")]
    words = [command, source, "--model", str(tmp_path / "no-model"), *target]

    refused = hf_rap(*words)
    ignored = hf_rap(*words, "--ignore-columns", "photo")

    assert str(refused.exception).startswith("The columns photo look like pictures, and nothing reads them. Name them")
    assert "no-model" in str(ignored.exception)


def test_several_columns_are_named_with_commas(source):
    """Pictures in the order in which they are named."""
    result = hf_rap("inspect", source, "--images", "photo,image", "--choices", "opts", "--json")

    found = json.loads(result.stdout)
    assert (found["layout"]["images"], found["images_per_row"], found["unread"]) == (["photo", "image"], {"2": 2}, [])
