"""A function as a scorer."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.columns import Column, features_of, require, typed
from hf_rap.errors import SettingError
from hf_rap.rows.batches import Batch, batched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import datasets


@dataclass(frozen=True)
class FunctionScorer:
    """A function of a batch, with the columns that it reads and writes said beside it: what `scorer` makes."""

    function: Callable[[Mapping[str, Any]], Mapping[str, Iterable[Any]]]
    reads: tuple[Column, ...]
    writes: tuple[Column, ...]
    code: str = field(repr=False)
    """Of the function: `Dataset.map` knows an importable function by its name alone, and would serve old numbers."""

    @property
    def name(self) -> str:
        """Of the function."""
        return self.function.__name__

    @property
    def features(self) -> datasets.Features:
        """The types of the columns that come out."""
        return features_of(self.writes)

    def __reduce__(self) -> tuple[Any, ...]:
        # The decorated name holds the scorer, so the function in it cannot be found by that name; in a script or a
        # notebook it is pickled as a whole.
        module, name = self.function.__module__, self.function.__qualname__
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is self:
            return _scorer_at, (module, name, self.code)
        return FunctionScorer, (self.function, self.reads, self.writes, self.code)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch; a column that is missing or was not declared is an error that names it."""
        require(self.name, batch.keys(), self.reads)
        rows = Batch(self.name, batch)
        scores = self.function({column.name: rows.cells(column.name) for column in self.reads})
        declared = {column.name for column in self.writes}
        if not hasattr(scores, "keys") or set(scores) != declared:
            given = sorted(scores) if hasattr(scores, "keys") else type(scores).__name__
            raise SettingError(f"The scorer {self.name!r} gives {given}, but writes={sorted(declared)} was declared.")
        return typed({column: scores[column.name] for column in self.writes})


def _scorer_at(module: str, name: str, code: str) -> Any:  # noqa: ARG001 - the code is for the cache key alone
    return getattr(importlib.import_module(module), name)


def scorer(
    *, reads: Sequence[str | Column], writes: Sequence[Column]
) -> Callable[[Callable[[Mapping[str, Any]], Mapping[str, Iterable[Any]]]], FunctionScorer]:
    """Makes a scorer of a function: for `Dataset.map`, `add_scores`, cards and the command line.

    Args:
        reads: columns that the function is given, by name.
        writes: columns that it returns; names begin with `rap_`, so that they are known as scores.

    Raises:
        SettingError: a column that is written does not begin with `rap_`.

    >>> from hf_rap.columns import Column
    >>> @scorer(reads=["rap_image_tokens"], writes=[Column("rap_longest", "int32", "tokens of the longest reply")])
    ... def longest(batch):
    ...     return {"rap_longest": [max(tokens, default=None) for tokens in batch["rap_image_tokens"]]}
    >>> longest({"rap_image_tokens": [[3, 9], []]})
    {'rap_longest': [9, None]}

    """
    for column in writes:
        if not column.name.startswith("rap_"):
            raise SettingError(f"A scorer writes {column.name!r}: the names of scores begin with rap_.")
    read = tuple(name if isinstance(name, Column) else Column(name, "", "") for name in reads)

    def made(function: Callable[[Mapping[str, Any]], Mapping[str, Iterable[Any]]]) -> FunctionScorer:
        code = function.__code__
        digest = blake2b(code.co_code + repr((code.co_consts, code.co_names)).encode(), digest_size=8).hexdigest()
        return FunctionScorer(function, read, tuple(writes), digest)

    return made
