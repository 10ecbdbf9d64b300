"""Evidence of controls: what the model says when it sees a picture, but not the one of the row."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap import columns
from hf_rap.engines.asking import ask, describe
from hf_rap.engines.base import Engine, Request, Sampling
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import RowError, SettingError, cell_of, warnings_stay_warnings
from hf_rap.options import check, check_whole
from hf_rap.rows.prompts import PromptTemplate, prompt_of_replies
from hf_rap.rows.questions import raw_rows
from hf_rap.rows.settling import settle_batch
from hf_rap.stats.settings import graded_by, model_in, same_model, settings_in
from hf_rap.tables import whole_dataset

from .attempts import count_tokens
from .collector import NO_FAULT, Collector, first_fault
from .donors import Donors
from .grading import Grading
from .other_pictures import GREY, blank, shares, shuffled
from .regrade import CONTROLS, regraded
from .rollouts import AskedRow, grade_rows, graded, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    import datasets

    from hf_rap.engines.base import Completion
    from hf_rap.rows.layouts import Layout

    from .other_pictures import Shown

_SAMPLING = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")
_NO_FAULT = (*NO_FAULT, "not_asked")


@dataclass(frozen=True)
class Controls(Collector):
    """Adds replies to the question with other pictures: `collect_evidence(ds, Controls(engine))`.

    The question on its text alone has another prompt, without the tokens of an image and often with
    words that point nowhere ("in the picture above"). A control leaves the prompt as it is, down to the
    number of image tokens, and changes what the picture shows:

    - "blank": a grey picture (128, 128, 128) of the same size.
    - "shuffled": the pictures of other rows, another one for each attempt, fitted whole into the size of the
      row's own with grey at the sides. Who gives to whom: `hf_rap.evidence.donors.Donors`. One giver for all attempts
      would be right by luck in all of them or in none.

    Everything else is as when the replies with the row's own image were collected: number of attempts,
    sampling, seed and prompt come from the row. Each arm has random numbers of its own.

    Plain `map` works as well, once the rows are known whose pictures are shuffled:
    `ds.map(Controls(engine).over(ds), batched=True)`.

    Args:
        engine: the model that gave the replies with the image.
        arms: some of `hf_rap.columns.CONTROLS`.
        seed: of who gives pictures to whom.
        donors_per_row: givers that the attempts of a row are shared among; None: one for each attempt. Every
            giver is a prompt of its own to be read, so 1 is cheaper.
        verifier: that which the replies with the image were graded with, see `Rollouts`.
        cut: likewise.
        layout: which column is what; None recognises the layout from the column names.
        donors: what `over` sets.

    Reads:
        the columns of the layout; rap_image_rewards, whose length is the number of attempts; rap_settings;
        rap_error, where it is there.

    Writes:
        - `rap_blank_rewards`, `rap_blank_responses`, `rap_blank_tokens`, `rap_blank_truncated`: as the same columns of the
          image arm; blank stands for the name of each arm.
        - `rap_blank_error`: "code: message", codes of `rap_error` and of `hf_rap.columns.CONTROL_ERROR_CODES`; rows without
          replies with an image are not asked.
        - `rap_blank_settings`: JSON, what could change it.
        - `rap_shuffled_donors`: where pictures come from other rows, the `rap_id` of the row they come from, per attempt.

    Raises:
        SettingError: there is no such arm; donors_per_row is below 1; the rows got their replies from another model, or
            their grades from another verifier; pictures are to be shuffled and the dataset is not known.
        MissingColumnError: there are no replies yet, or a column of the layout is missing.
        ColumnExistsError: the dataset has these columns already.
        EngineError: the model cannot be loaded, or fails on every row.

    Source:
        ours. arXiv 2506.04755 compares with the question on its text alone.
    """

    kind: ClassVar[str] = "controls"

    engine: Engine
    arms: tuple[str, ...] = tuple(columns.CONTROLS)
    seed: int = 0
    donors_per_row: int | None = None
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    donors: Donors | None = field(default=None, metadata=ONLY_IN_MAP)
    verifier: Any = field(default=None, metadata=ONLY_IN_MAP)
    cut: str = field(default="wrong", metadata=ONLY_IN_MAP)
    version: str = "1"  # part of the cache key of `map`: raise it when the same input can give other evidence
    verifier_version: str = field(init=False, repr=False, metadata=ONLY_IN_MAP)  # part of it as well

    def __post_init__(self) -> None:
        self.check_given()
        some = isinstance(self.arms, Iterable) and not isinstance(self.arms, str)
        arms = tuple(self.arms) if some else ()
        fine = arms and all(arm in columns.CONTROLS for arm in arms) and len(set(arms)) == len(arms)
        check(fine, "arms", self.arms, f"some of {', '.join(columns.CONTROLS)}, each once")
        object.__setattr__(self, "arms", arms)
        check_whole("seed", self.seed)
        check_whole("donors_per_row", self.donors_per_row, least=1, none=True)
        check(self.donors is None or isinstance(self.donors, Donors), "donors", self.donors, "what `over(ds)` sets")
        object.__setattr__(self, "verifier_version", self.grading.version)

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        return tuple(column for arm in self.arms for column in columns.CONTROLS[arm].columns)

    @property
    def grading(self) -> Grading:
        """How replies are graded. What counts as solved is said by the replies with the image."""
        return Grading(self.verifier, self.cut)

    def over(self, ds: datasets.Dataset) -> Self:
        """The same, knowing the whole dataset whose pictures are shuffled; reads every image file once."""
        settled = super().over(ds)
        if self.donors is not None or not any(columns.CONTROLS[arm].donated for arm in self.arms):
            return settled
        ds = whole_dataset("Controls", ds)
        return replace(settled, donors=Donors(ds, settled.check(ds.features), seed=self.seed))

    def reads(self, available: Iterable[str]) -> tuple[str, ...]:
        """The rewards and settings of the replies with the image, and why there are none."""
        available = tuple(available)
        needed = (columns.IMAGE_REWARDS, columns.SETTINGS)
        columns.require("Controls", available, needed)
        return tuple(column.name for column in (*needed, columns.ERROR) if column.name in available)

    def settings(self) -> dict[str, Any]:
        """JSON-able: what could change the evidence of a row, beside the columns that are read."""
        return self.noted(
            {
                **describe(self.engine),
                "grey": GREY,
                "donor_seed": self.seed,
                "donors_per_row": self.donors_per_row,
                **self.grading.settings(),
                "controls": self.version,
            }
        )

    @warnings_stay_warnings()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        rows = self.begin(batch)
        for arm in self.arms:  # one after the other, for the sake of the pictures that are in memory
            questions = [(row, which, *asks) for row in rows for which, asks in self._of_arm(row, arm).items()]
            # An engine takes one kind of sampling at a time, and rows of several runs may stand in one dataset.
            for sampling in dict.fromkeys(sampling for *_, sampling in questions):
                some = [(row, which, request) for row, which, request, of_row in questions if of_row == sampling]
                answers = ask(self.engine, [request for *_, request in some], sampling)
                for (row, which, _), answer in zip(some, answers, strict=True):
                    row.take(which, answer)
        return self.end(rows)

    @property
    def streams(self) -> bool:
        """Wherever the engine does."""
        return self._can_stream()

    @warnings_stay_warnings()
    def begin(self, batch: Mapping[str, Any]) -> list[ControlledRow]:
        """The rows of `batch`, their questions read."""
        layout = self.check_batch(batch)
        raws = raw_rows(batch, layout)
        errors = batch.get(columns.ERROR.name) or [None] * len(raws)
        cells = zip(raws, batch[columns.IMAGE_REWARDS.name], batch[columns.SETTINGS.name], errors, strict=True)
        read = read_rows(raws, layout, self.grading)
        rows = [_Row.of(row, *cell) for row, cell in zip(read, cells, strict=True)]
        self._check_same(rows, self.settings() if any(row.asks for row in rows) else {})
        return [ControlledRow(row, {arm: _Asked.of(row) for arm in self.arms}) for row in rows]

    def requests(self, row: ControlledRow) -> dict[tuple[str, int], tuple[Request, Sampling]]:
        """What the model is to be asked for a row, by arm and the number of the request there; once."""
        return {which: asks for arm in self.arms for which, asks in self._of_arm(row, arm).items()}

    @warnings_stay_warnings()
    def end(self, rows: list[ControlledRow]) -> dict[str, list[Any]]:
        """Evidence for rows that have taken their answers, as columns; grades them."""
        here = self.settings() if any(row.row.asks for row in rows) else {}
        evidence: dict[columns.Column, Iterable[Any]] = {}
        for arm in self.arms:
            evidence |= self._evidence(arm, [row.arms[arm] for row in rows], here)
        return columns.typed(evidence)

    def depends_on(self, read: Mapping[str, Any]) -> Mapping[str, Any]:
        """How often the row was asked and how, not how its replies were graded."""
        rewards, settings = read[columns.IMAGE_REWARDS.name], read[columns.SETTINGS.name]
        why_not = None if rewards else read.get(columns.ERROR.name)
        options = {
            name: value
            for name, value in settings_in(settings).items()
            if name in (*_SAMPLING, "instruction", "prompt")
        }
        return {"attempts": len(rewards or ()), "asked": options, "why_not": why_not}

    def keeps_system(self, read: Mapping[str, Any]) -> bool:
        """The replies with the row's own image were given to its own system turn."""
        return prompt_of_replies(settings_in(read[columns.SETTINGS.name])).keep_system

    def regrade(self, batch: Mapping[str, Any], evidence: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The stored evidence of the rows of `batch` with new grades."""
        layout = settle_batch(self.layout, batch)
        blocks = [CONTROLS[arm] for arm in self.arms]
        return {**evidence, **regraded(raw_rows(batch, layout), layout, evidence, blocks, self.grading)}

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row the first error that another try could change."""
        of_arms = zip(*(evidence[columns.CONTROLS[arm].error.name] for arm in self.arms), strict=True)
        return [first_fault(errors, _NO_FAULT) for errors in of_arms]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int:
        """Tokens generated for these rows; about so many where the engine has not counted them."""
        of_arms = [columns.ARM_COLUMNS[arm] for arm in self.arms]
        return count_tokens((evidence[each.tokens.name], evidence[each.responses.name]) for each in of_arms)

    def _of_arm(self, row: ControlledRow, arm: str) -> dict[tuple[str, int], tuple[Request, Sampling]]:
        cell = row.arms[arm]
        if cell.is_asked or not row.row.asks:
            return {}
        requests = cell.prepare(arm, self)
        return {(arm, number): (request, row.row.sampling) for number, request in enumerate(requests)}

    def _evidence(self, arm: str, cells: Sequence[_Asked], here: Mapping[str, Any]) -> dict[columns.Column, list[Any]]:
        """The columns of one arm."""
        grade_rows([cell.replies for cell in cells], self.grading)
        control = columns.CONTROLS[arm]
        return {
            **graded([cell.replies for cell in cells], arm),
            **(
                {control.donors: [cell.donors if cell.replies.attempts else None for cell in cells]}
                if control.donated
                else {}
            ),
            control.error: [cell_of(cell.error) for cell in cells],
            control.settings: [
                json.dumps({**here, **cell.row.settings_of_all}, sort_keys=True) if cell.replies.attempts else None
                for cell in cells
            ],
        }

    def _check_same(self, rows: Sequence[_Row], here: Mapping[str, Any]) -> None:
        for row in rows:
            if not row.asks:
                continue
            if not _same_model(row.settings, here):
                raise SettingError(
                    f"The replies with the image of row {row.read.id!r} came from {model_in(row.settings)!r}, and this is "
                    f"{model_in(here)!r}: a control compares two pictures, not two models."
                )
            grader = graded_by(row.settings)
            if grader is not None and grader != self.grading.key:
                raise SettingError(
                    f"The replies with the image of row {row.read.id!r} were graded by {grader} (verifier, version, cut "
                    f"replies), and this is {self.grading.key}: a control compares two pictures, not two graders. Give "
                    "verifier and cut of the rollouts, or grade those anew: hf_rap.regrade(ds), `hf-rap score --regrade`."
                )


def _same_model(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """By identity where both tell one, else by name: replies may come from a server that has the same model."""
    same = same_model(there, here)
    names = [PurePath(settings["model"]).name for settings in (there, here) if settings.get("model")]
    return len(set(names)) < 2 if same is None else same


@dataclass(frozen=True)
class _Row:
    """A row with what is known of its replies with its own image."""

    read: AskedRow
    raw: Mapping[str, Any]
    attempts: int
    settings: Mapping[str, Any]
    why_not: RowError | None

    @classmethod
    def of(
        cls,
        read: AskedRow,
        raw: Mapping[str, Any],
        rewards: Sequence[float | None] | None,
        settings: str | None,
        error: str | None,
    ) -> _Row:
        why_not = read.error
        if why_not is None and not rewards:
            why_not = RowError("not_asked", error or columns.CONTROL_ERROR_CODES["not_asked"])
        return cls(read, raw, len(rewards or ()), settings_in(settings), why_not)

    @property
    def asks(self) -> bool:
        """The row can be asked, and there is something to compare the replies with."""
        return self.why_not is None

    @property
    def sampling(self) -> Sampling:
        """That of the replies with the image."""
        return Sampling(**{name: self.settings[name] for name in _SAMPLING if name in self.settings})

    @property
    def prompt(self) -> PromptTemplate:
        """What stood around the question."""
        return prompt_of_replies(self.settings)

    @property
    def settings_of_all(self) -> dict[str, Any]:
        """What is the same for all arms of the row."""
        correct = {name: self.settings[name] for name in ("correct",) if name in self.settings}
        return {**self.sampling.as_dict(), **correct, **self.prompt.settings()}


@dataclass
class _Asked:
    """A row in one arm; several requests where not all attempts are shown the same."""

    row: _Row
    replies: AskedRow
    why_not: RowError | None
    answers: dict[int, Sequence[Completion] | RowError] = field(default_factory=dict)
    wanted: int = 0
    donors: list[str] = field(default_factory=list)
    is_asked: bool = False

    @property
    def error(self) -> RowError | None:
        """Why replies, or some of their grades, are missing."""
        return self.why_not or self.replies.error

    @classmethod
    def of(cls, row: _Row) -> _Asked:
        return cls(row, replace(row.read, error=None, attempts={}, grades={}), row.why_not)

    def prepare(self, arm: str, controls: Controls) -> list[Request]:
        """The requests of this arm; none, where there is a reason."""
        self.is_asked = True
        question, prompt = self.row.read.question, controls.check_prompt(self.row.prompt)
        assert question is not None
        try:
            shown = _MAKERS[arm](self.row, controls)
        except RowError as error:
            self.why_not = error
            return []
        self.wanted = len(shown)
        lighten = getattr(controls.engine, "lighten", None)
        requests = []
        for (first, stop), (pictures, donor) in zip(
            pairwise(shares(self.row.attempts, len(shown))), shown, strict=True
        ):
            self.donors += [donor] * (stop - first)
            light = [] if lighten is None else [lighten(picture, None) for picture in pictures]
            requests.append(
                Request(
                    row_id=self.row.read.id,
                    arm=arm,
                    messages=prompt.messages(question.text, system=question.system),
                    images=tuple(picture for picture, _ in light) or pictures,
                    attempts=stop - first,
                    first=first,
                    files=tuple(file for _, file in light),
                    chat_template_kwargs=prompt.chat_template_kwargs,
                )
            )
        return requests

    def take(self, arm: str, number: int, answer: Sequence[Completion] | RowError) -> None:
        """Note what the model said; one request that failed leaves nothing to compare with."""
        self.answers[number] = answer
        if len(self.answers) < self.wanted:
            return
        answers = [self.answers[place] for place in range(self.wanted)]
        failure = next((answer for answer in answers if isinstance(answer, RowError)), None)
        said = [completion for answer in answers if not isinstance(answer, RowError) for completion in answer]
        self.replies.take(arm, failure or said)


@dataclass
class ControlledRow:
    """A row on its way through all arms."""

    row: _Row
    arms: dict[str, _Asked]

    @property
    def tokens(self) -> int:
        """Of all replies; about so many where nobody has counted them."""
        return sum(cell.replies.tokens for cell in self.arms.values())

    def take(self, which: tuple[str, int], answer: Sequence[Completion] | RowError) -> None:
        """Note the answer to a request."""
        arm, number = which
        self.arms[arm].take(arm, number, answer)

    def drop_pictures(self) -> None:
        """It has been asked: what waits for its grades need not hold them."""
        for read in (self.row.read, *(cell.replies for cell in self.arms.values())):
            read.drop_pictures()


def _blank(row: _Row, controls: Controls) -> Shown:
    del controls
    assert row.read.question is not None
    return blank(row.read.question.images)


def _shuffled(row: _Row, controls: Controls) -> Shown:
    assert row.read.question is not None
    count = min(row.attempts, controls.donors_per_row or row.attempts)
    return shuffled(row.read.question.images, row.raw, controls.donors, count=count, collector="Controls")


_MAKERS: dict[str, Callable[[_Row, Controls], Shown]] = {"blank": _blank, "shuffled": _shuffled}
