"""Which layout a dataset has, told by the names of its columns and, where they are there, by their types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hf_rap.errors import LayoutError, MissingColumnError
from hf_rap.options import check_text
from hf_rap.plugins import UNNAMED, plugins

from .batches import held_in_arrow
from .choice_golds import INDEX0, LETTER
from .choices import choice_columns
from .layouts import (
    HOW_TO_NAME_THEM,
    PUBLISHED,
    UNASKED,
    Layout,
    as_tuple,
    check_given,
    check_layout,
    columns_given,
    texts_given,
)
from .paths import is_there
from .picture_columns import IMAGE_COLUMNS, choose_images, holds_blocks, holds_pictures

ID_COLUMNS = ("rap_id", "id", "onlyid", "uid", "uuid", "question_id", "problem_id", "sample_id")
SOURCE_COLUMNS = ("source", "data_source", "datasource", "dataset")
QUESTION_COLUMNS = ("question", "problem", "query", "prompt", "instruction", "question_text", "problem_text")
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
    choices: str | None = None
    """Where the options stand under a name that means something else elsewhere."""
    exported: bool = False
    """An export of ours, whose question holds its options."""
    in_blocks: bool = False
    """Its images may be inside the chat, which then has to show it."""


# What `hf_rap.rows.mixing` makes of several datasets.
MIXTURE = Layout(
    "problem",
    "images",
    "answer",
    id="id",
    source="source",
    name="mixture",
    choices="options",
    answers_as=LETTER,
    fault=UNASKED,
)

# The first rule that applies wins, so those that ask for more columns stand first.
RULES = (
    Rule(PUBLISHED, "problem", "answer", ("id", "images", "prompt", "messages", "solution", "extra_info"), True),
    # Exports of ours, which have the bare question beside the one with its prompt.
    Rule("trl", "problem", "solution", ("id", "prompt", "images", "accepted"), True, exported=True),
    Rule("ms-swift", "problem", "solution", ("id", "messages", "images", "accepted"), True, exported=True),
    Rule("verl", "problem", "reward_model.ground_truth", ("id", "prompt", "images", "extra_info"), True, exported=True),
    Rule("openrlhf", "problem", "label", ("id", "prompt", "images", "datasource"), True, exported=True),
    Rule("mm-eureka", "conversations", "answer"),
    Rule("mm-eureka-qwen", "message", "answer"),
    Rule("verl", "prompt", "reward_model.ground_truth"),
    Rule("multimodal-open-r1", "problem", "solution", ("original_question", "original_answer"), True),
    Rule("scienceqa", "question", "answer", ("choices", "hint", "lecture"), True, INDEX0),
    Rule("a-okvqa", "question", "correct_choice_idx", ("choices", "direct_answers"), True, INDEX0),
    Rule("sat", "question", "correct_answer", ("answers",), True, choices="answers"),
    Rule("geometry3k", "problem", "answer", (), True),
    Rule("trl", "prompt", "solution"),
    Rule("openrlhf", "prompt", "label"),
    Rule("ms-swift", "messages", "solution"),
    Rule("ms-swift", "messages", "answer"),
    *(Rule("plain", question, answer, (), True) for question in QUESTION_COLUMNS[:4] for answer in ANSWER_COLUMNS[:4]),
    *(Rule("sharegpt", name, name, (), True, in_blocks=True) for name in ("messages", "conversations", "conversation")),
    *(Rule("the_cauldron", name, name, (), True) for name in ("texts", "qa", "qa_pairs")),
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

    Examples:
        >>> recognise_layout(["images", "problem", "answer"])
        Layout(question='problem', images='images', answer='answer', name='geometry3k')
        >>> recognise_layout(["image_1", "image_2", "question", "options", "answer"])
        Layout(question='question', images=('image_1', 'image_2'), answer='answer', name='plain', choices='options')

    """
    columns = columns if isinstance(columns, Mapping) else dict.fromkeys(columns)
    for name, column in (("question", question), ("answer", answer)):
        check_text(name, column, none=True, empty=False)
    if all(name in columns for name in (*MIXTURE.columns, "source_id")):
        return MIXTURE
    own: dict[str, Layout] = plugins("layout")
    fits = (layout for layout in own.values() if all(is_there(columns, name) for name in layout.columns))
    if (layout := next(fits, None)) is not None and not (question or images or answer or choices):
        return layout
    images, choices, ignore = (
        columns_given("images", images),
        columns_given("choices", choices),
        texts_given("ignore", ignore),
    )
    seen = {name: columns[name] for name in columns if name not in ignore} if ignore else columns
    for column in (question, answer, *as_tuple(images), *as_tuple(choices)):
        if column is not None and not is_there(seen, column):
            raise MissingColumnError("The layout", column, seen, HOW_TO_NAME_THEM)
    choices = choices or next(iter(choice_columns(seen)), None)
    images = images or choose_images(seen, besides=choices or ())
    rules = RULES
    if question or answer:
        pairs = ((q, a) for q in _either(question, QUESTION_COLUMNS) for a in _either(answer, ANSWER_COLUMNS))
        rules = tuple(Rule(UNNAMED, *pair) for pair in pairs)
    fitting = [r for r in rules if all(is_there(seen, name) for name in (r.question, r.answer, *r.also))]
    rule = next(
        (
            rule
            for rule in fitting
            if images is not None
            or not rule.needs_image_column
            or (rule.in_blocks and holds_blocks(seen, rule.question))
        ),
        None,
    )
    if rule is None and (folded := _recognise_folded(seen)) is not None:
        return replace(folded, ignore=ignore)
    if rule is None:
        has_options = images is not None and choices is not None
        raise _not_recognised(seen, own, has_options=has_options, without_image=fitting)
    return Layout(
        rule.question,
        images,
        rule.answer,
        id=next((name for name in ID_COLUMNS if name in seen), None),
        source=next((name for name in SOURCE_COLUMNS if name in seen), None),
        name=rule.name,
        choices=None
        if rule.name == PUBLISHED or rule.exported
        else rule.choices or choices,  # there they stand in `problem`
        answers_as=rule.answers_as,
        ignore=ignore,
        fault=UNASKED if UNASKED in columns else None,
    )


