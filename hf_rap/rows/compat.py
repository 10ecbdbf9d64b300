"""What hf_rap uses of datasets that is not public, each part in one function.

Nothing else in the package touches these parts, and `tests/rows/test_compat.py` says which of them a new release has
moved. Versions that were seen: datasets 4.0 and 5.2, huggingface_hub 1.3 and 2.4.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import datasets
    import pyarrow as pa


def stored_column(batch: Mapping[str, Any], name: str) -> pa.ChunkedArray | None:
    """A column of a batch as Arrow holds it; None where it was read or replaced already, or Arrow does not hold the batch.

    `Dataset.map` hands out a `LazyBatch`, which decodes a column when it is read. Publicly only a whole dataset can be
    kept from decoding (`decode(False)`), and only another format gives Arrow.
    """
    if name not in getattr(batch, "keys_to_format", ()):
        return None
    stored: pa.ChunkedArray = batch.pa_table[name]  # type: ignore[attr-defined]
    return stored


def features_of_batch(batch: Any) -> datasets.Features | None:
    """The types of a batch of `Dataset.map`, with or without the format arrow; None for a plain dictionary, which has none.

    Publicly only the dataset itself knows them, which a batched function is not given.
    """
    from datasets import Features

    if hasattr(batch, "schema"):
        return Features.from_arrow_schema(batch.schema)
    features: datasets.Features | None = getattr(getattr(batch, "formatter", None), "features", None)
    return features


def is_batch_of_map(rows: Any) -> bool | None:
    """Whether `Dataset.map` hands out a batch or, without `batched=True`, a single row; None for what it does not hand out.

    Both are mappings whose columns are decoded when they are read, a `LazyBatch` and a `LazyRow`.
    """
    return {"LazyBatch": True, "LazyRow": False}.get(type(rows).__name__)


def shard_files(stream: datasets.IterableDataset) -> list[str] | None:
    """The file of each shard of a stream as `load_dataset` gives one; None where a shard is no file, or was made of some.

    What was mapped, filtered, shuffled or mixed has other rows than its files. Publicly only the number of shards is told.
    """
    rows = getattr(stream, "_ex_iterable", None)
    plain = type(rows).__name__ in ("ArrowExamplesIterable", "ExamplesIterable")
    given = getattr(rows, "kwargs", None) if plain and getattr(stream, "_shuffling", None) is None else None
    for name in ("files", "base_files"):  # of Parquet and of JSON
        files = (given or {}).get(name)
        if isinstance(files, list) and len(files) == stream.num_shards and all(isinstance(file, str) for file in files):
            return files
    return None


def with_columns(
    ds: datasets.Dataset, columns: Mapping[str, pa.Array], features: datasets.Features
) -> datasets.Dataset:
    """The dataset with further columns at its end; those that it has are not written again, whatever was done to it before.

    `Dataset.add_column` and `concatenate_datasets` first write out a dataset that `filter`, `shuffle` or `select` has given
    an indices mapping, images and all. Here new values stand where the mapping leads to. Where it leads to a row twice,
    there is no place for both of its values, and it is written out as well. The mapping and the fingerprint are not public.
    """
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset, Features, concatenate_datasets

    if not len(ds):  # counts for nothing in a concatenation
        for name in features:
            ds = ds.add_column(name, [], feature=features[name])
        return ds
    mapping = ds._indices
    plain = ds
    if mapping is not None:
        places = mapping.column(0).to_numpy()
        row_of = np.full(len(ds.data), -1)
        row_of[places] = np.arange(len(places))
        if np.count_nonzero(row_of >= 0) < len(places):
            return with_columns(ds.flatten_indices(), columns, features)
        rows = pa.array(row_of, mask=row_of < 0)
        columns = {name: column.take(rows) for name, column in columns.items()}
        plain = Dataset(ds.data, info=ds.info, split=ds.split, fingerprint=ds._fingerprint)
    info = ds.info.copy()
    info.features = Features({**ds.features, **features})
    new = Dataset(pa.table(dict(columns), schema=features.arrow_schema))
    whole = concatenate_datasets([plain.with_format(None), new], info=info, split=ds.split, axis=1)
    if mapping is not None:
        whole = Dataset(whole.data, info=info, split=ds.split, indices_table=mapping, fingerprint=whole._fingerprint)
    shown = ds.format
    named = None if len(shown["columns"]) == len(ds.column_names) else [*shown["columns"], *columns]
    whole.set_format(shown["type"], named, shown["output_all_columns"], **shown["format_kwargs"])
    return whole


def show_to_hash(kind: type, seen: Callable[[Any], Any]) -> bool:
    """Have the hash of `Dataset.map` see `seen(value)` in place of a value of this class; other picklers see the value.

    Datasets hashes what a pickler of its own writes, which nothing else uses: what goes to workers is written by others. It
    has a table of classes, and no public way to add one.

    Returns:
        False where datasets is loaded and has no such table: it will then hash the value itself.
    """
    if "datasets" not in sys.modules:
        return True  # nobody hashes yet
    table = getattr(getattr(sys.modules.get("datasets.utils._dill"), "Pickler", None), "dispatch", None)
    if table is None:
        return False
    table[kind] = lambda pickler, value: pickler.save(seen(value))
    return True


def hash_of(value: Any) -> str | None:
    """The hash by which `Dataset.map` knows a function: equal in all processes; None where the value cannot be pickled.

    The class that makes it is described in a guide of datasets, in a module that is not public.
    """
    from datasets.fingerprint import Hasher

    try:
        return str(Hasher.hash(value))
    except Exception:  # noqa: BLE001 - whatever keeps it from being pickled
        return None


def fingerprint_after(ds: datasets.Dataset, step: Any) -> str | None:
    """What `Dataset.map` is to call the rows after this step, which it would make up with the size of batches in it.

    None where the step cannot be hashed: `map` then says so and caches nothing. What the name is made from, the name of
    the rows before, is kept in a private place.
    """
    return hash_of([ds._fingerprint, step])


def add_dataset_info(card: Any, infos: Mapping[str, datasets.DatasetInfo]) -> None:
    """Writes types and row counts of the configs into the metadata of a card (`DatasetCardData`), under `dataset_info`.

    Publicly this happens in `push_to_hub` alone.
    """
    from datasets.info import DatasetInfosDict

    DatasetInfosDict(infos).to_dataset_card_data(card)


def progress_bar(
    desc: str, *, unit: str, total: int | None = None, leave: bool = True, place: int | None = None
) -> Any:
    """A bar of tqdm that `datasets.disable_progress_bars` switches off, like those of datasets itself.

    The switch is public, the bar is not.
    """
    from datasets.utils import tqdm

    return tqdm(desc=desc, unit=unit, total=total, leave=leave, position=place)


def engine_bar(desc: str, total: int) -> Any:
    """The bar of one call of an engine, below that of `Dataset.map`; each of its processes has a line of its own.

    Which process this is, is told by the name that the library `multiprocess` gives it, as datasets starts them.
    """
    name = sys.modules["multiprocess"].current_process().name if "multiprocess" in sys.modules else "MainProcess"
    number = name.rpartition("-")[2]
    place = int(number) if number.isdigit() else None
    return progress_bar(desc, unit=" requests", total=total, leave=False, place=place)


def http_library() -> Any:
    """The HTTP library that the Hub client is built on: httpx or httpx2, by its version. Nothing else is told of which."""
    return import_module(hub_http_error().__module__.partition(".")[0])


def hub_http_error() -> type[Exception]:
    """The base of all errors of the HTTP library that the Hub client is built on: httpx or httpx2, by its version.

    The client does not offer it, and its own errors are only those with an answer. It stands here and not in hub/, since
    the rooms of rows and engines ask the Hub, too.
    """
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    error: type[Exception] = HTTPError
    return error
