"""How far a run is: a line that changes on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from hf_rap.evidence.collector import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS_BETWEEN_LINES = 60.0  # in a log file
SECONDS_BETWEEN_SIGHTS = 0.1  # on a terminal


@dataclass
class Progress:
    """Counts what is done and says so.

    Args:
        rows: how many there are to do.
        label: what stands before each line: the kind of evidence, the rank.
        out: where lines go; None: stderr, and nowhere where `datasets.disable_progress_bars` holds.
        log: called with the numbers of every line, as trackio.log is.
    """

    rows: int
    label: str
    out: TextIO | None = None
    log: Callable[[dict[str, float]], object] | None = None
    done: int = 0
    failed: int = 0
    tokens: int | None = None
    errors: list[str] = field(default_factory=list)
    replies: int = 0
    """Requests that a server has answered, of rows that are done and of others."""
    waiting: str | None = None
    """What is waited for, for people."""
    elsewhere: int = 0
    """Rows that other processes do, or have done."""

    def __post_init__(self) -> None:
        from datasets import are_progress_bars_disabled

        self._quiet = self.out is None and are_progress_bars_disabled()
        self._has_ended = False
        self.out = self.out or sys.stderr
        self._started = self._told = time.monotonic()

    def count(self, failures: Sequence[str | None], tokens: int | None) -> None:
        """Count rows done, by the error or null of each, and show it where it is time.

        Args:
            failures: per row.
            tokens: of all these rows; None where nobody counts them.
        """
        errors = [error for error in failures if error is not None]
        self.done += len(failures)
        self.failed += len(errors)
        if tokens is not None:
            self.tokens = (self.tokens or 0) + tokens
        self.errors += errors[: 3 - len(self.errors)]
        self.show()

    def show(self) -> None:
        """Say how far it is, where it is time."""
        assert self.out is not None
        now = time.monotonic()
        last = self.done + self.elsewhere >= self.rows
        if last and self._has_ended:
            return
        self._has_ended = last
        on_terminal = self.out.isatty() and not self._quiet
        if not last and now - self._told < (SECONDS_BETWEEN_SIGHTS if on_terminal else SECONDS_BETWEEN_LINES):
            return
        self._told = now
        if not self._quiet:
            self.out.write(f"\r\x1b[K{self.line()}" + "\n" * last if on_terminal else f"{self.line()}\n")
            self.out.flush()
        if self.log is not None:
            self.log(self.numbers())

    def numbers(self) -> dict[str, float]:
        """What a line says: rows done, rows failed, rows/s, seconds left, and tokens/s where tokens are counted."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self.done / seconds
        of_all = (self.done + self.elsewhere) / seconds
        left = (self.rows - self.done - self.elsewhere) / of_all if of_all else float("inf")
        return {
            "rows_done": self.done,
            "rows_failed": self.failed,
            "rows_per_second": rate,
            **({} if self.tokens is None else {"tokens_per_second": self.tokens / seconds}),
            "seconds_left": left,
        }

    def line(self) -> str:
        """The state in one line."""
        now = self.numbers()
        tokens = f"{now['tokens_per_second']:,.0f} tokens/s, " if "tokens_per_second" in now else ""
        replies = f"{self.replies:,} requests answered, " if self.replies else ""
        waiting = f", {self.waiting}" if self.waiting else ""
        elsewhere = f"{self.elsewhere:,} by other processes, " if self.elsewhere else ""
        return (
            f"{self.label}: {self.done:,} of {self.rows:,} rows, {elsewhere}{self.failed:,} failed, "
            f"{now['rows_per_second']:.2f} rows/s, {tokens}{replies}{duration(now['seconds_left'])} left{waiting}"
        )
