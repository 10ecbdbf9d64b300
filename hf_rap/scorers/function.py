"""A function as a scorer."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass, field
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from hf_rap.columns import OWN_NAMES, PREFIX, Column, arrow_type, features_of, require, typed
from hf_rap.errors import SettingError
from hf_rap.evidence.results import Results, check_columns
from hf_rap.options import check, check_text
from hf_rap.rows.batches import Batch, batched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import datasets

_CONSTANTS = (bool, int, float, complex, str, bytes, tuple, frozenset, type(None))


@dataclass(frozen=True)
class FunctionScorer:
    """A function of a batch, with the columns that it reads and writes said beside it: what `scorer` makes."""

    function: Callable[[Mapping[str, Any]], Mapping[str, Iterable[Any]]]
    reads: tuple[Column, ...]
    writes: tuple[Column, ...]
    code: str = field(repr=False)
    """Of the function: `Dataset.map` knows an importable function by its name alone, and would serve old numbers."""
    bibtex: str | None = field(default=None, repr=False)

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
        return FunctionScorer, (self.function, self.reads, self.writes, self.code, self.bibtex)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch; NaN becomes null.

        Raises:
            MissingColumnError: a column to be read is absent.
            SettingError: the function raised, or what it gave is no number (or text, ...) per row for each column that
                it was to write. The row is named.

        """
        require(self.name, batch.keys(), self.reads)
        names = [column.name for column in self.reads] or list(batch)
        return typed(Results.of_columns(f"The scorer {self.name!r}", self._ask, batch, names).read(self.writes))

    def _ask(self, batch: Mapping[str, Any]) -> Any:
        if not self.reads:
            return self.function(batch)
        rows = Batch(self.name, batch)
        return self.function({column.name: rows.cells(column.name) for column in self.reads})


def _scorer_at(module: str, name: str, code: str) -> Any:  # noqa: ARG001 - the code is for the cache key alone
    return getattr(importlib.import_module(module), name)


def scorer(
    *misplaced: Any, reads: Sequence[str | Column] = (), writes: Sequence[Column] = (), bibtex: str | None = None
) -> Callable[[Callable[[Mapping[str, Any]], Mapping[str, Iterable[Any]]]], FunctionScorer]:
    """Makes a scorer of a function: for `Dataset.map`, `add_scores`, cards and the command line.

    Args:
        misplaced: nothing; what is read and written is said by name.
        reads: columns that the function is given, by name; none gives it all.
        writes: columns that it returns; names begin with `rap_`, so that they are known as scores.
        bibtex: entry of the paper that the score is from, which the card of a selection by it cites.

    Raises:
        SettingError: what is read or written is not said like that, or the function cannot be a scorer.

    Examples:
        >>> from hf_rap.columns import Column
        >>> @scorer(reads=["rap_image_tokens"], writes=[Column("rap_longest", "int32", "tokens of the longest reply")])
        ... def longest(batch):
        ...     return {"rap_longest": [max(tokens, default=None) for tokens in batch["rap_image_tokens"]]}
        >>> longest({"rap_image_tokens": [[3, 9], []]})
        {'rap_longest': [9, None]}

    """
    takes = "reads and writes by name: @scorer(reads=['rap_...'], writes=[Column('rap_...', 'float64', 'meaning')])"
    check(not misplaced, "scorer", misplaced[:1], takes)
    fine = isinstance(reads, (list, tuple)) and all(isinstance(column, (str, Column)) for column in reads)
    check(fine, "reads", reads, "a list of names of columns")
    check_columns("writes", writes)
    check_text("bibtex", bibtex, none=True, empty=False)
    for column in writes:
        if not column.name.startswith(PREFIX):
            raise SettingError(f"A scorer writes {column.name!r}: the names of scores begin with {PREFIX}.")
        if column.name in OWN_NAMES:
            raise SettingError(f"A scorer writes {column.name!r}, which is a column of hf_rap: give it another name.")
        arrow_type(column.dtype)
    read_columns = tuple(name if isinstance(name, Column) else Column(name, "", "") for name in reads)

    def made(function: Callable[[Mapping[str, Any]], Mapping[str, Iterable[Any]]]) -> FunctionScorer:
        if not isinstance(function, FunctionType):
            raise SettingError(
                f"@scorer is for a function of a batch, not {function!r}; a class has reads, writes, features and __call__."
            )
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            how = "is asynchronous" if inspect.iscoroutinefunction(function) else "yields"
            raise SettingError(f"The scorer {function.__name__!r} {how}: it takes a function that returns its columns.")
        digest = blake2b(repr(_content(function, set())).encode(), digest_size=8).hexdigest()
        return FunctionScorer(function, read_columns, tuple(writes), digest, bibtex)

    return made


def _content(function: FunctionType, seen: set[FunctionType]) -> Any:
    """What decides about its results: its code, its defaults, and the constants and functions of its module that it uses."""
    seen.add(function)
    used = []
    for name in sorted(_names(function.__code__) & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, _CONSTANTS):
            used.append((name, value))
        elif isinstance(value, FunctionType) and value.__module__ == function.__module__ and value not in seen:
            used.append((name, _content(value, seen)))
    defaults = [value for value in (function.__defaults__ or ()) if isinstance(value, _CONSTANTS)]
    return _code(function.__code__), defaults, used


def _code(code: CodeType) -> Any:
    """Code as text that is the same in every process: without addresses, files and lines."""
    constants = [_code(constant) if isinstance(constant, CodeType) else constant for constant in code.co_consts]
    return code.co_code, constants, code.co_names


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)
