"""Rows of a dataset -> questions that a model can be asked.

`raw_rows` takes a batch of `Dataset.map` apart without decoding its images, and `read_question` turns one row into a
`Question` or says why it cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import LayoutError, RowError

from .batches import NOT_NUMPY, held_in_arrow, is_tensor
from .cells import values_of
from .chats import ASSISTANTS, EACH, flatten_content, question_at, read_chat, system_text, turns_of
from .choice_golds import letter_of
from .choice_text import with_options
from .choices import Choices, read_choices, spelled
from .compat import is_batch_of_map
from .golds import check_flag, named_label, plain_gold
from .images import encoded_bytes, fingerprint, open_image, picture_digest
from .layouts import check_layout
from .media import named_in
from .paths import value_at
from .placeholders import ABSENT, is_numbered, put_in_place
from .prompts import IMAGE

if TYPE_CHECKING:
    from PIL import Image

    from .layouts import Layout


@dataclass(frozen=True)
class Question:
    """One row, ready for a model: as many `<image>` in `text` as there are `images` (RGB).

    `text` holds the options of a multiple choice; `options` are their texts, and `answer` is then the letter of one.
    """

    id: str
    text: str
    images: tuple[Image.Image, ...]
    answer: object
    source: str | None
    # The images as stored, for servers; None for one that has no file.
    files: tuple[bytes | None, ...] = ()
    options: tuple[str, ...] = ()
    system: str | None = None  # the row's own system turn, for prompts with `keep_system`


def raw_rows(batch: Mapping[str, Any], layout: Layout) -> list[dict[str, Any]]:
    """The rows of a batch of `ds.map(..., batched=True)`, only the columns of `layout`, images not decoded.

    Decoding a column decodes every image of the batch, so one broken file would take all rows
    with it, and the bytes as stored would be lost. `Dataset.map` hands out a batch that can be read
    undecoded. `IterableDataset.map` hands out decoded images, whose rows have the same ids; `ds.decode(False)`
    on it first keeps the files, and a broken one to its row. A column that was already read or replaced in the batch is taken as it is.

    Raises:
        MissingColumnError: a column of the layout is not in the batch.
        LayoutError: this is not a batch of plain Python rows.

    """
    if not isinstance(batch, Mapping) or is_batch_of_map(batch) is False:
        raise LayoutError(
            f"A batch of rows is needed, not a {type(batch).__name__}: use ds.map(..., batched=True) without "
            "input_columns, on a dataset without a format (ds.with_format(None))."
        )
    if layout.turns == EACH:
        raise LayoutError(
            "turns='each' makes several rows of one, which a batched function cannot: ds = "
            "hf_rap.rows.turns.one_row_per_turn(ds, layout) first (collect_evidence, runs and the command line do so themselves)."
        )
    check_layout(layout, list(batch))
    names = layout.columns_in(batch)
    columns = [_column(batch, name) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _column(batch: Mapping[str, Any], name: str) -> list[Any]:
    stored = held_in_arrow(batch, name)
    if stored is not None and _holds_files(stored.type):
        return values_of(stored)
    cells = batch[name]
    if not isinstance(cells, (list, tuple)) or any(is_tensor(value, NOT_NUMPY) for value in cells):
        raise LayoutError(
            f"Column {name!r} arrives as {type(cells).__name__} instead of a list of Python values, one per row: call "
            "ds.map(..., batched=True) on a dataset without a format (ds.with_format(None))."
        )
    return list(cells)


def _holds_files(arrow_type: Any) -> bool:
    """Somewhere inside is the {bytes, path} struct of an Image feature."""
    inside = [arrow_type.field(i) for i in range(arrow_type.num_fields)]
    return {"bytes", "path"} <= {field.name for field in inside} or any(_holds_files(field.type) for field in inside)


def read_question(row: Mapping[str, Any], layout: Layout) -> Question:
    """The row as a model will see it.

    A chat (a list of turns, or the same as a JSON string) becomes the text of its user turns,
    joined by newlines; of several questions `layout.turns` says which is asked, and what was said before stands in front
    of it (see `hf_rap.rows.chats`). System turns tell a model how to reply, which is the job of the prompt template: they
    stand apart, and are sent by one that has `keep_system`. Image blocks become `<image>` where they
    stand; images inside the blocks are used when the image column has none.

    A text without any `<image>` gets one per image in front of it, with nothing in between, as
    TRL and ms-swift do. `<image 2>` stands for the second image (see `hf_rap.rows.placeholders`).

    Options go below the question, unless it holds them already (see `hf_rap.rows.choice_text`).

    Raises:
        RowError: `question_missing`, `image_unreadable`, `placeholder_mismatch`, `options_unreadable`, `several_turns`,
            `media_unsupported`, or `gold_unreadable` where the gold is no option. The row still has an id, see `row_id`.

    """
    content = _content(row, layout)
    _check_question(content, layout)
    text, images = content.text, content.images
    gold = _gold(content, layout)
    opened = tuple(open_image(image, f"image {i} of {len(images)}") for i, image in enumerate(images, 1))
    source = value_at(row, layout.source)
    # The id is made of what is opened: decoding is what an id costs.
    content_name = own_id(row, layout) or content_id(content.question, opened, content.answer, content.choices.texts)
    return Question(
        id=content_name,
        text=text,
        images=opened,
        answer=gold,
        source=None if source is None else str(source),
        files=tuple(map(encoded_bytes, images)),
        options=content.choices.texts,
        system=system_turn(row, layout),
    )


def _check_question(content: _Content, layout: Layout) -> None:
    text = content.text
    if not isinstance(text, str) or not text.strip():
        what = "null" if text is None else "empty" if isinstance(text, str) else f"a {type(text).__name__}, not text"
        raise RowError("question_missing", f"column {layout.question!r} is {what}")
    placeholders = text.count(IMAGE)
    if placeholders != len(content.images):
        raise RowError(
            "placeholder_mismatch",
            f"the question has {placeholders} {IMAGE} and the row has {len(content.images)} image(s)",
        )


def system_turn(row: Mapping[str, Any], layout: Layout) -> str | None:
    """The text of a row's system turns, whose pictures are not asked about; None without any."""
    text = system_text(value_at(row, layout.question))
    return None if text is None else text.replace(IMAGE, "").strip() or None


