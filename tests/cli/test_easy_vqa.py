"""The walk of a stranger's data set, from `inspect` to the card: easy-VQA, coloured shapes with short questions."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import load_dataset

from hf_rap.cli import cli

easy_vqa = pytest.importorskip("easy_vqa", reason="in the dev group")

ROWS = 40


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A file of the first rows of its test part, as one would write them down: a question, a picture, an answer."""
    questions, answers, images = easy_vqa.get_test_questions()
    paths = easy_vqa.get_test_image_paths()
    rows = [
        {"question": question, "image": str(Path(paths[image]).resolve()), "answer": answer}
        for question, answer, image in zip(questions[:ROWS], answers, images, strict=False)
    ]
    file = tmp_path_factory.mktemp("easy") / "easy.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file, rows


def hf_rap(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, (done.exception, done.output)
    return done.stdout


@pytest.mark.slow
def test_easy_vqa_is_walked_from_inspect_to_the_card(source):
    """Every row is usable as it is, every one is asked and has a reason, and the card counts them."""
    file, rows = source
    names = ("evidence.parquet", "scored.parquet", "selection.parquet", "version")
    evidence, scored, selection, version = (file.parent / name for name in names)

    pictures = ("--media-root", Path(rows[0]["image"]).parents[2])  # they lie elsewhere on this machine
    told = json.loads(hf_rap("inspect", file, *pictures, "--json"))
    assert (told["layout"]["name"], told["rows"], told["usable"]) == ("plain", ROWS, ROWS)

    hf_rap("rollouts", file, *pictures, "--model", "demo", "--attempts", 2, "--max-new-tokens", 32, "--out", evidence)
    hf_rap("score", evidence, "--out", scored)
    hf_rap("select", scored, "--top", 0.25, "--by", "rap_cde", "--out", selection)
    hf_rap("publish", selection, "--to-folder", version)

    scored = load_dataset(str(version), "scored", split="train")
    assert scored["answer"][:] == [row["answer"] for row in rows]
    assert not any(scored["rap_error"])
    reasons = scored["rap_reason"][:]
    assert len(reasons) == ROWS
    assert all(reasons)
    kept = sum(scored["rap_keep"])
    card = (version / "README.md").read_text()
    assert f"{kept} of the {ROWS} rows" in card
    assert "`easy.jsonl`" in card
    assert load_dataset(str(version), "selected", split="train").num_rows == kept
