"""What a function of a whole dataset takes: one table of rows, or what stands for one without doubt; else what to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError

if TYPE_CHECKING:
    import datasets

# What becomes a dataset, by the library and name of its type.
_MAKERS = {
    "list": "Dataset.from_list(rows)",
    "tuple": "Dataset.from_list(list(rows))",
    "dict": "Dataset.from_dict(columns)",
    "DataFrame": "Dataset.from_pandas(frame), or Dataset.from_polars(frame)",
    "Table": "Dataset(table)",
    "str": "hf_rap.load_source(source)",
    "PosixPath": "hf_rap.load_source(source)",
}


def whole_dataset(reader: str, ds: Any, *, selection: bool = False) -> datasets.Dataset:
    """The `Dataset` that was given, or the only split of a `DatasetDict`.

    Args:
        reader: the function that takes it, for errors.
        ds: what was given.
        selection: a `Selection` is taken too, as all of its rows.

    Raises:
        SettingError: it is something else; with what to pass.

    """
    import datasets

    rows = _unwrapped(reader, ds, selection=selection)
    if isinstance(rows, datasets.IterableDataset):
        raise SettingError(
            f"{reader} looks at all rows, so it takes a Dataset, not a stream: load it without streaming=True, or take a "
            "part of it, Dataset.from_list(list(ds.take(1000)), features=ds.features)."
        )
    return rows


def whole_or_stream(reader: str, ds: Any) -> datasets.Dataset | datasets.IterableDataset:
    """The same where row after row will do: a stream stays one."""
    rows: datasets.Dataset | datasets.IterableDataset = _unwrapped(reader, ds, selection=False)
    return rows


def _unwrapped(reader: str, ds: Any, *, selection: bool) -> Any:
    import datasets

    if isinstance(ds, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        if len(ds) != 1:
            splits = ", ".join(ds) or "none"
            raise SettingError(
                f"{reader} takes one split of a {type(ds).__name__}, such as ds[{next(iter(ds), 'train')!r}] (it has: {splits})."
            )
        ds = next(iter(ds.values()))
    if hasattr(ds, "scored") and hasattr(ds, "selected"):
        if not selection:
            raise SettingError(
                f"{reader} takes rows, not a Selection: pass selection.selected, the rows that are kept, or "
                "selection.scored, all of them."
            )
        ds = ds.scored
    if isinstance(ds, (datasets.Dataset, datasets.IterableDataset)):
        return ds
    name = type(ds).__name__
    maker = f" Make one: {_MAKERS[name]}." if name in _MAKERS else ""
    raise SettingError(f"{reader} takes a Dataset, not a {name}.{maker}")
