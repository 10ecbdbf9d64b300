"""Files for process reward trainers."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import Dataset, Features, Image, List, Value, load_dataset

from hf_rap.cli import cli
from hf_rap.errors import ExportError, LayoutError, MissingColumnError, SettingError
from hf_rap.exports.internvl_prm import export_internvl_prm
from hf_rap.exports.prm_lines import internvl_lines
from hf_rap.exports.qwen_prm import export_qwen_prm
from hf_rap.exports.trl_prm import export_trl_prm

STEPS = [{"step": " Look. ", "score": 0.75}, {"step": "So “3”.", "score": 0.125}, {"step": "B", "score": 0.0}]
ROW = {"rap_id": "f:1", "image": ["a.png"], "question": "<image>\nWhich? Think.", "question_orig": "Which?"}


def ds(*rows):
    return Dataset.from_list([{**ROW, "steps_with_score": STEPS, **row} for row in rows or [{}]])


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_prm_tokens(tmp_path):
    """One number per mark; the meta file names the annotations with their length."""
    path = tmp_path / "train.jsonl"
    assert export_internvl_prm(ds({}, {"image": ["a.png", "b.png"]}), path, root="pictures") == 2
    human = {"from": "human", "value": "Question: Which?\nProcess: Look.<prm>\n\nSo “3”.<prm>\n\nB<prm>"}
    first, second = lines(path)
    assert first == {"image": "a.png", "conversations": [human, {"from": "gpt", "value": [1.0, 1.0, 0.0]}]}
    assert second["image"] == ["a.png", "b.png"]
    meta = {
        "root": str(Path("pictures").absolute()),
        "annotation": str(path),
        "data_augment": False,
        "repeat_time": 1,
        "length": 2,
    }
    assert json.loads((tmp_path / "train.meta.json").read_text()) == {"train": meta}


def test_thresholds_and_soft_labels(tmp_path):
    """2 of 16 is not above 2 of 16."""
    export_internvl_prm(ds(), tmp_path / "hard.jsonl", threshold=0.125)
    export_internvl_prm(ds(), tmp_path / "soft.jsonl", soft=True)
    assert lines(tmp_path / "hard.jsonl")[0]["conversations"][1]["value"] == [1.0, 0.0, 0.0]
    assert lines(tmp_path / "soft.jsonl")[0]["conversations"][1]["value"] == [0.75, 0.125, 0.0]


def test_turns(tmp_path):
    """One turn per step, plus or minus; the image's place is in the first human turn."""
    path = tmp_path / "turns.jsonl"
    export_internvl_prm(ds(), path, form="turns", system="Judge.", threshold=0.2, early_stop=True)
    assert lines(path)[0]["conversations"] == [
        {"from": "system", "value": "Judge."},
        {"from": "human", "value": "### Question:\n<image>\nWhich?\n\n### Solution Process:\nLook."},
        {"from": "gpt", "value": "+"},
        {"from": "human", "value": "So “3”."},
        {"from": "gpt", "value": "-"},
    ]
    export_internvl_prm(ds(), path, form="turns")
    assert [turn["value"] for turn in lines(path)[0]["conversations"][1::2]] == ["+", "+", "-"]


def test_stored_images_become_files(tmp_path):
    """With their bytes as they are, and a name that goes with them."""
    features = Features(
        {
            "rap_id": Value("string"),
            "images": List(Image()),
            "question": Value("string"),
            "steps_with_score": List({"step": Value("string"), "score": Value("float64")}),
        }
    )
    row = {"rap_id": "a/b:1", "images": [{"bytes": b"\x89PNG....", "path": None}], "question": "q"}
    stored = Dataset.from_list([{**row, "steps_with_score": STEPS}], features=features)
    export_internvl_prm(stored, tmp_path / "out" / "train.jsonl")
    assert lines(tmp_path / "out" / "train.jsonl")[0]["image"] == "images/a-b-1-0.png"
    assert (tmp_path / "out" / "images" / "a-b-1-0.png").read_bytes() == b"\x89PNG...."
    told = json.loads((tmp_path / "out" / "train.meta.json").read_text())["train"]
    assert (Path(told["root"]) / "images" / "a-b-1-0.png").is_file()


