"""Evidence: ask the model every question with and without its images, and grade the replies."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import InitVar, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hf_rap import columns
from hf_rap.engines.asking import ask, describe
from hf_rap.engines.base import Completion, Engine, Request, Sampling
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import EngineError, RowError, cell_of, warnings_stay_warnings
from hf_rap.options import check_choice, check_flags, check_whole
from hf_rap.rows.crowding import CrowdedError, held_together
from hf_rap.rows.presets import prompt_or_instruction
from hf_rap.rows.prompts import DEFAULT_PROMPT, PromptTemplate
from hf_rap.rows.questions import Question, raw_rows, read_question, row_id
from hf_rap.rows.settling import settle_batch
from hf_rap.stats.cut import describe_cut, shares_cut
from hf_rap.stats.equal import count_equal, describe_equal
from hf_rap.stats.settings import CORRECT, settings_in

from .attempts import OF_ARM, count_tokens, each_of, formatted, join_attempts, tokens_of, ungraded
from .attention import attend_rows, attention_settings, check_engine
from .collector import PromptedCollector
from .going_on import GoingOn, go_on
from .grading import Grade, Grading, Replies
from .psi import WINDOW
from .regrade import ROLLOUTS, regraded, settings_with
from .state_columns import DEPTHS, check_tells, size_of_states, state_columns, states_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self

    import datasets
    from PIL.Image import Image

    from hf_rap.engines.base import AttentionEngine
    from hf_rap.rows.layouts import Layout


_OPENERS = min(8, os.cpu_count() or 8)  # threads that open pictures


@dataclass(frozen=True)
class Rollouts(PromptedCollector):
    """Collects evidence for a batch of rows: `ds.map(Rollouts(engine), batched=True)`.

    Every question is asked `attempts` times with its images and `attempts` times on its text alone.
    A row that cannot be used gets a `rap_error` and nulls; it never stops the run. A gold answer
    that the built-in verifier cannot read is found before the model is asked.

    Args:
        engine: the model that answers.
        verifier: who grades the replies; None is the built-in one, which takes golds with a short final answer. Any
            callable (reply, gold, question) that gives a number in [0, 1] or None, or a batched or asynchronous one: see
            `hf_rap.evidence.grading`, and docs/graders.md for examples. What it cannot grade is null, with its reason.
        correct: the reward from which on a reply counts as solved, in all scores.
        cut: what a reply that hit the token limit counts as: "wrong"; "unknown", null; or "graded", on what is there.
        attempts: replies per row and arm, M in the paper (5 there).
        first_attempt: number of the first of them: attempts 5 to 7 are `first_attempt=5, attempts=3`,
            and the same as the last three of `attempts=8`.
        arm: ask only "image" or only "text"; the columns of the other are null. None asks both.
        temperature: how freely replies are drawn, see `hf_rap.engines.base.Sampling`; 0 takes the likeliest token.
        top_p: the share of probability that tokens are drawn from, likewise.
        top_k: so many of the likeliest tokens are drawn from; 0 is all.
        max_new_tokens: a reply that has not ended by then is cut off.
        seed: with the row it names the random numbers: the same row gets the same replies whatever the batch size,
            order or number of processes, and rows with the same id get the same replies.
        prompt: what stands around the question: a `PromptTemplate`, the name of a preset (docs/prompts.md), or a file.
        layout: which column is what; None recognises the layout from the column names.
        attention: also note where the model looked, as `hf_rap.Attention` does: the prompt with the
            image and every reply to it are read once more.
        keep_ids: also store the tokens of every reply as the model wrote them, so that a second pass (`hf_rap.Attention`)
            reads the same ones: text that is cut anew may give others, and loses what is a control token.
        states: also note what the model holds of each prompt before it answers, as `hf_rap.PromptStates` does, from the pass
            over the prompt that is made anyway.
        instruction: the old name of `prompt=PromptTemplate(suffix=...)`.

    Reads:
        the columns of the layout.

    Writes:
        the evidence columns of `hf_rap.columns.EVIDENCE`, with states those of `PromptStates`, and with attention those of `Attention`. A reply is stored as
        the model wrote it, without the tokens that end it and white space at its ends: `<think>` stays where it is a
        control token. With keep_ids rap_image_token_ids and rap_text_token_ids.
        A row without an image is asked on its text alone: its image columns are null and
        `rap_error` says "no_image".

    Raises:
        SettingError: attempts below 1, a sampling option out of its range, a verifier that cannot be called so, or an engine
            that tells no states for states=True (servers and vLLM do not).
        LayoutError: the layout is not recognised, or a column is missing.
        ColumnExistsError: the dataset has evidence already.
        EngineError: the model cannot be loaded, or fails on every row; or it tells no token ids for keep_ids.

    Source:
        arXiv 2506.04755, section on the causal discrepancy estimator: M = 5, temperature 1.0.

    Examples:
        >>> from hf_rap import Completion
        >>> from hf_rap.demo import make_planted
        >>> class Parrot:
        ...     def complete(self, requests, sampling):
        ...         return [[Completion("red", 3, False)] * request.attempts for request in requests]
        ...
        ...     def describe(self):
        ...         return {"engine": "parrot"}
        >>> evidence = make_planted(6).map(Rollouts(Parrot(), attempts=2), batched=True)
        >>> evidence["rap_text_rewards"][:]
        [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], None, [0.0, 0.0]]

    """

    kind: ClassVar[str] = "rollouts"
    tops_up: ClassVar[bool] = True
    separate_arms: ClassVar[tuple[str, ...]] = columns.ARMS

    engine: Engine
    attempts: int = field(default=5, metadata=ONLY_IN_MAP)
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = field(default=1024, metadata=ONLY_IN_MAP)
    seed: int = 0
    prompt: PromptTemplate | str = DEFAULT_PROMPT
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    attention: bool = False
    first_attempt: int = field(default=0, metadata=ONLY_IN_MAP)
    arm: str | None = field(default=None, metadata=ONLY_IN_MAP)
    keep_ids: bool = False
    states: bool = False
    verifier: Any = field(default=None, metadata=ONLY_IN_MAP)
    correct: float = field(default=CORRECT, metadata=ONLY_IN_MAP)
    cut: str = field(default="wrong", metadata=ONLY_IN_MAP)
    version: str = "1"  # part of the cache key of `map`: raise it when the same input can give other evidence
    # `map` has grades and replies in one. Runs know them apart, see `grading`.
    verifier_version: str = field(init=False, repr=False, metadata=ONLY_IN_MAP)
    instruction: InitVar[str | None] = None

    def __post_init__(self, instruction: str | None) -> None:
        self.check_given()
        self.take_prompt(prompt_or_instruction(self.prompt, instruction))
        check_whole("attempts", self.attempts, least=1)
        check_whole("first_attempt", self.first_attempt, least=0)
        check_choice("arm", self.arm, columns.ARMS, none=True)
        check_flags(attention=self.attention, keep_ids=self.keep_ids, states=self.states)
        if self.states:
            check_tells(self.engine)
        self._sampling()
        object.__setattr__(self, "verifier_version", self.grading.version)
        if self.attention:
            check_engine(self.engine, WINDOW)

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        ids = columns.TOKEN_IDS.values() if self.keep_ids else ()
        states = columns.STATES_EVIDENCE if self.states else ()
        return (*columns.EVIDENCE, *ids, *states, *(columns.ATTENTION_EVIDENCE if self.attention else ()))

    @property
    def stored(self) -> tuple[columns.Column, ...]:
        """What a run keeps: all but what follows from the replies at once."""
        return tuple(column for column in self.writes if column not in columns.FORMATTED.values())

    @property
    def grading(self) -> Grading:
        """How replies are graded."""
        return Grading(self.verifier, self.cut, self.correct)

    @property
    def reply_tokens(self) -> int:
        """Tokens that a reply may have."""
        return self.max_new_tokens

    @property
    def goal(self) -> int:
        """Attempts that a row is to have."""
        return self.attempts

    @warnings_stay_warnings()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        rows = self.begin(batch)
        asked = [(row, arm, request) for row in rows for arm, (request, _) in self.requests(row).items()]
        answers = ask(self.engine, [request for _, _, request in asked], self._sampling())
        for (row, arm, _), answer in zip(asked, answers, strict=True):
            row.take(arm, answer)
        return self.end(rows)

    @property
    def streams(self) -> bool:
        """Not where replies are read again at once."""
        return self._can_stream() and not self.attention

    @warnings_stay_warnings()
    def begin(self, batch: Mapping[str, Any]) -> list[AskedRow]:
        """The rows of `batch`, their questions read."""
        layout = self.check_batch(batch)
        return read_rows(raw_rows(batch, layout), layout, self.grading, getattr(self.engine, "lighten", None))

    def requests(self, row: AskedRow) -> dict[str, tuple[Request, Sampling]]:
        """What the model is to be asked for a row, by arm; once."""
        arms = () if row.is_asked else row.arms
        row.is_asked = True
        return {arm: (self._request(row, arm), self._sampling()) for arm in arms if self.arm in (None, arm)}

    @warnings_stay_warnings()
    def end(self, rows: list[AskedRow]) -> dict[str, list[Any]]:
        """Evidence for rows that have taken their answers, as columns; grades them."""
        states = self._states(rows) if self.states else {}  # before grades, whose errors are not theirs
        grade_rows(rows, self.grading)
        ids = {column: self._token_ids(rows, arm) for arm, column in columns.TOKEN_IDS.items()} if self.keep_ids else {}
        settings = json.dumps(self.settings(), sort_keys=True) if any(row.attempts for row in rows) else None
        evidence: dict[columns.Column, list[Any]] = {
            columns.ID: [row.id for row in rows],
            **{column: values for arm in columns.ARMS for column, values in graded(rows, arm).items()},
            **{
                column: formatted(
                    each_of([row.attempts.get(arm) for row in rows], lambda attempt: attempt.text), self._prompt
                )
                for arm, column in columns.FORMATTED.items()
            },
            columns.IMAGE_PROMPT_TOKENS: [row.image_prompt_tokens for row in rows],
            columns.ERROR: [cell_of(row.error) for row in rows],
            columns.SETTINGS: [settings if row.attempts else None for row in rows],
            **ids,
            **states,
            **(self._attention(rows, ids.get(columns.IMAGE_TOKEN_IDS)) if self.attention else {}),
        }
        return columns.typed({column: evidence[column] for column in self.writes})

    def attempts_in(self, arm: str | None) -> int:
        """Attempts that a row is to have in an arm: none in one that is not asked."""
        return self.attempts if self.arm in (None, arm) else 0

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row, and what is only written down."""
        return self.noted(
            {
                **describe(self.engine),
                **self._sampling().as_dict(),
                **self.grading.settings(),
                **self._prompt.settings(),
                **(self.layout.settings if self.layout else {}),
                "rollouts": self.version,
            }
        )

    def remark_before(self, rows: int) -> str | None:
        """How much room states take."""
        return size_of_states(self.engine, rows, DEPTHS) if self.states else None

    def only(self, first: int, attempts: int, arm: str | None = None) -> Self:
        """The same for these attempts alone, of one arm or of both."""
        return replace(self, first_attempt=first, attempts=attempts, arm=arm)

    def join(
        self, pieces: Mapping[Any, Sequence[tuple[range, Mapping[str, Any]]]], attempts: Mapping[Any, int]
    ) -> dict[str, Any]:
        """One row of evidence from those of its attempts.

        `rap_settings` names the grader of now, and of several token limits the smallest.
        """
        row = join_attempts(pieces, attempts)
        for arm in columns.ARMS:
            if self.arm not in (None, arm):  # null, as without a run: an empty list is an arm that its row could spare
                row.update({column.name: None for column in OF_ARM[arm] if column.name in row})
        settings = [piece[columns.SETTINGS.name] for of_arm in pieces.values() for _, piece in of_arm]
        limits = [settings_in(text).get("max_new_tokens") or 0 for text in dict.fromkeys(settings) if text is not None]
        if limits:
            here = {**self.grading.settings(), "max_new_tokens": min(limits)}
            row[columns.SETTINGS.name] = settings_with(row[columns.SETTINGS.name], here)
        for arm, column in columns.FORMATTED.items():
            (row[column.name],) = formatted([row[columns.ARM_COLUMNS[arm].responses.name]], self._prompt)
        return row

    def regrade(self, batch: Mapping[str, Any], evidence: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The stored evidence of the rows of `batch` with new grades."""
        layout = settle_batch(self.layout, batch)
        return {**evidence, **regraded(raw_rows(batch, layout), layout, evidence, [ROLLOUTS], self.grading)}

    def go_on(
        self, batch: Mapping[str, Any], evidence: Mapping[str, Sequence[Any]], places: Sequence[tuple[int, int]]
    ) -> tuple[dict[str, Any], list[str | None]]:
        """The stored evidence of the rows of `batch`, where replies that were cut off have gone on."""
        rows = len(places)
        try:
            with held_together(one_row=rows < 2):
                states = self.begin_again(batch, evidence, places)
                go_on(self.engine, states, self._sampling())
                return self.end_again(states)
        except CrowdedError:
            pass
        joined: dict[str, list[Any]] = {}
        failures: list[str | None] = []
        for part in (slice((rows + 1) // 2), slice((rows + 1) // 2, rows)):
            cells, held = ({name: values[part] for name, values in of.items()} for of in (batch, evidence))
            made, of_part = self.go_on(cells, held, places[part])
            for name, values in made.items():
                joined.setdefault(name, []).extend(values)
            failures += of_part
        return joined, failures

    @warnings_stay_warnings()
    def begin_again(
        self, batch: Mapping[str, Any], evidence: Mapping[str, Sequence[Any]], places: Sequence[tuple[int, int]]
    ) -> list[GoingOn]:
        """The rows of `batch` with their stored evidence, and which of their replies are to go on; arguments as of `go_on`."""
        layout = settle_batch(self.layout, batch)
        raws = raw_rows(batch, layout)
        rows = read_rows(raws, layout, self.grading, getattr(self.engine, "lighten", None))
        cells = ({name: values[place] for name, values in evidence.items()} for place in range(len(rows)))

        def one_of(row: AskedRow, arm: str, number: int) -> Request | RowError:
            if row.question is None:
                assert row.error is not None
                return row.error
            return replace(self._request(row, arm), attempts=1, first=number)

        return [
            GoingOn.of(raw, layout, of_row, place, partial(one_of, row))
            for raw, row, of_row, place in zip(raws, rows, cells, places, strict=True)
        ]

    def requests_again(self, row: GoingOn) -> dict[tuple[str, int], tuple[Request, Sampling]]:
        """What the model is to be asked for the replies of a row to go on; once."""
        return row.by_prefix(self._sampling())

    @warnings_stay_warnings()
    def end_again(self, rows: list[GoingOn]) -> tuple[dict[str, Any], list[str | None]]:
        """Evidence of rows whose replies have gone on, graded anew, and of each why one of its replies could not go on."""
        new: dict[str, Any] = {name: [row.evidence[name] for row in rows] for name in rows[0].evidence}
        limit = {"max_new_tokens": self.max_new_tokens}
        new[columns.SETTINGS.name] = [settings_with(text, limit) for text in new[columns.SETTINGS.name]]
        spots = [(place, arm, number) for place, row in enumerate(rows) for arm, number in row.went_on]
        for place, arm, number in spots if self.keep_ids else ():  # the stored ones are of the reply that was cut off
            new[columns.TOKEN_IDS[arm].name][place][number] = None
        new |= regraded([row.raw for row in rows], rows[0].layout, new, [ROLLOUTS], self.grading)
        if self.attention:
            self._read_again(rows, spots, new)
        return new, [row.failure for row in rows]

    def _read_again(
        self, rows: Sequence[GoingOn], spots: Sequence[tuple[int, str, int]], evidence: Mapping[str, list[Any]]
    ) -> None:
        """Attention of the image arm's replies that have gone on, in the place of what it was."""
        texts: list[list[str | None] | None] = [None] * len(rows)
        for place, arm, number in spots:
            if arm == "image":
                replies = evidence[columns.IMAGE_RESPONSES.name][place]
                texts[place] = texts[place] or [None] * len(replies)
                texts[place][number] = replies[number]  # type: ignore[index]
        cells = attend_rows(
            cast("AttentionEngine", self.engine),
            [None if of_row is None else row.request_of("image", 0) for row, of_row in zip(rows, texts, strict=True)],
            texts,
            evidence[columns.IMAGE_PROMPT_TOKENS.name],
            [None] * len(rows),
            window=WINDOW,
        )
        for place, entries in enumerate(cells):
            for number, entry in enumerate(entries or ()):
                if entry is not None:
                    evidence[columns.ATTENTION.name][place][number] = entry

    def remarks(self, ds: datasets.Dataset) -> list[str]:
        """Many replies were cut off, or the replies of many rows are all the same."""
        remarks = (describe_cut(shares_cut(ds)), describe_equal(count_equal(ds)))
        return [remark for remark in remarks if remark is not None]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int:
        """Tokens generated for these rows; about so many where the engine has not counted them."""
        of_arms = [columns.ARM_COLUMNS[arm] for arm in columns.ARMS]
        return count_tokens((evidence[each.tokens.name], evidence[each.responses.name]) for each in of_arms)

    def _token_ids(self, rows: list[AskedRow], arm: str) -> list[list[Any] | None]:
        """The tokens of the replies of one arm; an engine that tells none of them is found out before hours have passed."""
        attempts = [row.attempts.get(arm) for row in rows]
        ids = each_of(attempts, lambda attempt: attempt.token_ids and list(attempt.token_ids))
        token_lists = [tokens for row in ids for tokens in row or ()]
        if token_lists and not any(token_lists):
            raise EngineError(
                f"keep_ids=True asks for the tokens of the replies, and {type(self.engine).__name__} tells none. Leave it "
                "out; or have the server tell them: vLLM does with "
                'extra_body={"return_token_ids": True, "skip_special_tokens": False}.'
            )
        return ids

    def _states(self, rows: list[AskedRow]) -> dict[columns.Column, list[Any]]:
        """What the model held of the prompts; of the first attempts, and null with later ones."""
        if self.first_attempt:
            return {column: [None] * len(rows) for column in columns.STATES_EVIDENCE}
        arms = {
            arm: [next((reply.states for reply in row.attempts.get(arm, ())), None) for row in rows]
            for arm in columns.ARMS
        }
        some = any(states is not None for of_arm in arms.values() for states in of_arm)
        settings = (
            json.dumps(states_settings(self.engine, self._prompt, self.layout, DEPTHS), sort_keys=True)
            if some
            else None
        )
        return state_columns(arms, [row.error for row in rows], settings)

    def _attention(self, rows: list[AskedRow], ids: list[Any] | None) -> dict[columns.Column, list[Any]]:
        """The replies with the image read again; images are still open, unlike in a second pass."""
        read = ["image" in row.attempts for row in rows]
        cells = attend_rows(
            cast("AttentionEngine", self.engine),  # check_engine has seen that it is one
            [self._request(row, "image") if reads else None for row, reads in zip(rows, read, strict=True)],
            each_of([row.attempts.get("image") for row in rows], lambda attempt: attempt.text),
            [row.image_prompt_tokens for row in rows],
            ids or [None] * len(rows),
            window=WINDOW,
        )
        settings = attention_settings(describe(self.engine), self._prompt, WINDOW) if any(read) else None
        return {columns.ATTENTION: cells, columns.ATTENTION_SETTINGS: [settings if reads else None for reads in read]}

    def _sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens, self.seed)

    def _request(self, row: AskedRow, arm: str) -> Request:
        assert row.question is not None
        times: dict[str, Any] = {"attempts": self.attempts, "first": self.first_attempt}
        if self.states and not self.first_attempt:
            times["depths"] = DEPTHS
        return self.request_of(row.id, row.question, arm, with_images=arm == "image", **times)


