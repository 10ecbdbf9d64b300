"""Whether a column of ids tells the rows of a dataset apart, decided over all of them."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from .paths import value_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import datasets

    from .layouts import Layout

    Rows = Callable[[Sequence[str]], Iterable[Mapping[str, Any]]]


def shared_id(layout: Layout, ds: datasets.Dataset, rows_of: Callable[[datasets.Dataset, Sequence[str]], Any]) -> Any:
    """An id that stands with different questions, answers, options or pictures; None where there is none.

    Equal rows may share an id. MME calls both questions about a picture by the name of the picture.

    Args:
        layout: with the column of ids.
        ds: the rows.
        rows_of: gives the rows of a dataset with these columns alone, undecoded.
    """
    column = layout.id
    if column is None or column not in ds.column_names:
        return None
    places = _places_of_shared(ds.select_columns([column]).with_format("arrow")[:][column])
    if not len(places):
        return None
    rows = ds.select(places)
    # Pictures cost more to read, and are looked at where nothing else differs.
    texts = shared_among(layout, lambda names: rows_of(rows, names))
    return (
        texts if texts is not None else _first_shared(column, layout.image_columns, lambda names: rows_of(rows, names))
    )


def shared_among(layout: Layout, rows: Rows) -> Any:
    """The same, of some rows and without their pictures."""
    if layout.id is None:
        return None
    return _first_shared(layout.id, [layout.question, layout.answer, *layout.choice_columns], rows)


def _places_of_shared(ids: Any) -> Any:
    """The positions of values that stand in a column of Arrow more than once, nulls aside."""
    import numpy as np

    codes = np.asarray(ids.combine_chunks().dictionary_encode().indices.fill_null(-1))
    often = np.bincount(codes[codes >= 0], minlength=1) > 1
    return np.flatnonzero((codes >= 0) & often[codes])


def _first_shared(column: str, others: Sequence[str], rows: Rows) -> Any:
    seen: dict[str, bytes] = {}
    for row in rows([column, *others]):
        own = value_at(row, column)
        if own is None or not str(own):
            continue
        cells = blake2b(repr([value_at(row, other) for other in others]).encode("utf-8", "surrogatepass")).digest()
        if seen.setdefault(str(own), cells) != cells:
            return own
    return None
