"""Ways in which people bring rows to a page: what they did not think of, and what the page says then."""

import json

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pillow

from hf_rap import Method, report, select_cognitive, select_difficulty, select_top
from hf_rap.errors import PublishError, SettingError
from hf_rap.select import select_random

from .test_command import run
from .test_pages import asked, parts_of, png, selection

pytestmark = pytest.mark.slow


def page_of(made, tmp_path, **options):
    """The parts of the page in one file."""
    return parts_of(report(made, tmp_path / "page.html", **{"title": "t", **options}).read_text())


def scored(**columns):
    """Two rows with scores and whatever else."""
    return Dataset.from_dict({"rap_cde": [0.8, 0.1], "rap_difficulty": [0.2, 0.6], "answer": ["4", "5"], **columns})


def test_rows_without_pictures_have_none(tmp_path):
    """Text alone: no picture in the grid, none in the row."""
    parts = page_of(select_cognitive(scored(problem=["1 + 3?", "2 + 3?"], images=[[], []])), tmp_path)
    assert parts["small-00000"] == [None, None]
    assert [row["pictures"] for row in parts["details-00000"]] == [0, 0]


def test_several_pictures_are_all_there(tmp_path):
    """Three of them, the first in the grid; larger than the grid shows them where there is room."""
    pictures = [png(Pillow.new("RGB", (400, 300), colour)) for colour in ("red", "green", "blue")]
    ds = scored(problem=["<image><image><image>Which?", "<image>How many?"], images=[pictures, pictures[:1]])
    parts = page_of(select_cognitive(ds), tmp_path)
    assert [len(row) for row in parts["large-00000"]] == [3, 1]
    assert [row["pictures"] for row in parts["details-00000"]] == [3, 1]


def test_options_stand_in_the_prompt_and_the_gold_names_one(tmp_path):
    """A multiple choice whose gold is the text of an option."""
    picture = [png(Pillow.new("RGB", (40, 30), "red"))]
    ds = scored(
        question=["Which?", "Which?"], image=[picture[0]] * 2, choices=[["cat", "dog"]] * 2, answer=["dog", "cat"]
    ).remove_columns([])
    (row, other) = page_of(select_cognitive(ds), tmp_path)["details-00000"]
    assert "B. dog" in row["question"]
    assert (row["gold"], other["gold"]) == ("B (dog)", "A (cat)")


def test_chats_are_shown_as_their_text(tmp_path):
    """As TRL's sets have them."""
    turn = [{"role": "user", "content": "<image>How many?"}]
    ds = Dataset.from_dict(
        {
            "prompt": [turn, turn],
            "images": [[png(Pillow.new("RGB", (40, 30), "red"))]] * 2,
            "solution": ["4", "5"],
            "rap_cde": [0.8, 0.1],
            "rap_difficulty": [0.2, 0.6],
        }
    )
    assert page_of(select_cognitive(ds), tmp_path)["texts-00000"][0][1:3] == ["<image>How many?", "4"]


def test_steps_of_process_rewards_are_shown_with_their_scores(tmp_path):
    """Ranked rows of a corpus: no attempts, and each step with what it leads to."""
    steps = [
        [{"step": "First.", "score": 1.0, "num_mc_correct": 4, "num_mc_total": 4}],
        [{"step": "No.", "score": 0.25, "num_mc_correct": 1, "num_mc_total": 4}],
    ]
    ds = scored(
        question=["Which?", "Which?"], image=[png(Pillow.new("RGB", (40, 30), "red"))] * 2, steps_with_score=steps
    )
    parts = page_of(select_top(ds, by="rap_cde", ratio=0.5, per=None), tmp_path)
    assert parts["details-00000"][1]["steps"] == [{"text": "No.", "score": 0.25}]
    assert parts["facts"]["decide"]["kind"] == "top"


