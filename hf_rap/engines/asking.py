"""Asking an engine that others may have written: what it gives is read, or a sentence says what is wrong with it.

Whatever one request does to an engine, the others get their answers; an engine that answers nothing at all is stopped at.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, RapError, RowError, first_line, whole_text
from hf_rap.options import as_settings, is_ours, shown
from hf_rap.stats.secrets import masked

from .base import Completion, LogLikelihood, ReplyAttention

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .base import AttentionEngine, Engine, LikelihoodEngine, Reply, Request, Sampling, StatesEngine

HOPELESS = 8  # requests that fail one after the other before any was answered
_answered: set[type] = set()  # engines that have answered in this process


@dataclass(frozen=True)
class _Way:
    """One of the methods that an engine is asked by.

    Args:
        name: of the method.
        answer: what it gives per item, for people.
        ask: calls it with items.
        read: an answer to an item as it should be; raises `EngineError`.
    """

    name: str
    answer: str
    ask: Callable[[Sequence[Any]], Any]
    read: Callable[[Any, Any], Any]


def ask(engine: Engine, requests: Sequence[Request], sampling: Sampling) -> Sequence[Sequence[Completion] | RowError]:
    """`request.attempts` completions per request, or the error of that request alone.

    Raises:
        EngineError: the engine answers with something else, or has answered nothing yet and fails on all of its first
            requests.

    """
    way = _Way(
        f"{_name(engine)}.complete",
        "one list of completions",
        lambda items: engine.complete(items, sampling),
        partial(_completions, f"{_name(engine)}.complete gives"),
    )
    return _ask(engine, requests, way)


def attend(engine: AttentionEngine, replies: Sequence[Reply], *, window: int) -> Sequence[ReplyAttention | RowError]:
    """The attention inside each reply, or the error of that reply alone; raises as `ask` does."""
    way = _Way(
        f"{_name(engine)}.attend",
        "one ReplyAttention",
        lambda items: engine.attend(items, window=window),
        partial(_attention, f"{_name(engine)}.attend gives"),
    )
    return _ask(engine, replies, way)


def log_likelihoods(engine: LikelihoodEngine, replies: Sequence[Reply]) -> Sequence[LogLikelihood | RowError]:
    """How likely each reply is, or the error of that reply alone; raises as `ask` does."""
    way = _Way(
        f"{_name(engine)}.log_likelihoods",
        "one LogLikelihood",
        engine.log_likelihoods,
        partial(_likelihood, f"{_name(engine)}.log_likelihoods gives"),
    )
    return _ask(engine, replies, way)


def prompt_states(
    engine: StatesEngine, requests: Sequence[Request], *, depths: Sequence[float]
) -> Sequence[NDArray[np.float16] | RowError]:
    """The hidden states of each prompt, or the error of that request alone; raises as `ask` does."""
    way = _Way(
        f"{_name(engine)}.prompt_states",
        "one array (n_depths, width)",
        lambda items: engine.prompt_states(items, depths=depths),
        partial(_states, f"{_name(engine)}.prompt_states gives", len(depths)),
    )
    return _ask(engine, requests, way)


def _ask(engine: Any, items: Sequence[Any], way: _Way) -> Sequence[Any]:
    if not items:
        return []
    if is_ours(engine):  # they do the same, knowing more
        answers: Sequence[Any] = way.ask(items)
        return answers
    if inspect.iscoroutinefunction(getattr(engine, way.name.rpartition(".")[2])):
        raise EngineError(
            f"{way.name} is asynchronous: it takes a function that returns its answers, such as one that "
            "gathers them in asyncio.run."
        )
    read = _together(way, items)
    if isinstance(read, Exception):
        if type(engine) not in _answered:
            _stop_if_hopeless(engine, way, items[:HOPELESS])
        read = _in_halves(way, items)
    if any(not isinstance(answer, RowError) for answer in read):
        _answered.add(type(engine))
    return read


def describe(engine: Engine) -> dict[str, Any]:
    """What an engine says about itself, ready for JSON, without its secrets.

    Raises:
        SettingError: it says something that JSON cannot hold.

    """
    described: dict[str, Any] = masked(as_settings(f"{_name(engine)}.describe", engine.describe()))
    return described


def _together(way: _Way, items: Sequence[Any]) -> list[Any] | Exception:
    """The answers, or what the engine raised."""
    try:
        return _read(way, way.ask(items), items)
    except RowError as error:  # raised instead of given back
        return error
    except RapError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever one item does to it, the run goes on
        return error


def _in_halves(way: _Way, items: Sequence[Any]) -> list[Any]:
    """Halves a batch on which the engine raises until the item at fault stands alone."""
    answers = _together(way, items)
    if not isinstance(answers, Exception):
        return answers
    if len(items) == 1:
        return [_row_error(answers)]
    middle = (len(items) + 1) // 2
    return [*_in_halves(way, items[:middle]), *_in_halves(way, items[middle:])]


def _row_error(error: Exception) -> RowError:
    if isinstance(error, RowError):
        return error
    row_error = RowError("engine_failed", f"{type(error).__name__}: {first_line(error)}")
    row_error.__cause__ = error
    return row_error


def _stop_if_hopeless(engine: Any, way: _Way, items: Sequence[Any]) -> None:
    """Nothing but failures from the start is the fault of the engine, not of some row."""
    answers = [answer for item in items for answer in _in_halves(way, [item])]
    failures = [answer for answer in answers if isinstance(answer, RowError) and answer.code == "engine_failed"]
    if len(failures) == len(items) > 1:
        raise EngineError(
            f"{_name(engine)} failed on each of its first {len(failures)} requests; {failures[0]}"
        ) from failures[0].__cause__


def _read(way: _Way, given: Any, items: Sequence[Any]) -> list[Any]:
    """One answer per item, from whatever gives one after the other."""
    takes = f"it takes {way.answer}, or a RowError, per request"
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise EngineError(f"{way.name} gives {shown(given)}: {takes}.")
    answers = list(given)
    if len(answers) != len(items):
        raise EngineError(f"{way.name} gives {len(answers)} answers to {len(items)} requests: {takes}, in their order.")
    return [
        _row_error(answer) if isinstance(answer, Exception) else way.read(answer, item)
        for answer, item in zip(answers, items, strict=True)
    ]


def _completions(gives: str, given: Any, request: Request) -> list[Completion]:
    sentence = f"{gives} {{}} to a request: it takes {request.attempts} Completion(text, tokens, truncated)"
    if isinstance(given, Completion) and request.attempts == 1:
        given = [given]
    if isinstance(given, (str, bytes, Mapping, Completion)) or not isinstance(given, Iterable):
        raise EngineError(f"{sentence.format(shown(given))} in a list, or a RowError.")
    completions = list(given)
    if len(completions) != request.attempts:
        raise EngineError(f"{sentence.format(f'{len(completions)} completions')}, as many as request.attempts says.")
    return [_completion(gives, completion, request) for completion in completions]


def _completion(gives: str, given: Any, request: Request) -> Completion:
    """A completion with its numbers as Python has them."""
    sentence = f"{gives} {shown(given)}: it takes a Completion"
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
    text = None if given.text is None else whole_text(given.text)
    states = None if given.states is None else _states(gives, len(request.depths), given.states, request)
    return Completion(text, tokens, bool(given.truncated), prompt_tokens, ids, states)


def _attention(gives: str, given: Any, _reply: Reply) -> ReplyAttention:
    """An attention whose lists have one number per token."""
    if not isinstance(given, ReplyAttention):
        raise EngineError(f"{gives} {shown(given)} to a reply: it takes a ReplyAttention, or a RowError.")
    whole = {**_named("products", given.products), **_named("windows", given.windows)}
    whole |= {"image_shares": given.image_shares, "entropies": given.entropies}
    for name, values in whole.items():
        if values and len(values) != len(given.tokens):
            raise EngineError(
                f"{gives} a ReplyAttention with {len(given.tokens)} tokens and {len(values)} {name}: it takes one per token."
            )
    thoughts = {**_named("", given.thinking_products), **_named("", given.thinking_windows)}
    if not all(isinstance(number, Real) for values in (*whole.values(), *thoughts.values()) for number in values):
        raise EngineError(f"{gives} a ReplyAttention with something else than numbers.")
    return given


def _named(name: str, readings: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}[{reading!r}]": values for reading, values in readings.items()}


def _likelihood(gives: str, given: Any, _reply: Reply) -> LogLikelihood:
    """A likelihood with its numbers as Python has them."""
    sentence = f"{gives} {shown(given)} to a reply: it takes a LogLikelihood"
    if not isinstance(given, LogLikelihood):
        raise EngineError(f"{sentence}(logprob, tokens), or a RowError.")
    if not isinstance(given.logprob, Real) or not isfinite(given.logprob):
        raise EngineError(f"{sentence} whose logprob is a number of nats; a reply that cannot be read gets a RowError.")
    if not isinstance(given.tokens, Integral) or isinstance(given.tokens, bool) or given.tokens < 0:
        raise EngineError(f"{sentence} whose tokens is a whole number.")
    logprobs, texts = (tuple(values) for values in (given.logprobs, given.texts))
    fine = all(isinstance(value, Real) and isfinite(value) for value in logprobs) and all(
        isinstance(text, str) for text in texts
    )
    if not fine or any(values and len(values) != given.tokens for values in (logprobs, texts)):
        raise EngineError(f"{sentence} whose logprobs are numbers and whose texts are texts, one per token, or none.")
    return LogLikelihood(
        float(given.logprob), int(given.tokens), tuple(map(float, logprobs)), tuple(map(whole_text, texts))
    )


def _states(gives: str, depths: int, given: Any, _request: Request) -> NDArray[np.float16]:
    """States as an array of finite numbers, half precision."""
    import numpy as np

    try:
        states = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        states = np.empty(0)
    if states.ndim != 2 or len(states) != depths or not states.shape[1] or not np.isfinite(states).all():
        raise EngineError(f"{gives} {shown(given)} to a request: it takes finite numbers of shape ({depths}, width).")
    return half(states)


def half(states: NDArray[Any]) -> NDArray[np.float16]:
    """In half precision; what is too large for it becomes its largest number."""
    import numpy as np

    limit = np.finfo(np.float16).max
    clipped: NDArray[np.float16] = np.clip(states, -limit, limit).astype(np.float16)
    return clipped


def _name(engine: Any) -> str:
    return type(engine).__name__
