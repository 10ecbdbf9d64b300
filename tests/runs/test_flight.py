"""Parts that are asked for at the same time, for engines that would else wait for the last reply of each."""

import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import pytest

from hf_rap import Completion, Rollouts, collect_in_run
from hf_rap.demo import make_planted
from hf_rap.engines.base import Interrupted
from hf_rap.errors import EngineError, RunError
from hf_rap.runs.flight import Flight

SECONDS = 10  # that nothing here takes, unless it is broken


def test_work_is_taken_in_the_order_in_which_it_was_begun():
    """However long each takes, and it stays until it is dropped."""
    flight, second = Flight(2), threading.Event()
    flight.begin("a", lambda: second.wait(SECONDS) and "first")
    flight.begin("b", second.set)
    assert (flight.is_full, list(flight)) == (True, ["a", "b"])
    assert flight.oldest() == flight.oldest() == ("a", "first")
    flight.drop()
    assert (flight.oldest(), len(flight)) == (("b", None), 1)


def test_one_at_a_time_is_done_by_who_waits_for_it():
    """In the same thread: models and signals stay where they are."""
    flight = Flight(1)
    flight.begin("a", threading.current_thread)
    assert flight.oldest() == ("a", threading.current_thread())


def test_error_comes_out_where_it_is_waited_for():
    """As it was raised."""
    flight = Flight(2)
    flight.begin("a", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        flight.oldest()


def test_settling_takes_no_longer_than_it_may():
    """One that has ended with an error has ended."""
    flight, never = Flight(2), threading.Event()
    flight.begin("a", lambda: 1 // 0)
    flight.settle(SECONDS)
    flight.begin("b", lambda: never.wait(SECONDS))
    flight.settle(0.01)
    never.set()


@dataclass(frozen=True)
class Together:
    """Answers a part only once another is there as well."""

    parts_at_once: ClassVar[int] = 2
    rows_per_part: ClassVar[int] = 2
    barrier: ClassVar[threading.Barrier] = threading.Barrier(2, timeout=SECONDS)
    tokens: int = 5

    def complete(self, requests, sampling):
        self.barrier.wait()
        return [[Completion("\\boxed{1}", self.tokens, truncated=False)] * request.attempts for request in requests]

    def describe(self):
        return {"model": "together"}


def test_two_parts_are_with_the_engine_together(tmp_path):
    """And each row gets its own replies, in its own part."""
    ds = make_planted(8)
    evidence = collect_in_run(ds, Rollouts(Together(), attempts=1, max_new_tokens=5), str(tmp_path))
    assert evidence["id"] == ds["id"]
    fine = [error is None for error in evidence["rap_error"]]  # one gold cannot be read
    assert sum(fine) == 7
    assert evidence["rap_text_responses"] == [["\\boxed{1}"] if each else None for each in fine]
    parts = sorted(path for path in tmp_path.rglob("*.parquet"))
    assert len(parts) == 4


def test_budget_holds_for_parts_in_flight(tmp_path):
    """What a part may take is set aside when it begins: 4 parts of 2 rows, of which 2 parts fit."""
    with pytest.raises(RunError, match="of 40 tokens 40 are generated"):
        collect_in_run(
            make_planted(8), Rollouts(Together(), attempts=1, max_new_tokens=5), str(tmp_path), max_total_tokens=40
        )


def test_engine_that_stops_ends_the_run(tmp_path):
    """What was written stays, and nothing waits for the other part."""

    class Stops(Together):
        def complete(self, requests, sampling):
            super().complete(requests, sampling)
            raise EngineError("gone")

        def describe(self):
            return {"model": "stops"}

    with pytest.raises(EngineError, match="gone"):
        collect_in_run(make_planted(8), Rollouts(Stops(), attempts=1, max_new_tokens=5), str(tmp_path))


class Interruptible(Together):
    """Asks the process to stop; both parts then have the replies to their first row."""

    told: ClassVar[threading.Event] = threading.Event()

    def complete(self, requests, sampling):
        if self.barrier.wait() == 0:
            os.kill(os.getpid(), signal.SIGINT)
        self.told.wait(SECONDS)
        fine = [Completion("\\boxed{1}", self.tokens, truncated=False)]
        first = requests[0].row_id
        raise Interrupted([fine if request.row_id == first else None for request in requests])

    @contextmanager
    def interrupted(self):
        """Those who wait are told."""
        self.told.set()
        yield


def test_parts_in_flight_keep_what_is_answered(tmp_path):
    """Ctrl-C: the rows that have all of their replies, of each part, are in the run."""
    with pytest.raises(RunError, match="Stopped as asked: 2 of 8 rows"):
        collect_in_run(make_planted(8), Rollouts(Interruptible(), attempts=1, max_new_tokens=5), str(tmp_path))
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
