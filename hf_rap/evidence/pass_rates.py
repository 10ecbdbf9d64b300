"""Pass rates that others have published with a dataset, read as evidence: nothing is asked, and nothing is known but what they say.

    ViRL39K     {"question": ..., "PassRate_32BTrained": 0.75, "PassRate_7BBase": -1.0}      -1: not measured
    open-r1     {"prompt": ..., "pass_rate_generations": ["...", "..."], "pass_rate_rewards": [1.0, NaN]}
    Big-Math    {"problem": ..., "llama8b_solve_rate": 0.125}
    MMFineReason {"question": ..., "image": ..., "qwen3vl_4b_pass_rate": 0.25, "is_consistent": true}
    others      {"pass_rate": 0.375}, {"pass_rate": 37.5}, {"pass_rate": "3/8"}, {"n_correct": 3, "n_total": 8}

Where the number of attempts is known, a rate becomes as many rewards of 1 and 0 as it says, in no order that means anything. Where it is
not, the rate itself is all there is, and becomes `rap_difficulty`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import (
    DIFFICULTY,
    ERROR,
    IMAGE_RESPONSES,
    IMAGE_REWARDS,
    IMAGE_TRUNCATED,
    SETTINGS,
    features_of,
    refuse_existing,
)
from hf_rap.errors import LayoutError, MissingColumnError, RowError
from hf_rap.options import check, check_choice, check_number, check_text, is_whole, shown
from hf_rap.rows.compat import with_columns
from hf_rap.rows.paths import is_there, taken_apart, value_at
from hf_rap.tables import whole_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import datasets

    from hf_rap.columns import Column

FRACTION, PERCENT, COUNT = SCALES = ("fraction", "percent", "count")
UNKNOWN = "unknown"
ENGINE = "published"  # in `rap_settings`, in the place of what asked
_ROUNDED = 0.005  # rates are published with two digits behind the point, or percentages without any


@dataclass(frozen=True)
class Published:
    """What is known of a column that others publish."""

    model: str = UNKNOWN
    scale: str | None = FRACTION
    replies: str | None = None
    """The column with the replies that the grades are of."""


# Columns that are known by their name. What a name alone does not say stays unknown.
KNOWN = {
    "pass_rate_rewards": Published(replies="pass_rate_generations"),
    "PassRate_32BTrained": Published("32BTrained, as the column says"),
    "PassRate_7BBase": Published("7BBase, as the column says"),
    "llama8b_solve_rate": Published("llama8b, as the column says"),
    # The column's name and scale: README and pipeline/selection.py of LHL3341/MMFineReason at d491659, which draws 4 replies.
    # Which model's rates the published ones are, and of how many replies, the data do not say.
    "qwen3vl_4b_pass_rate": Published("qwen3vl_4b, as the column says"),
}
_USUAL = re.compile(r"(?:^|[_.])(?:pass|solve|success)_?rate(?:$|_)|^pass@1$|^pass_at_1$", re.IGNORECASE)
_SHARE = re.compile(r"\s*(\d{1,9})\s*(?:/|of|out of)\s*(\d{1,9})\s*", re.IGNORECASE)
_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*")


class _Cell(NamedTuple):
    """What a cell says: a number of some scale, k of n, a percentage, or one grade per attempt."""

    kind: str
    number: float = 0.0
    attempts: int | None = None
    grades: list[float | None] | None = None


def add_pass_rates(
    ds: datasets.Dataset,
    column: str | None = None,
    *,
    attempts: int | str | None = None,
    scale: str | None = None,
    unknown: float | None = -1,
    model: str | None = None,
    sampling: str | None = None,
) -> datasets.Dataset:
    """The dataset with the evidence that a column of published pass rates is; asks no model.

    Args:
        ds: rows with such a column.
        column: its name, a field of a struct as struct.field; None takes the only one that is known, or is called like a pass rate. Its cells are numbers, texts such as
            "3/8" or "37.5%", or lists with the grade of each attempt, in [0, 1].
        attempts: how many attempts are behind each rate, where it is known; or the column that says so.
        scale: of numbers: "fraction", from 0 to 1; "percent", from 0 to 100; "count", attempts that were right, which takes `attempts`.
            None is a fraction, and refused where a number is above 1, or where it could be a count as well.
        unknown: the number that stands for no rate, beside null and NaN.
        model: whose pass rates they are, as it will stand in `rap_settings` and on cards; None is what the column's name says, or unknown.
        sampling: how its replies were drawn, in words; None is unknown.

    Returns:
        The dataset with `rap_image_rewards` (and `rap_image_responses`, where replies are published) or, where the number of attempts
        is unknown, `rap_difficulty`; with `rap_error`, "rate_unknown: ..." where a row has no rate; and with `rap_settings`. There is no arm
        on the text alone, so rules that need one refuse these rows.

    Raises:
        MissingColumnError: there is no such column.
        LayoutError: no column, or several, may be it; or cells do not fit each other, the scale or the number of attempts. The row is
            named, counted from 0.
        ColumnExistsError: there is evidence already.
        SettingError: an option is none.

    Examples:
        >>> from hf_rap.demo import make_planted
        >>> ds = make_planted(6).add_column("pass_rate", [0.75] * 6)
        >>> add_pass_rates(ds, "pass_rate", model="Qwen/Qwen3-VL-4B-Thinking")["rap_difficulty"][0]
        0.25

    """
    ds = whole_dataset("add_pass_rates", ds)
    for name, value in (("column", column), ("model", model), ("sampling", sampling)):
        check_text(name, value, none=True, empty=False)
    fine = attempts is None or (isinstance(attempts, str) and attempts) or (is_whole(attempts) and int(attempts) >= 1)
    check(bool(fine), "attempts", attempts, "a number of 1 or more, the name of a column, or None")
    check_choice("scale", scale, SCALES, none=True)
    check_number("unknown", unknown, none=True)
    column = _column(ds.column_names) if column is None else column
    for name in (column, *([attempts] if isinstance(attempts, str) else [])):
        if not is_there(ds.features, name):
            raise MissingColumnError("add_pass_rates", name, ds.column_names)
    published = KNOWN.get(column, Published(scale=None))
    cells = _read(_values(ds, column), column, unknown)
    counts = _values(ds, attempts) if isinstance(attempts, str) else [attempts] * len(ds)
    scale = scale or published.scale
    rewards, rates = _Rates(column, scale).rewards_and_rates(cells, counts)
    error = str(RowError("rate_unknown", f"no pass rate is published in {column!r}"))
    settings = {
        "engine": ENGINE,
        "column": column,
        "model": model or published.model,
        "sampling": sampling or UNKNOWN,
        "attempts": attempts if is_whole(attempts) else UNKNOWN if rewards is None else "as many as rewards",
    }
    new: dict[Column, Sequence[Any]] = {}
    if rewards is None:
        new[DIFFICULTY] = [None if rate is None else 1 - rate for rate in rates]
    else:
        new[IMAGE_REWARDS] = rewards
        if published.replies in ds.column_names:
            new[IMAGE_TRUNCATED] = [None] * len(ds)  # nobody tells
            new[IMAGE_RESPONSES] = _replies(
                _values(ds, str(published.replies)), rewards, str(published.replies), column
            )
    new[ERROR] = [error if cell is None else None for cell in cells]
    return with_evidence("add_pass_rates", ds, new, settings)


def with_evidence(
    writer: str, ds: datasets.Dataset, new: dict[Column, Sequence[Any]], settings: dict[str, Any]
) -> datasets.Dataset:
    """The dataset with these columns and the same `rap_settings` in each row; raises `ColumnExistsError`."""
    import pyarrow as pa

    new = {**new, SETTINGS: [json.dumps(settings, sort_keys=True)] * len(ds)}
    refuse_existing(writer, ds.column_names, new)
    features = features_of(new)
    schema = features.arrow_schema
    arrays = {column.name: pa.array(list(values), schema.field(column.name).type) for column, values in new.items()}
    return with_columns(ds, arrays, features)


def _column(names: Iterable[str]) -> str:
    """The only column that is known or called like one of pass rates."""
    names = list(names)
    replies = {published.replies for published in KNOWN.values()}
    usual = [name for name in names if name in KNOWN or (_USUAL.search(name) and name not in replies)]
    if len(usual) == 1:
        return usual[0]
    what = f"several columns may be pass rates: {', '.join(usual)}" if usual else "no column is called like a pass rate"
    raise LayoutError(f"{what[0].upper()}{what[1:]}. Name it: column='...' (--column). There is: {', '.join(names)}.")


def _values(ds: datasets.Dataset, name: str) -> list[Any]:
    """A column, or a field of a struct: `extra_info.pass_rate`."""
    top, _ = taken_apart(ds.column_names, name)
    values: list[Any] = ds.select_columns([top]).with_format("arrow")[:][top].to_pylist()
    return values if top == name else [value_at({top: value}, name) for value in values]


def _read(values: Sequence[Any], column: str, unknown: float | None) -> list[_Cell | None]:
    """What each cell says, None for no rate; all of one kind."""
    cells = []
    first: tuple[int, _Cell] | None = None
    for row, value in enumerate(values):
        cell = _cell(value, row, column, unknown)
        cells.append(cell)
        if cell is None:
            continue
        if first is None:
            first = row, cell
        elif cell.kind != first[1].kind:
            raise LayoutError(
                f"Row {row} has {shown(value)} in {column!r}, {cell.kind}, and row {first[0]} has {shown(values[first[0]])}, {first[1].kind}: a column "
                "of pass rates has one form. Make it one first."
            )
    return cells


def _cell(value: Any, row: int, column: str, unknown: float | None) -> _Cell | None:
    cell: _Cell | None = None
    if isinstance(value, str):
        cell = _cell_of_text(value, row, column)
    elif isinstance(value, bool):
        cell = _Cell("one grade per attempt", grades=[float(value)])
    elif isinstance(value, (int, float)):
        cell = _Cell("a number", float(value))
    elif isinstance(value, list):
        grades = [_grade(grade, row, column) for grade in value]
        cell = None if all(grade is None for grade in grades) else _Cell("one grade per attempt", grades=grades)
    elif value is not None:
        raise LayoutError(f"Row {row} has {shown(value)} in {column!r}, which is no pass rate.")
    is_none = cell is not None and cell.kind == "a number" and (isnan(cell.number) or cell.number == unknown)
    return None if is_none else cell


def _cell_of_text(value: str, row: int, column: str) -> _Cell | None:
    text = value.strip()
    if match := _SHARE.fullmatch(text):
        right, attempts = int(match[1]), int(match[2])
        if not attempts or right > attempts:
            raise LayoutError(
                f"Row {row} has {shown(value)} in {column!r}: so many of so many attempts are not possible."
            )
        return _Cell("k of n attempts", right / attempts, attempts)
    if match := _PERCENT.fullmatch(text):
        rate = float(match[1]) / 100
        if rate > 1:
            raise LayoutError(f"Row {row} has {shown(value)} in {column!r}, and a percentage is at most 100.")
        return _Cell("a percentage", rate)
    try:
        return _Cell("a number", float(text)) if text else None
    except ValueError as error:
        raise LayoutError(
            f"Row {row} has {shown(value)} in {column!r}, which is no pass rate: it takes a number, '3/8', '37.5%', or a list of grades."
        ) from error


def _grade(grade: Any, row: int, column: str) -> float | None:
    if grade is None or (isinstance(grade, float) and isnan(grade)):
        return None
    if isinstance(grade, (bool, int, float)) and 0 <= grade <= 1:
        return float(grade)
    what = "they are replies: name the column with their grades" if isinstance(grade, str) else "grades are from 0 to 1"
    raise LayoutError(f"Row {row} has {shown(grade)} in a list of {column!r}, and {what}.")


class _Rates(NamedTuple):
    """Numbers into rates, by a scale that was said or that the numbers leave no doubt of."""

    column: str
    scale: str | None

    def rewards_and_rates(
        self, cells: Sequence[_Cell | None], counts: Sequence[Any]
    ) -> tuple[list[list[float | None] | None] | None, list[float | None]]:
        """Rewards of each row, None where the number of attempts is unknown, and rates; null where a row has none."""
        numbers = [(row, cell.number) for row, cell in enumerate(cells) if cell is not None and cell.kind == "a number"]
        scale = self._settled(numbers, counts) if numbers else FRACTION
        rewards: list[list[float | None] | None] = []
        rates: list[float | None] = []
        for row, (cell, count) in enumerate(zip(cells, counts, strict=True)):
            if cell is None:
                rewards.append(None)
                rates.append(None)
            elif cell.grades is not None:
                rewards.append(cell.grades)
                rates.append(None)
            else:
                known = cell.attempts if count is None else self._attempts(count, row)
                rate = cell.number if cell.kind != "a number" else self._rate(cell.number, scale, known, row)
                rates.append(rate)
                rewards.append(None if known is None else self._split(rate, known, row))
        has_attempts = any(row is not None for row in rewards) or not any(cells)
        if has_attempts and any(cell and row is None for cell, row in zip(cells, rewards, strict=True)):
            row = next(row for row, cell in enumerate(cells) if cell and rewards[row] is None)
            raise LayoutError(
                f"Row {row} has a pass rate in {self.column!r} and no number of attempts, which other rows have."
            )
        return (rewards if has_attempts else None), rates

    def _settled(self, numbers: Sequence[tuple[int, float]], counts: Sequence[Any]) -> str:
        """The scale; raises where the numbers contradict it, or leave it open."""
        for row, number in numbers:
            if not isfinite(number) or number < 0:
                raise LayoutError(
                    f"Row {row} has {number:g} in {self.column!r}, and no pass rate is below 0: where it stands for none, say unknown={number:g} (--unknown)."
                )
        most_row, most = max(numbers, key=lambda pair: pair[1])
        has_attempts = any(count is not None for count in counts)
        if self.scale is None:
            if most > 1:
                raise LayoutError(
                    f"Row {most_row} has {most:g} in {self.column!r}, which is no fraction: say scale='percent' (--scale percent) for rates from 0 to 100, or "
                    "scale='count' with attempts=... for attempts that were right."
                )
            if has_attempts and all(number in (0, 1) for _, number in numbers):
                raise LayoutError(
                    f"{self.column!r} has 0 and 1 alone, as in row {most_row}, which may be fractions or one right attempt: say scale='fraction' or "
                    "scale='count' (--scale)."
                )
            return FRACTION
        if self.scale == FRACTION and most > 1:
            raise LayoutError(f"Row {most_row} has {most:g} in {self.column!r}, and a fraction is at most 1.")
        if self.scale == PERCENT:
            self._check_percent(numbers, most_row, most)
        return self.scale

    def _check_percent(self, numbers: Sequence[tuple[int, float]], most_row: int, most: float) -> None:
        if most > 100:
            raise LayoutError(f"Row {most_row} has {most:g} in {self.column!r}, and a percentage is at most 100.")
        small = next(((row, number) for row, number in numbers if 0 < number < 1), None)
        if small is not None:
            raise LayoutError(
                f"Row {small[0]} has {small[1]:g} in {self.column!r} and row {most_row} has {most:g}: fractions and percentages in one column cannot be "
                "told apart. Make it one of them first."
            )

    def _attempts(self, count: Any, row: int) -> int:
        whole = is_whole(count) or (isinstance(count, float) and count.is_integer())
        if not whole or int(count) < 1:
            raise LayoutError(
                f"Row {row} has {shown(count)} attempts behind its rate in {self.column!r}, and it takes 1 or more."
            )
        return int(count)

    def _rate(self, number: float, scale: str, attempts: int | None, row: int) -> float:
        if scale == COUNT:
            if attempts is None:
                raise LayoutError(
                    f"Row {row} has {number:g} right attempts in {self.column!r}, of how many is not said: attempts=... (--attempts)."
                )
            if number > attempts or not number.is_integer():
                raise LayoutError(
                    f"Row {row} has {number:g} right attempts of {attempts} in {self.column!r}, which is not possible."
                )
            return number / attempts
        return number / 100 if scale == PERCENT else number

    def _split(self, rate: float, attempts: int, row: int) -> list[float | None]:
        """As many 1 and 0 as the rate says."""
        right = round(rate * attempts)
        if abs(rate * attempts - right) > _ROUNDED * attempts + 1e-9:
            raise LayoutError(
                f"Row {row} has a pass rate of {rate:g} in {self.column!r}, which is no share of {attempts} attempts: leave attempts away where it is unknown."
            )
        return [*[1.0] * right, *[0.0] * (attempts - right)]


def _replies(
    replies: Sequence[Any], rewards: Sequence[list[float | None] | None], name: str, column: str
) -> list[list[str | None] | None]:
    """The replies that the grades are of, as many as these."""
    given: list[list[str | None] | None] = []
    for row, (texts, grades) in enumerate(zip(replies, rewards, strict=True)):
        if grades is not None and len(texts or ()) != len(grades):
            raise LayoutError(
                f"Row {row} has {len(texts or ())} replies in {name!r} and {len(grades)} grades in {column!r}: each reply has one."
            )
        given.append(None if grades is None else [None if text is None else str(text) for text in texts])
    return given