@pytest.mark.parametrize(
    ("root", "expected"), [(None, ""), ("s3://bucket/images", "s3://bucket/images"), ("/data/x", "/data/x")]
)
def test_names_of_images_are_below_the_root_that_is_given(tmp_path, root, expected):
    """An address stays one; without any the trainer takes the names as they are."""
    export_internvl_prm(ds(), tmp_path / "train.jsonl", root=root)
    assert json.loads((tmp_path / "train.meta.json").read_text())["train"]["root"] == expected


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def source(tmp_path):
    ds({}, {}, {}).to_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_the_command_prints_what_internvl_is_started_with(tmp_path, source):
    """A whole line, with the meta file; the system turn and the root are options."""
    out = tmp_path / "a b"
    done = run(
        "export",
        source,
        out,
        "--to",
        "internvl-prm",
        "--form",
        "turns",
        "--system",
        "Judge.",
        "--root",
        "/data",
        "--gpus",
        2,
    )
    words = shlex.split(done.stdout.replace("\\\n", " "), comments=True)
    assert words[:3] == ["torchrun", "--nproc_per_node=2", "internvl/train/internvl_chat_finetune.py"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert json.loads(Path(given["--meta_path"]).read_text())["train"]["root"] == "/data"
    assert given["--output_dir"] == f"{out}-out"
    assert given["--gradient_accumulation_steps"] == "1"
    assert lines(out / "train.jsonl")[0]["conversations"][0] == {"from": "system", "value": "Judge."}


def test_the_form_with_marks_is_for_the_fork_that_reads_them(tmp_path, source):
    """InternVL's own loader knows no <prm>; batches of 512 as published where there are so many rows."""
    said = run("export", source, tmp_path / "out", "--to", "internvl-prm").stdout
    assert said.startswith("# in a checkout of Balanced-Info-MPRM\nPYTHONPATH=src torchrun")
    assert "src/internvl/train/internvl_chat_finetune.py" in said
    assert "--warmup_ratio 0.05" in said
    many = internvl_lines(tmp_path / "train.meta.json", rows=40_000, gpus=4, model=None)
    assert "--per_device_train_batch_size 2 --gradient_accumulation_steps 64" in many  # 512 / 2 / 4


COUNTED = [
    {"step": "Look.", "score": 0.75, "num_mc_correct": 12, "num_mc_total": 16},
    {"step": "B", "score": 0.0, "num_mc_correct": 0, "num_mc_total": 16},
    {"step": "C", "score": 0.0, "num_mc_correct": 0, "num_mc_total": 0},  # skipped by early stopping
]
K, N = [12, 0, 0], [16, 16, 0]


@pytest.mark.parametrize("form", ["prm-token", "turns"])
def test_counts_stand_beside_the_turns(tmp_path, form):
    """k and N of each step, as a reliability is learned from them; without asking nothing changes."""
    rows = ds({"steps_with_score": COUNTED})
    export_internvl_prm(rows, tmp_path / "with.jsonl", form=form, counts=True)
    export_internvl_prm(rows, tmp_path / "without.jsonl", form=form)
    (counted,), (plain,) = lines(tmp_path / "with.jsonl"), lines(tmp_path / "without.jsonl")
    assert (counted.pop("num_mc_correct"), counted.pop("num_mc_total")) == (K, N)
    assert counted == plain
    export_trl_prm(rows, tmp_path / "with.parquet", counts=True)
    row = load_dataset("parquet", data_files=str(tmp_path / "with.parquet"), cache_dir=str(tmp_path))["train"][0]
    assert (row["num_mc_correct"], row["num_mc_total"], row["labels"]) == (K, N, [True, False, False])


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"num_mc_correct": 3, "num_mc_total": 4}, "Row f:1, step 1: 3 right of 4 continuations, and a score of 0.5"),
        ({"num_mc_correct": 5, "num_mc_total": 4}, "step 1: 5 right of 4"),
        ({"num_mc_correct": None, "num_mc_total": 4}, "Row f:1 has no counts num_mc_correct and num_mc_total"),
        ({}, "Row f:1 has no counts"),
    ],
)
def test_counts_that_do_not_give_the_score_are_refused(tmp_path, step, message):
    """Nothing is learned from them."""
    rows = ds({"steps_with_score": [{"step": "a", "score": 0.5, **step}]})
    with pytest.raises(LayoutError, match=message):
        export_internvl_prm(rows, tmp_path / "rows.jsonl", counts=True)
    assert export_internvl_prm(rows, tmp_path / "rows.jsonl") == 1


def built(item, base):
    """As `_build_messages` of Qwen-VL's fine-tuning code puts images into turns: what remains of either side is an error."""
    images = [item["image"]] if isinstance(item["image"], str) else list(item["image"])
    turns = []
    for turn in item["conversations"]:
        parts = re.split(r"(<image>|<video>)", turn["value"]) if turn["from"] == "human" else [turn["value"]]
        turns.append(
            [str(base / images.pop(0)) if part == "<image>" else part.strip() for part in parts if part.strip()]
        )
    assert not images
    return turns


