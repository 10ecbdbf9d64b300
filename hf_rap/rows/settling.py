"""What only the rows of a dataset can tell about its layout: which column has golds that can be compared, how golds name
their options, what the numbers of classes stand for, whether a column of ids tells rows apart.

Decided once over a whole dataset (`settle`), so that every row is read the same way. A plain `ds.map(Rollouts(...))`
sees one batch at a time and decides by that (`settle_batch`); what a batch cannot tell is an error of its rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import LayoutError, RowError, SourceError
from hf_rap.verify import read_gold

from .batches import Batch
from .cells import rows_of
from .choice_golds import ASK, INDEX0, NAMED, Numbers, Undecided, letter_of, whole
from .choices import Choices, choice_columns, read_choices
from .compat import features_of_batch
from .golds import is_readable, plain_gold
from .layouts import Layout, check_given, check_unread
from .media import given_roots, own_folders, roots_of_process
from .own_ids import shared_among, shared_id
from .paths import is_there, taken_apart, value_at
from .recognition import ANSWER_COLUMNS, layout_of, recognise_layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import datasets

# Layouts whose gold column leaves no doubt.
_SURE = ("mixture", "hf_rap", "verl", "mm-eureka", "mm-eureka-qwen", "sharegpt", "the_cauldron", "scienceqa", "a-okvqa")
# Names of columns with text that stands in front of a question.
_LEANED_ON = ("context", "hint", "passage", "paragraph", "paragraphs", "background")
_SAMPLED = 200  # rows, spread over the dataset, whose golds are read to choose their column
FIRST_ROWS = 200  # of a stream, to see what its layout is
_ROWS_PER_STEP = 1_000


class Settled(NamedTuple):
    """A layout about which nothing is open, and what a person should know about how it was found."""

    layout: Layout
    remarks: tuple[str, ...] = ()


def settle(
    layout: Layout | None, ds: datasets.Dataset | datasets.IterableDataset, *, despite_unread: bool = False
) -> Settled:
    """The layout of a dataset, recognised where it is None.

    Args:
        layout: what is known of it.
        ds: the rows; of a stream the first are looked at.
        despite_unread: columns that look like options or pictures may stay unread.

    Raises:
        SourceError: there are no rows.
        LayoutError: the layout is not recognised, a column is missing, one that looks like options or pictures is not
            read, or golds are numbers of options and nothing says from where they count.
    """
    check_given(layout)
    roots = own_folders(ds)
    ds = first_rows(ds)
    recognised = layout_of(layout, ds.features)
    roots = tuple(dict.fromkeys((*recognised.media_roots, *roots, *given_roots())))
    recognised = replace(recognised, media_roots=roots)
    if not despite_unread:
        check_unread(recognised, ds.features)
    remarks = []
    if layout is None:
        recognised, remark = _readable_gold(recognised, ds.features, lambda names: _rows(_sample(ds), names))
        recognised, of_ids = _told_apart(recognised, ds)
        remarks = [text for text in (remark, of_ids, _left_out(recognised, ds)) if text]
    recognised = _with_labels(recognised, ds.features)
    if _lists_numbers(recognised, ds.features):
        remarks.append(
            f"Golds in {recognised.answer!r} are lists of numbers, and a reply with any one of them is right. Boxes and points "
            "need a grader of your own: --verifier, Rollouts(verifier=...)."
        )
    if recognised.choices and recognised.answers_as is None:
        try:
            recognised = replace(recognised, answers_as=_answers_as(recognised, _rows(ds, _gold_columns(recognised))))
        except Undecided as error:
            raise LayoutError(
                f"The golds in {recognised.answer!r} are numbers of the options in {', '.join(recognised.choice_columns)}: "
                f"{error}. {ASK}"
            ) from error
    return Settled(recognised, tuple(remarks))


def first_rows(ds: datasets.Dataset | datasets.IterableDataset) -> datasets.Dataset:
    """What a layout is settled by: the first rows of a stream, images not decoded; a table as it is.

    Raises:
        SourceError: there are no rows.
    """
    import datasets

    if isinstance(ds, datasets.IterableDataset):
        rows = list(undecoded(ds).take(FIRST_ROWS))
        ds = datasets.Dataset.from_list(rows, features=undecoded(ds).features if rows else None)
    if len(ds) == 0:
        raise SourceError("The dataset has no rows.")
    return ds


def undecoded(stream: datasets.IterableDataset) -> datasets.IterableDataset:
    """The stream with images as they are stored, as far as it says which columns hold some."""
    stream = stream.with_format(None)
    return stream if stream.features is None else stream.decode(False)


def layout_with(ds: datasets.Dataset, named: Mapping[str, Any]) -> Layout:
    """The layout of a dataset of which some fields of `Layout` are given by name; the others are recognised.

    Raises:
        LayoutError: they are not recognised.
    """
    columns = {name: named[name] for name in ("question", "images", "answer", "choices", "ignore") if name in named}
    layout = recognise_layout(ds.features, **columns)
    if "answer" not in named:
        layout, _ = _readable_gold(layout, ds.features, lambda names: _rows(_sample(ds), names))
    if "id" not in named:
        layout, _ = _told_apart(layout, ds)
    return replace(layout, **named)


def _sample(ds: datasets.Dataset) -> datasets.Dataset:
    step = max(1, len(ds) // _SAMPLED)
    return ds.select(range(0, len(ds), step)) if step > 1 else ds


def settle_batch(layout: Layout | None, batch: Mapping[str, Any]) -> Layout:
    """The same for what a batch shows; `answers_as` stays None where its golds do not say."""
    check_given(layout)
    recognised = layout_of(layout, batch)
    recognised = replace(recognised, media_roots=recognised.media_roots or roots_of_process())
    check_unread(recognised, batch)

    def rows(names: Sequence[str]) -> Iterator[dict[str, Any]]:
        tops = list(dict.fromkeys(taken_apart(batch, name)[0] for name in names))
        cells = [batch[name] for name in tops]
        return (dict(zip(tops, row, strict=True)) for row in zip(*cells, strict=True))

    if layout is None:
        recognised, _ = _readable_gold(recognised, batch, rows)
        if shared_among(recognised, rows) is not None:
            recognised = replace(recognised, id=None)
    recognised = _with_labels(recognised, features_of_batch(batch.given if isinstance(batch, Batch) else batch) or {})
    if recognised.choices and recognised.answers_as is None:
        try:
            return replace(recognised, answers_as=_answers_as(recognised, rows(_gold_columns(recognised))))
        except Undecided:
            return recognised
    return recognised


def _rows(ds: datasets.Dataset, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """These columns of all rows, as they are stored."""
    tops = list(dict.fromkeys(taken_apart(ds.column_names, name)[0] for name in names))
    for table in ds.select_columns(tops).with_format("arrow").iter(batch_size=_ROWS_PER_STEP):
        yield from rows_of(table)


def _gold_columns(layout: Layout) -> list[str]:
    return [layout.answer, *layout.choice_columns]


def _answers_as(layout: Layout, rows: Iterable[Mapping[str, Any]]) -> str:
    """How the golds of these rows name their options; raises `Undecided`."""
    numbers = Numbers()
    are_numbers = True
    for row in rows:
        gold = plain_gold(value_at(row, layout.answer), layout.several)
        if not layout.labels and gold is not None:
            numbers.add(gold, _choices_of(row, layout))
            are_numbers = are_numbers and not isinstance(gold, (str, list))
    return numbers.answers_as(are_numbers=are_numbers)


def _choices_of(row: Mapping[str, Any], layout: Layout) -> Choices:
    try:
        return read_choices([value_at(row, name) for name in layout.choice_columns]) if layout.choices else Choices()
    except RowError:  # an error of its row, when that is read
        return Choices()


def _readable_gold(layout: Layout, columns: Mapping[str, Any], rows: Any) -> tuple[Layout, str]:
    """The layout with the first answer column that the grader can read, and a remark where that is not the first."""
    taken = {*layout.columns, *(name for group in choice_columns(columns) for name in group)} - {layout.answer}
    names = [name for name in ANSWER_COLUMNS if is_there(columns, name) and name not in taken]
    if layout.name in _SURE or layout.answer not in names or len(names) < 2:
        return layout, ""
    names.sort(key=lambda name: (name != layout.answer, type(columns[name]).__name__ == "ClassLabel"))
    readable = dict.fromkeys(names, 0)
    count = 0
    agree = True
    for row in rows([*names, *layout.choice_columns]):
        choices = _choices_of(row, layout)
        count += 1
        for name in names:
            readable[name] += _can_be_compared(row[name], choices)
        agree = agree and _states_the_same(row.get("solution"), row.get("final_answer"))
    best = max(readable.values())
    chosen = next(name for name in names if readable[name] * 2 >= best)
    if chosen == "solution" and readable.get("final_answer", 0) * 2 >= best and not agree:
        chosen = "final_answer"
    if chosen == layout.answer:
        return layout, ""
    remark = (
        f"Golds are read from {chosen!r} ({readable[chosen]} of {count} can be compared with a reply), not from "
        f"{layout.answer!r} ({readable[layout.answer]} of {count}). Name the column to have another: --answer, Layout(answer=...)."
    )
    return replace(layout, answer=chosen), remark


def _told_apart(layout: Layout, ds: datasets.Dataset) -> tuple[Layout, str]:
    """The layout without its column of ids where that has one name for different rows, and a remark."""
    shared = None if layout.name in _SURE[:2] else shared_id(layout, ds, _rows)
    if shared is None:
        return layout, ""
    remark = (
        f"Rows are known by their content and not by {layout.id!r}, which has one name for different rows ({shared!r} for "
        "one). Name it to have it all the same: --id, Layout(id=...)."
    )
    return replace(layout, id=None), remark


def _left_out(layout: Layout, ds: datasets.Dataset) -> str:
    """A remark about text that a question may lean on and that nothing reads; "" without any."""
    names = [name for name in ds.column_names if name.casefold() in _LEANED_ON and name not in layout.columns]
    sample = _sample(ds)
    filled = dict.fromkeys(names, 0)
    for row in _rows(sample, names) if names else ():
        for name in names:
            filled[name] += isinstance(row[name], str) and bool(row[name].strip()) and row[name] != "nan"
    shown = [f"{name!r} has text in {count} of {len(sample)} rows" for name, count in filled.items() if count]
    if not shown:
        return ""
    return (
        f"{', '.join(shown)}, and is not asked. Where questions need it, put it in front of them: "
        "ds.map(lambda row: {...}) (docs/your-data.md)."
    )


def _lists_numbers(layout: Layout, features: Mapping[str, Any]) -> bool:
    inner = getattr(features.get(layout.answer), "feature", None)
    return str(getattr(inner, "dtype", "")).startswith(("float", "int", "uint")) and not hasattr(inner, "names")


def _states_the_same(solution: Any, final: Any) -> bool:
    """A solution ends with the answer that stands beside it; also where either of them cannot be read."""
    try:
        states, accepts = (
            {accepted.text for accepted in read_gold(plain_gold(gold)).accepted} for gold in (solution, final)
        )
    except RowError:
        return True
    return bool(states & accepts)


def _can_be_compared(answer: Any, choices: Choices) -> bool:
    if not choices.texts:
        return is_readable(answer)
    try:
        gold = plain_gold(answer)
        return letter_of(gold, choices, INDEX0 if whole(gold) is not None else NAMED) is not None
    except RowError:
        return False


def _with_labels(layout: Layout, features: Mapping[str, Any]) -> Layout:
    """The layout with the names of the classes, where the golds are their numbers."""
    column, fields = taken_apart(features, layout.answer)
    feature: Any = features.get(column)
    for field in fields:
        feature = feature.get(field) if hasattr(feature, "get") else None
    feature = getattr(feature, "feature", feature)
    if type(feature).__name__ != "ClassLabel" or layout.labels:
        return layout
    return replace(layout, labels=tuple(feature.names))
