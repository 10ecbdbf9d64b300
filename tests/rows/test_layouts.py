import base64
import io
import json
import pickle
import subprocess
import sys

import datasets
import pytest
from PIL import Image

from hf_rap.errors import LayoutError, MissingColumnError, RowError
from hf_rap.rows.layouts import Layout, check_layout
from hf_rap.rows.media import allowed
from hf_rap.rows.questions import content_id, raw_rows, read_question, row_id
from hf_rap.rows.recognition import recognise_layout

PLAIN = Layout("question", "image", "answer")


def png(colour="red"):
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, "PNG")
    return out.getvalue()


def picture(colour="red"):
    return {"bytes": png(colour), "path": None}


def colours(question):
    return [image.getpixel((0, 0)) for image in question.images]


def user(content):
    return {"role": "user", "content": content}


RED, BLUE = (255, 0, 0), (0, 0, 255)
IMAGES = datasets.Sequence(datasets.Image())
BLOCKS = [{"type": "image", "text": None}, {"type": "text", "text": "Find x."}]
SYSTEM = {"role": "system", "content": "Box the answer."}

# name -> one row of the layout and the types that do not follow from it
WILD = {
    "geometry3k": ({"images": [picture()], "problem": "<image>Find x.", "answer": "3"}, {"images": IMAGES}),
    "mm-eureka": (
        {"id": "k1", "conversations": [SYSTEM, user("Find x.")], "answer": "3", "image_urls": ["a.png"]},
        {},
    ),
    "mm-eureka-qwen": (
        {
            "id": "k1",
            "message": json.dumps(
                [user([{"type": "image", "image": "file://{cwd}/a.png"}, {"type": "text", "text": "Find x."}])]
            ),
            "answer": "3",
        },
        {},
    ),
    "verl": (
        {
            "data_source": "geo",
            "prompt": [user("<image>Find x.")],
            "images": [picture()],
            "reward_model": {"style": "rule", "ground_truth": "3"},
        },
        {"images": IMAGES},
    ),
    "multimodal-open-r1": (
        {
            "image": picture(),
            "problem": "Find x.",
            "solution": "3",
            "original_question": "Find.",
            "original_answer": "four",
        },
        {"image": datasets.Image()},
    ),
    "trl": ({"prompt": [user(BLOCKS)], "images": [picture()], "solution": "3"}, {"images": IMAGES}),
    "openrlhf": ({"prompt": "<image>Find x.", "images": [picture()], "label": "3"}, {"images": IMAGES}),
    "ms-swift": ({"messages": [SYSTEM, user("Find x.")], "images": ["a.png"], "solution": "3"}, {}),
    "sharegpt": (
        {
            "conversations": [
                {"from": "human", "value": "<image>Find x."},
                {"from": "gpt", "value": "3"},
            ],
            "image": "a.png",
        },
        {},
    ),
    "plain": ({"question": "Find x.", "image": picture(), "answer": "3"}, {"image": datasets.Image()}),
    "hf_rap": (
        {
            "id": "k1",
            "images": [picture()],
            "prompt": [user(BLOCKS)],
            "messages": [user("<image>Find x.")],
            "problem": "<image>Find x.",
            "question": "<image>Find x.",
            "answer": "3",
            "solution": "3",
            "data_source": "geo",
            "ability": "vision",
            "reward_model": {"style": "rule", "ground_truth": "3"},
            "extra_info": {"split": "train", "index": 0},
        },
        {"images": IMAGES},
    ),
}


def dataset_of(rows, types):
    """A dataset whose image columns are Image features, as on the Hub."""
    features = datasets.Dataset.from_list([{k: v for k, v in row.items() if k not in types} for row in rows]).features
    return datasets.Dataset.from_list(rows, features=datasets.Features({**features, **types}))


