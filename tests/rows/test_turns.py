"""Chats with several questions: which is asked, and with what before it."""

import json

import pytest
from datasets import Dataset, Features, Image, List, Value

from hf_rap import Completion, Layout, Rollouts, collect_in_run, inspect_dataset
from hf_rap.errors import LayoutError, RowError
from hf_rap.evidence.collector import collect_evidence
from hf_rap.rows.questions import read_question
from hf_rap.rows.turns import one_row_per_turn

TALK = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "<image>What colour?"},
    {"from": "gpt", "value": "red"},
    {"from": "human", "value": "How many?"},
    {"from": "gpt", "value": "3"},
]
PAIRS = [{"user": "What colour?", "assistant": "red"}, {"user": "How many?", "assistant": "3"}]
BEFORE = "User: <image>What colour?\nAssistant: red\nUser: How many?"


def picture():
    import io

    from PIL import Image as PILImage

    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), "red").save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def layout(turns, column="conversations"):
    return Layout(column, "image", column, turns=turns)


@pytest.mark.parametrize(
    "chat", [TALK, json.dumps(TALK), PAIRS, {"from": [t["from"] for t in TALK], "value": [t["value"] for t in TALK]}]
)
def test_the_first_or_the_last_question_is_asked(chat):
    """The gold is the reply to it; what was said before stands in front of it."""
    row = {"conversations": chat, "image": picture()}
    first, last = (read_question(row, layout(turns)) for turns in ("first", "last"))

    assert (first.text, first.answer) == ("<image>What colour?", "red")
    assert last.text.replace("<image>", "") == BEFORE.replace("<image>", "")
    assert (last.answer, len(last.images), last.text.count("<image>")) == ("3", 1, 1)


def test_without_a_word_several_questions_are_refused():
    """The sentence says what to pass."""
    with pytest.raises(
        RowError, match=r"^several_turns: the chat has 2 questions: say which .*turns='first'\), 'last', or 'each'"
    ):
        read_question({"conversations": TALK, "image": picture()}, layout(None))


def test_a_gold_of_its_own_belongs_to_the_last_question():
    """Also where nobody has replied to that yet."""
    row = {"prompt": [*TALK[:4]], "image": picture(), "answer": "3"}

    question = read_question(row, Layout("prompt", "image", "answer", turns="last"))

    assert (question.text, question.answer) == (BEFORE, "3")


def test_images_of_later_questions_are_not_shown():
    """Each question brings its own."""
    chat = [
        {"user": "<image>What colour?", "assistant": "red"},
        {"user": "<image>And this?", "assistant": "blue"},
    ]
    row = {"texts": chat, "images": [picture(), picture()]}

    assert len(read_question(row, Layout("texts", "images", "texts", turns="first")).images) == 1
    assert len(read_question(row, Layout("texts", "images", "texts", turns="last")).images) == 2


FEATURES = Features(
    {
        "id": Value("int64"),
        "image": Image(),
        "conversations": List({"from": Value("string"), "value": Value("string")}),
    }
)


def talks():
    """One chat with two questions, one with one."""
    return Dataset.from_list(
        [
            {"id": 7, "image": picture(), "conversations": TALK},
            {"id": 8, "image": picture(), "conversations": TALK[:3]},
        ],
        features=FEATURES,
    )


def test_each_question_becomes_a_row():
    """With the chat up to its reply, and an id of its own."""
    each = Layout("conversations", "image", "conversations", id="id", turns="each")

    rows = one_row_per_turn(talks(), each)

    assert rows["id"][:] == ["7-1", "7-2", "8"]
    assert [len(chat) for chat in rows["conversations"][:]] == [3, 5, 3]
    assert rows.column_names == talks().column_names


class Replies:
    """Says "3" to everything."""

    def __init__(self):
        self.seen = []

    def describe(self):
        return {"model": "three"}

    def complete(self, requests, sampling):
        self.seen += requests
        return [[Completion(r"\boxed{3}", 3, False)] * request.attempts for request in requests]


@pytest.mark.parametrize("way", ["evidence", "run"])
def test_collecting_makes_the_rows_itself(way, tmp_path):
    """In one go and by way of a run folder, whose second look asks nothing."""
    engine = Replies()
    collector = Rollouts(
        engine, attempts=1, layout=Layout("conversations", "image", "conversations", id="id", turns="each")
    )

    def collect():
        if way == "evidence":
            return collect_evidence(talks(), collector)
        return collect_in_run(talks(), collector, str(tmp_path / "run"))

    evidence = collect()
    asked = len(engine.seen)
    collect()

    assert evidence["rap_id"][:] == ["7-1", "7-2", "8"]
    assert evidence["rap_image_rewards"][:] == [[0.0], [1.0], [0.0]]
    assert way == "evidence" or len(engine.seen) == asked


def test_inspection_counts_the_rows_that_would_be_asked():
    """Three, and all usable."""
    inspection = inspect_dataset(talks(), Layout("conversations", "image", "conversations", id="id", turns="each"))

    assert (inspection.rows, inspection.usable) == (3, 3)


def test_a_plain_map_cannot_make_rows():
    """It says what can."""
    collector = Rollouts(Replies(), layout=Layout("conversations", "image", "conversations", turns="each"))

    with pytest.raises(LayoutError, match=r"one_row_per_turn\(ds, layout\) first"):
        talks().map(collector, batched=True)


def test_golds_in_another_column_make_no_rows():
    """Only the replies of the chat are golds of its questions."""
    ds = talks().add_column("answer", ["3", "4"])

    with pytest.raises(LayoutError, match="golds are in 'answer': say 'first' or 'last'"):
        one_row_per_turn(ds, Layout("conversations", "image", "answer", turns="each"))


@pytest.mark.parametrize("kind", ["video", "video_url", "input_audio"])
def test_video_and_audio_are_row_errors(kind):
    """Never a question without what it is about."""
    chat = [{"role": "user", "content": [{"type": kind, kind: "x"}, {"type": "text", "text": "Q"}]}]

    with pytest.raises(RowError, match=f"^media_unsupported: the chat has a block of type '{kind}'"):
        read_question({"messages": chat, "answer": "3"}, Layout("messages", None, "answer"))