def question_and_answer(row: Mapping[str, Any], layout: Layout) -> tuple[str, object, tuple[str, ...]]:
    """The text, the answer and the options of a row as `read_question` gives them, without opening an image.

    The text is "" where there is none.

    Raises:
        RowError: as `read_question`, but for images and missing questions.
    """
    content = _content(row, layout)
    text = content.text if isinstance(content.text, str) else ""
    return text, _gold(content, layout), content.choices.texts


def row_id(row: Mapping[str, Any], layout: Layout) -> str:
    """What goes into `rap_id`: the row's own id, or `content_id` where it has none.

    Works for rows that `read_question` refuses, too. Equal rows get equal content ids.
    """
    own = own_id(row, layout)
    if own is not None:
        return own
    content = _any_content(row, layout)
    text = content.question if isinstance(content.question, str) else ""
    return content_id(text, content.images, content.answer, content.choices.texts)


def own_id(row: Mapping[str, Any], layout: Layout) -> str | None:
    """The id column as text; None where that is missing, null or empty."""
    value = value_at(row, layout.id)
    return None if value is None else str(value) or None


def content_id(text: str, images: Iterable[Any], answer: object, options: Iterable[str] = ()) -> str:
    """128 bits of BLAKE2b, in hex, over the question, its options, its pictures and the answer.

    A picture counts by its pixels (`picture_digest`), so the id is the same in a table and in a stream, whose pictures are
    decoded, and for a file, a path, a struct, base64 or an array. Numbers in the answer count by their text, since one
    source has 3 where another has "3". Every part is preceded by its kind and its length, so no two rows run together.
    Does not depend on process or platform, as far as Pillow decodes a lossy format to the same pixels there.

    Args:
        text: the question.
        images: as stored or opened, in order.
        answer: anything JSON can hold; other values count by their text.
        options: of a multiple-choice question, in order.

    """
    parts = [(b"question", text.encode("utf-8", "surrogatepass"))]
    parts += [(b"option", option.encode("utf-8", "surrogatepass")) for option in options]
    parts += [(b"picture", picture_digest(image)) for image in images]
    parts.append((b"answer", json.dumps(_in_texts(answer), sort_keys=True).encode()))
    return _digest(part for named in parts for part in named)


def stored_digest(row: Mapping[str, Any], layout: Layout) -> str:
    """128 bits of BLAKE2b, in hex, over question, images and answer as they are stored: files byte by byte, nothing decoded."""
    content = _any_content(row, layout)
    parts = [(content.text if isinstance(content.text, str) else "").encode("utf-8", "surrogatepass")]
    parts += [fingerprint(image) for image in content.images]
    return _digest([*parts, json.dumps(content.answer, sort_keys=True, default=str).encode()])


