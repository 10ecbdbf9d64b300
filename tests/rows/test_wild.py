"""Layouts of popular datasets, row by row: what the model is asked, and which reply is right.

A stand-in model that knows the answer is asked; where a layout cannot be read, the row or the dataset says what to pass.
"""

import base64
import io
import json
import re
from dataclasses import dataclass, field

import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import Completion, Layout, Rollouts, collect_in_run, load_source
from hf_rap.errors import LayoutError
from hf_rap.evidence.collector import collect_evidence

S, N, IMG = Value("string"), Value("int64"), Image()
STATES = ["Nevada", "Maine", "Oregon"]
LISTED = "A. Nevada\nB. Maine\nC. Oregon"


def pic(colour="red"):
    """A picture of one colour, as an Image column stores it."""
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), colour).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


@dataclass(frozen=True)
class Knows:
    """An engine that always says the same, and keeps what it was asked."""

    reply: str
    seen: list = field(default_factory=list, compare=False)

    def describe(self):
        return {"model": "knows"}

    def complete(self, requests, sampling):
        self.seen.extend(requests)
        return [[Completion(self.reply, 3, False) for _ in range(request.attempts)] for request in requests]


def asked(rows, features, reply, layout=None, **options):
    """Evidence of the first row, and the text and pictures of its prompt."""
    ds = Dataset.from_list(rows, features=Features(features))
    engine = Knows(reply)
    collector = Rollouts(engine, attempts=1, prompt="bare", layout=layout, **options)
    row = collect_evidence(ds, collector)[0]
    prompts = [request for request in engine.seen if request.arm == "image"]
    text = prompts and "".join(block.get("text", "<image>") for block in prompts[0].messages[0]["content"])
    return row, text, prompts[0].images if prompts else ()


Q = "Which is north?"
BASE = {"question": Q, "image": pic()}
OF_BASE = {"question": S, "image": IMG}
CHAT = List({"from": S, "value": S})
PAIRS = List({"user": S, "assistant": S})