@pytest.mark.parametrize("name", WILD)
def test_each_layout_is_recognised_and_read_through_map(name, tmp_path, monkeypatch):
    """The same question comes out of every layout, from a real dataset, through `Dataset.map`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(png())
    row, types = WILD[name]
    row = {
        key: value.replace("{cwd}", str(tmp_path)) if isinstance(value, str) else value for key, value in row.items()
    }
    ds = dataset_of([row], types)
    layout = recognise_layout(ds.features)
    read = []
    with allowed([tmp_path]):
        ds.map(lambda batch: read.extend(read_question(raw, layout) for raw in raw_rows(batch, layout)), batched=True)

    assert layout.name == name
    check_layout(layout, ds.features)
    assert [(question.text, question.answer, colours(question)) for question in read] == [
        ("<image>Find x.", "3", [RED])
    ]
    with allowed([tmp_path]):
        assert read[0].id == row.get("id", row_id(row, layout))
    assert read[0].source == row.get("data_source")


def test_published_columns_win_over_every_layout_they_hold():
    """Our own dataset looks like TRL, verl, ms-swift and geometry3k at once."""
    assert recognise_layout(WILD["hf_rap"][0]) == Layout(
        "problem", "images", "answer", id="id", source="data_source", name="hf_rap"
    )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        # MathVista: the picture is not in `image`
        (["pid", "question", "image", "decoded_image", "answer"], ("question", "decoded_image", "answer", None)),
        (["question", "image", "answer", "rap_id", "id"], ("question", "image", "answer", "rap_id")),
        (["uid", "query", "images", "label"], ("query", "images", "label", "uid")),
        (["problem", "solution", "answer", "images"], ("problem", "images", "answer", None)),
        (["messages", "answer"], ("messages", None, "answer", None)),
    ],
)
def test_columns_are_picked_in_the_documented_order(columns, expected):
    """Names alone are enough."""
    layout = recognise_layout(columns)

    assert (layout.question, layout.images, layout.answer, layout.id) == expected


def test_struct_without_a_ground_truth_is_not_verl():
    """Where the types are known, the field has to be there."""
    features = datasets.Features(
        {"prompt": datasets.Value("string"), "reward_model": {"style": datasets.Value("string")}, "label": {}}
    )

    assert recognise_layout(features).name == "openrlhf"


def test_unknown_layout_names_columns_and_way_out():
    """The message lists what is there and how to say what is what."""
    message = (
        r"No known layout has these columns: foo, bar\. Name them: Layout\(question=.*--question, --images and --answer"
    )
    with pytest.raises(LayoutError, match=message):
        recognise_layout(["foo", "bar"])


def test_missing_image_column_is_not_guessed_away():
    """A dataset whose images have an unusual name must not be taken for text only."""
    message = (
        "The question seems to be in 'question' and the answer in 'answer', but no column has one of the usual names"
    )
    with pytest.raises(LayoutError, match=message):
        recognise_layout(["question", "figure", "answer"])


@pytest.mark.parametrize("column", ["gone", "meta.gone"])
def test_missing_column_is_named(column):
    """Also when it is a field of a struct."""
    features = {"question": None, "meta": {"gold": datasets.Value("string")}}

    with pytest.raises(MissingColumnError, match=f"reads column '{column}'.*has: question, meta"):
        check_layout(Layout("question", None, column), features)


def test_column_with_a_dot_in_its_name_is_a_column():
    """`ds.flatten()` makes such names; they go before fields."""
    row = {"question": "Q", "reward_model.ground_truth": "7", "reward_model": {"ground_truth": "8"}}

    assert read_question(row, Layout("question", None, "reward_model.ground_truth")).answer == "7"


def test_null_struct_is_a_null_answer():
    """One row without the struct does not stop the others."""
    row = {"question": "Q", "reward_model": None}

    assert read_question(row, Layout("question", None, "reward_model.ground_truth")).answer is None


def test_layout_is_hashable_and_pickles():
    """It travels to the workers of `map(num_proc=...)`."""
    assert {pickle.loads(pickle.dumps(PLAIN))} == {PLAIN}


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("See <image> and <image>.", 2, "See <image> and <image>."),
        ("Compare.", 2, "<image><image>Compare."),
        ("No picture.", 0, "No picture."),
    ],
)
def test_placeholders_stay_or_are_put_in_front(text, count, expected):
    """As many as images: as is. None: one per image in front, as TRL and ms-swift do."""
    row = {"question": text, "image": [picture()] * count, "answer": "3"}

    question = read_question(row, PLAIN)

    assert (question.text, colours(question)) == (expected, [RED] * count)


@pytest.mark.parametrize(
    ("text", "images", "message"),
    [
        ("<image>?", [], r"the question has 1 <image> and the row has 0 image\(s\)"),
        ("<image>?", None, r"the question has 1 <image> and the row has 0 image\(s\)"),
        ("<image>?", {"bytes": None, "path": None}, r"the question has 1 <image> and the row has 0 image\(s\)"),
        ("<image>?", [picture()] * 2, r"the question has 1 <image> and the row has 2 image\(s\)"),
    ],
)
def test_other_counts_are_a_placeholder_mismatch(text, images, message):
    """Both counts are named."""
    with pytest.raises(RowError, match=f"^placeholder_mismatch: {message}"):
        read_question({"question": text, "image": images, "answer": "3"}, PLAIN)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "null"),
        ("", "empty"),
        (" \n", "empty"),
        (7, "a int, not text"),
        ([SYSTEM], "empty"),
        ([], "a list, not text"),
    ],
)
def test_question_without_text_is_missing(value, what):
    """Null, blank, no text at all, or a chat without a user turn."""
    with pytest.raises(RowError, match=f"^question_missing: column 'question' is {what}$"):
        read_question({"question": value, "image": picture(), "answer": "3"}, PLAIN)


def test_null_in_a_list_of_images_is_unreadable():
    """A single null means no image; a null among others is a fault, named by its position."""
    with pytest.raises(RowError, match=r"^image_unreadable: image 2 of 2: the image is null"):
        read_question({"question": "Q", "image": [picture(), None], "answer": "3"}, PLAIN)


@pytest.mark.parametrize(
    ("chat", "text"),
    [
        ([SYSTEM, user("One."), user("Two.")], "One.\nTwo."),
        ([user([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}])], "a b"),
        ({"role": ["system", "user"], "content": ["Box it.", "Q"]}, "Q"),
        ('[{"role": "user", "content": "Q"}]', "Q"),
        ("[1, 2] is what?", "[1, 2] is what?"),
        ("[1, 2]", "[1, 2]"),
        ([user(None), user("Q")], "\nQ"),
    ],
)
def test_chat_becomes_the_text_of_its_user_turns(chat, text):
    """System turns tell how to reply, which is the prompt template's job."""
    assert read_question({"question": chat, "answer": "3"}, Layout("question", None, "answer")).text == text


