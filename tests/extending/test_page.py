"""docs/extending.md and docs/extending: each of their files does, from outside and on the command line, what the page says."""

import importlib
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import PIL.Image
import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from blocks import blocks

from hf_rap import Completion, Rollouts, add_scores, collect_in_run, compare_methods, plugins, select_cognitive
from hf_rap.cli import main
from hf_rap.demo import demo_engine, make_planted
from hf_rap.plugins import add_plugin
from hf_rap.rows.recognition import recognise_layout
from hf_rap.scorers import cde_score, difficulty_score

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [f"docs/{page.relative_to(DOCS)}" for page in (DOCS / "extending.md", *(DOCS / "extending").glob("*.md"))]
FILES = {block.file: block.code for page in PAGES for block in blocks(page) if block.file is not None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the page, rows, and evidence of the page's engine."""
    folder = tmp_path_factory.mktemp("mine")
    for name, code in FILES.items():
        (folder / name).write_text(code)
    planted = make_planted(12)
    planted.to_parquet(folder / "rows.parquet")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    plugins._named.clear()


@pytest.fixture(scope="module")
def evidence(folder):
    """What the parrot of the page answers."""
    parrot = importlib.import_module("my_engine").Parrot("polly")
    rows = load_dataset("parquet", data_files=str(folder / "rows.parquet"), split="train")
    return rows.map(Rollouts(parrot, attempts=2), batched=True)


def hf_rap(folder, *words, code=0):
    """The command in this process, where the libraries are loaded already; its plugins are forgotten behind it."""
    out, err, before, ended = io.StringIO(), io.StringIO(), Path.cwd(), 0
    os.chdir(folder)
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            mock.patch.object(sys, "argv", ["hf-rap", *map(str, words)]),
            mock.patch.object(sys, "path", [*sys.path]),
            mock.patch.object(plugins, "_named", {}),
        ):
            main()
    except SystemExit as end:
        ended = end.code or 0
    finally:
        os.chdir(before)
    assert ended == code, err.getvalue()
    return SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue())


def test_the_files_are_short():
    """About ten lines each, as the page promises; evidence takes some more."""
    lines = {name: sum(bool(line.strip()) for line in code.splitlines()) for name, code in FILES.items()}
    assert sorted(lines) == [
        "my_engine.py",
        "my_evidence.py",
        "my_export.py",
        "my_layout.py",
        "my_masking.py",
        "my_rules.py",
        "my_scores.py",
    ]
    assert all(count <= (26 if name in ("my_evidence.py", "my_masking.py") else 16) for name, count in lines.items()), (
        lines
    )


class Sees:
    """Is right as long as so many pixels of the picture are white."""

    def __init__(self, least: int) -> None:
        self.least, self.replies = least, 0

    def complete(self, requests, sampling):
        self.replies += sum(request.attempts for request in requests)
        seen = [np.all(np.asarray(request.images[0]) == 255, axis=2).sum() >= self.least for request in requests]
        return [[Completion("\\boxed{3}" if fine else "\\boxed{4}", 3, False)] * 3 for fine in seen]

    def describe(self):
        return {"engine": "sees", "model": f"at least {self.least}"}


@pytest.mark.parametrize(("least", "share"), [(0, 1.0), (64, 0.0), (65, None), (32, 0.5), (40, 0.3), (1, 0.9)])
def test_how_much_of_a_picture_may_be_covered(folder, least, share):
    """Of 64 white pixels, one a cell: 0.3 covers 19 and leaves 45, 0.4 covers 26 and leaves 38. In 4 rounds of 3 replies."""
    white = {"id": ["a"], "images": [[PIL.Image.new("RGB", (8, 8), (255, 255, 255))]], "problem": ["<image>How many?"]}
    features = Features({"id": Value("string"), "images": List(Image()), "problem": Value("string")})
    ds = Dataset.from_dict(white, features).add_column("answer", ["3"])
    engine = Sees(least)
    assert importlib.import_module("my_masking").mask_threshold(ds, engine)["rap_mask_threshold"][:] == [share]
    assert engine.replies <= 12


@pytest.mark.exhaustive
def test_the_built_in_model_needs_more_of_the_picture_where_the_picture_is_asked_about(folder):
    """Rows whose text says the answer are solved under any cover; those that need their picture are not."""
    planted = make_planted(40).filter(lambda kind: kind in ("needs_image", "text_gives_it_away"), input_columns="kind")
    found = importlib.import_module("my_masking").mask_threshold(
        planted.select(range(8)), demo_engine(), max_new_tokens=64
    )
    shares = {"needs_image": [], "text_gives_it_away": []}
    for row in found.select_columns(["kind", "rap_mask_threshold"]):
        shares[row["kind"]].append(-1 if row["rap_mask_threshold"] is None else row["rap_mask_threshold"])
    assert min(map(len, shares.values())) >= 2
    assert np.mean(shares["needs_image"]) < np.mean(shares["text_gives_it_away"]) > 0.9


