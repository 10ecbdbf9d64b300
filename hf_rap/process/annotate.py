"""Step scores: continue a response from the end of each of its steps, and grade where that leads."""

from __future__ import annotations

import json
from dataclasses import InitVar, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap.columns import (
    ERROR,
    EVIDENCE_NAMES,
    ID,
    IMAGE_RESPONSES,
    SETTINGS,
    STEPS,
    Column,
    refuse_existing,
    require,
    typed,
)
from hf_rap.engines.asking import ask, describe
from hf_rap.engines.base import Completion, Engine, Request, Sampling
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import EngineError, MissingColumnError, RowError, cell_of, warnings_stay_warnings
from hf_rap.evidence.collector import PromptedCollector, collect_evidence
from hf_rap.evidence.rollouts import lightened
from hf_rap.options import check, check_flags, check_text, check_whole
from hf_rap.rows.compat import hash_of
from hf_rap.rows.presets import prompt_or_instruction
from hf_rap.rows.prompts import DEFAULT_PROMPT, PromptTemplate
from hf_rap.rows.questions import Question, raw_rows, read_question, row_id
from hf_rap.tables import whole_dataset
from hf_rap.verify import VERIFIER_VERSION, Gold, judge_each, read_gold

from .steps import prefixes, split_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import datasets

    from hf_rap.rows.layouts import Layout

ROWS_AT_ONCE = 16  # each is some steps times 16 continuations


