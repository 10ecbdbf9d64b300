"""The columns of a user's dataset -> which of them is question, images, options, answer, id and source.

A row of hiyouga/geometry3k, as one example of what is read here:

    {"images": [<image>], "problem": "<image>Find x.", "answer": "3"}

`hf_rap.rows.recognition` finds the columns, `hf_rap.rows.settling` decides what only the rows can tell, and
`hf_rap.rows.questions` reads them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from hf_rap.errors import LayoutError, MissingColumnError, SettingError, first_line
from hf_rap.options import check, check_choice, check_text
from hf_rap.plugins import UNNAMED

from .chats import TURNS
from .choice_golds import ANSWERS_AS
from .choice_text import CHOICE_FORM, check_form
from .choices import choice_columns, choice_lists
from .golds import ANY, SEVERAL
from .paths import is_there, taken_apart
from .picture_columns import unread_images

UNASKED = "rap_unasked"  # `hf_rap.columns.UNASKED`
PUBLISHED = "hf_rap"  # our own columns, which hold what the user's held

HOW_TO_NAME_THEM = (
    "Name them: Layout(question=..., images=..., answer=...) in Python, --question, --images and --answer on the "
    "command line (a field inside a struct is written struct.field)."
)


@dataclass(frozen=True, repr=False)
class Layout:
    """Which columns hold what. A field of a struct is written `struct.field`; a column of that name goes before it.

    Args:
        question: text or a chat (see `hf_rap.rows.questions.read_question`).
        images: a column with an image or a list of them, or several such columns in the order of their numbers; None where
            the images are inside the chat, or there are none.
        answer: the gold answer. A chat stands for a reply of the assistant, a list for several answers of which any is
            right.
        id: a column that names the rows.
        source: a column that says where a row is from.
        name: of the layout, for people.
        choices: the options of a multiple-choice question: a column, or one column per option (see
            `hf_rap.rows.choices`). They go into the question's text, and the gold becomes the letter of its option.
        answers_as: how golds name an option: by a "letter", by its "text", "named" by either, or by its number from 0 or
            1 ("index0", "index1"). None finds out; where it cannot be found out, it is asked for.
        choice_form: how an option stands in the question, with {letter} and {text}.
        turns: which question of a chat with several is asked: "first", "last", or "each" (a row for each that has a
            reply, see `one_row_per_turn`).
        several: of the answers of several people "any" is right, or the "majority" alone.
        labels: names of the classes, where the answers are their numbers.
        ignore: columns that look like options or images and are not read on purpose.
        fault: a column that says why a row is not to be asked, as `rap_error` does; null for one that is.
        media_roots: folders whose files rows may name, beside the dataset's own (see `hf_rap.rows.media`). Stands in no
            file: it is of this machine.

    """

    question: str
    images: str | tuple[str, ...] | None
    answer: str
    id: str | None = None
    source: str | None = None
    name: str = UNNAMED
    choices: str | tuple[str, ...] | None = None
    answers_as: str | None = None
    choice_form: str = CHOICE_FORM
    turns: str | None = None
    several: str = ANY
    labels: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fault: str | None = None
    media_roots: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in ("question", "answer", "name"):
            check_text(name, getattr(self, name), empty=False)
        for name in ("id", "source", "fault"):
            check_text(name, getattr(self, name), none=True, empty=False)
        for name in ("images", "choices"):
            object.__setattr__(self, name, columns_given(name, getattr(self, name)))
        for name in ("labels", "ignore"):
            object.__setattr__(self, name, texts_given(name, getattr(self, name)))
        object.__setattr__(self, "media_roots", texts_given("media_roots", self.media_roots))
        check_choice("answers_as", self.answers_as, ANSWERS_AS, none=True)
        check_choice("turns", self.turns, TURNS, none=True)
        check_choice("several", self.several, SEVERAL)
        check_form("choice_form", self.choice_form)

    def __repr__(self) -> str:
        shown = [part for part in _written(self) if part.default is not getattr(self, part.name)]
        return f"Layout({', '.join(f'{part.name}={getattr(self, part.name)!r}' for part in shown)})"

    @property
    def settings(self) -> dict[str, str]:
        """What changes the prompt of a row and is neither in its cells nor in its id."""
        return {"choice_form": self.choice_form} if self.choices and self.choice_form != CHOICE_FORM else {}

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON: the columns and the name, and of the other fields those that are not the default."""
        values = {part.name: getattr(self, part.name) for part in _written(self)}
        shown = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        always = ("question", "images", "answer", "id", "source", "name")
        defaults = {part.name: part.default for part in _written(self)}
        return {name: value for name, value in shown.items() if name in always or values[name] != defaults[name]}

    @property
    def image_columns(self) -> tuple[str, ...]:
        """The columns of `images`."""
        return as_tuple(self.images)

    @property
    def choice_columns(self) -> tuple[str, ...]:
        """The columns of `choices`."""
        return as_tuple(self.choices)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read, each once: names of columns, or of fields inside them (see `columns_in`)."""
        named = (
            self.question,
            *self.image_columns,
            self.answer,
            self.id,
            self.source,
            *self.choice_columns,
            self.fault,
        )
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def columns_in(self, available: Container[str]) -> list[str]:
        """The columns of a dataset that hold what is read, of a field inside a struct the whole column, each once.

        Args:
            available: the names of the dataset's columns, or something with these keys.

        """
        return list(dict.fromkeys(taken_apart(available, name)[0] for name in self.columns))


def _written(layout: Layout) -> list[Field[Any]]:
    """The fields that are shown and stored: all but folders of this machine."""
    return [part for part in fields(layout) if part.name != "media_roots"]


def layout_from(values: Any, where: str) -> Layout:
    """The layout in a file or a version, which anybody may have written.

    Args:
        values: what `Layout.as_dict` gave.
        where: the file, for the error.

    Raises:
        LayoutError: it is none. It may name no folders of this machine.

    """
    names = {part.name for part in fields(Layout)} - {"media_roots"}
    if not isinstance(values, Mapping) or not set(values) <= names:
        raise LayoutError(f"{where} says of its layout what no release of hf-rap writes: make the file again.")
    try:
        return Layout(**values)
    except (SettingError, TypeError) as error:
        raise LayoutError(f"{where} has a layout that is none: {first_line(error)}") from error


def as_tuple(columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of columns that a field of a layout holds."""
    return () if columns is None else (columns,) if isinstance(columns, str) else columns


