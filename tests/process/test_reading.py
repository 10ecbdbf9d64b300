"""Reading process-reward data: layouts, faults with file and line, and what is left alone."""

import json
import logging
import shutil

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pillow

from hf_rap import add_scores, bis_score, load_process_rewards, select_top
from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError, SettingError, SourceError
from hf_rap.process import ProcessLayout, count_faults

from .visualprm import SOURCES, write

GOOD = {"image": "a.png", "question": "q", "response": "r", "steps_with_score": [{"step": "s", "score": 0.5}]}


def line(**changes):
    return json.dumps({**GOOD, **changes})


def steps(*scores):
    return [{"step": "s", "score": score} for score in scores]


def load(tmp_path, *lines, **options):
    (tmp_path / "data.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_process_rewards(tmp_path / "data.jsonl", **options)


def test_clean_files_come_out_as_they_are(tmp_path):
    """Every line a row, in the order of files and lines, texts and scores untouched."""
    files = write(tmp_path / "annotations", 30)
    ds = load_process_rewards(tmp_path)
    expected = [(source, number, row) for source in sorted(files) for number, row in enumerate(files[source], 1)]
    assert ds["rap_id"][:] == [f"{source}:{number}" for source, number, _ in expected]
    for column in ("question", "question_orig", "answer", "response", "steps_with_score"):
        assert ds[column][:] == [row.get(column) for _, _, row in expected]
    assert ds["image"][:] == [
        row["image"] if isinstance(row["image"], list) else [row["image"]] for *_, row in expected
    ]
    assert ds["source"][:] == [source for source, _, _ in expected]
    assert ds["rap_error"][:] == [None] * len(ds)


FAULTS = [
    ('{"image": "a.png", "steps', "line_broken: data.jsonl line 2: Unterminated string"),
    ("[1, 2]", "line_broken: data.jsonl line 2: the line holds a list, not an object"),
    (line(image=3), "line_broken: data.jsonl line 2: image is 3, not a name or a list of names"),
    (line(steps_with_score="none"), 'line_broken: data.jsonl line 2: steps_with_score is "none", not a list'),
    (line(image=None), "image_missing: data.jsonl line 2: no image is named"),
    (line(image=""), "image_missing: data.jsonl line 2: no image is named"),
    (line(image=["a.png", " "]), "image_missing: data.jsonl line 2: no image is named"),
    (line(steps_with_score=None), "steps_missing: data.jsonl line 2: there are no steps"),
    (line(steps_with_score=[]), "steps_missing: data.jsonl line 2: there are no steps"),
    (
        line(steps_with_score=[*steps(1), {"step": " ", "score": 1}]),
        "steps_missing: data.jsonl line 2: step 2 of 2 has no text",
    ),
    (
        line(steps_with_score=steps(1, None, 0)),
        "score_invalid: data.jsonl line 2: step 2 of 3 has the score null; scores are in [0, 1]",
    ),
    (
        line(steps_with_score=steps(0, 0, 1.5)),
        "score_invalid: data.jsonl line 2: step 3 of 3 has the score 1.5; scores are in [0, 1]",
    ),
    (
        line(steps_with_score=steps(-1)),
        "score_invalid: data.jsonl line 2: step 1 of 1 has the score -1; scores are in [0, 1]",
    ),
    (
        line(steps_with_score=steps(float("nan"))),
        "score_invalid: data.jsonl line 2: step 1 of 1 has the score nan; scores are in [0, 1]",
    ),
]


@pytest.mark.parametrize(("bad", "error"), FAULTS, ids=range(len(FAULTS)))
def test_unusable_line_is_told_with_file_and_line(tmp_path, caplog, bad, error):
    """It stays a row without steps, gets no score and no place in the quota; its neighbours are fine."""
    with caplog.at_level(logging.WARNING, "hf_rap"):
        ds = load(tmp_path, line(), bad, line(steps_with_score=steps(1, 0)))
    assert ds["rap_error"][0] is None
    assert ds["rap_error"][1].startswith(error)
    assert ds["rap_error"][2] is None
    assert [row is None for row in ds["steps_with_score"]] == [False, True, False]
    assert "1 of 3 rollouts cannot be used" in caplog.text
    assert error[:40] in caplog.text
    code = error.split(":")[0]
    assert count_faults(ds) == {code: 1}
    selection = select_top(add_scores(ds, bis_score), ratio=0.5)
    assert selection.scored["rap_reason"][:] == ["below_quota", code, "top"]
    with pytest.raises(SourceError, match=r"1 of 3 rollouts cannot be used: .*data.jsonl line 2"):
        load_process_rewards(tmp_path / "data.jsonl", strict=True)


@pytest.mark.slow
def test_many_faults_are_counted_and_the_first_are_shown(tmp_path):
    """Five of seven, then how many more."""
    with pytest.raises(SourceError, match=r"7 of 8 rollouts cannot be used: (.*line \d.*){5}; and 2 more\. Mend"):
        load(tmp_path, line(), *["{"] * 7, strict=True)


def test_odd_but_readable_lines_are_read(tmp_path):
    """Blank lines, texts that are numbers, scores as text and whole numbers, no last newline; lines keep their numbers."""
    (tmp_path / "data.jsonl").write_text(
        "\n".join([line(answer=3), "", line(steps_with_score=[{"step": "s", "score": "0.5"}]), line(image=None)])
    )
    ds = load_process_rewards(tmp_path / "data.jsonl")
    assert ds["rap_id"][:] == ["data:1", "data:3", "data:4"]
    assert ds["answer"][:] == ["3", None, None]
    assert ds["steps_with_score"][1] == [{"step": "s", "score": 0.5, "num_mc_correct": None, "num_mc_total": None}]
    assert ds["rap_error"][2] == "image_missing: data.jsonl line 4: no image is named"


def test_unread_fields_are_told(tmp_path, caplog):
    """Nothing is lost silently."""
    with caplog.at_level(logging.WARNING, "hf_rap"):
        load(tmp_path, line(uid=7, difficulty="easy"))
    assert "data.jsonl: these fields are not read: uid, difficulty." in caplog.text


def test_a_changed_file_is_read_again(tmp_path):
    """The memory-mapped copy belongs to one state of the files."""
    assert len(load(tmp_path, line())) == 1
    assert len(load(tmp_path, line(), line())) == 2


def test_images_are_looked_for_only_when_asked(tmp_path):
    """Then missing files are told, and a column of images points to the others; broken ones show when opened."""
    lines = [line(), line(image=["a.png", "gone.png"]), line(image="broken.png")]
    assert load(tmp_path, *lines)["rap_error"][:] == [None] * 3
    (tmp_path / "pictures").mkdir()
    Pillow.new("RGB", (20, 20), "red").save(tmp_path / "pictures" / "a.png")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no image")
    ds = load(tmp_path, *lines, images=tmp_path / "pictures")
    missing = "image_missing: data.jsonl line 2: there is no file 'gone.png' in the folder of the images"
    assert ds["rap_error"][:] == [None, missing, None]
    assert ds[0]["images"][0].size == (20, 20)
    assert ds["image"][0] == ["a.png"]
    opened = load(tmp_path, *lines, images=tmp_path / "pictures", open_images=True)
    assert [str(error).split(":")[0] for error in opened["rap_error"]] == ["None", "image_missing", "image_unreadable"]
    with pytest.raises(SettingError, match="open_images needs images="):
        load(tmp_path, *lines, open_images=True)


def test_files_of_other_layouts_are_not_mixed_in(tmp_path):
    """A folder with one foreign file is refused, with its name."""
    write(tmp_path, 3)
    (tmp_path / "other.jsonl").write_text('{"question": "q"}\n')
    with pytest.raises(SourceError, match=r"other\.jsonl has no 'steps_with_score'"):
        load_process_rewards(tmp_path)
    assert len(load_process_rewards(f"{tmp_path}/*_train.jsonl")) == 3 + 1 + 6 + 2


def test_a_dataset_on_the_hub_is_read_from_its_files(tmp_path, monkeypatch):
    """The JSONL files of the repository, here from its place in the cache of the Hub client."""
    snapshot = tmp_path / "datasets--user--prm" / "snapshots" / ("0" * 40)
    write(snapshot / "annotations", 3)
    refs = tmp_path / "datasets--user--prm" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_process_rewards("user/prm").unique("source") == list(SOURCES)


TRL = {
    "prompt": ["p", "q", "r"],
    "completions": [["a", "b"], ["c"], ["d"]],
    "labels": [[True, False], [True], [True, True]],
}


def test_trl_stepwise_rows(tmp_path):
    """Labels are scores of 1 and 0; a row whose lists differ in length is told by its number."""
    Dataset.from_dict(TRL).to_parquet(tmp_path / "trl.parquet")
    ds = load_process_rewards(str(tmp_path / "trl.parquet"))
    assert [[step["score"] for step in row or ()] for row in ds["steps_with_score"]] == [[1, 0], [1], []]
    assert ds["rap_error"][:] == [None, None, "score_invalid: row 2: 1 steps and 2 scores"]
    assert (ds["prompt"][:], ds["source"][:]) == (["p", "q", "r"], ["trl.parquet"] * 3)
    assert add_scores(ds, bis_score)["rap_bis"][:] == [0.3, 0.05, None]


def test_columns_named_by_the_user():
    """Other columns stay, images undecoded; names of ours are not overwritten."""
    features = Features(
        {
            "ask": Value("string"),
            "parts": List(Value("string")),
            "mc": List(Value("float32")),
            "kind": Value("string"),
            "image": Image(),
            "mine": Value("int64"),
        }
    )
    row = {
        "ask": "q",
        "parts": ["a"],
        "mc": [0.5],
        "kind": "k",
        "image": {"bytes": b"no image", "path": None},
        "mine": 7,
    }
    named = ProcessLayout("ask", "parts", "mc", source="kind")
    ds = load_process_rewards(Dataset.from_list([row], features=features), layout=named)
    assert ds.column_names == ["question", "source", "image", "mine", "rap_id", "steps_with_score", "rap_error"]
    assert ds["mine"][:] == [7]
    assert ds["steps_with_score"][0][0]["score"] == 0.5
    with pytest.raises(MissingColumnError, match="'nowhere'"):
        load_process_rewards(ds, layout=ProcessLayout("question", "nowhere"))
    with pytest.raises(ColumnExistsError, match="'source'"):
        load_process_rewards(ds, layout=ProcessLayout("question", "steps_with_score", source="rap_id"))
    with pytest.raises(LayoutError, match="ProcessLayout"):
        load_process_rewards(Dataset.from_dict({"text": ["t"]}))


def test_what_was_read_once_is_read_again_the_same(tmp_path):
    """A dataset of ours, saved and loaded, keeps ids and errors."""
    ds = load(tmp_path, line(), "{", line(steps_with_score=steps(1, 0)))
    ds.to_parquet(tmp_path / "ours.parquet")
    again = load_process_rewards(str(tmp_path / "ours.parquet"))
    columns = ["rap_id", "source", "question", "steps_with_score", "rap_error"]
    assert again.select_columns(columns).to_list() == ds.select_columns(columns).to_list()


def test_long_files_are_read_block_by_block(tmp_path, monkeypatch):
    """Whatever the size of a block, with a broken line in one of them."""
    write(tmp_path / "files", 40)
    whole = load_process_rewards(tmp_path / "files").to_list()
    for size in (500, 3000):
        monkeypatch.setattr("hf_rap.process.jsonl.BLOCK_BYTES", size)
        shutil.copytree(tmp_path / "files", tmp_path / f"blocks of {size}")
        assert load_process_rewards(tmp_path / f"blocks of {size}").to_list() == whole
