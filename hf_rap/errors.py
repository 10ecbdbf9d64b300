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
    ├── NothingSelectedError no row is kept
    ├── VersionExistsError   it is there already, with other content
    ├── BranchMovedError     somebody else committed in between
    └── HubError             the Hub said no, or did not answer

Everything else that escapes from hf_rap is a bug. Warnings of other libraries are never errors while rows are run.
"""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class RapError(Exception):
    """Base of every error that hf_rap raises on purpose. What it says has no password and nothing that steers a terminal."""

    def __str__(self) -> str:
        return printable(without_passwords(super().__str__()))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions unpickle by calling their class with the message, which children with other
        # arguments refuse; an error of a worker process would then arrive as a TypeError.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[RapError], args: tuple[Any, ...], state: dict[str, Any]) -> RapError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


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
        self.hint = hint
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

    `code` is a short stable word (see `hf_rap.columns.ERROR_CODES`), `message` says more. A cell of `rap_error`, and of
    every other column of errors, is "code: message": `cell_of` writes one, `RowError.parse` and `code_of` read one,
    `codes_of` reads a column.

    Examples:
        >>> RowError.parse("too_long: 9,000 tokens").at("row 7")
        RowError('too_long: row 7: 9,000 tokens')

    """

    def __init__(self, code: str, message: str = "") -> None:
        message = printable(without_passwords(message))
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}" if message else code)

    @classmethod
    def parse(cls, cell: str) -> RowError:
        """The error in a cell; the code of a cell that others wrote is what stands before its first colon."""
        code, _, message = cell.partition(":")
        return cls(code.strip(), message.removeprefix(" "))

    def at(self, place: str) -> RowError:
        """The same error, with the place where it was found before its message."""
        return RowError(self.code, f"{place}: {self.message}")


def cell_of(error: RowError | None) -> str | None:
    """What goes into a column of errors; null for no error."""
    return None if error is None else whole_text(str(error))


def whole_text(text: str) -> str:
    r"""A text that a file can hold: halves of characters, which tokenizers and JSON leave, are joined or shown as U+FFFD.

    Examples:
        >>> [hex(ord(letter)) for letter in whole_text("\ud83d\ude00\ud83d")]
        ['0x1f600', '0xfffd']

    """
    if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def code_of(cell: str | None) -> str | None:
    """The code in a cell of a column of errors; None for a null."""
    return None if cell is None else RowError.parse(cell).code


def codes_of(cells: Any) -> Any:
    """The codes in a column of errors, as an Arrow array; null stays null."""
    import pyarrow.compute as pc

    words = pc.split_pattern(cells.cast("string"), ":", max_splits=1)
    return pc.utf8_trim_whitespace(pc.list_element(words, 0))


_LONGEST_LINE = 400  # characters of another library in a message of ours


def first_line(error: BaseException) -> str:
    """The first line of what an error says, cut where it goes on for long, or its type where it says nothing."""
    line = _lines(error)[0]
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."


# A token of the Hub, any header that carries one, and what makes a signed address open the file behind it.
_SECRETS = (
    (re.compile(r"\bhf_\w+"), "hf_..."),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\"]+"), r"\1 ..."),
    (re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]+"), r"\1?..."),
)


_PASSWORD = re.compile(r"(\b\w[\w+.-]*:/{1,2}[^\s/@:'\"<>]*):[^\s/@'\"<>]+@")  # in an address


def without_passwords(text: str) -> str:
    """A text whose addresses have no passwords.

    Examples:
        >>> without_passwords("s3://me:secret@bucket/run and hf://datasets/me/name@main")
        's3://me:...@bucket/run and hf://datasets/me/name@main'

    """
    return _PASSWORD.sub(r"\1:...@", text) if "@" in text else text


def without_secrets(text: str) -> str:
    """A text of others without tokens and signatures.

    Examples:
        >>> without_secrets("Illegal header value b'Bearer hf_abc' at https://x.y/z?Signature=1&Expires=2")
        "Illegal header value b'Bearer ...' at https://x.y/z?..."

    """
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return without_passwords(text)


def spellings(secret: str) -> re.Pattern[str]:
    r"""What finds a secret as it is, and as addresses, JSON and HTML spell it, in whole or in part.

    Examples:
        >>> spellings("a+b/").sub("***", r"a+b/ a%2Bb%2f \u0061+b\/ a&#43;b&#x2F;")
        '*** *** *** ***'

    """
    letters = (
        rf"(?:{re.escape(letter)}|%(?i:{ord(letter):02x})|\\+u(?i:{ord(letter):04x})|\\+x(?i:{ord(letter):02x})"
        rf"|\\+{re.escape(letter)}|&#0*{ord(letter)};|&#x0*(?i:{ord(letter):x});)"
        for letter in secret
    )
    return re.compile("".join(letters))


