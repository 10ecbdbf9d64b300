"""hf-rap update, from a version and from a file, with a log as a training leaves it behind."""

import json

import pytest
from click.testing import CliRunner
from datasets import Dataset, load_dataset

from hf_rap import publish_to_folder, select_cognitive
from hf_rap.cli import cli
from hf_rap.cli.files import write_file
from hf_rap.demo import make_planted
from hf_rap.select.comparison import with_scores

ROWS = 12


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A file of six rows that are always right and six that never are; the log contradicts the first."""
    folder = tmp_path_factory.mktemp("update")
    write_file(selected(Dataset.from_dict({"problem": ["How many?"] * ROWS})), folder / "rap.parquet")
    records = [("row 0", 0.0), ("row 1", 1.0), ("elsewhere", 1.0)]
    log = folder / "rewards"
    log.mkdir()
    lines = [{"rap_id": name, "reward": reward, "step": 4, "phase": "train", "time": 1.0} for name, reward in records]
    (log / "rewards-00000-0123abcd.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines * 8))
    (log / "rewards-00000-0123abcd.json").write_text(
        json.dumps({"function": "accuracy", "started": 0.0, "model": "after"})
    )
    return folder


def selected(ds):
    """The rows with two attempts each, and which of them are ever right."""
    evidence = {
        "rap_id": [f"row {row}" for row in range(ROWS)],
        "rap_image_rewards": [[1.0] * 2] * (ROWS // 2) + [[0.0] * 2] * (ROWS // 2),
        "rap_text_rewards": [[0.0] * 2] * ROWS,
        "rap_image_tokens": [[10] * 2] * ROWS,
        "rap_text_tokens": [[10] * 2] * ROWS,
        "rap_settings": [json.dumps({"model": "before", "max_new_tokens": 16, "instruction": "Box it."})] * ROWS,
    }
    for name, values in evidence.items():
        ds = ds.add_column(name, values)
    return select_cognitive(with_scores(ds), method="any-right")


def run(folder, *words, source="rap.parquet"):
    arguments = ["update", str(folder / source), "--rewards", str(folder / "rewards"), "--model", "demo", *words]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_what_would_be_asked_is_told_without_a_model(before):
    """The row that the log contradicts."""
    done = run(before, "--ask-above", "0.6", "--check-share", "0", "--dry-run", "--json")
    found = json.loads(done.stdout)
    assert found == {
        "rows": ROWS,
        "steps that count": "3 to 4, 16 rewards of 2 rows",
        "the model moved": found["the model moved"],
        "asked": "1, whose decision changes with a chance above 0.6",
        "drawn": "0 of the others, to check",
        "log": "1 not asked, known by the training",
        "before": "10 not asked, as before",
    }


@pytest.mark.exhaustive
def test_the_next_version_is_written(before):
    """One row is asked with as many attempts as before; the version is the next minor one, and its card says what was done."""
    ds = make_planted(40).filter(lambda kind: kind in ("hard", "needs_image"), input_columns="kind").select(range(ROWS))
    publish_to_folder(selected(ds), before / "rap", version="1.2.0")
    options = [
        "--ask-above",
        "0.6",
        "--check-share",
        "0",
        "--max-new-tokens",
        "16",
        "--to-folder",
        str(before / "next"),
    ]
    done = run(before, *options, source="rap")
    assert done.exit_code == 0, done.output
    assert "1 ids in the log are of no row of the selection" in done.stderr
    manifest = json.loads((before / "next" / "rap.json").read_text())
    assert manifest["version"] == "1.3.0"
    scored = load_dataset(str(before / "next"), "scored", split="train")
    assert scored["rap_id"][:] == [f"row {row}" for row in range(ROWS)]
    assert scored["rap_update"][:] == ["asked", "log", *["before"] * (ROWS - 2)]
    assert len(scored["rap_image_responses"][0]) == 2
    settings = json.loads(scored["rap_settings"][0])
    assert (settings["max_new_tokens"], settings["instruction"]) == (16, "Box it.")  # as before, where nothing is said
    assert scored["rap_image_rewards"][1] == [1.0] * 8
    assert "known_by" not in scored.column_names
    assert scored["rap_keep"][1:] == [True] * 5 + [False] * 6
    card = (before / "next" / "README.md").read_text()
    assert "An update: 1 rows were asked again, 1 have rewards of the training and 10 the evidence of before" in card
    assert (
        run(before, *options, source="rap").exit_code == 0
    )  # once more: nothing is asked, and the version is the same


def test_a_place_to_write_to_is_asked_for(before):
    """Before anything is loaded."""
    assert "Give either REPO (user/name) or --to-folder FOLDER" in run(before).output