def test_images_inside_chat_blocks_are_used_in_their_order():
    """Each spelling of an image block is known, and placeholders stand where the blocks stood."""
    blocks = [
        {"type": "image", "image": png("red")},
        {"type": "text", "text": " then "},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(png("blue")).decode()}},
    ]

    question = read_question({"prompt": [user(blocks)], "answer": "3"}, Layout("prompt", None, "answer"))

    assert (question.text, colours(question)) == ("<image> then <image>", [RED, BLUE])


def test_chat_without_a_reply_has_no_answer():
    """Null, so the row is reported as having no readable gold answer."""
    assert read_question({"messages": [user("Q")]}, Layout("messages", None, "messages")).answer is None


def broken_in_the_middle():
    rows = [{"question": f"Q{i}", "image": picture(), "answer": i, "unused": i} for i in range(3)]
    rows[1]["image"] = {"bytes": b"broken", "path": None}
    return dataset_of(rows, {"image": datasets.Image()})


def outcome(row):
    """The answer of a row, or the code of its error."""
    try:
        return read_question(row, PLAIN).answer
    except RowError as error:
        return error.code


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda ds: ds, [0, "image_unreadable", 2]),
        (lambda ds: ds.select([2, 1]), [2, "image_unreadable"]),
        (lambda ds: ds.filter(lambda answer: answer > 0, input_columns="answer"), ["image_unreadable", 2]),
        (lambda ds: ds.shuffle(seed=0), None),
        (lambda ds: ds.with_format(None, columns=["question"]), [0, "image_unreadable", 2]),
        (lambda ds: ds.cast_column("image", datasets.Image(decode=False)), [0, "image_unreadable", 2]),
        (lambda ds: ds.to_iterable_dataset().decode(False), [0, "image_unreadable", 2]),
    ],
    ids=["as is", "select", "filter", "shuffle", "columns", "undecoded", "iterable"],
)
def test_broken_image_spoils_its_own_row_only(change, expected):
    """However the dataset was arranged before, the other rows of the batch are read."""
    ds = change(broken_in_the_middle())
    found = []
    result = ds.map(lambda batch: found.extend(map(outcome, raw_rows(batch, PLAIN))) or {}, batched=True, batch_size=3)
    if isinstance(result, datasets.IterableDataset):
        list(result)

    assert found == expected if expected else sorted(map(str, found)) == ["0", "2", "image_unreadable"]