@dataclass(frozen=True)
class StepRewards(PromptedCollector):
    """Appends `steps_with_score` to rows with a response: `ds.map(StepRewards(engine), batched=True)`.

    A response is split into steps; from the end of every step the model continues it
    `continuations` times, on the same question and images. The score of the step is the share of
    the judged continuations that reach the gold answer. A row that cannot be used gets null steps
    and a `rap_error`; it never stops the run.

    Args:
        engine: the model that continues; it has to take a `Request.prefix`. `TransformersEngine` does, and
            `EndpointEngine` with a server that goes on with a reply (vLLM and SGLang do).
        continuations: per step, N in the paper (16 there).
        response: the column of the response.
        split: response -> its steps, each a part of the response; by default `split_steps`.
        early_stop: from the first step without any success on, later steps are 0 without sampling
            (their `num_mc_total` is 0). Asks step after step, so the steps of a response share no cache.
        temperature: how freely replies are drawn, see `hf_rap.engines.base.Sampling`; 0 takes the likeliest token.
        top_p: the share of probability that tokens are drawn from, likewise.
        top_k: so many of the likeliest tokens are drawn from; 0 is all.
        max_new_tokens: a reply that has not ended by then is cut off.
        seed: with the row it names the random numbers: the same row gets the same continuations whatever the batch.
        prompt: what stands around the question, as the response was asked for, see `hf_rap.Rollouts`.
        layout: which column is question, images and answer; None recognises it.
        instruction: the old name of `prompt=PromptTemplate(suffix=...)`.

    Reads:
        the columns of the layout, and `response`.

    Writes:
        - `steps_with_score`: per step text, score, num_mc_correct, and num_mc_total: judged continuations.
        - `rap_id`: the row's id and a hash of the response. rap_error, rap_settings: as in `Rollouts`.

    Raises:
        SettingError: an option is out of its range.
        EngineError: the engine, or the server behind it, cannot continue a reply, or the model cannot be loaded.
        MissingColumnError, ColumnExistsError: the columns do not fit.

    Source:
        VisualPRM, arXiv 2503.10291: 16 continuations, a step is right when one of them is.

    """

    kind: ClassVar[str] = "step scores"

    engine: Engine
    continuations: int = 16
    response: str = field(default="response", metadata=ONLY_IN_MAP)
    split: Callable[[str], list[str]] = split_steps
    early_stop: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 1024
    seed: int = 0
    prompt: PromptTemplate | str = DEFAULT_PROMPT
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    version: str = "1"  # part of the cache key of `map`: raise it when the same input can give other scores
    verifier_version: str = field(default=VERIFIER_VERSION, init=True, repr=False)
    instruction: InitVar[str | None] = None

    def __post_init__(self, instruction: str | None) -> None:
        self.check_given()
        self.take_prompt(prompt_or_instruction(self.prompt, instruction))
        check_whole("continuations", self.continuations, least=1)
        check_text("response", self.response, empty=False)
        check(callable(self.split), "split", self.split, "a function from a response to its steps")
        check_flags(early_stop=self.early_stop)
        if not getattr(self.engine, "continues", False):
            raise EngineError(f"{type(self.engine).__name__} cannot continue a reply, which step scores need.")
        self._sampling()

    @property
    def writes(self) -> tuple[Column, ...]:
        """The columns that are added."""
        return (ID, STEPS, ERROR, SETTINGS)

    @property
    def rows_at_once(self) -> int:
        """Rows to hand over together."""
        return ROWS_AT_ONCE

    def reads(self, available: Iterable[str]) -> tuple[str, ...]:
        """The column of the response."""
        available = tuple(available)
        if self.response not in available:
            raise MissingColumnError("StepRewards", self.response, available, "Name it: StepRewards(response=...).")
        return (self.response,)

    def row_id(self, row: Mapping[str, Any], layout: Layout) -> str:
        """The id of the question's row and a hash of the response."""
        return id_of_response(row_id(row, layout), _text(row[self.response]))

    @warnings_stay_warnings()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Step scores for the rows of `batch`, as new columns."""
        rows = self.begin(batch)
        while questions := [
            (row, number, request) for row in rows for number, (request, _) in self.requests(row).items()
        ]:
            answers = ask(self.engine, [request for *_, request in questions], self._sampling())
            for (row, number, _), answer in zip(questions, answers, strict=True):
                row.take(number, answer)
        return self.end(rows)

    @property
    def streams(self) -> bool:
        """Wherever the engine does."""
        return self._can_stream()

    @warnings_stay_warnings()
    def begin(self, batch: Mapping[str, Any]) -> list[_Row]:
        """The rows of `batch`, their responses split."""
        layout = self.check_batch(batch)
        raw = zip(raw_rows(batch, layout), batch[self.response], strict=True)
        return [self._read({**row, self.response: response}, layout) for row, response in raw]

    def requests(self, row: _Row) -> dict[int, tuple[Request, Sampling]]:
        """Which steps the model is to continue next: all of them, or one after the other."""
        left = range(row.begun, 0 if row.error is not None else len(row.prefixes))
        steps = left if not self.early_stop else left[: 0 if row.is_lost else 1]
        row.begun += len(steps)
        return {number: (self._request(row, number), self._sampling()) for number in steps}

    @warnings_stay_warnings()
    def end(self, rows: list[_Row]) -> dict[str, list[Any]]:
        """Step scores for rows that have taken their answers, as columns."""
        settings = json.dumps(self.settings(), sort_keys=True) if any(row.prefixes for row in rows) else None
        return typed(
            {
                ID: [row.id for row in rows],
                STEPS: [row.steps_with_score() for row in rows],
                ERROR: [cell_of(row.error) for row in rows],
                SETTINGS: [settings if row.prefixes else None for row in rows],
            }
        )

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the scores of a row, and what is only written down."""
        return self.noted(
            {
                **describe(self.engine),
                **self._sampling().as_dict(),
                "continuations": self.continuations,
                **_named(self.split),
                "early_stop": self.early_stop,
                **self._prompt.settings(),
                **(self.layout.settings if self.layout else {}),
                "verifier": self.verifier_version,
                "step_rewards": self.version,
            }
        )

    def _sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens, self.seed)

    def _read(self, raw: Mapping[str, Any], layout: Layout) -> _Row:
        text = _text(raw[self.response])
        row = _Row(self.row_id(raw, layout))
        try:
            question = lightened(read_question(raw, layout), getattr(self.engine, "lighten", None))
            row.gold = read_gold(question.answer, question=question.text, options=question.options or None)
            steps = self.split(text)
            row.prefixes = prefixes(text, steps)
            row.steps, row.question = steps, question
        except RowError as error:
            row.error = error
        return row

    def _request(self, row: _Row, number: int) -> Request:
        assert row.question is not None
        times = {"attempts": self.continuations, "prefix": row.prefixes[number]}
        with_images = bool(row.question.images)
        return self.request_of(row.id, row.question, f"step {number}", with_images=with_images, **times)


