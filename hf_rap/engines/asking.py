"""Asking an engine that others may have written: what it gives is read, or a sentence says what is wrong with it.

Whatever one request does to an engine, the others get their answers; an engine that answers nothing at all is stopped at.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, RapError, RowError, first_line
from hf_rap.options import as_settings, is_ours, shown

from .base import Completion

if TYPE_CHECKING:
    from .base import Engine, Request, Sampling

HOPELESS = 8  # requests that fail one after the other before any was answered
_answered: set[type] = set()  # engines that have answered in this process


def ask(engine: Engine, requests: Sequence[Request], sampling: Sampling) -> Sequence[Sequence[Completion] | RowError]:
    """`request.attempts` completions per request, or the error of that request alone.

    Raises:
        EngineError: the engine answers with something else, or has answered nothing yet and fails on all of its first
            requests.

    """
    if not requests:
        return []
    if is_ours(engine):  # they do the same, knowing more
        return engine.complete(requests, sampling)
    if inspect.iscoroutinefunction(engine.complete):
        raise EngineError(
            f"{_name(engine)}.complete is asynchronous: it takes a function that returns its answers, such as one that "
            "gathers them in asyncio.run."
        )
    answers = _together(engine, requests, sampling)
    if isinstance(answers, Exception):
        if type(engine) not in _answered:
            _stop_if_hopeless(engine, requests[:HOPELESS], sampling)
        answers = _in_halves(engine, requests, sampling)
    if any(not isinstance(answer, RowError) for answer in answers):
        _answered.add(type(engine))
    return answers


def describe(engine: Engine) -> dict[str, Any]:
    """What an engine says about itself, ready for JSON.

    Raises:
        SettingError: it says something that JSON cannot hold.

    """
    return as_settings(f"{_name(engine)}.describe", engine.describe())


def _together(
    engine: Engine, requests: Sequence[Request], sampling: Sampling
) -> list[list[Completion] | RowError] | Exception:
    """The answers, or what the engine raised."""
    try:
        return _read(engine, engine.complete(requests, sampling), requests)
    except RowError as error:  # raised instead of given back
        return error
    except RapError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever one request does to it, the run goes on
        return error


def _in_halves(engine: Engine, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
    """Halves a batch on which the engine raises until the request at fault stands alone."""
    answers = _together(engine, requests, sampling)
    if not isinstance(answers, Exception):
        return answers
    if len(requests) == 1:
        return [_row_error(answers)]
    middle = (len(requests) + 1) // 2
    return [*_in_halves(engine, requests[:middle], sampling), *_in_halves(engine, requests[middle:], sampling)]


def _row_error(error: Exception) -> RowError:
    if isinstance(error, RowError):
        return error
    row_error = RowError("engine_failed", f"{type(error).__name__}: {first_line(error)}")
    row_error.__cause__ = error
    return row_error


def _stop_if_hopeless(engine: Engine, requests: Sequence[Request], sampling: Sampling) -> None:
    """Nothing but failures from the start is the fault of the engine, not of some row."""
    answers = [answer for request in requests for answer in _in_halves(engine, [request], sampling)]
    failures = [answer for answer in answers if isinstance(answer, RowError) and answer.code == "engine_failed"]
    if len(failures) == len(requests) > 1:
        raise EngineError(
            f"{_name(engine)} failed on each of its first {len(failures)} requests; {failures[0]}"
        ) from failures[0].__cause__


def _read(engine: Engine, given: Any, requests: Sequence[Request]) -> list[list[Completion] | RowError]:
    """One answer per request, from whatever gives one after the other."""
    takes = "it takes one list of completions, or a RowError, per request"
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise EngineError(f"{_name(engine)}.complete gives {shown(given)}: {takes}.")
    answers = list(given)
    if len(answers) != len(requests):
        raise EngineError(
            f"{_name(engine)}.complete gives {len(answers)} answers to {len(requests)} requests: {takes}, in their order."
        )
    return [_answer(engine, answer, request) for answer, request in zip(answers, requests, strict=True)]


def _answer(engine: Engine, given: Any, request: Request) -> list[Completion] | RowError:
    if isinstance(given, Exception):
        return _row_error(given)
    sentence = f"{_name(engine)}.complete gives {{}} to a request: it takes {request.attempts} Completion(text, tokens, truncated)"
    if isinstance(given, Completion) and request.attempts == 1:
        given = [given]
    if isinstance(given, (str, bytes, Mapping, Completion)) or not isinstance(given, Iterable):
        raise EngineError(f"{sentence.format(shown(given))} in a list, or a RowError.")
    completions = list(given)
    if len(completions) != request.attempts:
        raise EngineError(f"{sentence.format(f'{len(completions)} completions')}, as many as request.attempts says.")
    return [_completion(engine, completion) for completion in completions]


def _completion(engine: Engine, given: Any) -> Completion:
    """A completion with its numbers as Python has them."""
    sentence = f"{_name(engine)}.complete gives {shown(given)}: it takes a Completion"
    if not isinstance(given, Completion):
        raise EngineError(f"{sentence}(text, tokens, truncated).")
    if not (given.text is None or isinstance(given.text, str)):  # None: there is no such reply, and it is not graded
        raise EngineError(f"{sentence} whose text is a text; a request that cannot be answered gets a RowError.")
    counts = (given.tokens, given.prompt_tokens)
    if not all(count is None or (isinstance(count, Integral) and not isinstance(count, bool)) for count in counts):
        raise EngineError(
            f"{sentence} whose tokens and prompt_tokens are whole numbers, or None where nobody has counted."
        )
    if given.truncated not in (True, False):
        raise EngineError(f"{sentence} whose truncated is True or False.")
    tokens, prompt_tokens = (None if count is None else int(count) for count in counts)
    ids = None if given.token_ids is None else tuple(map(int, given.token_ids))
    return Completion(given.text, tokens, bool(given.truncated), prompt_tokens, ids)


def _name(engine: Engine) -> str:
    return type(engine).__name__
