"""Evidence: ask the model every question with and without its images, and grade the replies."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hf_rap import columns
from hf_rap.engines.base import Completion, Engine, Request, Sampling
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import RowError, SettingError
from hf_rap.rows.layouts import Layout, Question, raw_rows, read_question, row_id
from hf_rap.rows.prompts import DEFAULT_INSTRUCTION, image_messages, text_messages
from hf_rap.verify import VERIFIER_VERSION, Gold, Judgement, judge_each, read_gold

from .attempts import count_tokens, join_attempts, not_judged
from .attention import attend_rows, attention_settings, check_engine
from .collector import Collector
from .psi import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from hf_rap.engines.base import AttentionEngine


@dataclass(frozen=True)
class Rollouts(Collector):
    """Collects evidence for a batch of rows: `ds.map(Rollouts(engine), batched=True)`.

    Every question is asked `attempts` times with its images and `attempts` times on its text alone.
    A row that cannot be used gets a `rap_error` and nulls; it never stops the run. A gold answer
    that cannot be read is found before the model is asked.

    Args:
        engine: the model that answers.
        attempts: replies per row and arm, M in the paper (5 there).
        first_attempt: number of the first of them: attempts 5 to 7 are `first_attempt=5, attempts=3`,
            and the same as the last three of `attempts=8`.
        arm: ask only "image" or only "text"; the columns of the other are null. None asks both.
        temperature, top_p, top_k, max_new_tokens, seed: see `hf_rap.engines.base.Sampling`. The
            seed and the row name the random numbers: the same row gets the same replies whatever the
            batch size, order or number of processes. Rows with the same id get the same replies.
        instruction: appended to every question; "" asks the bare question.
        layout: which column is what; None recognises the layout from the column names.
        attention: also note where the model looked, as `hf_rap.Attention` does: the prompt with the
            image and every reply to it are read once more.

    Reads:
        the columns of the layout.

    Writes:
        the evidence columns of `hf_rap.columns.EVIDENCE`, and with attention those of `Attention`.
        A row without an image is asked on its text alone: its image columns are null and
        `rap_error` says "no_image".

    Raises:
        SettingError: attempts below 1, or a sampling option out of its range.
        LayoutError: the layout is not recognised, or a column is missing.
        ColumnExistsError: the dataset has evidence already.
        EngineError: the model cannot be loaded, or fails on every row.

    Source:
        arXiv 2506.04755, section on the causal discrepancy estimator: M = 5, temperature 1.0.
    """

    kind: ClassVar[str] = "rollouts"
    tops_up: ClassVar[bool] = True
    separate_arms: ClassVar[tuple[str, ...]] = columns.ARMS

    engine: Engine
    attempts: int = field(default=5, metadata=ONLY_IN_MAP)
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 1024
    seed: int = 0
    instruction: str = DEFAULT_INSTRUCTION
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    attention: bool = False
    first_attempt: int = field(default=0, metadata=ONLY_IN_MAP)
    arm: str | None = field(default=None, metadata=ONLY_IN_MAP)
    version: str = "1"  # part of the cache key of `map`: raise it when the same input can give other evidence
    verifier_version: str = field(default=VERIFIER_VERSION, init=True, repr=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise SettingError(f"attempts must be at least 1, got {self.attempts}.")
        if self.arm not in (None, *columns.ARMS):
            raise SettingError(f"arm is {self.arm!r}: it takes one of {', '.join(columns.ARMS)}, or None for both.")
        if self.first_attempt < 0:
            raise SettingError(f"first_attempt must be at least 0, got {self.first_attempt}.")
        self._sampling()
        if self.attention:
            check_engine(self.engine, WINDOW)

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        return (*columns.EVIDENCE, *columns.ATTENTION_EVIDENCE) if self.attention else columns.EVIDENCE

    @property
    def goal(self) -> int:
        """Attempts that a row is to have."""
        return self.attempts

    def __call__(self, batch: Mapping[str, Any], rank: int | None = None) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns.

        `rank` is what `map(num_proc=..., with_rank=True)` passes: engines that can then take a GPU each.
        """
        if rank is not None and hasattr(self.engine, "on_rank"):
            return replace(self, engine=self.engine.on_rank(rank))(batch)
        layout = self.check(batch.keys())
        rows = [read_row(row, layout) for row in raw_rows(batch, layout)]
        asked = [(row, arm) for row in rows for arm in row.arms if self.arm in (None, arm)]
        answers = self.engine.complete([self._request(row, arm) for row, arm in asked], self._sampling())
        for (row, arm), answer in zip(asked, answers, strict=True):
            row.take(arm, answer)
        settings = json.dumps(self.settings(), sort_keys=True) if asked else None
        evidence: dict[columns.Column, list[Any]] = {
            columns.ID: [row.id for row in rows],
            **{column: values for arm in columns.ARMS for column, values in graded(rows, arm).items()},
            columns.IMAGE_PROMPT_TOKENS: [row.image_prompt_tokens for row in rows],
            columns.ERROR: [str(row.error) if row.error else None for row in rows],
            columns.SETTINGS: [settings if row.attempts else None for row in rows],
            **(self._attention(rows) if self.attention else {}),
        }
        return columns.typed({column: evidence[column] for column in self.writes})

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row, and what is only written down."""
        return self.told(
            {
                **self.engine.describe(),
                **self._sampling().as_dict(),
                "instruction": self.instruction,
                "verifier": self.verifier_version,
                "rollouts": self.version,
            }
        )

    def only(self, first: int, attempts: int, arm: str | None = None) -> Self:
        """The same for these attempts alone, of one arm or of both."""
        return replace(self, first_attempt=first, attempts=attempts, arm=arm)

    def join(
        self, pieces: Mapping[Any, Sequence[tuple[range, Mapping[str, Any]]]], attempts: Mapping[Any, int]
    ) -> dict[str, Any]:
        """One row of evidence from those of its attempts."""
        return join_attempts(pieces, attempts)

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int:
        """Tokens generated for these rows, as far as the engine has counted them."""
        return count_tokens(evidence[columns.ARM_COLUMNS[arm].tokens.name] for arm in columns.ARMS)

    def _attention(self, rows: list[AskedRow]) -> dict[columns.Column, list[Any]]:
        """The replies with the image read again; images are still open, unlike in a second pass."""
        read = ["image" in row.attempts for row in rows]
        found = attend_rows(
            cast("AttentionEngine", self.engine),  # check_engine has seen that it is one
            [self._request(row, "image") if reads else None for row, reads in zip(rows, read, strict=True)],
            _each([row.attempts.get("image") for row in rows], lambda attempt: attempt.completion.text),
            [row.image_prompt_tokens for row in rows],
            window=WINDOW,
        )
        settings = attention_settings(self.engine.describe(), self.instruction, WINDOW) if any(read) else None
        return {columns.ATTENTION: found, columns.ATTENTION_SETTINGS: [settings if reads else None for reads in read]}

    def _sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens, self.seed)

    def _request(self, row: AskedRow, arm: str) -> Request:
        assert row.question is not None
        with_images = arm == "image"
        build = image_messages if with_images else text_messages
        return Request(
            row_id=row.id,
            arm=arm,
            messages=build(row.question.text, self.instruction),
            images=row.question.images if with_images else (),
            attempts=self.attempts,
            first=self.first_attempt,
            files=row.question.files if with_images else (),
        )


@dataclass(frozen=True)
class _Attempt:
    completion: Completion
    judgement: Judgement


@dataclass
class AskedRow:
    """One row on its way from the dataset to its evidence."""

    id: str
    question: Question | None = None
    gold: Gold | None = None
    error: RowError | None = None
    attempts: dict[str, list[_Attempt]] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that can be asked: none without a readable gold, text alone without an image."""
        if self.question is None or self.gold is None:
            return ()
        return columns.ARMS if self.question.images else ("text",)

    @property
    def image_prompt_tokens(self) -> int | None:
        """Tokens of the prompt with the image, if it was asked and the engine says so."""
        return next((attempt.completion.prompt_tokens for attempt in self.attempts.get("image", ())), None)

    def take(self, arm: str, answer: list[Completion] | RowError) -> None:
        """Grade what the model said in one arm; what cannot be graded is null and gets a reason."""
        assert self.question is not None
        assert self.gold is not None
        if isinstance(answer, RowError):
            self.error = answer
            return
        judgements = judge_each(((one.text, one.truncated) for one in answer), self.gold, question=self.question.text)
        self.attempts[arm] = graded = [_Attempt(*pair) for pair in zip(answer, judgements, strict=True)]
        unknown = [attempt.judgement.reason for attempt in graded if attempt.judgement.reward is None]
        if unknown and self.error is None:
            self.error = not_judged(arm, len(unknown), len(graded), unknown[0])


