"""Ctrl-C and SIGTERM in the middle of a part: it stops at once, and what the model has said is kept."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from hf_rap.engines.base import Interrupted
from hf_rap.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

logger = logging.getLogger(__name__)

ASKING = ("complete", "attend", "log_likelihoods")  # what an engine is asked by


class Noting:
    """An engine that notes the answers of another one, and can give them again without asking.

    A collector asks the same in the same order when it is called again with the same rows.

    Attributes:
        calls: the answers of each call, None for those that had not come when it was interrupted.
        unanswered: ids of the rows, a request of which had no answer when it was told again.

    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.calls: list[list[Any]] = []
        self.unanswered: set[str] = set()
        self._again: Iterator[list[Any]] | None = None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.engine, name)
        return partial(self._ask, value) if name in ASKING else value

    def tell_again(self) -> None:
        """From now on ask nobody."""
        self._again = iter(self.calls)

    def _ask(self, ask: Callable[..., Any], items: Sequence[Any], *args: Any, **options: Any) -> list[Any]:
        none: list[Any] = [None] * len(items)
        if self._again is not None:
            answers = next(self._again, none)
            return [self._known(item, answer) for item, answer in zip(items, answers, strict=True)]
        self.calls.append(none)
        try:
            none[:] = ask(items, *args, **options)
        except Interrupted as stop:
            none[:] = stop.answers
            raise
        return list(none)

    def _known(self, item: Any, answer: Any) -> Any:
        if answer is not None:
            return answer
        self.unanswered.add(getattr(item, "request", item).row_id)
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
