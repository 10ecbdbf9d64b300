"""Evidence of likelihood: how probable the model finds the gold answer, with and without the images."""

from __future__ import annotations

import json
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap import columns
from hf_rap.engines.asking import describe, log_likelihoods
from hf_rap.engines.base import Reply
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import RowError, SettingError, cell_of, warnings_stay_warnings
from hf_rap.options import check_text
from hf_rap.rows.presets import PRESETS, prompt_or_instruction
from hf_rap.rows.prompts import ANSWER_LEAD, ANSWER_TAIL, PromptTemplate
from hf_rap.rows.questions import raw_rows
from hf_rap.verify import VERIFIER_VERSION, spellings

from .collector import PromptedCollector
from .grading import Grading
from .rollouts import AskedRow, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hf_rap.engines.base import LikelihoodEngine, LogLikelihood
    from hf_rap.rows.layouts import Layout


@dataclass(frozen=True)
class Likelihood(PromptedCollector):
    r"""Adds how probable the gold answer is to the model: `ds.map(Likelihood(engine), batched=True)`.

    One forward pass per arm and spelling of the gold (most have one); nothing is generated. The answer
    stands where an answer without any thinking would: prompt, `lead`, gold, `tail`. Counted are the
    tokens of gold and tail, so that 1 is not the beginning of 12; the lead is given, not counted.

    A model that reasons puts its answer after words of its own, and those words are where it reads
    the picture. They are not there yet before a rollout, so this asks what the model would answer at
    once: a row that only becomes solvable by reasoning looks as if its image did not help.
    `docs/likelihood.md` says how far that goes.

    Args:
        engine: `TransformersEngine`, `VLLMEngine`, or `EndpointEngine` with a vLLM server.
        lead: text of the reply before the gold. A model whose chat template opens the thinking itself
            needs a lead that closes it first.
        tail: text that ends the answer.
        prompt: what stands around the question, as in `Rollouts`.
        layout: which column is what; None recognises the layout from the column names.
        instruction: the old name of `prompt=PromptTemplate(suffix=...)`.

    Reads:
        the columns of the layout.

    Writes:
        - `rap_gold_spellings`: the ways to write the gold (`hf_rap.verify.spellings`).
        - `rap_image_gold_logprobs`, `rap_text_gold_logprobs`: one per spelling, natural logarithm, at
          temperature 1; null where it is not known. The whole list is null for a row that cannot be
          asked.
        - `rap_gold_tokens`: tokens that were counted, per spelling.
        - `rap_likelihood_error`: "code: message", codes of `rap_error` and of
          `hf_rap.columns.LIKELIHOOD_ERROR_CODES`. A row without an image is not asked.
        - `rap_likelihood_settings`: JSON, what could change it.

    Raises:
        SettingError: the engine cannot tell likelihoods. Of servers those of vLLM can.
        LayoutError: the layout is not recognised, or a column is missing.
        ColumnExistsError: the dataset has these columns already.
        EngineError: the model cannot be loaded.

    Source:
        ours; arXiv 2506.04755 samples replies only.
    """

    kind: ClassVar[str] = "likelihood"

    engine: LikelihoodEngine
    lead: str = ANSWER_LEAD
    tail: str = ANSWER_TAIL
    prompt: PromptTemplate | str = PRESETS["at-once"].template
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    version: str = "1"  # part of the cache key of `map`: raise it when the same input can give other numbers

    instruction: InitVar[str | None] = None

    def __post_init__(self, instruction: str | None) -> None:
        self.check_given()
        self.take_prompt(prompt_or_instruction(self.prompt, instruction))
        for name in ("lead", "tail"):
            check_text(name, getattr(self, name))
        if not hasattr(self.engine, "log_likelihoods"):
            raise SettingError(
                f"{type(self.engine).__name__} cannot tell how likely an answer is; a local model can: "
                "Likelihood(TransformersEngine(model))."
            )

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        return columns.LIKELIHOOD_EVIDENCE

    @warnings_stay_warnings()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        layout = self.check_batch(batch)
        rows = [_Row.of(row) for row in read_rows(raw_rows(batch, layout), layout, Grading())]
        spots = [(row, arm, place) for row in rows for arm in columns.ARMS for place in range(len(row.spellings))]
        replies = [self._reply(row, arm, row.spellings[place]) for row, arm, place in spots]
        answers = log_likelihoods(self.engine, replies)
        for (row, arm, place), answer in zip(spots, answers, strict=True):
            row.take(arm, place, answer)
        settings = json.dumps(self.settings(), sort_keys=True) if spots else None
        return columns.typed(
            {
                columns.GOLD_SPELLINGS: [row.spellings or None for row in rows],
                columns.IMAGE_GOLD_LOGPROBS: [row.logprobs.get("image") for row in rows],
                columns.TEXT_GOLD_LOGPROBS: [row.logprobs.get("text") for row in rows],
                columns.GOLD_TOKENS: [row.tokens or None for row in rows],
                columns.LIKELIHOOD_ERROR: [cell_of(row.error) for row in rows],
                columns.LIKELIHOOD_SETTINGS: [settings if row.spellings else None for row in rows],
            }
        )

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row, and what is only written down."""
        return self.noted(
            {
                **describe(self.engine),
                **self._prompt.settings(),
                **(self.layout.settings if self.layout else {}),
                "lead": self.lead,
                "tail": self.tail,
                "verifier": VERIFIER_VERSION,
                "likelihood": self.version,
            }
        )

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row its error; a row without an image is what it is."""
        return super().failures({columns.ERROR.name: evidence[columns.LIKELIHOOD_ERROR.name]})

    def _reply(self, row: _Row, arm: str, spelling: str) -> Reply:
        asked_row = row.asked_row
        assert asked_row.question is not None
        request = self.request_of(
            asked_row.id, asked_row.question, arm, with_images=arm == "image", attempts=1, prefix=self.lead
        )
        return Reply(request, spelling + self.tail)


@dataclass
class _Row:
    """One row on its way to its likelihoods; the lists have one entry per spelling."""

    asked_row: AskedRow
    spellings: list[str]
    logprobs: dict[str, list[float | None]]
    tokens: list[int | None]
    error: RowError | None

    @classmethod
    def of(cls, row: AskedRow) -> _Row:
        """Nothing is asked of a row that has an error: no image, no readable gold, ..."""
        if row.error is not None or row.question is None:
            return cls(row, [], {}, [], row.error)
        ways = spellings(row.question.answer)
        return cls(row, ways, {arm: [None] * len(ways) for arm in columns.ARMS}, [None] * len(ways), None)

    def take(self, arm: str, place: int, answer: LogLikelihood | RowError) -> None:
        """Note what the engine said; of several errors the first is told."""
        if isinstance(answer, RowError):
            self.error = self.error or answer
        else:
            self.logprobs[arm][place], self.tokens[place] = answer.logprob, answer.tokens
