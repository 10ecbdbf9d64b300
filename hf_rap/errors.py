"""The errors that hf_rap raises on purpose.

RapError
├── SettingError         an option has a value that cannot work
├── SourceError          a dataset cannot be opened
│   └── WithdrawnError       its publisher has withdrawn this version
├── LayoutError          the columns of a dataset are not what was asked for
│   ├── MissingColumnError
│   └── ColumnExistsError
├── EngineError          a model cannot be loaded or cannot do what was asked
├── RunError             a run folder cannot be used, or a run has stopped before its end
├── RowError             one row cannot be used: becomes that row's `rap_error`
├── ExportError          rows cannot be handed to a trainer
└── PublishError         a version cannot be written
    ├── VersionExistsError   it is there already, with other content
    ├── BranchMovedError     somebody else committed in between
    └── HubError             the Hub said no, or did not answer

Everything else that escapes from hf_rap is a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class RapError(Exception):
    """Base of every error that hf_rap raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions unpickle by calling their class with the message, which children with other
        # arguments refuse; an error of a worker process would then arrive as a TypeError.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[RapError], args: tuple[Any, ...], state: dict[str, Any]) -> RapError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class SettingError(RapError, ValueError):
    """An option has a value that cannot work."""


class SourceError(RapError):
    """A dataset cannot be opened."""


class WithdrawnError(SourceError):
    """The publisher has withdrawn this version."""

    def __init__(self, message: str, *, why: str) -> None:
        self.why = why
        super().__init__(message)


class LayoutError(RapError):
    """The columns of a dataset are not what was asked for."""


class MissingColumnError(LayoutError):
    """A column that is read is not there."""

    def __init__(self, reader: str, column: str, columns: Iterable[str], hint: str = "") -> None:
        self.reader = reader
        self.column = column
        self.columns = tuple(columns)
        has = ", ".join(self.columns) or "no columns"
        message = f"{reader} reads column {column!r}, which this dataset does not have (it has: {has})."
        super().__init__(f"{message} {hint}".rstrip())


class ColumnExistsError(LayoutError):
    """A column that would be written is there already."""

    def __init__(self, writer: str, columns: Iterable[str]) -> None:
        self.writer = writer
        self.columns = tuple(columns)
        names = ", ".join(repr(column) for column in self.columns)
        super().__init__(
            f"{writer} would overwrite {names}. Remove what is there first "
            f"(ds.remove_columns({list(self.columns)!r})) or start from the dataset without it."
        )


class EngineError(RapError):
    """A model cannot be loaded or cannot do what was asked."""


class RowError(RapError):
    """One row cannot be used.

    `code` is a short stable word (see `hf_rap.columns.ERROR_CODES`); the text that lands in
    `rap_error` is "code: message".
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class RunError(RapError):
    """A run folder cannot be used, or a run has stopped before its end."""


class PublishError(RapError):
    """A version cannot be written."""


class ExportError(RapError):
    """Rows cannot be handed to a trainer."""


class VersionExistsError(PublishError):
    """The version is there already, with other content; `next_version` is free."""

    def __init__(self, message: str, *, next_version: str) -> None:
        self.next_version = next_version
        super().__init__(message)


class BranchMovedError(PublishError):
    """Somebody else committed between the look at the branch and the commit."""


class HubError(PublishError):
    """The Hub said no, or did not answer; `status` is the HTTP status, or None without an answer."""

    def __init__(self, message: str, *, status: int | None) -> None:
        self.status = status
        super().__init__(message)