@pytest.mark.slow
def test_the_command_line_takes_them_from_rows_to_a_trainer(folder):
    """Engine, score, method, card and export of one's own, one command after the other."""
    plugin = "--plugin"
    hf_rap(
        folder,
        *(plugin, "my_engine:Parrot", "rollouts", "rows.parquet", "--engine", "Parrot", "--model", "polly"),
        *("--attempts", 2, "--out", "evidence.parquet"),
    )
    scores = ("--score", "token_range", "--score", "cde", "--score", "difficulty")
    hf_rap(folder, plugin, "my_scores:token_range", "score", "evidence.parquet", *scores, "--out", "scored.parquet")
    scored = load_dataset("parquet", data_files=str(folder / "scored.parquet"), split="train")
    assert set(scored["rap_token_range"]) == {0, None}
    half = scored.remove_columns("rap_difficulty").add_column("rap_difficulty", [0.5, 0.0] * 6)
    half.to_parquet(folder / "half.parquet")
    hf_rap(
        folder, plugin, "my_rules:MIDDLE", "select", "half.parquet", "--method", "middle", "--out", "selection.parquet"
    )
    hf_rap(folder, "publish", "selection.parquet", "--to-folder", "version")  # knows the method no more
    card = (folder / "version" / "README.md").read_text()
    assert "rows that `polly` solves about every second time" in card
    assert "The middle is enough" in card
    assert "2506.04755" not in card
    assert "| `rap_token_range` |" in card
    top = ("scored.parquet", "--top", 3, "--by", "rap_token_range", "--out", "top.parquet")
    hf_rap(folder, plugin, "my_scores:token_range", "select", *top)
    hf_rap(folder, "publish", "top.parquet", "--to-folder", "top")  # knows the scorer no more
    card = (folder / "top" / "README.md").read_text()
    assert "the highest `rap_token_range` (tokens of the longest reply minus those of the shortest)" in card
    assert "Replies of one length" in card.split("## Citation")[1]
    assert card.count("@misc") == 1
    done = hf_rap(folder, plugin, "my_export:LINES", "export", "selection.parquet", "--to", "lines", "out")
    assert "my-trainer --data" in done.stdout
    first = json.loads((folder / "out" / "train.jsonl").read_text().splitlines()[0])
    assert set(first) == {"q", "a"}


def test_a_layout_is_recognised(folder):
    """Before the built-in ones, once its plugin is named."""
    layout = add_plugin("my_layout:SURVEY")
    assert recognise_layout(["item", "item_text", "scan", "key"]) == layout
    assert recognise_layout(["images", "problem", "answer"]).name == "geometry3k"
    ds = Dataset.from_dict(
        {"item_text": ["How many?"], "scan": [None], "key": ["3"], "item": ["x"]},
        Features({"item_text": Value("string"), "scan": Image(), "key": Value("string"), "item": Value("string")}),
    )
    ds.to_parquet(folder / "survey.parquet")
    assert "survey" in hf_rap(folder, "--plugin", "my_layout:SURVEY", "inspect", "survey.parquet", "--json").stdout


def test_a_layout_goes_up_to_a_card(folder):
    """From rows with other columns, asked by an engine of one's own, ranked by a score of one's own, to a version."""
    planted = load_dataset("parquet", data_files=str(folder / "rows.parquet"), split="train")
    survey = planted.rename_columns({"problem": "item_text", "answer": "key", "id": "item", "images": "scan"})
    survey.remove_columns(["source", "kind"]).to_parquet(folder / "survey-rows.parquet")
    named = [
        word
        for place in ("my_layout:SURVEY", "my_engine:Parrot", "my_scores:token_range")
        for word in ("--plugin", place)
    ]
    words = ("run", "survey-rows.parquet", "--engine", "Parrot", "--model", "polly", "--attempts", 2)
    hf_rap(folder, *named, *words, "--method", "random", "--budget", 4, "--to-folder", "survey-version")
    card = (folder / "survey-version" / "README.md").read_text()
    assert "| `rap_token_range` | of 11 rows, unknown of 1: " in card
    assert "The rule `random` follows no paper." in card
    assert json.loads((folder / "survey-version" / "rap.json").read_text())["facts"]["layout"]["name"] == "survey"


