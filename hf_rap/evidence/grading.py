"""Who grades replies: the built-in verifier, or any callable of the user's.

    def anls(reply, gold, question): ...          # a number in [0, 1], None, or (None, "why it cannot be judged")
    @grader(version="2", batched=True)
    def judge(replies, golds, questions): ...     # the same for lists, one grade per reply
    async def ask(reply, gold, question): ...     # either of them may be asynchronous

A grade is derived from its reply, so it can be made again at any time: see `hf_rap.regrade`.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple, TypeVar

from hf_rap.errors import SettingError
from hf_rap.options import check, check_choice, check_number, shown
from hf_rap.stats.settings import BUILT_IN, CORRECT, CUT, UNVERSIONED, graded_by
from hf_rap.verify import NO_REPLY, VERIFIER_VERSION, judge_each, read_gold

CUT_OFF = "the reply was cut off at the token limit"
AT_ONCE = 32  # calls of an asynchronous grader in flight

Function = TypeVar("Function", bound=Callable[..., Any])


def grader(version: str, *, batched: bool = False) -> Callable[[Function], Function]:
    """Says which version of itself a grader is, and whether it takes lists.

    Raise the version whenever the same reply can get another grade: stored replies are then graded again. A class says
    the same by its attributes `version` and `batched`.

    Args:
        version: any text.
        batched: it takes lists of replies, golds and questions, and gives a list of grades.

    Examples:
        >>> @grader(version="2")
        ... def mentions(reply, gold, question):
        ...     return gold in reply
        >>> Grading(mentions).settings()
        {'verifier': 'mentions', 'verifier_version': '2', 'cut': 'wrong', 'correct': 1.0}

    """

    def tell(function: Function) -> Function:
        function.version, function.batched = version, batched  # type: ignore[attr-defined]
        return function

    return tell


_later: ContextVar[bool] = ContextVar("later", default=False)


@contextmanager
def grades_later() -> Iterator[None]:
    """Within, no verifier is asked: a run that was told to stop has its replies graded when it goes on."""
    token = _later.set(True)
    try:
        yield
    finally:
        _later.reset(token)


class Grade(NamedTuple):
    """A reward in [0, 1], or None with the reason why nobody knows."""

    reward: float | None
    reason: str = ""


class Replies(NamedTuple):
    """The replies to one question, each with whether it was cut off; None for an attempt without a reply."""

    question: str
    gold: Any
    texts: Sequence[tuple[str | None, bool]]
    options: Sequence[str] = ()


class _Call(NamedTuple):
    reply: str
    gold: Any
    question: str


@dataclass(frozen=True)
class Grading:
    """How replies are graded, and what counts.

    Args:
        verifier: None is the built-in one (`hf_rap.verify.judge`). Any other is called with (reply, gold, question):
            the reply as the model wrote it, the gold as the dataset has it, the question's text. It gives a number in
            [0, 1], None, or (None, reason). With an attribute `batched = True` it gets lists and gives a list. It may
            be asynchronous. Equal replies to one question are graded once.
        cut: what a reply that hit the token limit counts as: "wrong"; "unknown", null with a reason; or "graded",
            on what is there, as trainers do. The first two are not shown to the verifier.
        correct: the reward from which on a reply counts as solved, in (0, 1].

    Raises:
        SettingError: the verifier cannot be called like that, or an option is out of its range.
    """

    verifier: Any = None
    cut: str = "wrong"
    correct: float = CORRECT

    def __post_init__(self) -> None:
        check_choice("cut", self.cut, CUT)
        check_correct(self.correct)
        if self.verifier is not None:
            _check_callable(self.verifier, self.name)

    @property
    def name(self) -> str:
        """Of the function or class that grades."""
        if self.verifier is None:
            return BUILT_IN
        named = getattr(self.verifier, "func", self.verifier)  # functools.partial has no name of its own
        return str(getattr(named, "__name__", None) or type(named).__name__)

    @property
    def version(self) -> str:
        """What its attribute `version` says."""
        if self.verifier is None:
            return VERIFIER_VERSION
        named = getattr(self.verifier, "func", self.verifier)
        return str(getattr(self.verifier, "version", getattr(named, "version", UNVERSIONED)))

    @property
    def key(self) -> str:
        """Everything that could change a grade, as `graded_by` has it."""
        return str(graded_by(self.settings()))

    def settings(self) -> dict[str, Any]:
        """What stands in `rap_settings`."""
        return {
            "verifier": self.name,
            "verifier_version": self.version,
            "cut": self.cut,
            "correct": float(self.correct),
        }

    def read_gold(self, answer: object, question: str, options: Sequence[str] = ()) -> Any:
        """The gold as this verifier wants it; raises `RowError` where the built-in one can compare nothing with it."""
        return read_gold(answer, question=question, options=options or None) if self.verifier is None else answer

    def grade(self, rows: Sequence[Replies]) -> list[list[Grade]]:
        """One grade per reply. Whatever a verifier does with one of them, the others get theirs."""
        fixed = [[self._without_asking(*text) for text in replies.texts] for replies in rows]
        if _later.get():
            return [[grade or Grade(None, "not graded yet") for grade in grades] for grades in fixed]
        open_texts = [
            list(dict.fromkeys(text for (text, _), grade in zip(replies.texts, grades, strict=True) if grade is None))
            for replies, grades in zip(rows, fixed, strict=True)
        ]
        if self.verifier is None:
            new_grades = [
                [Grade(verdict.reward, verdict.reason) for verdict in _judge(replies, texts)]
                for replies, texts in zip(rows, open_texts, strict=True)
            ]
        else:
            calls = [
                _Call(str(text), replies.gold, replies.question)
                for replies, texts in zip(rows, open_texts, strict=True)
                for text in texts
            ]
            answers = iter(self._ask(calls))
            new_grades = [[next(answers) for _ in texts] for texts in open_texts]
        by_text = [dict(zip(texts, grades, strict=True)) for texts, grades in zip(open_texts, new_grades, strict=True)]
        return [
            [grade or of_row[text] for (text, _), grade in zip(replies.texts, grades, strict=True)]
            for replies, grades, of_row in zip(rows, fixed, by_text, strict=True)
        ]

    def _without_asking(self, text: str | None, cut_off: bool) -> Grade | None:
        if text is None:
            return Grade(None, NO_REPLY)
        if not cut_off or self.cut == "graded":
            return None
        return Grade(0.0 if self.cut == "wrong" else None, CUT_OFF)

    def _ask(self, calls: list[_Call]) -> list[Grade]:
        """What the user's verifier says."""
        if not calls:
            return []
        if not getattr(self.verifier, "batched", False):
            return [self._read(answer) for answer in self._call_each(calls)]
        (answer,) = self._call_each([tuple(map(list, zip(*calls, strict=True)))])
        answer = answer.tolist() if hasattr(answer, "tolist") else answer
        if isinstance(answer, list) and len(answer) == len(calls):
            return [self._read(value) for value in answer]
        if len(calls) > 1:  # which reply it was that it could not take, only one by one will tell
            return [grade for call in calls for grade in self._ask([call])]
        if isinstance(answer, Exception):
            return [self._read(answer)]
        return [
            Grade(
                None,
                f"{self.name} gave {shown(answer)} for a list of one reply: one grade per reply, in a list, is right",
            )
        ]

    def _call_each(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What each call gives, or the exception that it raised."""
        if _is_async(self.verifier):
            answers: list[Any] = _waited_for(_together(self.verifier, calls))
            return answers
        answers = []
        for call in calls:
            try:
                answer = self.verifier(*call)
                if inspect.isawaitable(answer):  # of a plain function around an asynchronous one
                    answer = _waited_for(_awaited(answer))
                answers.append(list(answer) if isinstance(answer, Iterator) else answer)
            except Exception as error:  # noqa: BLE001 - whatever one reply does to it, the run goes on
                answers.append(error)
        return answers

    def _read(self, answer: Any) -> Grade:
        """A grade from what the verifier gave."""
        if isinstance(answer, Exception):
            said = (str(answer).strip() or "nothing else").splitlines()[0]
            return Grade(None, f"{self.name} raised {type(answer).__name__}: {said}")
        reward, reason = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, "")
        if reward is None:
            return Grade(None, str(reason or f"{self.name} did not say why"))
        if hasattr(reward, "item") and not getattr(reward, "ndim", 0):  # numpy and torch
            reward = reward.item()
        if isinstance(reward, Real) and 0 <= float(reward) <= 1:  # NaN is not >= 0
            return Grade(float(reward), str(reason or ""))
        return Grade(None, f"{self.name} gave {shown(answer)}: a number in [0, 1], None or (None, reason) is a grade")


def check_correct(correct: Any) -> None:
    """Raise `SettingError` for anything but a share above 0."""
    check_number("correct", correct, above=0, most=1)


def _judge(replies: Replies, texts: list[str | None]) -> Any:
    if not texts:
        return []
    replies_of_row = ((str(text), False) for text in texts)
    return judge_each(replies_of_row, replies.gold, question=replies.question, options=replies.options or None)


def _check_callable(verifier: Any, name: str) -> None:
    if isinstance(verifier, type) or not callable(verifier):
        hint = ", of which this is the class" if isinstance(verifier, type) else ""
        check(False, "verifier", verifier, f"a callable (reply, gold, question){hint}, or None")
    try:
        inspect.signature(verifier).bind("", "", "")
    except TypeError as error:
        raise SettingError(f"{name} cannot be called with (reply, gold, question): {error}.") from error
    except ValueError:  # some callables of C do not tell
        return


def _is_async(verifier: Any) -> bool:
    return inspect.iscoroutinefunction(verifier) or inspect.iscoroutinefunction(type(verifier).__call__)


def _waited_for(asked: Coroutine[Any, Any, Any]) -> Any:
    """What it gives; Ctrl-C cancels it."""
    result = asyncio.run_coroutine_threadsafe(asked, _loop(os.getpid()))
    try:
        return result.result()
    except KeyboardInterrupt:
        result.cancel()
        raise


async def _awaited(answer: Any) -> Any:
    return await answer


async def _together(verifier: Any, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def ask(call: tuple[Any, ...]) -> Any:
        async with limit:
            try:
                return await verifier(*call)
            except Exception as error:  # noqa: BLE001 - whatever one reply does to it, the run goes on
                return error

    return await asyncio.gather(*map(ask, calls))


@lru_cache(maxsize=1)
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """The event loop of all asynchronous graders of a process: their clients do not live longer than a loop."""
    del process
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="hf-rap graders").start()
    return loop