def read_row(raw: Mapping[str, Any], layout: Layout) -> AskedRow:
    """A row of `raw_rows`, with its error where it cannot be asked, or not with an image."""
    row = AskedRow(row_id(raw, layout))
    try:
        row.question = read_question(raw, layout)
        row.gold = read_gold(row.question.answer)
        if not row.question.images:
            row.error = RowError("no_image", columns.ERROR_CODES["no_image"])
    except RowError as error:
        row.error = error
    return row


def graded(rows: list[AskedRow], arm: str) -> dict[columns.Column, list[list[Any] | None]]:
    """The columns of one arm."""
    attempts = [row.attempts.get(arm) for row in rows]
    of_arm = columns.ARM_COLUMNS[arm]
    return {
        of_arm.rewards: _each(attempts, lambda attempt: attempt.judgement.reward),
        of_arm.responses: _each(attempts, lambda attempt: attempt.completion.text),
        of_arm.tokens: _each(attempts, lambda attempt: attempt.completion.tokens),
        of_arm.truncated: _each(attempts, lambda attempt: attempt.completion.truncated),
    }


def _each(arm: list[list[_Attempt] | None], value: Callable[[_Attempt], Any]) -> list[list[Any] | None]:
    """One list per row, null where the arm was not asked."""
    return [None if attempts is None else [value(attempt) for attempt in attempts] for attempts in arm]