def hide_secrets(error: BaseException | None) -> None:
    """Take tokens and signatures out of what an error of others says, and out of those behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.args = tuple(without_secrets(part) if isinstance(part, str) else part for part in error.args)
        for name, value in list(vars(error).items()):
            if isinstance(value, str):
                setattr(error, name, without_secrets(value))
        error = error.__cause__ or error.__context__


def one_line(error: BaseException) -> str:
    r"""All that an error says in one line, with its middle left out where it goes on for long.

    The first line of what datasets says of columns that do not fit is "Couldn't cast", and why stands at its end.

    Examples:
        >>> one_line(ValueError("Couldn't cast\na: string\nbecause column names don't match"))
        "Couldn't cast a: string because column names don't match"

    """
    line = without_secrets(" ".join(str(error).split()) or type(error).__name__)
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def visible(text: str, most: int = _LONGEST_LINE) -> str:
    r"""A text from outside as it may be printed: on one line, bounded, nothing in it that steers a terminal or turns letters round.

    Control, escape, bidirectional and half characters are spelled out.

    Examples:
        >>> visible("a\x1b[31m\u202eb\n"), visible("abcdef", 3)
        ('a\\x1b[31m\\u202eb\\n', 'abc...')

    """
    shown = text[: most + 1]
    if not shown.isprintable():
        shown = "".join(
            letter if letter.isprintable() or letter == " " else letter.encode("unicode_escape").decode()
            for letter in shown
        )
    return shown if len(text) <= most else f"{shown[:most]}..."


def printable(text: str) -> str:
    r"""A text of any length with its lines and tabs, everything else in it that steers a terminal spelled out.

    Examples:
        >>> printable("a\x1b[31m\n\tb")
        'a\\x1b[31m\n\tb'

    """
    if text.isprintable():
        return text
    return "\n".join("\t".join(visible(part, len(part)) for part in line.split("\t")) for line in text.split("\n"))


class _Printable(logging.Filter):
    """Records of a logger as they may be printed."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(without_passwords(record.getMessage())), ()
        return True


def logger_of(name: str) -> logging.Logger:
    """The logger of a module. What it is given may hold names, and words of models and servers."""
    logger = logging.getLogger(name)
    if not any(isinstance(entry, _Printable) for entry in logger.filters):
        logger.addFilter(_Printable())
    return logger


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Record(logging.LogRecord):
    """A record of any library as it may be printed, its own colours left out."""

    def getMessage(self) -> str:  # noqa: N802 - the name that logging calls
        return printable(without_secrets(_COLOUR.sub("", super().getMessage())))


@contextmanager
def printable_logs() -> Iterator[None]:
    """What other libraries log and warn of within steers no terminal: they print names of files, weights and columns as they are."""
    made, drawn = logging.getLogRecordFactory(), warnings.formatwarning

    def warning(*args: Any, **kwargs: Any) -> str:
        return printable(without_secrets(drawn(*args, **kwargs)))

    logging.setLogRecordFactory(_Record)
    warnings.formatwarning = warning
    try:
        yield
    finally:
        logging.setLogRecordFactory(made)
        warnings.formatwarning = drawn


def last_line(error: BaseException) -> str:
    """The last line of what an error says, which in the text of a whole traceback is the error itself."""
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    return without_secrets(str(error).strip() or type(error).__name__).splitlines()


class RunError(RapError):
    """A run folder cannot be used, or a run has stopped before its end."""


class PublishError(RapError):
    """A version cannot be written."""


class NothingSelectedError(PublishError):
    """No row is kept, and a version without rows cannot be loaded."""


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


class RapDeprecationWarning(FutureWarning):
    """Something of hf_rap's own goes away: the message says in which version, and what to use instead."""


_running: set[object] = (
    set()
)  # one entry per call within; adding and removing need no lock, and a fork cannot break one


@dataclass(frozen=True)
class _WhileRunning:
    """Stands where a filter of warnings has its pattern: matches what that matches, but only while a call is running."""

    pattern: re.Pattern[str] | None

    def match(self, text: str) -> bool:
        """What `warnings` asks of a pattern."""
        return bool(_running) and (self.pattern is None or self.pattern.match(text) is not None)


@contextmanager
def warnings_stay_warnings() -> Iterator[None]:
    """Within, a warning of another library is shown, and not raised, whatever `python -W error` or pytest say.

    Raised in the middle of a model, it would be taken for a fault of the row at hand.

    Filters of warnings belong to the whole process, and two threads in `warnings.catch_warnings` leave each other's
    behind. So none is taken out and put back: in front of every filter that raises stands one that shows instead, and
    matches only while some thread is within. That holds for all threads, since libraries start some of their own. What
    is ignored stays ignored, and a filter for `RapDeprecationWarning` is left as it is.
    """
    call = object()
    _running.add(call)
    try:
        _show_before_raising()
        yield
    finally:
        _running.discard(call)


def _show_before_raising() -> None:
    """Puts the filters that show in front of those that raise, wherever they are not yet."""
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    wanted: list[Any] = []
    for entry in filters:
        action, pattern, category, module, line = entry
        if isinstance(pattern, _WhileRunning):
            continue
        if action == "error" and not issubclass(category, RapDeprecationWarning):
            wanted.append(("default", _WhileRunning(pattern), category, module, line))
        wanted.append(entry)
    if wanted != filters:
        filters[:] = wanted
