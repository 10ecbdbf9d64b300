"""One stream of requests to a server for all rows of a run: no part's end empties it, and a part is whatever is done first.

Three threads share the work: one reads rows and opens their pictures, one sends and receives, and the main one grades and
writes parts. Signals reach the main one, which waits for nothing but answers.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from hf_rap.errors import RapError, RowError
from hf_rap.evidence.attempts import tokens_of
from hf_rap.evidence.grading import grades_later

from .index import batches
from .part import as_part, ungraded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import datasets
    import pyarrow as pa

    from hf_rap.engines.base import Request
    from hf_rap.evidence.collector import Collector
    from hf_rap.evidence.rollouts import AskedRow, Rollouts

    from .budget import Budget
    from .claims import Claim
    from .index import Row
    from .progress import Progress
    from .task import Task

_ROWS_READ = 8  # at once, by the thread that opens pictures


class Filling(Protocol):
    """What has to be known of a run to fill it; a `Run`."""

    ds: datasets.Dataset
    columns: list[str]
    collector: Collector
    budget: Budget
    rows_per_part: int

    def most_tokens(self, task: Task) -> int: ...  # noqa: D102
    def write(self, task: Task, part: pa.Table) -> None: ...  # noqa: D102
    def check_errors(self, progress: Progress, *, in_flight: bool = False) -> None: ...  # noqa: D102


@dataclass(eq=False)
class _Group:
    """Rows that lack the same attempts: one of their tasks, and those that are done and wait for their part."""

    task: Task
    collector: Rollouts
    done: list[_InFlight] = field(default_factory=list)


@dataclass
class _InFlight:
    """A row that is asked, until it is in a part."""

    group: _Group
    row: Row
    claim: Claim | None
    state: AskedRow
    reserved: int
    left: int


class Streaming:
    """The rows of these tasks on their way to a server and into parts.

    Args:
        run: an open run, whose collector `streams`.
        tasks: what to ask.
        progress: counts requests and rows.
    """

    def __init__(self, run: Filling, tasks: Iterable[Task], progress: Progress) -> None:
        self.run = run
        self.progress = progress
        self.is_spent = False
        self._tasks = tasks
        self._groups: dict[tuple[int, int, str | None], _Group] = {}
        self._requests: list[tuple[_InFlight, str] | None] = []  # by the number of the request
        self._asks_nothing: deque[_InFlight] = deque()
        self._room = threading.Condition()  # guards the budget
        self._in_flight = 0
        self._stopped = False

    def go(self) -> None:
        """Ask all, and write what is done; whatever stops it, rows that are done are kept.

        Raises:
            EngineError: asking on is pointless.
            RunError: too many rows fail.
            KeyboardInterrupt: as it came; grades of the last rows are made another time.
        """
        answers = self.run.collector.stream(self._read())  # type: ignore[attr-defined]
        try:
            for event in answers:
                self._take(event)
            self._write_all()
        except KeyboardInterrupt:
            with grades_later():
                self._write_all(graded=False)
            raise
        except RapError:
            self._write_all()
            raise
        finally:
            with self._room:
                self._stopped = True
                self._room.notify_all()
            answers.close()

    def _read(self) -> Iterator[Request]:
        """What to ask, in the thread that reads."""
        for task in self._tasks:
            group = self._group(task)
            most = self.run.most_tokens(task)
            for start in range(0, len(task.rows), _ROWS_READ):
                rows = task.rows[start : start + _ROWS_READ]
                indices = task.indices[start : start + _ROWS_READ]
                (batch,) = batches(self.run.ds, self.run.columns, indices, len(indices))
                claims = task.claims[start : start + _ROWS_READ] or [None] * len(rows)
                for row, claim, state in zip(rows, claims, group.collector.begin(batch), strict=True):
                    requests = group.collector.requests(state)
                    if not self._reserve(most):
                        return
                    pending = _InFlight(group, row, claim, state, most, len(requests))
                    if not requests:
                        self._asks_nothing.append(pending)
                    for arm, request in requests.items():
                        self._requests.append((pending, arm))
                        yield request

    def _group(self, task: Task) -> _Group:
        """Tasks for the same attempts share parts."""
        attempts = (task.first, task.attempts, task.arm)
        if attempts not in self._groups:
            collector = cast("Rollouts", self.run.collector.only(*attempts))
            self._groups[attempts] = _Group(task, collector)
        return self._groups[attempts]

    def _reserve(self, most: int) -> bool:
        """Whether another row may be asked; where the budget is short, waits for what rows in flight give back of theirs."""
        budget = self.run.budget
        with self._room:
            while not self._stopped and budget.rows(1, most) == 0 and self._in_flight:
                self._room.wait()
            self.is_spent = budget.rows(1, most) == 0
            if self._stopped or self.is_spent:
                return False
            budget.spend(most)
            self._in_flight += 1
            return True

    def _take(self, event: Any) -> None:
        while self._asks_nothing:
            self._finish(self._asks_nothing.popleft())
        self.progress.waiting = event if isinstance(event, str) else None
        if isinstance(event, tuple):
            number, answer = event
            of_request = self._requests[number]
            assert of_request is not None
            self._requests[number] = None
            pending, arm = of_request
            pending.state.take(arm, answer)
            pending.left -= 1
            self.progress.replies += not isinstance(answer, RowError)
            if pending.left == 0:
                self._finish(pending)
        self.progress.show()

    def _finish(self, pending: _InFlight) -> None:
        """All answers of a row are there."""
        pending.state.drop_pictures()
        with self._room:
            self.run.budget.spend(_tokens(pending) - pending.reserved)
            self._in_flight -= 1
            self._room.notify_all()
        pending.group.done.append(pending)
        if len(pending.group.done) >= self.run.rows_per_part:
            self._write(pending.group)
            self.run.check_errors(self.progress, in_flight=True)

    def _write_all(self, *, graded: bool = True) -> None:
        while self._asks_nothing:
            self._finish(self._asks_nothing.popleft())
        for group in [group for group in self._groups.values() if group.done]:
            self._write(group, graded=graded)

    def _write(self, group: _Group, *, graded: bool = True) -> None:
        done = group.done
        evidence = group.collector.end([pending.state for pending in done])
        task = group.task.of(
            [pending.row for pending in done], [pending.claim for pending in done if pending.claim is not None]
        )
        part = as_part(group.collector, evidence, task)
        if not graded:
            part = ungraded(part)
        self.run.write(task, part)
        group.done = []
        self.progress.count(part["run_failure"].to_pylist(), sum(map(_tokens, done)))


def _tokens(pending: _InFlight) -> int:
    return tokens_of(reply for replies in pending.state.attempts.values() for reply in replies)