def test_evidence_goes_into_a_run_folder(folder, tmp_path):
    """And is there when it is asked for again."""
    pixels = importlib.import_module("my_evidence").Pixels()
    rows = load_dataset("parquet", data_files=str(folder / "rows.parquet"), split="train")
    expected = [row["images"][0].width * row["images"][0].height for row in rows]
    for _ in range(2):
        assert collect_in_run(rows, pixels, str(tmp_path / "run"))["rap_pixels"][:] == expected
    assert rows.map(pixels, batched=True)["rap_pixels"][:] == expected


def test_evidence_is_collected_on_the_command_line(folder):
    """Into a run and a file; a second time nothing is made again, and `runs` knows it."""
    words = ("--plugin", "my_evidence:Pixels", "collect", "rows.parquet", "Pixels", "--run", "own-run", "--json")
    counts = json.loads(hf_rap(folder, *words, "--out", "pixels.parquet").stdout)
    assert counts == {"rows": 12, "rows that failed": 0, "file": "pixels.parquet", "run": "own-run"}
    collected = load_dataset("parquet", data_files=str(folder / "pixels.parquet"), split="train")
    assert collected["rap_pixels"][:] == [row["images"][0].width * row["images"][0].height for row in collected]
    (entry,) = json.loads(hf_rap(folder, "runs", "own-run", "--json").stdout)
    assert (entry["kind"], entry["rows"], entry["parts"]) == ("pixels", 12, 1)
    assert "pixels  no model  12 rows, 0 failed, 1 parts\n" in hf_rap(folder, "runs", "own-run").stdout


def test_own_scores_stand_in_a_comparison(folder, evidence):
    """Made from the evidence like cde and difficulty, or taken as they are; `score` makes them, too."""
    evidence.to_parquet(folder / "compared.parquet")
    words = ("--plugin", "my_scores:token_range", "--plugin", "my_rules:MIDDLE", "compare", "compared.parquet")
    shown = hf_rap(folder, *words, "--methods", "middle,random", "--budget", 3).stdout.splitlines()
    assert shown[2].split() == ["method", "rows", "mean", "difficulty", "mean", "cde", "mean", "rap_token_range"]
    assert shown[4].split() == ["random", "3", "1.000", "0.000", "0.000"]
    hf_rap(folder, "--plugin", "my_scores:token_range", "score", "compared.parquet", "--out", "all.parquet")
    scored = load_dataset("parquet", data_files=str(folder / "all.parquet"), split="train")
    assert {"rap_cde", "rap_difficulty", "rap_token_range"} <= set(scored.column_names)
    first, _ = compare_methods(scored, ["random", "rap"], budget=3).selections
    assert first.mean_scores == {"rap_token_range": 0.0}


def test_the_method_is_compared(evidence):
    """In Python, the object itself."""
    middle = importlib.import_module("my_rules").MIDDLE
    scored = add_scores(evidence, cde_score, difficulty_score)
    assert [each.method for each in compare_methods(scored, [middle, "difficulty"]).selections] == [
        "middle",
        "difficulty",
    ]
    assert select_cognitive(scored, method=middle).rule["method"] == "middle"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--plugin", "my_rules", "runs", "x"],
            "The plugin 'my_rules' is named wrongly: it takes module:attribute, such as my_rules:MIDDLE.",
        ),
        (["--plugin", "my_rules:NONE", "runs", "x"], "The plugin my_rules:NONE is not there: my_rules ("),
        (
            ["--plugin", "not_there:X", "runs", "x"],
            "The plugin not_there:X cannot be imported: there is no module 'not_there' in ",
        ),
        (
            ["rollouts", "rows.parquet", "--engine", "Parrot", "--model", "m", "--out", "x.parquet"],
            "There is no engine 'Parrot'. There is: transformers, vllm, endpoint.",
        ),
        (["score", "rows.parquet", "--score", "mine", "--out", "x.parquet"], "There is no score 'mine'. There is: ace"),
        (["export", "rows.parquet", "--to", "mine"], "to is 'mine': it takes one of universal"),
        (
            ["collect", "rows.parquet", "mine", "--out", "x.parquet"],
            "There is no collector 'mine'. There is none. One of your own (see `hf_rap.Collector`)",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(folder, words, says):
    """Not as a KeyError."""
    done = hf_rap(folder, *words, code=1)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("hf-rap: "))
    assert says in line
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_process_of_its_own_finds_the_plugin(folder):
    """Beside the folder where it is started."""
    words = ["--plugin", "my_evidence:Pixels", "collect", "rows.parquet", "Pixels", "--out", "own-process.parquet"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "hf_rap", *words], cwd=folder, capture_output=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
