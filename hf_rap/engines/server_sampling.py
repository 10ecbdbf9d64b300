"""A server's own defaults must not bend what is drawn: what it leaves open is said in every request.

vLLM, SGLang and others take top_k and penalties of requests that do not name them from the model's
generation_config.json: with the one of Qwen2-VL (top_k 1) five samples at temperature 1 are one reply five times. So every
request names them all, with the values that do nothing. Which of them a server takes is asked once per process, and whether
it draws at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, RowError, logger_of
from hf_rap.stats.equal import is_long

from .endpoint_ask import Ask, Server
from .endpoint_client import KEPT, ask_all, is_refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .base import Completion

logger = logger_of(__name__)

# What each does nothing with. A top_k of -1 is what vLLM and SGLang call all tokens; others call it 0.
NEUTRAL: dict[str, Any] = {
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
_OTHERWISE = {"top_k": 0}
# Any model that is drawn from says something else each time.
TRIAL = "Write thirty words that have nothing to do with each other, separated by spaces."
_TRIALS = 4
_TRIAL_TOKENS = 48


async def find_fields(
    server: Server, token: str | None, options: Mapping[str, Any], extra_body: Mapping[str, Any], *, draws: bool
) -> dict[str, Any] | None:
    """The neutral values that a server takes.

    Args:
        server: where to ask.
        token: see `ask_all`.
        options: of every request, the model's name.
        extra_body: what the user adds to every request; it wins.
        draws: whether replies will be drawn, and so have to differ.

    Returns:
        None where the server refuses plain requests too.

    Raises:
        EngineError: it does not answer, after all retries; or it gives the same long reply to four requests with four seeds at temperature 1.
    """

    def trial(seed: int, fields: Mapping[str, Any]) -> Ask:
        body = {**fields, **extra_body}
        drawn = {"max_tokens": _TRIAL_TOKENS, "temperature": 1.0, "top_p": 1.0, "seed": seed}
        return Ask(lambda: [{"role": "user", "content": TRIAL}], {**options, **drawn, "extra_body": body}, 1)

    async def ask(seeds: int, *fields: Mapping[str, Any]) -> list[list[Completion] | RowError]:
        asks = [trial(seed, each) for each in fields for seed in range(seeds)]
        answers = await ask_all(server, token, asks, trial=True)
        for answer in answers:
            if isinstance(answer, RowError) and not is_refusal(answer):
                raise EngineError(
                    f"The server at {server.url} is gone: {answer.message}, asked for thirty words. {KEPT}"
                )
        return answers

    trials = _TRIALS if draws else 1
    taken = {name: value for name, value in NEUTRAL.items() if name not in extra_body}
    answers = await ask(trials, taken)
    if any(_is_refused(answer) for answer in answers):
        if _failed(await ask(1, {})):
            return None
        variants = [{name: value} for name, value in [*taken.items(), *_OTHERWISE.items()] if name in taken]
        singly = await ask(1, *variants)
        fine = [variant for variant, answer in zip(variants, singly, strict=True) if not isinstance(answer, RowError)]
        left_open = set(taken) - {name for variant in fine for name in variant}
        taken = {name: value for variant in reversed(fine) for name, value in variant.items()}
        _say_left_open(server, left_open)
        answers = await ask(trials, taken)
    if _failed(answers):
        return None
    if draws:
        _refuse_equal(server, [answer[0] for answer in answers if not isinstance(answer, RowError)])
    return taken


def _failed(answers: list[list[Completion] | RowError]) -> bool:
    return any(isinstance(answer, RowError) for answer in answers)


def _is_refused(answer: list[Completion] | RowError) -> bool:
    return isinstance(answer, RowError) and is_refusal(answer)


def _say_left_open(server: Server, names: Collection[str]) -> None:
    if names:
        logger.warning(
            "The server at %s does not take %s: if it has values of its own for them, what is drawn is bent by these, and "
            "the settings do not say so.",
            server.url,
            ", ".join(sorted(names)),
        )


def _refuse_equal(server: Server, replies: list[Completion]) -> None:
    first = replies[0]
    if is_long(first.text, first.tokens) and len({reply.text for reply in replies}) == 1:
        raise EngineError(
            f"The server at {server.url} does not draw: at temperature 1 it gives the same reply to {len(replies)} requests "
            "with different seeds, so that attempts would be one reply counted several times. It may have a top_k of 1 or a "
            "temperature of its own that requests do not change (vLLM: start it with --generation-config vllm), or a cache "
            "of answers before it. Where one reply is wanted, ask for temperature 0."
        )
