"""Replies that were cut off at the token limit go on where they stopped: never a new draw, which would favour short ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ARM_COLUMNS, ARMS
from hf_rap.engines.asking import ask
from hf_rap.engines.base import Completion
from hf_rap.errors import RowError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hf_rap.engines.base import Engine, Request, Sampling


class CutReply(NamedTuple):
    """One reply that was cut off: what asks for it again, its text, tokens if they were counted, and the limit it hit."""

    request: Request
    text: str
    tokens: int | None
    limit: int


def check_goes_on(engine: object) -> None:
    """Raise `SettingError` for an engine that can only draw anew."""
    if not (getattr(engine, "repeats", False) or getattr(engine, "continues", False)):
        raise SettingError(
            f"{type(engine).__name__} can go on with no reply that was cut off: it neither gives the same reply when asked "
            "again (repeats = True) nor takes the beginning of one (continues = True), and new draws of cut replies alone "
            "would favour short ones. Collect anew, in another run folder."
        )


def continued(
    evidence: Mapping[str, Sequence[Any]],
    places: Sequence[tuple[int, int]],
    request_of: Callable[[int, str, int], Request | RowError],
    engine: Engine,
    sampling: Sampling,
) -> tuple[dict[str, Any], list[tuple[int, str, int]], list[str | None]]:
    """Stored rollouts whose cut replies have gone on.

    Args:
        evidence: the columns of replies, tokens and truncation of both arms, and others, which stay.
        places: of each row the number of its first stored attempt, and the token limit of its replies.
        request_of: row, arm and number of an attempt -> what asks for it alone, or why it cannot be asked.
        engine: the one that wrote the replies.
        sampling: with the limit of now.

    Returns:
        the evidence; row, arm and place of each reply that went on; of each row why one of its replies could not.
    """
    new: dict[str, Any] = {
        name: [list(value) if isinstance(value, list) else value for value in values]
        for name, values in evidence.items()
    }
    failures: list[str | None] = [None] * len(places)
    spots, cut = [], []
    for row, (first, limit) in enumerate(places):
        for arm in ARMS:
            of_arm = ARM_COLUMNS[arm]
            for place in (place for place, flag in enumerate(evidence[of_arm.truncated.name][row] or ()) if flag):
                request = request_of(row, arm, first + place)
                if isinstance(request, RowError):
                    failures[row] = str(request)
                    continue
                text, tokens = (evidence[column.name][row][place] for column in (of_arm.responses, of_arm.tokens))
                spots.append((row, arm, place))
                cut.append(CutReply(request, text, tokens, limit))
    went_on = []
    for (row, arm, place), answer in zip(spots, go_on(engine, cut, sampling), strict=True):
        if isinstance(answer, RowError):
            failures[row] = str(answer)
            continue
        of_arm = ARM_COLUMNS[arm]
        new[of_arm.responses.name][row][place] = answer.text
        new[of_arm.tokens.name][row][place] = answer.tokens
        new[of_arm.truncated.name][row][place] = answer.truncated
        went_on.append((row, arm, place))
    return new, went_on, failures


def go_on(engine: Engine, cut: Sequence[CutReply], sampling: Sampling) -> list[Completion | RowError]:
    """The whole replies, each beginning with the text that is there; or why one cannot go on.

    An engine that `repeats` is asked again with the larger limit. Where rounding made another reply of it (bfloat16, in
    another batch), and for engines that do not repeat, the text that is there is given as a `Request.prefix`.
    """
    replies: dict[int, Completion | RowError] = {}
    if getattr(engine, "repeats", False):
        answers = ask(engine, [cut_reply.request for cut_reply in cut], sampling)
        for place, (cut_reply, answer) in enumerate(zip(cut, answers, strict=True)):
            if isinstance(answer, RowError):
                replies[place] = answer
            elif answer[0].text.startswith(cut_reply.text.rstrip("\ufffd").rstrip()):  # half a character at its end
                replies[place] = answer[0]
    left = [place for place in range(len(cut)) if place not in replies]
    if left and getattr(engine, "continues", False):
        replies.update(_by_prefix(engine, {place: cut[place] for place in left}, sampling))
    begun_anew = RowError("engine_failed", "the reply came out another one, and the engine does not take its beginning")
    return [replies.get(place, begun_anew) for place in range(len(cut))]


def _by_prefix(engine: Engine, cut: Mapping[int, CutReply], sampling: Sampling) -> dict[int, Completion | RowError]:
    replies: dict[int, Completion | RowError] = {
        place: RowError("engine_failed", "the reply has no text to go on from")
        for place, cut_reply in cut.items()
        if not cut_reply.text
    }
    for limit in sorted({cut_reply.limit for cut_reply in cut.values()}):
        of_limit = {place: cut_reply for place, cut_reply in cut.items() if cut_reply.limit == limit and cut_reply.text}
        requests = [
            # Random numbers of its own: those of its arm have drawn the beginning.
            replace(cut_reply.request, prefix=cut_reply.text, arm=f"{cut_reply.request.arm} after {limit}")
            for cut_reply in of_limit.values()
        ]
        answers = ask(engine, requests, replace(sampling, max_new_tokens=sampling.max_new_tokens - limit))
        for (place, cut_reply), answer in zip(of_limit.items(), answers, strict=True):
            replies[place] = answer if isinstance(answer, RowError) else _joined(cut_reply, answer[0])
    return replies


def _joined(cut_reply: CutReply, rest: Completion) -> Completion:
    tokens: Any = None if cut_reply.tokens is None or rest.tokens is None else cut_reply.tokens + rest.tokens
    return Completion((cut_reply.text + rest.text).strip(), tokens, rest.truncated)