def test_pictures_elsewhere_on_the_machine_are_not_carried_along(tmp_path):
    """What a row names outside of its own folder is no picture, and the page says why."""
    secret = tmp_path / "private.png"
    secret.write_bytes(png(Pillow.new("RGB", (40, 30), "red")))
    features = Features(
        {
            **{name: Value("float64") for name in ("rap_cde", "rap_difficulty")},
            **{name: Value("string") for name in ("answer", "problem")},
            "images": List(Image()),
        }
    )
    ds = Dataset.from_dict(
        {
            **scored().to_dict(),
            "problem": ["<image>a", "<image>b"],
            "images": [[{"path": str(secret), "bytes": None}]] * 2,
        },
        features,
    )
    parts = page_of(select_cognitive(ds), tmp_path)
    assert parts["small-00000"] == [None, None]
    assert "lies outside of the dataset's own folder" in parts["details-00000"][0]["problem"]
    assert str(tmp_path) not in json.dumps(parts)


def test_an_own_method_and_an_own_score_are_shown(tmp_path):
    """The method has no threshold to move; the score has a histogram, and its unknown value is null."""
    ds = scored(problem=["a?", "b?"], images=[[], []], rap_mine=[1.5, None])
    mine = Method("mine", lambda rows, _: [value is not None for value in rows["rap_mine"]], "rows of mine")
    facts = page_of(select_cognitive(ds, method=mine), tmp_path)["facts"]
    assert (facts["decide"]["kind"], facts["keep"]) == (None, [1, 0])
    assert facts["numbers"]["rap_mine"]["values"] == [1.5, None]


def test_replies_of_another_grader_have_no_answer_marked(tmp_path):
    """Nobody here knows what it has read."""
    settings = json.dumps({"model": "m", "verifier": "mine", "verifier_version": "1", "correct": 0.5})
    ds = asked(rap_settings=[settings] * 3, rap_image_rewards=[[0.5, 0.4], [1.0, 1.0], []])
    replies = page_of(select_cognitive(ds, min_cde=0.4), tmp_path)["details-00000"][0]["arms"]["image"]
    assert [reply["right"] for reply in replies] == [True, False]
    assert not any("answer" in reply for reply in replies)


def test_a_selection_of_nothing_can_be_looked_at(tmp_path):
    """To see why."""
    facts = page_of(select_cognitive(asked(), min_cde=0.9, replace_easy=False), tmp_path)["facts"]
    assert (facts["kept"], facts["funnel"][-1][:2]) == (0, ["selected", 0])


def test_rows_without_ids_have_a_page_and_no_comparison(tmp_path):
    """The page names them by their content; two selections need ids."""
    ds = asked().remove_columns(["rap_id"])
    made = select_difficulty(ds, 0.1, 0.9)
    assert [row["id"] for row in page_of(made, tmp_path)["details-00000"]] == ["a", "b", "c"]
    with pytest.raises(SettingError, match="compared by rap_id"):
        report(made, tmp_path / "other.html", before=made)


def test_rows_of_evidence_are_scored_on_the_way(tmp_path):
    """`hf-rap report` on what `hf-rap rollouts` wrote: row a is right once with the image and never without."""
    path = tmp_path / "evidence.parquet"
    asked().remove_columns(["rap_cde", "rap_difficulty"]).to_parquet(str(path))
    run("report", path, "--min-cde", "0.4", "--out", tmp_path / "page.html")
    facts = parts_of((tmp_path / "page.html").read_text())["facts"]
    assert facts["numbers"]["rap_cde"]["values"] == [0.5, 0.5, None]
    assert facts["keep"] == [1, 0, 0]


def test_a_folder_that_is_taken_stays_as_it_is(tmp_path):
    """A page in a folder is written where nothing is."""
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "mine.txt").write_text("mine")
    with pytest.raises(PublishError, match="give a folder that does not exist yet"):
        report(selection(), tmp_path / "page", title="t")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["mine.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_a_page_in_one_file_is_replaced(tmp_path):
    """The same command again, after other options."""
    first = report(selection(), tmp_path / "page.html", title="one").read_text()
    second = report(select_random(asked(), budget=1), tmp_path / "page.html", title="two").read_text()
    assert (parts_of(first)["facts"]["title"], parts_of(second)["facts"]["title"]) == ("one", "two")