# name -> (rows, types, the prompt, a reply that is right)
READ = {
    "ScienceQA": (
        [{**BASE, "choices": STATES, "answer": 1, "hint": "", "lecture": ""}],
        {**OF_BASE, "choices": List(S), "answer": Value("int8"), "hint": S, "lecture": S},
        f"<image>{Q}\n{LISTED}",
        "B",
    ),
    "A-OKVQA": (
        [{**BASE, "choices": STATES, "correct_choice_idx": 1, "direct_answers": "['a']"}],
        {**OF_BASE, "choices": List(S), "correct_choice_idx": N, "direct_answers": S},
        f"<image>{Q}\n{LISTED}",
        "B",
    ),
    "AI2D: numbers as texts, the column proves 0": (
        [{**BASE, "options": STATES, "answer": answer} for answer in ("1", "0")],
        {**OF_BASE, "options": List(S), "answer": S},
        f"<image>{Q}\n{LISTED}",
        "B",
    ),
    "SAT: numbers, the column proves 1": (
        [{"images": [pic()], "question": Q, "choices": STATES, "answer_idx": number} for number in (2, 3)],
        {"images": List(IMG), "question": S, "choices": List(S), "answer_idx": N},
        f"<image>{Q}\n{LISTED}",
        "Maine",
    ),
    "MMBench: a column per option, missing ones 'nan'": (
        [{**BASE, "A": "Nevada", "B": "Maine", "C": "nan", "D": "nan", "answer": "B", "hint": "nan"}],
        {**OF_BASE, **dict.fromkeys("ABCD", S), "answer": S, "hint": S},
        f"<image>{Q}\nA. Nevada\nB. Maine",
        "B",
    ),
    "PMC-VQA: letters before the texts": (
        [{**BASE, "answer": "Maine", "choice a": " A:Nevada", "choice b": " B:Maine", "answer label": "B"}],
        {**OF_BASE, **dict.fromkeys(("answer", "choice a", "choice b", "answer label"), S)},
        f"<image>{Q}\nA. Nevada\nB. Maine",
        "B",
    ),
    "Q-Bench2: two pictures, options from 0": (
        [
            {
                "image1": pic("red"),
                "image2": pic("blue"),
                "question": Q,
                "correct_choice": "B",
                "option0": "Nevada",
                "option1": "Maine",
                "option2": None,
            }
        ],
        {
            "image1": IMG,
            "image2": IMG,
            "question": S,
            "correct_choice": S,
            **dict.fromkeys(("option0", "option1", "option2"), S),
        },
        f"<image><image>{Q}\nA. Nevada\nB. Maine",
        "B",
    ),
    "BLINK: a prompt beside the question, letters in parentheses": (
        [{"question": Q, "image_1": pic(), "image_2": None, "choices": STATES, "answer": "(B)", "prompt": "long"}],
        {"question": S, "image_1": IMG, "image_2": IMG, "choices": List(S), "answer": S, "prompt": S},
        f"<image>{Q}\n{LISTED}",
        "B",
    ),
    "MMMU: options that are pictures of the row": (
        [
            {
                "question": "Which is like <image 1>?",
                "options": "['<image 2>', '<image 3>']",
                "answer": "A",
                **{f"image_{i}": pic() if i < 4 else None for i in range(1, 8)},
            }
        ],
        {"question": S, "options": S, "answer": S, **{f"image_{i}": IMG for i in range(1, 8)}},
        "Which is like <image>?\nA. <image>\nB. <image>",
        "A",
    ),
    "MMMU: an open question among multiple choice": (
        [{"question": "What is <image 1>?", "options": "[]", "answer": "3", "image_1": pic(), "image_2": None}],
        {"question": S, "options": S, "answer": S, "image_1": IMG, "image_2": IMG},
        "What is <image>?",
        "3",
    ),
    "We-Math: options as one text": (
        [{**BASE, "option": "A. Nevada; B. Maine; C. No correct answer", "answer": "C"}],
        {**OF_BASE, "option": S, "answer": S},
        f"<image>{Q}\nA. Nevada\nB. Maine\nC. No correct answer",
        "C",
    ),
    "MathVista: picture and its name, gold by text": (
        [
            {
                "question": Q,
                "image": "images/1.jpg",
                "decoded_image": pic(),
                "choices": ["135°", "140°"],
                "answer": "140°",
            }
        ],
        {"question": S, "image": S, "decoded_image": IMG, "choices": List(S), "answer": S},
        f"<image>{Q}\nA. 135°\nB. 140°",
        "B",
    ),
    "MathVista: no choices": (
        [{"question": Q, "image": "images/1.jpg", "decoded_image": pic(), "choices": None, "answer": "4"}],
        {"question": S, "image": S, "decoded_image": IMG, "choices": List(S), "answer": S},
        f"<image>{Q}",
        "4",
    ),
    "options in the question already": (
        [{"question": "Which? A. Nevada B. Maine C. Oregon", "image": pic(), "options": STATES, "answer": "B"}],
        {**OF_BASE, "options": List(S), "answer": S},
        "<image>Which? A. Nevada B. Maine C. Oregon",
        "Maine",
    ),
    "class labels": (
        [{**BASE, "answer": 1}],
        {**OF_BASE, "answer": ClassLabel(names=["circle", "square"])},
        f"<image>{Q}",
        "square",
    ),
    "gt": ([{**BASE, "gt": "7"}], {**OF_BASE, "gt": S}, f"<image>{Q}", "7"),
    "an explanation in answer, the answer in solution": (
        [
            {
                **BASE,
                "answer": "First look at the two angles and then see that they have to be the same as the third one",
                "solution": "7",
            }
        ],
        {**OF_BASE, "answer": S, "solution": S},
        f"<image>{Q}",
        "7",
    ),
    "VQAv2: the answers of several people": (
        [{**BASE, "answers": [{"answer": "net", "answer_id": 1}, {"answer": "racket", "answer_id": 2}]}],
        {**OF_BASE, "answers": List({"answer": S, "answer_id": N})},
        f"<image>{Q}",
        "racket",
    ),
    "DocVQA": ([{**BASE, "answers": ["12", "twelve"]}], {**OF_BASE, "answers": List(S)}, f"<image>{Q}", "twelve"),
    "the_cauldron": (
        [{"images": [pic()], "texts": [{"user": Q, "assistant": "7"}]}],
        {"images": List(IMG), "texts": PAIRS},
        f"<image>{Q}",
        "7",
    ),
    "a picture under an unusual name": (
        [{"question": Q, "diagram": pic(), "answer": "7"}],
        {"question": S, "diagram": IMG, "answer": S},
        f"<image>{Q}",
        "7",
    ),
    "MMVP: names in other cases, small letters": (
        [{"Question": Q, "Options": "(a) Nevada (b) Maine", "Correct Answer": "(b)", "image": pic()}],
        {"Question": S, "Options": S, "Correct Answer": S, "image": IMG},
        f"<image>{Q}\nA. Nevada\nB. Maine",
        "B",
    ),
    "SAT: the options are called answers": (
        [{**BASE, "answers": STATES, "correct_answer": "Maine"}],
        {**OF_BASE, "answers": List(S), "correct_answer": S},
        f"<image>{Q}\n{LISTED}",
        "B",
    ),
    "questions and answers in pairs": (
        [{"images": [pic()], "qa": [{"question": Q, "answer": "7"}]}],
        {"images": List(IMG), "qa": List({"question": S, "answer": S})},
        f"<image>{Q}",
        "7",
    ),
    "a list of pictures under a rare name": (
        [{"question": "<image> or <image>?", "image_list": [pic(), pic()], "answer": "7"}],
        {"question": S, "image_list": List(IMG), "answer": S},
        "<image> or <image>?",
        "7",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_popular_layout_is_read_right(name):
    """The prompt holds every option and picture once, and the right reply is graded 1."""
    rows, features, prompt, reply = READ[name]

    row, text, images = asked(rows, features, rf"\boxed{{{reply}}}")

    assert row["rap_error"] is None
    assert text == prompt
    assert len(images) == prompt.count("<image>")
    assert row["rap_image_rewards"] == [1.0]


@pytest.mark.parametrize("name", READ)
def test_a_wrong_reply_is_wrong_in_each_of_them(name):
    """So the first test is no test of a grader that says yes to everything."""
    rows, features, _, _ = READ[name]

    assert asked(rows, features, r"\boxed{D}")[0]["rap_image_rewards"] == [0.0]


CHOICES = {**OF_BASE, "choices": List(S), "answer": N}


@pytest.mark.parametrize(
    ("rows", "features", "layout", "message"),
    [
        (
            [{**BASE, "choices": STATES, "answer": 1}],
            CHOICES,
            None,
            "nothing says|no gold is 0 and none is the number of",
        ),
        (
            [{**BASE, "choices": STATES, "answer": "B", "choice": "x"}],
            {**OF_BASE, "choices": List(S), "answer": S, "choice": S},
            None,
            r"The columns choice look like options, and nothing reads them. .*--choices choice.*--ignore-columns choice",
        ),
        (
            [{**BASE, "answer": "B", "photo_b": pic()}],
            {**OF_BASE, "answer": S, "photo_b": IMG},
            None,
            "The columns photo_b look like pictures, and nothing reads them",
        ),
        (
            [{"question": Q, "image_1": pic(), "image_2": pic(), "answer": "B"}],
            {"question": S, "image_1": IMG, "image_2": IMG, "answer": S},
            Layout("question", "image_1", "answer"),
            "The columns image_2 look like pictures",
        ),
        (
            [{**BASE, "choices": STATES, "answer": "B"}],
            {**OF_BASE, "choices": List(S), "answer": S},
            Layout("question", "image", "answer"),
            "The columns choices look like options",
        ),
        (
            [{"question": Q, "left": pic(), "right": pic(), "answer": "B"}],
            {"question": S, "left": IMG, "right": IMG, "answer": S},
            None,
            r"there are pictures in left, right, whose order the names do not say. .*--images left,right",
        ),
        (
            [{"image": pic(), "options": "['a','b']", "answer": "B"}],
            {"image": IMG, "options": S, "answer": S},
            None,
            "There are images and options, and no question",
        ),
    ],
)
def test_what_cannot_be_told_is_asked_before_any_model_runs(rows, features, layout, message):
    """A sentence names the column and what to pass."""
    engine = Knows("B")

    with pytest.raises(LayoutError, match=message):
        collect_evidence(
            Dataset.from_list(rows, features=Features(features)), Rollouts(engine, attempts=1, layout=layout)
        )

    assert engine.seen == []


def test_columns_can_be_left_unread_on_purpose():
    """`ignore` is the way on."""
    rows = [{**BASE, "choices": STATES, "answer": "7", "photo_b": pic()}]
    layout = Layout("question", "image", "answer", ignore=("choices", "photo_b"))

    row, text, _ = asked(rows, {**OF_BASE, "choices": List(S), "answer": S, "photo_b": IMG}, "7", layout)

    assert (row["rap_error"], text) == (None, f"<image>{Q}")


@pytest.mark.parametrize(
    ("rows", "features", "error"),
    [
        (
            [{**BASE, "choices": [pic(), pic()], "answer": "A"}],
            {**OF_BASE, "choices": List(IMG), "answer": S},
            "options_unreadable: the options are pictures",
        ),
        (
            [{"question": "<image 1>?", "image_1": pic(), "image_2": pic(), "answer": "A"}],
            {"question": S, "image_1": IMG, "image_2": IMG, "answer": S},
            r"placeholder_mismatch: the row has 2 image\(s\), and the question names all but image 2",
        ),
        (
            [{**BASE, "choices": STATES, "answer": "Texas"}],
            {**OF_BASE, "choices": List(S), "answer": S},
            "gold_unreadable: the gold answer 'Texas' is none of the options",
        ),
    ],
)
def test_a_row_that_cannot_be_read_says_why(rows, features, error):
    """It has an id, and nobody was asked."""
    row, text, _ = asked(rows, features, "A")

    assert text == []
    assert row["rap_id"]
    assert row["rap_image_rewards"] is None
    assert re.match(error, row["rap_error"])


def test_a_plain_map_decides_by_its_batch():
    """What a batch cannot tell is an error of its rows, not the end of the run."""
    ds = Dataset.from_list([{**BASE, "choices": STATES, "answer": n} for n in (1, 0)], features=Features(CHOICES))
    collector = Rollouts(Knows(r"\boxed{B}"), attempts=1)

    whole = ds.map(collector, batched=True)
    alone = ds.select([0]).map(collector, batched=True)

    assert whole["rap_image_rewards"][:] == [[1.0], [0.0]]
    assert alone["rap_image_rewards"][:] == [None]
    assert alone["rap_error"][0].startswith("gold_unreadable: the gold answer 1 is no text of an option")


def test_the_majority_of_several_answers_can_be_asked_for():
    """The default takes any of them."""
    rows, features = [{**BASE, "answers": ["net", "racket", "Net"]}], {**OF_BASE, "answers": List(S)}
    majority = Layout("question", "image", "answers", several="majority")

    assert asked(rows, features, "racket")[0]["rap_image_rewards"] == [1.0]
    assert asked(rows, features, "racket", majority)[0]["rap_image_rewards"] == [0.0]
    assert asked(rows, features, "net", majority)[0]["rap_image_rewards"] == [1.0]


def test_options_and_their_order_are_part_of_the_id():
    """The same question with other options is another row."""
    features = {**OF_BASE, "choices": List(S), "answer": S}
    ids = {
        asked([{**BASE, "choices": choices, "answer": "Maine"}], features, "A")[0]["rap_id"]
        for choices in (STATES, STATES[::-1], STATES[:2])
    }

    assert len(ids) == 3


def test_the_options_of_sat_are_no_list_of_right_answers():
    """Each of them would count as right."""
    rows, features, _, _ = READ["SAT: the options are called answers"]

    assert asked(rows, features, "Nevada")[0]["rap_image_rewards"] == [0.0]


def test_images_inside_a_chat_may_be_data_urls():
    """As OpenAI's format has them; no image column is needed."""
    url = "data:image/png;base64," + base64.b64encode(pic()["bytes"]).decode()
    blocks = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": Q}]
    ds = Dataset.from_list(
        [{"messages": [{"role": "user", "content": blocks}, {"role": "assistant", "content": "7"}]}],
        on_mixed_types="use_json",
    )
    engine = Knows("7")

    row = collect_evidence(ds, Rollouts(engine, attempts=1))[0]

    assert (row["rap_error"], row["rap_image_rewards"]) == (None, [1.0])
    assert engine.seen[0].images[0].size == (8, 8)


def test_cells_of_mixed_types_are_the_same_in_a_map_and_in_a_run(tmp_path):
    """Datasets stores them as JSON: a picture's name in one row, a list of them in another, numbers among texts."""
    (tmp_path / "a.png").write_bytes(pic()["bytes"])
    path = str(tmp_path / "a.png")
    rows = [
        {"question": Q, "image": path, "answer": "B"},
        {"question": Q, "image": [path, path], "answer": 3},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ds = load_source(str(tmp_path / "rows.jsonl"))
    collector = Rollouts(Knows("B"), attempts=1)

    mapped = ds.map(collector, batched=True)
    run = collect_in_run(ds, collector, str(tmp_path / "run"))

    assert mapped["rap_image_rewards"][:] == run["rap_image_rewards"][:] == [[1.0], [0.0]]
    assert mapped["rap_id"][:] == run["rap_id"][:]


def test_equal_rows_are_asked_once():
    """Also over the edges of batches; each gets the evidence."""
    ds = Dataset.from_list(
        [{**BASE, "answer": a} for a in ("7", "8", "7", "7")], features=Features({**OF_BASE, "answer": S})
    )
    engine = Knows("7")

    evidence = collect_evidence(ds, Rollouts(engine, attempts=1), rows_per_step=1)

    assert len(engine.seen) == 4  # two rows, with and without the picture
    assert evidence["rap_image_rewards"][:] == [[1.0], [0.0], [1.0], [1.0]]
    assert evidence["answer"][:] == ["7", "8", "7", "7"]


def test_a_broken_image_does_not_end_a_stream():
    """It costs its own row: the stream is read undecoded, and rows are asked as they come."""
    broken = {"bytes": b"no picture", "path": None}
    rows = [{**BASE, "image": image, "answer": "7"} for image in (pic(), broken, pic("blue"))]
    stream = Dataset.from_list(rows, features=Features({**OF_BASE, "answer": S})).to_iterable_dataset()

    evidence = list(collect_evidence(stream, Rollouts(Knows("7"), attempts=1), rows_per_step=2))

    assert [row["rap_image_rewards"] for row in evidence] == [[1.0], None, [1.0]]
    assert evidence[1]["rap_error"].startswith("image_unreadable")
    assert evidence[1]["image"] == broken


def test_a_stream_is_settled_by_its_first_rows():
    """So golds that are numbers are read the same way all along."""
    ds = Dataset.from_list([{**BASE, "choices": STATES, "answer": n} for n in (1, 0)], features=Features(CHOICES))

    evidence = list(
        collect_evidence(ds.to_iterable_dataset(), Rollouts(Knows(r"\boxed{B}"), attempts=1), rows_per_step=1)
    )

    assert [row["rap_image_rewards"] for row in evidence] == [[1.0], [0.0]]
