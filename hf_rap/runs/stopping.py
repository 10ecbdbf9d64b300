"""Ctrl-C and SIGTERM in the middle of a part: it stops at once, and what the model has said is kept."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from hf_rap.engines.asking import ask, attend, log_likelihoods, prompt_states
from hf_rap.engines.base import Interrupted
from hf_rap.errors import RowError, logger_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

logger = logger_of(__name__)

# What an engine is asked by; whatever others have written is read there.
ASKING: dict[str, Callable[..., Any]] = {
    "complete": ask,
    "attend": attend,
    "log_likelihoods": log_likelihoods,
    "prompt_states": prompt_states,
}


class Noting:
    """An engine that notes the answers of another one, and can give them again without asking.

    A collector asks the same in the same order when it is called again with the same rows, or with some of them. Where one
    does not, nothing counts as answered.

    Attributes:
        calls: the rows of each call and their answers, None for those that had not come when it was interrupted.
        unanswered: ids of the rows, a request of which had no answer when it was told again.

    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.calls: list[tuple[list[str], list[Any]]] = []
        self.unanswered: set[str] = set()
        self._again: Iterator[tuple[list[str], list[Any]]] | None = None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.engine, name)
        return partial(self._ask, partial(ASKING[name], self.engine)) if name in ASKING else value

    def tell_again(self) -> set[str]:
        """From now on ask nobody, and know the answers for rows alone that have one to whatever they were asked; gives these."""
        lacking = {row for call in self.calls for row, answer in zip(*call, strict=True) if answer is None}
        whole = {row for rows, _ in self.calls for row in rows} - lacking
        of_whole = ([pair for pair in zip(*call, strict=True) if pair[0] in whole] for call in self.calls)
        self._again = iter([([row for row, _ in pairs], [answer for _, answer in pairs]) for pairs in of_whole])
        return whole

    def _ask(self, call: Callable[..., Any], items: Sequence[Any], *args: Any, **options: Any) -> Any:
        rows = [str(getattr(item, "request", item).row_id) for item in items]
        answers: list[Any] = [None] * len(rows)
        if self._again is not None:
            of_rows, noted = next(self._again, (rows, answers))
            return list(map(self._told_again, rows, noted if of_rows == rows else answers))
        self.calls.append((rows, answers))
        try:
            given = call(items, *args, **options)
        except Interrupted as stop:
            answers[:] = stop.answers if len(stop.answers) == len(rows) else answers
            raise
        answers[:] = given if len(given) == len(rows) else answers
        return given

    def _told_again(self, row: str, answer: Any) -> Any:
        if answer is not None:
            return answer
        self.unanswered.add(row)
        return RowError("interrupted", "the answer had not come")


@contextmanager
def notes_signals(says: str, *, interrupts: bool = False) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM (pre-emption) fill the list, once; the second time they do what they did before.

    Args:
        says: what is told the first time.
        interrupts: raise `KeyboardInterrupt` the first time, too.

    """
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: object) -> None:
        stopped.append(number)
        restore()
        logger.warning(says)
        if interrupts:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, note)
    try:
        yield stopped
    finally:
        restore()
