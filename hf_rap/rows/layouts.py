"""The columns of a user's dataset -> question, images, answer, id and source.

A row of hiyouga/geometry3k, as one example of what is read here:

    {"images": [<image>], "problem": "<image>Find x.", "answer": "3"}

`recognise_layout` finds the columns, `raw_rows` takes a batch of `Dataset.map` apart without
decoding its images, and `read_question` turns one row into a `Question` or says why it cannot.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.errors import LayoutError, MissingColumnError, RowError
from hf_rap.options import check, check_text
from hf_rap.plugins import UNNAMED, plugins

from .batches import Batch
from .chats import flatten_content, system_text, turns_of, user_content
from .compat import is_batch_of_map, stored_column
from .images import encoded_bytes, fingerprint, open_image, picture_digest
from .paths import is_there, taken_apart, value_at
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
    """Which columns hold what. A field of a struct is written `struct.field`; a column of that name goes before it.

    A question column may hold text or a chat (see `read_question`); an answer column that holds
    a chat stands for its last assistant turn. `images=None` is for datasets whose images are
    inside the chat, or that have none.
    """

    question: str
    images: str | None
    answer: str
    id: str | None = None
    source: str | None = None
    name: str = UNNAMED

    def __post_init__(self) -> None:
        for name in ("question", "answer", "name"):
            check_text(name, getattr(self, name), empty=False)
        for name in ("images", "id", "source"):
            check_text(name, getattr(self, name), none=True, empty=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read, each once: names of columns, or of fields inside them (see `columns_in`)."""
        named = (self.question, self.images, self.answer, self.id, self.source)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def columns_in(self, available: Container[str]) -> list[str]:
        """The columns of a dataset that hold what is read, of a field inside a struct the whole column, each once.

        Args:
            available: the names of the dataset's columns, or something with these keys.

        """
        return list(dict.fromkeys(taken_apart(available, name)[0] for name in self.columns))


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
    system: str | None = None  # the row's own system turn, for prompts with `keep_system`


@dataclass(frozen=True)
class _InTheWild:
    """A layout in the wild: it applies when all its columns are there."""

    name: str
    question: str
    answer: str
    also: tuple[str, ...] = ()
    # False where the images may be inside the chat.
    needs_image_column: bool = False


# The first rule that applies wins, so those that ask for more columns stand first.
_IN_THE_WILD = (
    _InTheWild("hf_rap", "problem", "answer", ("id", "images", "prompt", "messages", "solution", "extra_info"), True),
    # Exports of ours, which have the bare question beside the one with its prompt.
    _InTheWild("trl", "problem", "solution", ("id", "prompt", "images", "accepted"), True),
    _InTheWild("ms-swift", "problem", "solution", ("id", "messages", "images", "accepted"), True),
    _InTheWild("verl", "problem", "reward_model.ground_truth", ("id", "prompt", "images", "extra_info"), True),
    _InTheWild("openrlhf", "problem", "label", ("id", "prompt", "images", "datasource"), True),
    _InTheWild("mm-eureka", "conversations", "answer"),
    _InTheWild("mm-eureka-qwen", "message", "answer"),
    _InTheWild("verl", "prompt", "reward_model.ground_truth"),
    _InTheWild("multimodal-open-r1", "problem", "solution", ("original_question", "original_answer"), True),
    _InTheWild("geometry3k", "problem", "answer", (), True),
    _InTheWild("trl", "prompt", "solution"),
    _InTheWild("openrlhf", "prompt", "label"),
    _InTheWild("ms-swift", "messages", "solution"),
    _InTheWild("ms-swift", "messages", "answer"),
    *(
        _InTheWild("plain", question, answer, (), True)
        for question in ("question", "problem", "query", "prompt")
        for answer in ("answer", "solution", "ground_truth", "label")
    ),
    _InTheWild("sharegpt", "messages", "messages", (), True),
    _InTheWild("sharegpt", "conversations", "conversations", (), True),
)