def _recognise_folded(columns: Mapping[str, Any]) -> Layout | None:
    """The layout of names in other cases or with spaces, such as `Question` and `Correct Answer`; None where none fits."""
    names = {name if len(name) == 1 else name.casefold().replace(" ", "_"): name for name in columns}
    if set(names) == set(columns):
        return None
    undecoded = {
        folded: None if held_in_arrow(columns, name) is not None else columns[name] for folded, name in names.items()
    }
    try:
        layout = recognise_layout(undecoded)
    except LayoutError:
        return None
    renamed: dict[str, Any] = {}
    for field in ("question", "images", "answer", "id", "source", "choices"):
        value = getattr(layout, field)
        several = tuple(names.get(name, name) for name in as_tuple(value))
        renamed[field] = several if isinstance(value, tuple) else next(iter(several), None)
    return replace(layout, **renamed)


def _not_recognised(
    columns: Mapping[str, Any], own: Mapping[str, Layout], *, has_options: bool, without_image: list[Rule]
) -> LayoutError:
    names = ", ".join(columns) or "no columns"
    lacking = "".join(
        f" The layout {name!r} of a plugin reads {next(part for part in layout.columns if not is_there(columns, part))!r}, "
        "which is not there."
        for name, layout in own.items()
        if not all(is_there(columns, part) for part in layout.columns)
    )
    if without_image:
        seems = (
            f"The question seems to be in {without_image[0].question!r} and the answer in {without_image[0].answer!r}"
        )
        pictures = [name for name in columns if holds_pictures(columns, name)]
        if len(pictures) > 1:
            shown = ",".join(pictures)
            return LayoutError(
                f"{seems}, and there are pictures in {', '.join(pictures)}, whose order the names do not say. Say it: "
                f"Layout(images={pictures!r}) in Python, --images {shown} on the command line."
            )
        return LayoutError(
            f"{seems}, but no column has one of the usual names for images, {', '.join(IMAGE_COLUMNS)} (found: {names}).{lacking} "
            f"{HOW_TO_NAME_THEM}"
        )
    if has_options and not set(QUESTION_COLUMNS) & set(columns):
        return LayoutError(
            f"There are images and options, and no question (found: {names}). Where it stands in the picture alone, say so "
            "in a column: ds.add_column('question', ['Answer the question in the picture.'] * len(ds))."
        )
    return LayoutError(f"No known layout has these columns: {names}.{lacking} {HOW_TO_NAME_THEM}")


def _either(named: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    return usual if named is None else (named,)


def unused_columns(layout: Layout, columns: Iterable[str]) -> dict[str, str]:
    """Columns that have one of the usual names and are not read -> the option of the command line that would read them."""
    if layout.name == PUBLISHED:
        return {}
    columns = list(columns)
    choices = [name for group in choice_columns(columns) for name in group]
    usual = (
        ("--question", QUESTION_COLUMNS),
        ("--images", IMAGE_COLUMNS),
        ("--answer", ANSWER_COLUMNS),
        ("--choices", choices),
        ("--id", ID_COLUMNS),
    )
    read = {*layout.columns_in(columns), *layout.ignore}
    return {
        name: f"{option} {name}" for option, names in usual for name in names if name in columns and name not in read
    }


def layout_of(layout: Layout | None, columns: Mapping[str, Any] | Iterable[str]) -> Layout:
    """The layout that was given, or the one that is recognised; all its columns are there.

    Raises:
        LayoutError: the layout is not recognised, or a column is missing.

    """
    check_given(layout)
    layout = layout or recognise_layout(columns)
    check_layout(layout, columns)
    return layout