def _digest(parts: Iterable[bytes]) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _in_texts(answer: Any) -> Any:
    """The answer with every value in it as text; null stays null."""
    answer = answer.tolist() if hasattr(answer, "tolist") else answer
    if isinstance(answer, Mapping):
        return {str(name): _in_texts(value) for name, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [_in_texts(value) for value in answer]
    return None if answer is None else str(answer)


class StoredQuestion(NamedTuple):
    """A row as it is stored, nothing opened."""

    question: str
    """Its text without options, with one placeholder per image."""
    options: tuple[str, ...]
    images: list[Any]
    gold: Any
    """What is right: of a multiple choice the letter."""


def stored_question(row: Mapping[str, Any], layout: Layout) -> StoredQuestion:
    """What `read_question` reads, before an image is opened and the options are put in.

    Raises:
        RowError: as `read_question`, but for images.
    """
    content = _content(row, layout)
    _check_question(content, layout)
    return StoredQuestion(content.question, content.choices.texts, content.images, _gold(content, layout))


def text_and_images(row: Mapping[str, Any], layout: Layout) -> tuple[Any, list[Any]]:
    """The question with its options and placeholders in place, and the images as stored; works for refused rows, too."""
    content = _any_content(row, layout)
    return content.text, content.images


class _Content(NamedTuple):
    """What a row holds, images as stored."""

    question: Any
    """Its text, placeholders in place; what the column holds where that is no text."""
    text: Any
    """The same with its options."""
    images: list[Any]
    choices: Choices
    answer: Any
    """As the dataset has it."""


def _content(row: Mapping[str, Any], layout: Layout) -> _Content:
    check_layout(layout, list(row))  # names only: a struct may be null in one row
    if fault := value_at(row, layout.fault):
        raise RowError.parse(str(fault))
    question = _question(row, layout)
    images = _images(row, layout)
    answer = _answer(row, layout)
    chat = read_chat(question)
    if chat is not None:
        is_gold = layout.answer == layout.question
        question, inside, reply = question_at(chat, layout.turns, has_gold=is_gold)
        named = sum(turn.text.count(IMAGE) for turn in chat)
        images = [image for image in images if image is not ABSENT] if not is_numbered(question) else images
        if named == len(images):  # those of later questions are not shown
            images = images[: question.count(IMAGE)]
        images = images or [named_in(image, layout.media_roots) for image in inside]
        answer = reply if is_gold else answer
    choices = read_choices([value_at(row, name) for name in layout.choice_columns]) if layout.choices else Choices()
    if not isinstance(question, str) or not question.strip():
        return _Content(question, question, [image for image in images if image is not ABSENT], choices, answer)
    (question, *options), images = put_in_place([question, *choices.texts], images)
    choices = choices._replace(texts=tuple(options))
    return _Content(question, with_options(question, options, layout.choice_form), images, choices, answer)


def _question(row: Mapping[str, Any], layout: Layout) -> Any:
    """As the dataset has it; of a list with one text that text (ChartQAPro)."""
    question = value_at(row, layout.question)
    texts = isinstance(question, (list, tuple)) and all(isinstance(text, str) for text in question)
    if texts and len(question) > 1:
        raise RowError(
            "several_turns",
            f"column {layout.question!r} holds a list of {len(question)} texts, and a row asks one question: make a row of each",
        )
    return question[0] if texts and question else question


def _any_content(row: Mapping[str, Any], layout: Layout) -> _Content:
    """The same for rows that cannot be read as well, which are then told apart by what they hold."""
    try:
        return _content(row, layout)
    except RowError:
        question = value_at(row, layout.question)
        text = question if isinstance(question, str) else json.dumps(_in_texts(question), sort_keys=True)
        cells = [_in_texts(value_at(row, name)) for name in layout.choice_columns]
        cells += (
            [fault] if (fault := value_at(row, layout.fault)) else []
        )  # so that a run does not take it for the row without
        options = tuple(json.dumps(cell, sort_keys=True) for cell in cells)
        images = [image for image in _images(row, layout) if image is not ABSENT]
        return _Content(text, text, images, Choices(options), value_at(row, layout.answer))


def _gold(content: _Content, layout: Layout) -> Any:
    """What is right: of a multiple choice the letter of an option.

    Raises:
        RowError: `gold_unreadable`: it is none of the options.
    """
    gold = plain_gold(content.answer, layout.several)
    if content.choices.texts:
        return letter_of(gold, content.choices, layout.answers_as)
    if not layout.labels and isinstance(content.question, str):
        check_flag(gold, content.question)
    return gold


def _images(row: Mapping[str, Any], layout: Layout) -> list[Any]:
    """The images as stored, in order; ABSENT for the number of one that the row does not have."""
    cells = [
        [named_in(image, layout.media_roots) for image in _as_list(value_at(row, name))]
        for name in layout.image_columns
    ]
    if len(cells) > 1 and all(len(cell) <= 1 for cell in cells):
        return [cell[0] if cell else ABSENT for cell in cells]
    return [image for cell in cells for image in cell]


def _as_list(images: Any) -> list[Any]:
    if isinstance(images, str) and images.startswith("[") and images.endswith("]"):
        names = spelled(images, list)
        images = images if names is None else names
    if images is None or (isinstance(images, str) and not images):
        return []
    if isinstance(images, Mapping) and not any(value is not None for value in images.values()):
        return []
    return list(images) if isinstance(images, (list, tuple)) else [images]


def _answer(row: Mapping[str, Any], layout: Layout) -> Any:
    """As the dataset has it, with the name of a class in the place of its number; of a chat the last reply."""
    answer = value_at(row, layout.answer)
    if layout.labels:
        answer = named_label(answer, layout.labels)
    if layout.answer == layout.question or (turns := turns_of(answer)) is None:
        return answer
    replies = [content for role, content in turns if role in ASSISTANTS]
    return flatten_content(replies[-1])[0] if replies else None