def annotate_steps(ds: datasets.Dataset, rewards: StepRewards) -> datasets.Dataset:
    """The dataset with the columns of `rewards` added: see `hf_rap.collect_evidence`.

    Args:
        ds: rows with a `response` each, as `one_row_per_response` makes them.
        rewards: what scores the steps, `StepRewards(engine)`.

    """
    ds = whole_dataset("annotate_steps", ds)
    check(isinstance(rewards, StepRewards), "rewards", rewards, "StepRewards(engine)")
    return collect_evidence(ds, rewards)


def one_row_per_response(evidence: datasets.Dataset, *, column: str = "response") -> datasets.Dataset:
    """The replies with the image that `Rollouts` collected, one row each in a new column.

    Evidence columns are left out, so that step scores find their own; rows without replies vanish.
    """
    evidence = whole_dataset("one_row_per_response", evidence)
    check_text("column", column, empty=False)
    require("one_row_per_response", evidence.column_names, [IMAGE_RESPONSES])
    refuse_existing("one_row_per_response", evidence.column_names, [Column(column, "", "")])
    replies = evidence.with_format(None)[IMAGE_RESPONSES.name][:]
    rows = [(index, reply) for index, responses in enumerate(replies) for reply in responses or () if reply is not None]
    plain = evidence.remove_columns([name for name in evidence.column_names if name in EVIDENCE_NAMES])
    return plain.select([index for index, _ in rows]).flatten_indices().add_column(column, [reply for _, reply in rows])


def id_of_response(row: str, response: str) -> str:
    """The `rap_id` of a response to the question of this row."""
    return f"{row}-{blake2b(response.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def _named(split: Callable[[str], list[str]]) -> dict[str, str]:
    """What tells one way to split from another: where it is imported from, or a hash where it has no such place."""
    module, name = getattr(split, "__module__", ""), getattr(split, "__qualname__", None)
    if name is None or "<" in name or module == "__main__":
        module = hash_of(split) or repr(split)
    return {"split": name or type(split).__name__, "split_from": module}


def _text(response: Any) -> str:
    return response if isinstance(response, str) else ""


@dataclass
class _Row:
    """One rollout on its way to its step scores."""

    id: str
    question: Question | None = None
    gold: Gold | None = None
    error: RowError | None = None
    steps: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)  # step -> (correct, judged)
    begun: int = 0  # steps that the model was asked to continue
    tokens: int = 0

    @property
    def is_lost(self) -> bool:
        """Some step has no success, or could not be judged."""
        return self.error is not None or any(correct == 0 for correct, _ in self.counts.values())

    def take(self, number: int, answer: Sequence[Completion] | RowError) -> None:
        """Count the right ones among the continuations of a step."""
        assert self.question is not None
        if isinstance(answer, RowError):
            self.error = self.error or answer
            return
        replies = ((self.prefixes[number] + reply.text, reply.truncated) for reply in answer)
        judged = judge_each(replies, self.gold, question=self.question.text, options=self.question.options or None)
        rewards = [judgement.reward for judgement in judged if judgement.reward is not None]
        if not rewards:
            message = f"none of {len(answer)} continuations of step {number + 1} could be graded: {judged[0].reason}"
            self.error = self.error or RowError("not_judged", message)
        self.counts[number] = (int(sum(rewards)), len(rewards))

    def drop_pictures(self) -> None:
        """All its steps are judged."""
        self.question = None

    def steps_with_score(self) -> list[dict[str, Any]] | None:
        """The column; null where some step has no score. Steps that early stopping skipped count 0 of 0."""
        if self.error is not None:
            return None
        steps = []
        for number, step in enumerate(self.steps):
            correct, judged = self.counts.get(number, (0, 0))
            score = correct / judged if judged else 0.0
            steps.append({"step": step, "score": score, "num_mc_correct": correct, "num_mc_total": judged})
        return steps
