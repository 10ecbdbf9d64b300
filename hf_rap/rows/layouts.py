"""The columns of a user's dataset -> which of them is question, images, options, answer, id and source.

A row of hiyouga/geometry3k, as one example of what is read here:

    {"images": [<image>], "problem": "<image>Find x.", "answer": "3"}

`recognise_layout` finds the columns, `hf_rap.rows.settling` decides what only the rows can tell, and
`hf_rap.rows.questions` reads them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from hf_rap.errors import LayoutError, MissingColumnError
from hf_rap.options import check, check_choice, check_text
from hf_rap.plugins import plugins

from .chats import TURNS
from .choice_golds import ANSWERS_AS, INDEX0
from .choice_text import CHOICE_FORM, check_form
from .choices import choice_columns
from .golds import ANY, SEVERAL
from .paths import is_there, taken_apart
from .picture_columns import IMAGE_COLUMNS, choose_images, unread_images

ID_COLUMNS = ("rap_id", "id", "onlyid", "uid", "uuid", "question_id", "problem_id", "sample_id")
SOURCE_COLUMNS = ("source", "data_source", "datasource", "dataset")
QUESTION_COLUMNS = ("question", "problem", "query", "prompt", "instruction", "question_text")
# In order of preference; which of several the grader can read is decided by the rows.
ANSWER_COLUMNS = (
    *("answer", "solution", "ground_truth", "label", "answers", "gt", "ground_truths", "gt_answer", "final_answer"),
    *(
        "multiple_choice_answer",
        "correct_answer",
        "correct_option",
        "correct_choice",
        "correct_choice_idx",
        "answer_idx",
    ),
    *(
        "answer_index",
        "correct_idx",
        "answer_key",
        "answerKey",
        "answer_label",
        "answer label",
        "target",
        "direct_answers",
    ),
)

PUBLISHED = "hf_rap"  # our own columns, which hold what the user's held

_HOW_TO_NAME_THEM = (
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

    """

    question: str
    images: str | tuple[str, ...] | None
    answer: str
    id: str | None = None
    source: str | None = None
    name: str = "columns given by the user"
    choices: str | tuple[str, ...] | None = None
    answers_as: str | None = None
    choice_form: str = CHOICE_FORM
    turns: str | None = None
    several: str = ANY
    labels: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("question", "answer", "name"):
            check_text(name, getattr(self, name), empty=False)
        for name in ("id", "source"):
            check_text(name, getattr(self, name), none=True, empty=False)
        for name in ("images", "choices"):
            object.__setattr__(self, name, _columns_given(name, getattr(self, name)))
        for name in ("labels", "ignore"):
            object.__setattr__(self, name, _texts_given(name, getattr(self, name)))
        check_choice("answers_as", self.answers_as, ANSWERS_AS, none=True)
        check_choice("turns", self.turns, TURNS, none=True)
        check_choice("several", self.several, SEVERAL)
        check_form("choice_form", self.choice_form)

    def __repr__(self) -> str:
        shown = [field for field in fields(self) if field.default is not getattr(self, field.name)]
        return f"Layout({', '.join(f'{field.name}={getattr(self, field.name)!r}' for field in shown)})"

    @property
    def settings(self) -> dict[str, str]:
        """What changes the prompt of a row and is neither in its cells nor in its id."""
        return {"choice_form": self.choice_form} if self.choices and self.choice_form != CHOICE_FORM else {}

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON: the columns and the name, and of the other fields those that are not the default."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        shown = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        always = ("question", "images", "answer", "id", "source", "name")
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in shown.items() if name in always or values[name] != defaults[name]}

    @property
    def image_columns(self) -> tuple[str, ...]:
        """The columns of `images`."""
        return _as_tuple(self.images)

    @property
    def choice_columns(self) -> tuple[str, ...]:
        """The columns of `choices`."""
        return _as_tuple(self.choices)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read, each once: names of columns, or of fields inside them (see `columns_in`)."""
        named = (self.question, *self.image_columns, self.answer, self.id, self.source, *self.choice_columns)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def columns_in(self, available: Container[str]) -> list[str]:
        """The columns of a dataset that hold what is read, of a field inside a struct the whole column, each once.

        Args:
            available: the names of the dataset's columns, or something with these keys.

        """
        return list(dict.fromkeys(taken_apart(available, name)[0] for name in self.columns))


def _as_tuple(columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if columns is None else (columns,) if isinstance(columns, str) else columns


def _columns_given(name: str, value: Any) -> str | tuple[str, ...] | None:
    """The name of a column, or several; one in a list is that one."""
    if isinstance(value, str) or value is None:
        check_text(name, value, none=True, empty=False)
        return value
    texts = isinstance(value, (list, tuple)) and all(isinstance(part, str) and part.strip() for part in value)
    check(texts and len(value) > 0, name, value, "the name of a column, a list of names, or None")
    return tuple(value) if len(value) > 1 else str(value[0])


def _texts_given(name: str, value: Any) -> tuple[str, ...]:
    value = (value,) if isinstance(value, str) else value
    fine = isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value)
    check(fine, name, value, "a list of texts")
    return tuple(value)


@dataclass(frozen=True)
class Rule:
    """A layout in the wild: it applies when all its columns are there."""

    name: str
    question: str
    answer: str
    also: tuple[str, ...] = ()
    needs_image_column: bool = False
    """False where the images may be inside the chat."""
    answers_as: str | None = None
    """Where its authors say how they count options."""


# The first rule that applies wins, so those that ask for more columns stand first.
RULES = (
    Rule(PUBLISHED, "problem", "answer", ("id", "images", "prompt", "messages", "solution", "extra_info"), True),
    Rule("mm-eureka", "conversations", "answer"),
    Rule("mm-eureka-qwen", "message", "answer"),
    Rule("verl", "prompt", "reward_model.ground_truth"),
    Rule("multimodal-open-r1", "problem", "solution", ("original_question", "original_answer"), True),
    Rule("scienceqa", "question", "answer", ("choices", "hint", "lecture"), True, INDEX0),
    Rule("a-okvqa", "question", "correct_choice_idx", ("choices", "direct_answers"), True, INDEX0),
    Rule("geometry3k", "problem", "answer", (), True),
    Rule("trl", "prompt", "solution"),
    Rule("openrlhf", "prompt", "label"),
    Rule("ms-swift", "messages", "solution"),
    Rule("ms-swift", "messages", "answer"),
    *(Rule("plain", question, answer, (), True) for question in QUESTION_COLUMNS[:4] for answer in ANSWER_COLUMNS[:4]),
    Rule("sharegpt", "messages", "messages", (), True),
    Rule("sharegpt", "conversations", "conversations", (), True),
    Rule("the_cauldron", "texts", "texts", (), True),
    *(Rule("plain", question, answer, (), True) for question in QUESTION_COLUMNS for answer in ANSWER_COLUMNS),
)


def recognise_layout(
    columns: Iterable[str],
    *,
    question: str | None = None,
    images: str | tuple[str, ...] | None = None,
    answer: str | None = None,
    choices: str | tuple[str, ...] | None = None,
    ignore: Iterable[str] = (),
) -> Layout:
    """The layout of a dataset with these columns; `layout.name` says which one it is.

    When several fit, the first of these is taken: layouts of plugins, hf_rap's own published columns, MM-Eureka
    (`conversations` or `message`, `answer`), verl (`prompt`, `reward_model.ground_truth`),
    multimodal-open-r1, ScienceQA, A-OKVQA, geometry3k and EasyR1 (`problem`, `answer`), TRL (`prompt`, `solution`), OpenRLHF
    (`prompt`, `label`), ms-swift (`messages` with `solution` or `answer`), plain (`question`, `problem`,
    `query` or `prompt` with `answer`, `solution`, `ground_truth` or `label`), ShareGPT and the_cauldron (a reply of the
    assistant is the answer), and then plain with the rarer names in QUESTION_COLUMNS and ANSWER_COLUMNS. An image
    column is one of IMAGE_COLUMNS, several with numbers (`image_1`, `image_2`), or the only one that holds pictures;
    only chats may do without. Options are in one of CHOICE_COLUMNS, or in one column each (`A`, `B`, ...; `choice_a`, ...).

    Args:
        columns: `ds.features`, a batch, a row, or just the names.
        question: the column, where it is known; the others are recognised beside it.
        images: the same.
        answer: the same.
        choices: the same.
        ignore: names that are not looked at.

    Raises:
        LayoutError: none fits.

    >>> recognise_layout(["images", "problem", "answer"])
    Layout(question='problem', images='images', answer='answer', name='geometry3k')
    >>> recognise_layout(["image_1", "image_2", "question", "options", "answer"])
    Layout(question='question', images=('image_1', 'image_2'), answer='answer', name='plain', choices='options')

    """
    columns = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    for name, column in (("question", question), ("answer", answer)):
        check_text(name, column, none=True, empty=False)
    own = (layout for layout in plugins(_is_named_layout).values() if all(is_there(columns, c) for c in layout.columns))
    if (layout := next(own, None)) is not None and not (question or images or answer or choices):
        plugin: Layout = layout
        return plugin
    images, choices, ignore = (
        _columns_given("images", images),
        _columns_given("choices", choices),
        _texts_given("ignore", ignore),
    )
    seen = {name: columns[name] for name in columns if name not in ignore} if ignore else columns
    for column in (question, answer, *_as_tuple(images), *_as_tuple(choices)):
        if column is not None and not is_there(seen, column):
            raise MissingColumnError("The layout", column, seen, _HOW_TO_NAME_THEM)
    choices = choices or next(iter(choice_columns(seen)), None)
    images = images or choose_images(seen, besides=choices or ())
    rules = RULES
    if question or answer:
        pairs = ((q, a) for q in _either(question, QUESTION_COLUMNS) for a in _either(answer, ANSWER_COLUMNS))
        rules = tuple(Rule("columns given by the user", *pair) for pair in pairs)
    fitting = [r for r in rules if all(is_there(seen, name) for name in (r.question, r.answer, *r.also))]
    rule = next((rule for rule in fitting if images is not None or not rule.needs_image_column), None)
    if rule is None:
        raise _not_recognised(columns, has_options=images is not None and choices is not None, without_image=fitting)
    return Layout(
        rule.question,
        images,
        rule.answer,
        id=next((name for name in ID_COLUMNS if name in seen), None),
        source=next((name for name in SOURCE_COLUMNS if name in seen), None),
        name=rule.name,
        choices=None if rule.name == PUBLISHED else choices,  # there they stand in `problem`
        answers_as=rule.answers_as,
        ignore=ignore,
    )


def _not_recognised(columns: Iterable[str], *, has_options: bool, without_image: list[Rule]) -> LayoutError:
    names = ", ".join(columns) or "no columns"
    if without_image:
        return LayoutError(
            f"The question seems to be in {without_image[0].question!r} and the answer in {without_image[0].answer!r}, but "
            f"no column has one of the usual names for images, {', '.join(IMAGE_COLUMNS)} (found: {names}). {_HOW_TO_NAME_THEM}"
        )
    if has_options and not set(QUESTION_COLUMNS) & set(columns):
        return LayoutError(
            f"There are images and options, and no question (found: {names}). Where it stands in the picture alone, say so "
            "in a column: ds.add_column('question', ['Answer the question in the picture.'] * len(ds))."
        )
    return LayoutError(f"No known layout has these columns: {names}. {_HOW_TO_NAME_THEM}")


def _either(named: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    return usual if named is None else (named,)


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


def check_unread(layout: Layout, columns: Mapping[str, Any]) -> None:
    """Raise `LayoutError` for columns of options or pictures that are neither read nor ignored on purpose.

    Args:
        layout: which column is what.
        columns: `ds.features`, or a batch.

    """
    if layout.name == PUBLISHED:
        return
    read = {*layout.columns_in(columns), *layout.ignore}
    choices = [group for group in choice_columns(columns) if not read & set(group)]
    for what, option, unread in (
        ("options", "choices", [name for group in choices for name in group]),
        ("pictures", "images", unread_images(columns, read)),
    ):
        if unread:
            names = ", ".join(unread)
            raise LayoutError(
                f"The columns {names} look like {what}, and nothing reads them. Name them, Layout({option}=...) or "
                f"--{option} {','.join(unread)}; or go on without: Layout(ignore={unread!r}) or --ignore-columns {','.join(unread)}."
            )


def _is_named_layout(plugin: Any) -> bool:
    return isinstance(plugin, Layout)


def check_layout(layout: Layout, columns: Iterable[str]) -> None:
    """Raise `MissingColumnError` for the first column of `layout` that is not in `columns`.

    Fields of structs are checked when `columns` is `ds.features`.
    """
    columns = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    for name in layout.columns:
        if not is_there(columns, name):
            raise MissingColumnError(f"The layout ({layout.name})", name, columns, _HOW_TO_NAME_THEM)