@dataclass
class AskedRow:
    """One row on its way from the dataset to its evidence; lists have one entry per attempt of an arm."""

    id: str
    question: Question | None = None
    gold: Any = None
    has_gold: bool = False  # one that the verifier can read
    error: RowError | None = None
    attempts: dict[str, Sequence[Completion]] = field(default_factory=dict)
    grades: dict[str, list[Grade]] = field(default_factory=dict)
    is_asked: bool = False

    @property
    def tokens(self) -> int:
        """Of all replies; about so many where nobody has counted them."""
        return tokens_of(reply for replies in self.attempts.values() for reply in replies)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that can be asked: none without a readable gold, text alone without an image."""
        if self.question is None or not self.has_gold:
            return ()
        return columns.ARMS if self.question.images else ("text",)

    @property
    def image_prompt_tokens(self) -> int | None:
        """Tokens of the prompt with the image, if it was asked and the engine says so."""
        return next((attempt.prompt_tokens for attempt in self.attempts.get("image", ())), None)

    def take(self, arm: str, answer: Sequence[Completion] | RowError) -> None:
        """Note what the model said in one arm; `grade_rows` grades it."""
        if isinstance(answer, RowError):
            self.error = answer
            return
        self.attempts[arm] = answer

    def drop_pictures(self) -> None:
        """It has been asked: what waits for its grades need not hold them."""
        if self.question is not None:
            self.question = replace(self.question, images=(), files=())


def read_rows(
    raws: Sequence[Mapping[str, Any]],
    layout: Layout,
    grading: Grading,
    lighten: Callable[[Image, bytes | None], tuple[Image, bytes]] | None = None,
) -> list[AskedRow]:
    """Rows of `raw_rows`, each with its error where it cannot be asked, or not with an image.

    Pictures are opened by several threads: while one is decoded, Python runs the others. `lighten` is an engine's, for
    engines that send on files.
    """

    def question_of(raw: Mapping[str, Any]) -> Question | RowError:
        try:
            with nullcontext() if lighten is None else held_together(one_row=True):
                return lightened(read_question(raw, layout), lighten)
        except RowError as error:
            return error

    with ThreadPoolExecutor(_OPENERS) as threads:
        contexts = [copy_context() for _ in raws]
        questions = list(threads.map(lambda context, raw: context.run(question_of, raw), contexts, raws))
    return [
        AskedRow(row_id(raw, layout), error=question)
        if isinstance(question, RowError)
        else _with_gold(AskedRow(question.id, question), grading)
        for raw, question in zip(raws, questions, strict=True)
    ]


def lightened(question: Question, lighten: Callable[[Image, bytes | None], tuple[Image, bytes]] | None) -> Question:
    """The question with its pictures as an engine sends them, where it says how."""
    if lighten is None or not question.images:
        return question
    images, files = zip(*map(lighten, question.images, question.files), strict=True)
    return replace(question, images=images, files=files)


def _with_gold(row: AskedRow, grading: Grading) -> AskedRow:
    assert row.question is not None
    try:
        row.gold = grading.read_gold(row.question.answer, row.question.text, row.question.options)
        row.has_gold = True
        if not row.question.images:
            row.error = RowError("no_image", columns.ERROR_CODES["no_image"])
    except RowError as error:
        row.error = error
    return row


def grade_rows(rows: Iterable[AskedRow], grading: Grading) -> None:
    """Grade what the model said, of all rows at once; what cannot be graded is null, and the row gets the reason."""
    pairs = [(row, arm) for row in rows for arm in row.attempts]
    replies = []
    for row, arm in pairs:
        assert row.question is not None
        texts = [(attempt.text, attempt.truncated) for attempt in row.attempts[arm]]
        replies.append(Replies(row.question.text, row.gold, texts, row.question.options))
    for (row, arm), grades in zip(pairs, grading.grade(replies), strict=True):
        row.grades[arm] = grades
        if row.error is None:
            row.error = ungraded(arm, [grade.reason for grade in grades if grade.reward is None], len(grades))


def graded(rows: list[AskedRow], arm: str) -> dict[columns.Column, list[list[Any] | None]]:
    """The columns of one arm."""
    attempts = [row.attempts.get(arm) for row in rows]
    of_arm = columns.ARM_COLUMNS[arm]
    return {
        of_arm.rewards: each_of([row.grades.get(arm) for row in rows], lambda grade: grade.reward),
        of_arm.responses: each_of(attempts, lambda attempt: attempt.text),
        of_arm.tokens: each_of(attempts, lambda attempt: attempt.tokens),
        of_arm.truncated: each_of(attempts, lambda attempt: attempt.truncated),
    }
