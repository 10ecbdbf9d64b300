"""One stream of requests to a server for all rows of a run: no part's end empties it, and a part is whatever is done first.

Three threads share the work: one reads rows and opens their pictures, one sends and receives, and the main one grades and
writes parts. Signals reach the main one, which waits for nothing but answers. What is to be asked of a row next, once its
answers are there (one step of a response after the other), goes before rows that have not begun.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hf_rap.errors import RapError, RowError
from hf_rap.evidence.collector import counts_tokens
from hf_rap.evidence.grading import grades_later

from .contents import FAILURE
from .index import batches
from .part import as_part, ungraded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import datasets
    import pyarrow as pa

    from hf_rap.evidence.collector import Collector

    from .budget import Budget
    from .claims import Claim
    from .progress import Progress
    from .row_table import Row
    from .stretches import Stretch
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
    def held(self, stretches: Sequence[Stretch]) -> dict[str, list[Any]]: ...  # noqa: D102
    def stays(self, stretches: Sequence[Stretch]) -> None: ...  # noqa: D102
    def write(self, task: Task, part: pa.Table) -> None: ...  # noqa: D102
    def check_errors(self, progress: Progress, *, in_flight: bool = False) -> None: ...  # noqa: D102


class _Anew:
    """Rows that are asked for the attempts of a task."""

    def __init__(self, run: Filling, task: Task) -> None:
        self.collector: Any = run.collector.only(task.first, task.attempts, task.arm)

    def begin(self, batch: Mapping[str, Any], task: Task) -> list[Any]:
        del task
        states: list[Any] = self.collector.begin(batch)
        return states

    def requests(self, state: Any) -> dict[Any, Any]:
        requests: dict[Any, Any] = self.collector.requests(state)
        return requests

    def end(self, states: list[Any], task: Task) -> tuple[pa.Table, Sequence[str | None]]:
        part = as_part(self.collector, self.collector.end(states), task)
        return part, part[FAILURE].to_pylist()


class _GoingOn:
    """Stored rows whose replies that were cut off go on; one of which some cannot stays as it was."""

    def __init__(self, run: Filling) -> None:
        self.run = run
        self.collector: Any = run.collector

    def begin(self, batch: Mapping[str, Any], task: Task) -> list[Any]:
        places = [(stretch.first, stretch.limit or 0) for stretch in task.stored]
        states: list[Any] = self.collector.begin_again(batch, self.run.held(task.stored), places)
        return states

    def requests(self, state: Any) -> dict[Any, Any]:
        requests: dict[Any, Any] = self.collector.requests_again(state)
        return requests

    def end(self, states: list[Any], task: Task) -> tuple[pa.Table, Sequence[str | None]]:
        import pyarrow as pa

        evidence, failures = self.collector.end_again(states)
        self.run.stays([stretch for stretch, why in zip(task.stored, failures, strict=True) if why is not None])
        went_on = pa.array([why is None for why in failures], pa.bool_())
        return as_part(self.collector, evidence, task).filter(went_on), failures


@dataclass(eq=False)
class _Group:
    """Rows that lack the same attempts: one of their tasks, and those that are done and wait for their part."""

    task: Task
    way: _Anew | _GoingOn
    done: list[_InFlight] = field(default_factory=list)


@dataclass
class _InFlight:
    """A row that is asked, until it is in a part."""

    group: _Group
    row: Row
    stored: tuple[Stretch, ...]
    claims: tuple[Claim, ...]
    state: Any
    reserved: int
    left: int = 0


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
        self._requests: dict[int, tuple[_InFlight, Any]] = {}  # by the number of the request, while it is in flight
        self._number = 0
        self._room = threading.Condition()  # guards the budget and what is between the threads
        self._begun: deque[tuple[_InFlight, Mapping[Any, Any]]] = deque()  # what is to be asked of a row next
        self._asks_nothing: deque[_InFlight] = deque()
        self._in_flight = 0
        self._stopped = False

    def go(self) -> None:
        """Ask all, and write what is done; whatever stops it, rows that are done are kept.

        Raises:
            EngineError: asking on is pointless.
            RunError: too many rows fail.
            KeyboardInterrupt: as it came; grades of the last rows are made another time.
        """
        answers = self.run.collector.stream(self._read())
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

    def _read(self) -> Iterator[Any]:
        """What to ask, in the thread that reads."""
        for pending in self._rows():
            requests = pending.group.way.requests(pending.state)
            while (room := self._reserve(pending.reserved)) is None:
                yield from self._follow_ups()
            if not room:
                break
            if requests:
                yield from self._asked(pending, requests)
            else:
                self._asks_nothing.append(pending)
        while self._waits_for_more():
            yield from self._follow_ups()

    def _rows(self) -> Iterator[_InFlight]:
        """Every row, a few read at a time."""
        for task in self._tasks:
            group = self._group(task)
            most = self.run.most_tokens(task)
            for start in range(0, len(task.rows), _ROWS_READ):
                few = task.at(range(start, min(start + _ROWS_READ, len(task.rows))))
                (batch,) = batches(self.run.ds, self.run.columns, few.indices, len(few.indices))
                for place, state in enumerate(group.way.begin(batch, few)):
                    beside = few.stored[place : place + 1], few.claims[place : place + 1]
                    yield _InFlight(group, few.rows[place], *beside, state, most)

    def _group(self, task: Task) -> _Group:
        """Tasks for the same attempts share parts."""
        attempts = (task.first, task.attempts, task.arm)
        if attempts not in self._groups:
            self._groups[attempts] = _Group(task, _GoingOn(self.run) if task.stored else _Anew(self.run, task))
        return self._groups[attempts]

    def _reserve(self, most: int) -> bool | None:
        """Whether another row may be asked, or None where others go first.

        Where the budget is short, waits for what rows in flight give back of theirs.
        """
        budget = self.run.budget
        with self._room:
            while not self._stopped and budget.rows(1, most) == 0 and self._in_flight and not self._begun:
                self._room.wait()
            if self._begun:
                return None
            self.is_spent = budget.rows(1, most) == 0
            if self._stopped or self.is_spent:
                return False
            budget.spend(most)
            self._in_flight += 1
            return True

    def _waits_for_more(self) -> bool:
        """Whether a row in flight has more to ask."""
        with self._room:
            while not self._stopped and self._in_flight > len(self._asks_nothing) and not self._begun:
                self._room.wait()
            return bool(self._begun) and not self._stopped

    def _follow_ups(self) -> Iterator[Any]:
        while True:
            with self._room:
                if not self._begun or self._stopped:
                    return
                begun = self._begun.popleft()
            yield from self._asked(*begun)

    def _asked(self, pending: _InFlight, requests: Mapping[Any, Any]) -> Iterator[Any]:
        """The requests about a row that are next."""
        pending.left = len(requests)
        for which, asked in requests.items():
            self._requests[self._number] = pending, which
            self._number += 1
            yield asked

    def _take(self, event: Any) -> None:
        self._finish_those_that_ask_nothing()
        self.progress.waiting = event if isinstance(event, str) else None
        if isinstance(event, tuple):
            number, answer = event
            pending, which = self._requests.pop(number)
            pending.state.take(which, answer)
            self.progress.replies += not isinstance(answer, RowError)
            pending.left -= 1
            if pending.left == 0:
                self._go_on(pending)
        self.progress.show()

    def _go_on(self, pending: _InFlight) -> None:
        """All that was asked about a row is answered."""
        requests = pending.group.way.requests(pending.state)
        if not requests:
            self._finish(pending)
            return
        with self._room:
            self._begun.append((pending, requests))
            self._room.notify_all()

    def _finish_those_that_ask_nothing(self) -> None:
        while self._asks_nothing:
            self._finish(self._asks_nothing.popleft())

    def _finish(self, pending: _InFlight) -> None:
        """There is nothing more to ask of a row."""
        pending.state.drop_pictures()
        with self._room:
            self.run.budget.spend(pending.state.tokens - pending.reserved)
            self._in_flight -= 1
            self._room.notify_all()
        pending.group.done.append(pending)
        if len(pending.group.done) >= self.run.rows_per_part:
            self._write(pending.group)
            self.run.check_errors(self.progress, in_flight=True)

    def _write_all(self, *, graded: bool = True) -> None:
        self._finish_those_that_ask_nothing()
        for group in [group for group in self._groups.values() if group.done]:
            self._write(group, graded=graded)

    def _write(self, group: _Group, *, graded: bool = True) -> None:
        done = group.done
        stored = tuple(stretch for pending in done for stretch in pending.stored)
        claims = [claim for pending in done for claim in pending.claims]
        task = group.task.of([pending.row for pending in done], stored, claims)
        part, failures = group.way.end([pending.state for pending in done], task)
        self.run.write(task, part if graded or self.run.collector.grading is None else ungraded(part))
        group.done = []
        tokens = sum(pending.state.tokens for pending in done) if counts_tokens(self.run.collector) else None
        self.progress.count(failures, tokens)