def test_decoded_iterable_dataset_is_read():
    """Without `decode(False)` it hands out PIL images, which are read as they are."""
    ds = broken_in_the_middle().select([0, 2]).to_iterable_dataset()
    result = ds.map(lambda batch: {"read": list(map(outcome, raw_rows(batch, PLAIN)))}, batched=True)

    assert [row["read"] for row in result] == [0, 2]


def test_map_keeps_the_dataset_as_it_was():
    """Taking rows out does not change the batch: the other columns come through, images byte for byte."""
    ds = broken_in_the_middle().select([0, 2])
    result = ds.map(lambda batch: {"n": [len(row) for row in raw_rows(batch, PLAIN)]}, batched=True)

    assert result.remove_columns("n").data.to_pydict() == ds.flatten_indices().data.to_pydict()
    assert result["n"][:] == [3, 3]  # `unused` is not taken


def test_plain_batch_is_left_alone():
    """A batch that is a dict of lists gives its values, and is not touched."""
    batch = {"question": ["a", "b"], "image": [None, None], "answer": [1, 2]}
    rows = raw_rows(batch, PLAIN)
    rows[0]["question"] = "changed"

    assert batch == {"question": ["a", "b"], "image": [None, None], "answer": [1, 2]}


def test_column_replaced_in_the_batch_is_taken_as_it_is():
    """A callable before ours may have put other images in."""

    def replaced(batch):
        batch["image"] = [Image.new("RGB", (8, 6), "blue")] * 3
        found.extend(colours(read_question(row, PLAIN)) for row in raw_rows(batch, PLAIN))

    found = []
    broken_in_the_middle().map(replaced, batched=True)

    assert found == [[BLUE]] * 3


def test_json_column_of_mixed_types_keeps_its_types(tmp_path):
    """datasets stores a column of numbers and texts as JSON; the answer must not come out with quotes."""
    (tmp_path / "a.jsonl").write_text('{"question": "a", "answer": 1}\n{"question": "b", "answer": "two"}\n')
    ds = datasets.load_dataset(
        "json", data_files=[str(tmp_path / "a.jsonl")], split="train", cache_dir=str(tmp_path / "cache")
    )
    found = []
    ds.map(lambda batch: found.extend(raw_rows(batch, Layout("question", None, "answer"))), batched=True)

    assert found == [{"question": "a", "answer": 1}, {"question": "b", "answer": "two"}]


def test_struct_field_as_image_column_stays_undecoded():
    """`extra.image` is read from the struct `extra`."""
    rows = [{"question": "Q", "extra": {"image": {"bytes": b"broken", "path": None}}, "answer": 1}]
    ds = dataset_of(rows, {"extra": {"image": datasets.Image()}})
    layout = Layout("question", "extra.image", "answer")
    found = []
    ds.map(lambda batch: found.extend(row_id(row, layout) for row in raw_rows(batch, layout)), batched=True)

    assert found == [content_id("<image>Q", [b"broken"], 1)]