def recognise_layout(columns: Iterable[str]) -> Layout:
    """The layout of a dataset with these columns; `layout.name` says which one it is.

    When several fit, the first of these is taken: layouts of plugins, hf_rap's own published columns, MM-Eureka
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
    own: dict[str, Layout] = plugins("layout")
    for layout in own.values():
        if all(is_there(columns, name) for name in layout.columns):
            return layout
    without_image = None
    for usual in _IN_THE_WILD:
        if not all(is_there(columns, name) for name in (usual.question, usual.answer, *usual.also)):
            continue
        if usual.needs_image_column and images is None:
            without_image = without_image or usual
            continue
        return Layout(
            usual.question,
            images,
            usual.answer,
            id=next((name for name in ID_COLUMNS if name in columns), None),
            source=next((name for name in SOURCE_COLUMNS if name in columns), None),
            name=usual.name,
        )
    names = ", ".join(columns) or "no columns"
    lacking = "".join(
        f" The layout {name!r} of a plugin reads {next(part for part in layout.columns if not is_there(columns, part))!r}, "
        "which is not there."
        for name, layout in own.items()
    )
    if without_image is not None:
        raise LayoutError(
            f"The question seems to be in {without_image.question!r} and the answer in {without_image.answer!r}, but no "
            f"column has one of the usual names for images, {', '.join(IMAGE_COLUMNS)} (found: {names}).{lacking} {_HOW_TO_NAME_THEM}"
        )
    raise LayoutError(f"No known layout has these columns: {names}.{lacking} {_HOW_TO_NAME_THEM}")


def check_given(layout: Layout | None) -> None:
    """Raise `SettingError` for an option `layout` that is none."""
    fine = layout is None or isinstance(layout, Layout)
    check(fine, "layout", layout, "a Layout(question=..., images=..., answer=...), or None to recognise it")


def layout_of(layout: Layout | None, columns: Mapping[str, Any] | Iterable[str]) -> Layout:
    """The layout that was given, or the one that is recognised; all its columns are there.

    Raises:
        LayoutError: the layout is not recognised, or a column is missing.

    """
    check_given(layout)
    layout = layout or recognise_layout(columns)
    check_layout(layout, columns)
    return layout


def check_layout(layout: Layout, columns: Iterable[str]) -> None:
    """Raise `MissingColumnError` for the first column of `layout` that is not in `columns`.

    Fields of structs are checked when `columns` is `ds.features`.
    """
    columns = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    for name in layout.columns:
        if not is_there(columns, name):
            raise MissingColumnError(f"The layout ({layout.name})", name, columns, _HOW_TO_NAME_THEM)


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
    check_layout(layout, list(batch))
    names = layout.columns_in(batch)
    columns = [_column(batch, name) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _column(batch: Mapping[str, Any], name: str) -> list[Any]:
    stored = batch.stored(name) if isinstance(batch, Batch) else stored_column(batch, name)
    if stored is not None and _holds_files(stored.type):
        values: list[Any] = stored.to_pylist()
        return values
    cells = batch[name]
    if not isinstance(cells, (list, tuple)) or any(_is_tensor(value) for value in cells):
        raise LayoutError(
            f"Column {name!r} arrives as {type(cells).__name__} instead of a list of Python values, one per row: call "
            "ds.map(..., batched=True) on a dataset without a format (ds.with_format(None))."
        )
    return list(cells)


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
    joined by newlines. System turns tell a model how to reply, which is the job of the prompt template: they
    stand apart, and are sent by one that has `keep_system`. Image blocks become `<image>` where they
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
    answer = _answer(row, layout)
    source = value_at(row, layout.source)
    return Question(
        id=own_id(row, layout) or content_id(text, opened, answer),  # of what is opened: decoding is what an id costs
        text=text,
        images=opened,
        answer=answer,
        source=None if source is None else str(source),
        files=tuple(map(encoded_bytes, images)),
        system=system_turn(row, layout),
    )


def system_turn(row: Mapping[str, Any], layout: Layout) -> str | None:
    """The text of a row's system turns, whose pictures are not asked about; None without any."""
    text = system_text(value_at(row, layout.question))
    return None if text is None else text.replace(IMAGE, "").strip() or None


def question_and_answer(row: Mapping[str, Any], layout: Layout) -> tuple[str, object]:
    """The text and the answer of a row as `read_question` gives them, without opening an image; "" where there is no text."""
    text, _ = text_and_images(row, layout)
    return text if isinstance(text, str) else "", _answer(row, layout)


def row_id(row: Mapping[str, Any], layout: Layout) -> str:
    """What goes into `rap_id`: the row's own id, or `content_id` where it has none.

    Works for rows that `read_question` refuses, too. Equal rows get equal content ids.
    """
    own = own_id(row, layout)
    if own is not None:
        return own
    text, images = text_and_images(row, layout)
    return content_id(text if isinstance(text, str) else "", images, _answer(row, layout))


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
    text, images = text_and_images(row, layout)
    parts = [(text if isinstance(text, str) else "").encode("utf-8", "surrogatepass")]
    parts += [fingerprint(image) for image in images]
    return _digest([*parts, json.dumps(_answer(row, layout), sort_keys=True, default=str).encode()])


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


def text_and_images(row: Mapping[str, Any], layout: Layout) -> tuple[Any, list[Any]]:
    """The question with its placeholders in place, and the images as stored."""
    check_layout(layout, list(row))  # names only: a struct may be null in one row
    text = value_at(row, layout.question)
    images = _as_list(value_at(row, layout.images))
    if (content := user_content(text)) is not None:
        text, inside = content
        images = images or inside
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
    answer = value_at(row, layout.answer)
    if (turns := turns_of(answer)) is None:
        return answer
    replies = [content for role, content in turns if role in ("assistant", "gpt")]
    return flatten_content(replies[-1])[0] if replies else None
