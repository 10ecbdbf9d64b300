"""The columns of a user's dataset -> question, images, answer, id and source.

A row of hiyouga/geometry3k, as one example of what is read here:

    {"images": [<image>], "problem": "<image>Find x.", "answer": "3"}

`recognise_layout` finds the columns, `raw_rows` takes a batch of `Dataset.map` apart without
decoding its images, and `read_question` turns one row into a `Question` or says why it cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.errors import LayoutError, MissingColumnError, RowError

from .chats import flatten_content, turns_of
from .images import encoded_bytes, fingerprint, open_image
from .prompts import IMAGE

if TYPE_CHECKING:
    from PIL import Image

# In order of preference. MathVista has the picture in `decoded_image` and only its name in `image`.
IMAGE_COLUMNS = ("images", "decoded_image", "image", "image_urls", "image_url", "image_paths", "image_path")
ID_COLUMNS = ("rap_id", "id", "onlyid", "uid", "uuid", "question_id", "problem_id", "sample_id")
SOURCE_COLUMNS = ("source", "data_source", "datasource", "dataset")

_HOW_TO_NAME_THEM = (
    "Name them: Layout(question=..., images=..., answer=...) in Python, --question, --images and --answer on the "
    "command line (a field inside a struct is written struct.field)."
)


@dataclass(frozen=True)
class Layout:
    """Which columns hold what. A field of a struct is written `struct.field`.

    A question column may hold text or a chat (see `read_question`); an answer column that holds
    a chat stands for its last assistant turn. `images=None` is for datasets whose images are
    inside the chat, or that have none.
    """

    question: str
    images: str | None
    answer: str
    id: str | None = None
    source: str | None = None
    name: str = "columns given by the user"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        named = (self.question, self.images, self.answer, self.id, self.source)
        return tuple(dict.fromkeys(name for name in named if name is not None))


@dataclass(frozen=True)
class Question:
    """One row, ready for a model: as many `<image>` in `text` as there are `images` (RGB)."""

    id: str
    text: str
    images: tuple[Image.Image, ...]
    answer: object
    source: str | None
    # The images as stored, for servers; None for one that has no file.
    files: tuple[bytes | None, ...] = ()


@dataclass(frozen=True)
class _Rule:
    """A layout in the wild: it applies when all its columns are there."""

    name: str
    question: str
    answer: str
    also: tuple[str, ...] = ()
    # False where the images may be inside the chat.
    needs_image_column: bool = False


# The first rule that applies wins, so those that ask for more columns stand first.
_RULES = (
    _Rule("hf_rap", "problem", "answer", ("id", "images", "prompt", "messages", "solution", "extra_info"), True),
    _Rule("mm-eureka", "conversations", "answer"),
    _Rule("mm-eureka-qwen", "message", "answer"),
    _Rule("verl", "prompt", "reward_model.ground_truth"),
    _Rule("multimodal-open-r1", "problem", "solution", ("original_question", "original_answer"), True),
    _Rule("geometry3k", "problem", "answer", (), True),
    _Rule("trl", "prompt", "solution"),
    _Rule("openrlhf", "prompt", "label"),
    _Rule("ms-swift", "messages", "solution"),
    _Rule("ms-swift", "messages", "answer"),
    *(
        _Rule("plain", question, answer, (), True)
        for question in ("question", "problem", "query", "prompt")
        for answer in ("answer", "solution", "ground_truth", "label")
    ),
    _Rule("sharegpt", "messages", "messages", (), True),
    _Rule("sharegpt", "conversations", "conversations", (), True),
)


def recognise_layout(columns: Iterable[str]) -> Layout:
    """The layout of a dataset with these columns; `layout.name` says which one it is.

    When several fit, the first of these is taken: hf_rap's own published columns, MM-Eureka
    (`conversations` or `message`, `answer`), verl (`prompt`, `reward_model.ground_truth`),
    multimodal-open-r1, geometry3k and EasyR1 (`problem`, `answer`), TRL (`prompt`, `solution`), OpenRLHF
    (`prompt`, `label`), ms-swift (`messages` with `solution` or `answer`), plain (`question`, `problem`,
    `query` or `prompt` with `answer`, `solution`, `ground_truth` or `label`), ShareGPT (the last
    assistant turn is the answer). An image column is one of IMAGE_COLUMNS; only chats may do without.

    Args:
        columns: `ds.features`, a row, or just the names.

    Raises:
        LayoutError: none fits.

    >>> recognise_layout(["images", "problem", "answer"])
    Layout(question='problem', images='images', answer='answer', id=None, source=None, name='geometry3k')

    """
    columns = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    images = next((name for name in IMAGE_COLUMNS if name in columns), None)
    without_image = None
    for rule in _RULES:
        if not all(_has(columns, name) for name in (rule.question, rule.answer, *rule.also)):
            continue
        if rule.needs_image_column and images is None:
            without_image = without_image or rule
            continue
        return Layout(
            rule.question,
            images,
            rule.answer,
            id=next((name for name in ID_COLUMNS if name in columns), None),
            source=next((name for name in SOURCE_COLUMNS if name in columns), None),
            name=rule.name,
        )
    found = ", ".join(columns) or "no columns"
    if without_image is not None:
        raise LayoutError(
            f"The question seems to be in {without_image.question!r} and the answer in {without_image.answer!r}, but no "
            f"column has one of the usual names for images, {', '.join(IMAGE_COLUMNS)} (found: {found}). {_HOW_TO_NAME_THEM}"
        )
    raise LayoutError(f"No known layout has these columns: {found}. {_HOW_TO_NAME_THEM}")


def check_layout(layout: Layout, columns: Iterable[str]) -> None:
    """Raise `MissingColumnError` for the first column of `layout` that is not in `columns`.

    Fields of structs are checked when `columns` is `ds.features`.
    """
    columns = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    for name in layout.columns:
        if not _has(columns, name):
            raise MissingColumnError(f"The layout ({layout.name})", name, columns, _HOW_TO_NAME_THEM)


def _has(columns: Mapping[str, Any], name: str) -> bool:
    """`name` is a column or, where its type is known, a field of one."""
    if name in columns:
        return True
    top, *fields = name.split(".")
    if not fields or top not in columns:
        return False
    feature = columns[top]
    for field in fields:
        if not isinstance(feature, Mapping):
            return True
        if field not in feature:
            return False
        feature = feature[field]
    return True


def _top(columns: Iterable[str], name: str) -> str:
    return name if name in columns else name.partition(".")[0]


def _value(row: Mapping[str, Any], name: str | None) -> Any:
    """The value of a column or of a field in a struct; None where the struct is null."""
    if name is None or name in row:
        return None if name is None else row[name]
    value: Any = row
    for field in name.split("."):
        value = value.get(field) if isinstance(value, Mapping) else None
    return value


def raw_rows(batch: Mapping[str, Any], layout: Layout) -> list[dict[str, Any]]:
    """The rows of a batch of `ds.map(..., batched=True)`, only the columns of `layout`, images not decoded.

    Decoding a column decodes every image of the batch, so one broken file would take all rows
    with it, and the bytes as stored would be lost. `Dataset.map` hands out a batch that can be read
    undecoded. `IterableDataset.map` hands out decoded images: call `ds.decode(False)` on it first
    to get the same. A column that was already read or replaced in the batch is taken as it is.

    Raises:
        MissingColumnError: a column of the layout is not in the batch.
        LayoutError: this is not a batch of plain Python rows.

    """
    # A LazyRow is what map hands out without batched=True.
    if not isinstance(batch, Mapping) or type(batch).__name__ == "LazyRow":
        raise LayoutError(
            f"A batch of rows is needed, not a {type(batch).__name__}: use ds.map(..., batched=True) without "
            "input_columns, on a dataset without a format (ds.with_format(None))."
        )
    check_layout(layout, list(batch))
    names = dict.fromkeys(_top(batch, name) for name in layout.columns)
    columns = [_column(batch, name) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _column(batch: Mapping[str, Any], name: str) -> list[Any]:
    if name in getattr(batch, "keys_to_format", ()):
        stored = batch.pa_table[name]  # type: ignore[attr-defined]  # a LazyBatch of datasets
        if _holds_files(stored.type):
            values: list[Any] = stored.to_pylist()
            return values
    found = batch[name]
    if not isinstance(found, (list, tuple)) or any(_is_tensor(value) for value in found):
        raise LayoutError(
            f"Column {name!r} arrives as {type(found).__name__} instead of a list of Python values, one per row: call "
            "ds.map(..., batched=True) on a dataset without a format (ds.with_format(None))."
        )
    return list(found)


def _holds_files(arrow_type: Any) -> bool:
    """Somewhere inside is the {bytes, path} struct of an Image feature."""
    inside = [arrow_type.field(i) for i in range(arrow_type.num_fields)]
    return {"bytes", "path"} <= {field.name for field in inside} or any(_holds_files(field.type) for field in inside)


def _is_tensor(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return type(value).__module__.partition(".")[0] in {"torch", "tensorflow", "jax", "jaxlib", "mlx"}


def read_question(row: Mapping[str, Any], layout: Layout) -> Question:
    """The row as a model will see it.

    A chat (a list of turns, or the same as a JSON string) becomes the text of its user turns,
    joined by newlines. System turns are left out: they tell a model how to reply, which here is the
    job of the prompt template, the same for every row. Image blocks become `<image>` where they
    stand; images inside the blocks are used when the image column has none.

    A text without any `<image>` gets one per image in front of it, with nothing in between, as
    TRL and ms-swift do.

    Raises:
        RowError: `question_missing`, `image_unreadable` or `placeholder_mismatch`. The row still
            has an id, see `row_id`.

    """
    text, images = text_and_images(row, layout)
    if not isinstance(text, str) or not text.strip():
        what = "null" if text is None else "empty" if isinstance(text, str) else f"a {type(text).__name__}, not text"
        raise RowError("question_missing", f"column {layout.question!r} is {what}")
    placeholders = text.count(IMAGE)
    if placeholders != len(images):
        raise RowError(
            "placeholder_mismatch",
            f"the question has {placeholders} {IMAGE} and the row has {len(images)} image(s)",
        )
    opened = tuple(open_image(image, f"image {i} of {len(images)}") for i, image in enumerate(images, 1))
    source = _value(row, layout.source)
    return Question(
        id=row_id(row, layout),
        text=text,
        images=opened,
        answer=_answer(row, layout),
        source=None if source is None else str(source),
        files=tuple(map(encoded_bytes, images)),
    )


def question_and_answer(row: Mapping[str, Any], layout: Layout) -> tuple[str, object]:
    """The text and the answer of a row as `read_question` gives them, without opening an image; "" where there is no text."""
    text, _ = text_and_images(row, layout)
    return text if isinstance(text, str) else "", _answer(row, layout)


def row_id(row: Mapping[str, Any], layout: Layout) -> str:
    """What goes into `rap_id`: the id column as text, or `content_id` where that is missing or null.

    Works for rows that `read_question` refuses, too. Equal rows get equal content ids.
    """
    value = _value(row, layout.id)
    return str(value) if value is not None and str(value) else row_content_id(row, layout)


def row_content_id(row: Mapping[str, Any], layout: Layout) -> str:
    """`content_id` of the row, whether or not it has an id of its own."""
    text, images = text_and_images(row, layout)
    return content_id(text if isinstance(text, str) else "", images, _answer(row, layout))


def content_id(text: str, images: Iterable[Any], answer: object) -> str:
    """128 bits of BLAKE2b, in hex, over the question, its images and the answer.

    An image counts by the bytes of its file, however they are reached (struct, path, base64). A decoded
    image has no file any more and counts by mode, size and pixels: so the same row read from a
    decoded dataset has another id. A missing file or a remote URL counts by its name. Every part is
    preceded by its length, so no two rows run together. Does not depend on process or platform.

    Args:
        text: the question.
        images: as stored, in order.
        answer: anything JSON can hold; other values count by their text.

    """
    parts = [text.encode("utf-8", "surrogatepass"), *(fingerprint(image) for image in images)]
    parts.append(json.dumps(answer, sort_keys=True, default=str).encode())
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def text_and_images(row: Mapping[str, Any], layout: Layout) -> tuple[Any, list[Any]]:
    """The question with its placeholders in place, and the images as stored."""
    check_layout(layout, list(row))  # names only: a struct may be null in one row
    text = _value(row, layout.question)
    images = _as_list(_value(row, layout.images))
    if (turns := turns_of(text)) is not None:
        contents = [flatten_content(content) for role, content in turns if role in ("user", "human")]
        text = "\n".join(content for content, _ in contents)
        images = images or [image for _, inside in contents for image in inside]
    if isinstance(text, str) and text.strip() and IMAGE not in text:
        text = IMAGE * len(images) + text
    return text, images


def _as_list(images: Any) -> list[Any]:
    if images is None or (isinstance(images, str) and not images):
        return []
    if isinstance(images, Mapping) and not any(value is not None for value in images.values()):
        return []
    return list(images) if isinstance(images, (list, tuple)) else [images]


def _answer(row: Mapping[str, Any], layout: Layout) -> object:
    answer = _value(row, layout.answer)
    if (turns := turns_of(answer)) is None:
        return answer
    replies = [content for role, content in turns if role in ("assistant", "gpt")]
    return flatten_content(replies[-1])[0] if replies else None