def columns_given(name: str, value: Any) -> str | tuple[str, ...] | None:
    """The name of a column, or several; one in a list is that one."""
    if isinstance(value, str) or value is None:
        check_text(name, value, none=True, empty=False)
        return value
    texts = isinstance(value, (list, tuple)) and all(isinstance(part, str) and part.strip() for part in value)
    check(texts and len(value) > 0, name, value, "the name of a column, a list of names, or None")
    return tuple(value) if len(value) > 1 else str(value[0])


def texts_given(name: str, value: Any) -> tuple[str, ...]:
    """Texts, or one; raises `SettingError` for anything else."""
    value = (value,) if isinstance(value, str) else value
    fine = isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value)
    check(fine, name, value, "a list of texts")
    return tuple(value)


def check_given(layout: Layout | None) -> None:
    """Raise `SettingError` for an option `layout` that is none."""
    fine = layout is None or isinstance(layout, Layout)
    check(fine, "layout", layout, "a Layout(question=..., images=..., answer=...), or None to recognise it")


def check_unread(layout: Layout, columns: Mapping[str, Any]) -> None:
    """Raise `LayoutError` for columns of options or pictures that are neither read nor ignored on purpose.

    Args:
        layout: which column is what.
        columns: `ds.features`, or a batch.

    """
    for sentence in unread_columns(layout, columns):
        raise LayoutError(sentence)


def unread_columns(layout: Layout, columns: Mapping[str, Any]) -> list[str]:
    """A sentence for columns of options, and one for those of pictures, that are neither read nor ignored on purpose."""
    if layout.name == PUBLISHED:
        return []
    read = {*layout.columns_in(columns), *layout.ignore}
    choices = [group for group in choice_columns(columns) if not read & set(group)]
    if not layout.choices:
        usual = {name for group in choices for name in group}
        choices += [(name,) for name in choice_lists(columns) if name not in read | usual]
    sentences = []
    for what, option, unread in (
        ("options", "choices", [name for group in choices for name in group]),
        ("pictures", "images", unread_images(columns, read)),
    ):
        if unread:
            named = [*(layout.image_columns if option == "images" else ()), *unread]
            sentences.append(
                f"The columns {', '.join(unread)} look like {what}, and nothing reads them. Name them, "
                f"Layout({option}={named!r}) or --{option} {','.join(named)}; or go on without: Layout(ignore={unread!r}) or "
                f"--ignore-columns {','.join(unread)}."
            )
    return sentences


def check_layout(layout: Layout, columns: Iterable[str]) -> None:
    """Raise `MissingColumnError` for the first column of `layout` that is not in `columns`.

    Fields of structs are checked when `columns` is `ds.features`.
    """
    columns = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    for name in layout.columns:
        if not is_there(columns, name):
            raise MissingColumnError(f"The layout ({layout.name})", name, columns, HOW_TO_NAME_THEM)
