"""Replies that were cut off at the token limit go on where they stopped: never a new draw, which would favour short ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ARM_COLUMNS, ARMS
from hf_rap.engines.asking import ask
from hf_rap.engines.base import Completion
from hf_rap.errors import RowError, SettingError

from .attempts import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hf_rap.engines.base import Engine, Request, Sampling
    from hf_rap.rows.layouts import Layout


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


@dataclass
class GoingOn:
    """A stored row whose replies that were cut off go on.

    Attributes:
        raw: the row.
        layout: which column is what.
        evidence: its stored cells, in which replies that have gone on take the place of what they were.
        request_of: arm and number of an attempt -> what asks for it alone, or why it cannot be asked.
        cut: replies that were cut off, by arm and place among the stored ones.
        failure: why one of them cannot go on.
        went_on: those that have.
    """

    raw: Mapping[str, Any]
    layout: Layout
    evidence: dict[str, Any]
    request_of: Callable[[str, int], Request | RowError]
    cut: dict[tuple[str, int], CutReply] = field(default_factory=dict)
    failure: str | None = None
    went_on: list[tuple[str, int]] = field(default_factory=list)
    tokens: int = 0
    """That were generated for it."""

    @classmethod
    def of(
        cls,
        raw: Mapping[str, Any],
        layout: Layout,
        cells: Mapping[str, Any],
        place: tuple[int, int],
        request_of: Callable[[str, int], Request | RowError],
    ) -> GoingOn:
        """A row that has not begun.

        Args:
            raw: the row.
            layout: which column is what.
            cells: its stored evidence: replies, tokens and truncation of both arms, and others, which stay.
            place: the number of its first stored attempt, and the token limit of its replies.
            request_of: arm and number of an attempt -> what asks for it alone, or why it cannot be asked.
        """
        first, limit = place
        evidence = {name: list(value) if isinstance(value, list) else value for name, value in cells.items()}
        row = cls(raw, layout, evidence, request_of)
        for arm in ARMS:
            of_arm = ARM_COLUMNS[arm]
            for spot in (spot for spot, flag in enumerate(cells[of_arm.truncated.name] or ()) if flag):
                request = request_of(arm, first + spot)
                if isinstance(request, RowError):
                    row.failure = str(request)
                    continue
                text, tokens = (cells[column.name][spot] for column in (of_arm.responses, of_arm.tokens))
                row.cut[arm, spot] = CutReply(request, text, tokens, limit)
        return row

    def by_prefix(self, sampling: Sampling) -> dict[tuple[str, int], tuple[Request, Sampling]]:
        """What asks for the rest of each reply that has not gone on, with what is left of the limit; once."""
        requests = {}
        for spot, cut_reply in list(self.cut.items()):
            if not cut_reply.text:
                self.put(spot, RowError("engine_failed", "the reply has no text to go on from"))
                continue
            if cut_reply.request.prefix:
                continue  # it has been asked
            # Random numbers of its own: those of its arm have drawn the beginning.
            arm = f"{cut_reply.request.arm} after {cut_reply.limit}"
            request = replace(cut_reply.request, prefix=cut_reply.text, arm=arm)
            self.cut[spot] = cut_reply._replace(request=request)
            requests[spot] = (request, replace(sampling, max_new_tokens=sampling.max_new_tokens - cut_reply.limit))
        return requests

    def take(self, spot: tuple[str, int], answer: Sequence[Completion] | RowError) -> None:
        """Note the rest of a reply."""
        if isinstance(answer, RowError):
            self.put(spot, answer)
            return
        (rest,) = answer
        cut_reply = self.cut[spot]
        self.tokens += tokens_of(answer)
        tokens: Any = None if cut_reply.tokens is None or rest.tokens is None else cut_reply.tokens + rest.tokens
        self.put(spot, Completion((cut_reply.text + rest.text).strip(), tokens, rest.truncated))

    def put(self, spot: tuple[str, int], reply: Completion | RowError) -> None:
        """Note a reply as a whole, or why it cannot go on."""
        del self.cut[spot]
        if isinstance(reply, RowError):
            self.failure = str(reply)
            return
        arm, place = spot
        of_arm = ARM_COLUMNS[arm]
        self.evidence[of_arm.responses.name][place] = reply.text
        self.evidence[of_arm.tokens.name][place] = reply.tokens
        self.evidence[of_arm.truncated.name][place] = reply.truncated
        self.went_on.append(spot)

    def drop_pictures(self) -> None:
        """It has been asked: what waits for its grades need not hold them."""
        self.request_of = _nothing


def _nothing(arm: str, number: int) -> RowError:
    return RowError("engine_failed", f"attempt {number} of arm {arm} has been asked")


def go_on(engine: Engine, rows: Sequence[GoingOn], sampling: Sampling) -> None:
    """Have the cut replies of all rows go on; each begins with the text that is there, or its row says why it cannot.

    An engine that `repeats` is asked again with the larger limit. Where rounding made another reply of it (bfloat16, in
    another batch), and for engines that do not repeat, the text that is there is given as a `Request.prefix`.
    """
    if getattr(engine, "repeats", False):
        spots = [(row, spot) for row in rows for spot in row.cut]
        answers = ask(engine, [row.cut[spot].request for row, spot in spots], sampling)
        for (row, spot), answer in zip(spots, answers, strict=True):
            if isinstance(answer, RowError):
                row.put(spot, answer)
            elif answer[0].text.startswith(row.cut[spot].text.rstrip("\ufffd").rstrip()):  # half a character at its end
                row.put(spot, answer[0])
    if getattr(engine, "continues", False):
        questions = [(row, spot, *asks) for row in rows for spot, asks in row.by_prefix(sampling).items()]
        for of_limit in sorted(
            {with_limit for *_, with_limit in questions}, key=lambda sampling: sampling.max_new_tokens
        ):
            some = [(row, spot, request) for row, spot, request, with_limit in questions if with_limit == of_limit]
            for (row, spot, _), answer in zip(
                some, ask(engine, [request for *_, request in some], of_limit), strict=True
            ):
                row.take(spot, answer)
    for row in rows:
        for spot in list(row.cut):
            row.put(
                spot,
                RowError("engine_failed", "the reply came out another one, and the engine does not take its beginning"),
            )