@pytest.mark.parametrize("name", ["numpy", "torch", "pandas", "arrow"])
def test_formatted_dataset_is_refused_with_the_way_out(name):
    """Tensors, arrays and tables are not rows."""
    ds = broken_in_the_middle().select([0, 2]).with_format(name)

    with pytest.raises(LayoutError, match=r"with_format\(None\)"):
        ds.map(lambda batch: raw_rows(batch, PLAIN), batched=True)


@pytest.mark.parametrize("options", [{}, {"batched": True, "input_columns": ["question"]}])
def test_anything_but_a_batch_is_refused(options):
    """A single row, or columns as arguments."""
    with pytest.raises(LayoutError, match=r"A batch of rows is needed, not a .*batched=True\) without input_columns"):
        broken_in_the_middle().select([0]).map(lambda batch: raw_rows(batch, PLAIN), **options)


def test_batch_without_a_column_names_it():
    """The layout belongs to another dataset."""
    with pytest.raises(MissingColumnError, match="reads column 'answer'"):
        raw_rows({"question": ["a"], "image": [None]}, PLAIN)


def test_id_column_is_the_id_and_null_falls_back_to_the_content():
    """Numbers become text; a null or empty id is no id."""
    layout = Layout("question", None, "answer", id="id")
    ids = [row_id({"question": "Q", "answer": "3", "id": value}, layout) for value in (7, 0, "k1", None, "")]

    assert ids == ["7", "0", "k1", content_id("Q", [], "3"), content_id("Q", [], "3")]


def test_refused_row_still_has_an_id():
    """Errors are listed by id."""
    row = {"question": None, "image": {"bytes": b"broken", "path": None}, "answer": None}

    assert row_id(row, PLAIN) == content_id("", [b"broken"], None)


def test_content_id_is_pinned():
    """Published ids must not change."""
    assert content_id("<image>How many?", [b"not really a PNG"], "3") == PINNED


# blake2b(digest_size=16) over six parts, each after its length in 8 bytes, little-endian: b"question" (8),
# b"<image>How many?" (16), b"picture" (7), blake2b(b"file:not really a PNG", digest_size=32) (32), b"answer" (6), b'"3"' (3).
PINNED = "1aa8d862cf01083f5a3c8a4e1ea88500"


def test_content_id_is_the_same_in_another_process():
    """No hash seed and no memory address gets in."""
    code = "from hf_rap.rows.questions import content_id; print(content_id('<image>How many?', [b'not really a PNG'], '3'))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert out.stdout.strip() == PINNED


def test_content_id_does_not_depend_on_the_way_of_reading(tmp_path):
    """Struct, bytes, path, and through a Parquet file."""
    (tmp_path / "a.png").write_bytes(png())
    ways = [png(), picture(), {"bytes": None, "path": str(tmp_path / "a.png")}, str(tmp_path / "a.png")]
    ds = dataset_of([{"question": "Q", "image": picture(), "answer": "3"}], {"image": datasets.Image()})
    ds.to_parquet(tmp_path / "a.parquet")
    again = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache"))
    with allowed([tmp_path]):
        found = {content_id("<image>Q", [way], "3") for way in ways}
    again.map(lambda batch: found.update(row_id(row, PLAIN) for row in raw_rows(batch, PLAIN)), batched=True)

    assert len(found) == 1


@pytest.mark.parametrize(
    "other",
    [
        ("ab", [b"c"], "d"),
        ("a", [b"bc"], "d"),
        ("a", [b"b"], "cd"),
        ("a", [b"b", b"c"], "d"),
        ("a", [b"c", b"b"], "d"),
        ("a", [b"b"], 4),
        ("a", [], "d"),
        ("a", ["b.png"], "d"),
    ],
)
def test_other_content_has_another_id(other):
    """Parts do not run into each other, and order and type count."""
    assert content_id(*other) != content_id("a", [b"b"], "d")


def test_equal_rows_have_equal_ids():
    """Telling duplicates apart is up to the caller."""
    rows = [{"question": "Q", "image": picture(), "answer": {"b": 1, "a": [2]}}, {"question": "Q", "image": picture()}]
    rows[1]["answer"] = {"a": [2], "b": 1}

    assert row_id(rows[0], PLAIN) == row_id(rows[1], PLAIN)