def test_the_layout_of_qwen(tmp_path):
    """A turn for each step, images in their places; a place too few or too many is refused, for the loader stops there."""
    path = tmp_path / "train.jsonl"
    assert export_qwen_prm(ds({}, {"image": ["a.png", "b.png"]}), path, threshold=0.2) == 2
    first, second = lines(path)
    assert built(first, Path("/data")) == [
        ["### Question:", "/data/a.png", "Which?\n\n### Solution Process:\nLook."],
        *(["+"], ["So “3”."], ["-"], ["B"], ["-"]),
    ]
    assert built(second, Path("/data"))[0][1:3] == ["/data/a.png", "/data/b.png"]
    export_qwen_prm(ds({"steps_with_score": COUNTED}), path, early_stop=True, counts=True)
    (stopped,) = lines(path)
    assert [turn["value"] for turn in stopped["conversations"][1::2]] == ["+", "-"]
    assert stopped["num_mc_correct"] == K
    for row, places in (
        ({"question_orig": "<image> or <image>?"}, "1 image"),
        ({"question_orig": "Which <video>?"}, "the places <image>, <video>"),
        ({"image": [], "question_orig": "<image> Which?"}, "0 image"),
    ):
        with pytest.raises(LayoutError, match=f"Row f:1 has .*{places}"):
            export_qwen_prm(ds(row), path)


def test_the_command_prints_what_qwen_is_started_with(tmp_path, source):
    """The entry for its table of data sets, and its command."""
    done = run("export", source, tmp_path / "a b", "--to", "qwen-prm", "--root", "/data", "--gpus", 2)
    entry, command = done.stdout.split("\n\n")
    data_dict = {}
    exec(entry, {"data_dict": data_dict})
    assert data_dict == {"hf_rap_prm": {"annotation_path": str(tmp_path / "a b" / "train.jsonl"), "data_path": "/data"}}
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    assert words[:5] == ["torchrun", "--nproc_per_node=2", "qwenvl/train/train_qwen.py", "--dataset_use", "hf_rap_prm"]


def test_the_command_prints_a_program_for_trl(tmp_path, source):
    """Valid Python, with the file of the rows."""
    done = run("export", source, tmp_path / "out", "--to", "trl-prm", "--model", "me/model")
    compile(done.stdout, "train_prm.py", "exec")
    assert f"data_files={str(tmp_path / 'out' / 'train.parquet')!r}" in done.stdout
    assert "model = 'me/model'" in done.stdout


@pytest.mark.parametrize("to", ["internvl-prm", "trl-prm"])
def test_an_existing_folder_is_refused(tmp_path, source, to):
    """As the other exports do; nothing in it changes."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(ExportError, match="There is something at"):
        run("export", source, tmp_path / "full", "--to", to)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["x"]


def test_trl_stepwise(tmp_path):
    """Text alone: placeholders are gone; every step has a flag."""
    plain = {**ROW, "question_orig": None}
    assert export_trl_prm(ds(plain, {}), tmp_path / "train.parquet", threshold=0.5) == 2
    read = load_dataset("parquet", data_files=str(tmp_path / "train.parquet"), split="train")
    assert read.to_list() == [
        {"prompt": prompt, "completions": ["Look.", "So “3”.", "B"], "labels": [True, False, False]}
        for prompt in ("Which? Think.", "Which?")
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"steps_with_score": []}, "Row f:1 has no steps"),
        ({"steps_with_score": [{"step": "a", "score": None}]}, "Row f:1 has no steps"),
        ({"steps_with_score": [{"step": "a <prm>", "score": 1.0}]}, "Row f:1 has the text '<prm>'"),
        ({"question_orig": "What is <prm>?"}, "Row f:1 has the text '<prm>'"),
    ],
)
def test_rows_that_would_mislead_the_trainer_are_refused(tmp_path, row, message):
    """And nothing is left behind."""
    with pytest.raises(LayoutError, match=message):
        export_internvl_prm(ds(row), tmp_path / "train.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_are_refused(tmp_path):
    """Before anything is written."""
    for options, message in (
        ({"form": "xml"}, "form is 'xml': it takes one of prm-token, turns"),
        ({"threshold": 1.0}, r"threshold is 1\.0: it takes a number of 0 or more and below 1"),
        ({"early_stop": True}, "form='turns'"),
        ({"form": "turns", "soft": True}, "form='prm-token'"),
    ):
        with pytest.raises(SettingError, match=message):
            export_internvl_prm(ds(), tmp_path / "train.jsonl", **options)
    with pytest.raises(SettingError, match=r"\.jsonl"):
        export_internvl_prm(ds(), tmp_path / "train.json")
    with pytest.raises(SettingError, match=r"\.parquet"):
        export_trl_prm(ds(), tmp_path / "train.json")
    with pytest.raises(MissingColumnError, match="'steps_with_score'"):
        export_trl_prm(ds().remove_columns("steps_with_score"), tmp_path / "train.parquet")
