"""A multiple choice on its way to a trainer: what was scored is what is trained."""

import io
import json

import pytest
from click.testing import CliRunner
from datasets import Dataset, Features, Image, List, Value, load_dataset
from PIL import Image as PILImage

from hf_rap import (
    Completion,
    Layout,
    Rollouts,
    add_scores,
    cde_score,
    difficulty_score,
    publish_to_folder,
    select_cognitive,
)
from hf_rap.cli import cli
from hf_rap.cli.files import layout_in, write_file
from hf_rap.evidence.collector import collect_evidence
from hf_rap.exports.rows import export_rows


def png():
    """A picture that is there."""
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


STATES = ["Nevada", "Maine"]
FORM = "({letter}) {text}"
ROWS = Features({"q": Value("string"), "pic": Image(), "opts": List(Value("string")), "gold": Value("int64")})
LAYOUT = Layout("q", "pic", "gold", choices="opts", choice_form=FORM)


class Sees:
    """Right with the picture, wrong without; keeps the texts of its prompts with a picture."""

    def __init__(self):
        self.texts = []

    def describe(self):
        return {"model": "sees"}

    def complete(self, requests, sampling):
        for request in requests:
            if request.images:
                self.texts.append("".join(block.get("text", "<image>") for block in request.messages[0]["content"]))
        return [
            [Completion(r"\boxed{B}" if request.images else r"\boxed{A}", 3, False)] * request.attempts
            for request in requests
        ]


@pytest.fixture(scope="module")
def scored():
    """Two rows, of which the second proves that counting starts at 0, and what the model was asked."""
    ds = Dataset.from_list(
        [
            {"q": "Which is north?", "pic": {"bytes": png(), "path": None}, "opts": STATES, "gold": gold}
            for gold in (1, 0)
        ],
        features=ROWS,
    )
    engine = Sees()
    evidence = collect_evidence(ds, Rollouts(engine, attempts=2, layout=LAYOUT, prompt="bare"))
    return add_scores(evidence, cde_score, difficulty_score), engine.texts


def test_the_published_columns_ask_what_the_scorer_asked(scored, tmp_path):
    """`problem`, `messages` and `prompt` hold the options; the answer is the letter of one."""
    ds, asked = scored
    selection = select_cognitive(ds, replace_easy=False)
    publish_to_folder(selection, tmp_path / "v", layout=LAYOUT)

    (row,) = load_dataset(str(tmp_path / "v"), "selected", split="train").to_list()

    assert asked[0] == "<image>Which is north?\n(A) Nevada\n(B) Maine"
    assert row["problem"] == row["messages"][0]["content"] == asked[0]
    assert "".join(block["text"] or "<image>" for block in row["prompt"][0]["content"]) == asked[0]
    assert (row["answer"], row["extra_info"]["accepted"], row["extra_info"]["options"]) == ("B", ["B"], STATES)


def test_a_published_version_is_asked_the_same_again(scored, tmp_path):
    """Its options are not put in a second time, and rows keep their ids."""
    ds, asked = scored
    publish_to_folder(select_cognitive(ds, replace_easy=False), tmp_path / "v", layout=LAYOUT)
    selected = load_dataset(str(tmp_path / "v"), "selected", split="train")

    engine = Sees()
    again = collect_evidence(
        selected.select_columns(list(selected.features)[:11]), Rollouts(engine, attempts=1, prompt="bare")
    )
    (exported,) = list(export_rows(selected))

    assert engine.texts == asked[:1]
    assert again["rap_image_rewards"][:] == [[1.0]]
    assert again["rap_id"][:] == ds["rap_id"][:1]
    assert (exported["problem"], exported["answer"]) == (asked[0], "B")


def test_files_between_commands_remember_the_layout(scored, tmp_path, monkeypatch):
    """Nobody has to say it twice: `publish` and `export` read the rows as `rollouts` did."""
    monkeypatch.chdir(tmp_path)
    write_file(scored[0], tmp_path / "scored.parquet", layout=LAYOUT)
    run = CliRunner().invoke

    for words in (
        ["select", "scored.parquet", "--keep-easy", "--out", "selection.parquet"],
        ["publish", "selection.parquet", "--to-folder", "v"],
        ["export", "selection.parquet", "rows", "--to", "jsonl"],
    ):
        result = run(cli, words)
        assert result.exit_code == 0, result.output
    (published,) = load_dataset("v", "selected", split="train").to_list()
    exported = json.loads(next((tmp_path / "rows").glob("*.jsonl")).read_text().splitlines()[0])

    assert layout_in("selection.parquet") == LAYOUT
    assert published["problem"] == exported["problem"] == scored[1][0]
    assert json.loads((tmp_path / "v" / "rap.json").read_text())["facts"]["layout"]["choices"] == "opts"


def test_options_of_the_command_line_go_before_what_is_remembered(scored, tmp_path):
    """Another form, say."""
    write_file(select_cognitive(scored[0], replace_easy=False), tmp_path / "selection.parquet", layout=LAYOUT)
    words = ["publish", str(tmp_path / "selection.parquet"), "--to-folder", str(tmp_path / "v")]

    result = CliRunner().invoke(cli, [*words, "--choice-form", "{letter}: {text}"])

    assert result.exit_code == 0, result.output
    (published,) = load_dataset(str(tmp_path / "v"), "selected", split="train").to_list()
    assert published["problem"] == "<image>Which is north?\nA: Nevada\nB: Maine"
