"""Evidence of controls: what the model says when it sees a picture, but not the one of the row."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap import columns
from hf_rap.engines.base import Engine, Request, Sampling
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import RowError, SettingError
from hf_rap.rows.layouts import Layout, raw_rows
from hf_rap.rows.prompts import DEFAULT_INSTRUCTION, image_messages
from hf_rap.settings import identity_in, model_in
from hf_rap.verify import VERIFIER_VERSION

from .attempts import count_tokens
from .collector import Collector
from .donors import Donors
from .rollouts import AskedRow, graded, read_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import datasets
    from PIL import Image
    from typing_extensions import Self

    from hf_rap.engines.base import Completion

COLLECT_FIRST = "Collect replies first: ds.map(Rollouts(...), batched=True), or `hf-rap rollouts`."
# Mid-grey: next to nothing once a processor has normalised it, while white is the empty page of many figures and
# black the background of many photographs of instruments.
GREY = (128, 128, 128)
_SAMPLING = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")
_NO_FAULT = ("no_image", "not_asked")


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
    sampling, seed and instruction come from the row. Each arm has random numbers of its own.

    Plain `map` works as well, once the rows are known whose pictures are shuffled:
    `ds.map(Controls(engine).over(ds), batched=True)`.

    Args:
        engine: the model that gave the replies with the image.
        arms: some of `hf_rap.columns.CONTROLS`.
        seed: of who gives pictures to whom.
        donors_per_row: givers that the attempts of a row are shared among; None: one for each attempt. Every
            giver is a prompt of its own to be read, so 1 is cheaper.
        layout: which column is what; None recognises the layout from the column names.
        donors: what `over` sets.

    Reads:
        the columns of the layout; rap_image_rewards, whose length is the number of attempts; rap_settings;
        rap_error, where it is there.

    Writes:
        per arm, here blank: rap_blank_rewards, rap_blank_responses, rap_blank_tokens, rap_blank_truncated:
        as the same columns of the image arm. rap_blank_error: "code: message", codes of `rap_error` and of
        `hf_rap.columns.CONTROL_ERROR_CODES`; rows without replies with an image are not asked.
        rap_blank_settings: JSON, what could change it. Where pictures come from other rows, also
        rap_shuffled_donor: the `rap_id` of the row they come from.

    Raises:
        SettingError: there is no such arm; donors_per_row is below 1; the rows got their replies from another model; pictures are to be
            shuffled and the dataset is not known.
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
    version: str = "1"  # part of the cache key of `map`: raise it when the same input can give other evidence

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", tuple(self.arms))
        unknown = [arm for arm in self.arms if arm not in columns.CONTROLS]
        if unknown or not self.arms or len(set(self.arms)) < len(self.arms):
            raise SettingError(f"arms is {self.arms!r}: it takes some of {', '.join(columns.CONTROLS)}, each once.")
        if self.donors_per_row is not None and self.donors_per_row < 1:
            raise SettingError(f"donors_per_row must be at least 1, or None, got {self.donors_per_row}.")

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        return tuple(column for arm in self.arms for column in columns.CONTROLS[arm].columns)

    def over(self, ds: datasets.Dataset) -> Self:
        """The same, knowing the whole dataset whose pictures are shuffled; reads every image file once."""
        if self.donors is not None or not any(columns.CONTROLS[arm].donated for arm in self.arms):
            return self
        return replace(self, donors=Donors(ds, self.check(ds.features), seed=self.seed))

    def reads(self, available: Iterable[str]) -> tuple[str, ...]:
        """The rewards and settings of the replies with the image, and why there are none."""
        available = tuple(available)
        needed = (columns.IMAGE_REWARDS, columns.SETTINGS)
        columns.require("Controls", available, needed, COLLECT_FIRST)
        return tuple(column.name for column in (*needed, columns.ERROR) if column.name in available)

    def settings(self) -> dict[str, Any]:
        """JSON-able: what could change the evidence of a row, beside the columns that are read."""
        return self.told(
            {
                **self.engine.describe(),
                "grey": GREY,
                "donor_seed": self.seed,
                "donors_per_row": self.donors_per_row,
                "verifier": VERIFIER_VERSION,
                "controls": self.version,
            }
        )

    def __call__(self, batch: Mapping[str, Any], rank: int | None = None) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns; `rank` as in `Rollouts`."""
        if rank is not None and hasattr(self.engine, "on_rank"):
            return replace(self, engine=self.engine.on_rank(rank))(batch)
        layout = self.check(batch.keys())
        raws = raw_rows(batch, layout)
        errors = batch.get(columns.ERROR.name) or [None] * len(raws)
        told = zip(raws, batch[columns.IMAGE_REWARDS.name], batch[columns.SETTINGS.name], errors, strict=True)
        rows = [_Row.of(read_row(raw, layout), raw, *rest) for raw, *rest in told]
        here = self.settings() if any(row.asks for row in rows) else {}
        self._check_model(rows, here)
        evidence: dict[columns.Column, Iterable[Any]] = {}
        for arm in self.arms:
            evidence |= self._arm(arm, rows, here)
        return columns.typed(evidence)

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row the first error that another try could change."""
        of_arms = zip(*(evidence[columns.CONTROLS[arm].error.name] for arm in self.arms), strict=True)
        return [
            next((one for one in errors if one is not None and one.partition(":")[0] not in _NO_FAULT), None)
            for errors in of_arms
        ]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int:
        """Tokens generated for these rows, as far as the engine has counted them."""
        return count_tokens(evidence[columns.ARM_COLUMNS[arm].tokens.name] for arm in self.arms)

    def _arm(self, arm: str, rows: Sequence[_Row], here: Mapping[str, Any]) -> dict[columns.Column, list[Any]]:
        asked = [_Asked.of(row) for row in rows]
        for one in asked:
            if one.row.asks:
                one.prepare(arm, self)
        # An engine takes one kind of sampling at a time, and rows of several runs may stand in one dataset.
        for sampling in dict.fromkeys(one.row.sampling for one in asked if one.requests):
            ready = [one for one in asked if one.requests and one.row.sampling == sampling]
            answers = iter(self.engine.complete([request for one in ready for request in one.requests], sampling))
            for one in ready:
                one.take(arm, list(islice(answers, len(one.requests))))
        control = columns.CONTROLS[arm]
        return {
            **graded([one.replies for one in asked], arm),
            **(
                {control.donors: [one.donors if one.replies.attempts else None for one in asked]}
                if control.donated
                else {}
            ),
            control.error: [one.error for one in asked],
            control.settings: [
                json.dumps({**here, **one.row.sampling.as_dict(), "instruction": one.row.instruction}, sort_keys=True)
                if one.replies.attempts
                else None
                for one in asked
            ],
        }

    def _check_model(self, rows: Sequence[_Row], here: Mapping[str, Any]) -> None:
        for row in rows:
            if row.asks and row.settings.get("model") and here.get("model") and not _same_model(row.settings, here):
                raise SettingError(
                    f"The replies with the image of row {row.read.id!r} came from {model_in(row.settings)!r}, and this is "
                    f"{model_in(here)!r}: a control compares two pictures, not two models."
                )


def _same_model(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """By identity where both tell one, else by name: replies may come from a server that has the same model."""
    identities = identity_in(there), identity_in(here)
    if None not in identities:
        return identities[0] == identities[1]
    return PurePath(there["model"]).name == PurePath(here["model"]).name


@dataclass(frozen=True)
class _Row:
    """A row with what is known of its replies with its own image."""

    read: AskedRow
    raw: Mapping[str, Any]
    attempts: int
    settings: Mapping[str, Any]
    why_not: str | None

    @classmethod
    def of(
        cls,
        read: AskedRow,
        raw: Mapping[str, Any],
        rewards: Sequence[float | None] | None,
        settings: str | None,
        error: str | None,
    ) -> _Row:
        why_not = None if read.error is None else str(read.error)
        if why_not is None and not rewards:
            why_not = f"not_asked: {error or columns.CONTROL_ERROR_CODES['not_asked']}"
        return cls(read, raw, len(rewards or ()), json.loads(settings or "{}"), why_not)

    @property
    def asks(self) -> bool:
        """The row can be asked, and there is something to compare the replies with."""
        return self.why_not is None

    @property
    def sampling(self) -> Sampling:
        """That of the replies with the image."""
        return Sampling(**{name: self.settings[name] for name in _SAMPLING if name in self.settings})

    @property
    def instruction(self) -> str:
        """What stood behind the question."""
        told: str = self.settings.get("instruction", DEFAULT_INSTRUCTION)
        return told


@dataclass
class _Asked:
    """A row in one arm; several requests where not all attempts are shown the same."""

    row: _Row
    replies: AskedRow
    error: str | None
    requests: list[Request] = field(default_factory=list)
    donors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, row: _Row) -> _Asked:
        return cls(row, AskedRow(row.read.id, row.read.question, row.read.gold), row.why_not)

    def prepare(self, arm: str, controls: Controls) -> None:
        """The requests of this arm, or why there are none."""
        question = self.row.read.question
        assert question is not None
        try:
            shown = _MAKERS[arm](self.row, controls)
        except RowError as error:
            self.error = str(error)
            return
        # Attempt number a goes to a * len(shown) // attempts: shares that differ by one at most.
        shares = [-(-share * self.row.attempts // len(shown)) for share in range(len(shown) + 1)]
        for (first, stop), (pictures, donor) in zip(pairwise(shares), shown, strict=True):
            self.donors += [donor] * (stop - first)
            self.requests.append(
                Request(
                    row_id=self.row.read.id,
                    arm=arm,
                    messages=image_messages(question.text, self.row.instruction),
                    images=pictures,
                    attempts=stop - first,
                    first=first,
                )
            )

    def take(self, arm: str, answers: Sequence[list[Completion] | RowError]) -> None:
        """Grade what the model said; one request that failed leaves nothing to compare with."""
        failure = next((answer for answer in answers if isinstance(answer, RowError)), None)
        said = [one for answer in answers if not isinstance(answer, RowError) for one in answer]
        self.replies.take(arm, failure or said)
        self.error = None if self.replies.error is None else str(self.replies.error)


_Shown = list[tuple[tuple["Image.Image", ...], str]]  # pictures, and whose they are


def _blank(row: _Row, controls: Controls) -> _Shown:
    """A grey picture for each of the row's own."""
    from PIL import Image

    del controls
    assert row.read.question is not None
    return [(tuple(Image.new("RGB", image.size, GREY) for image in row.read.question.images), "")]


def _shuffled(row: _Row, controls: Controls) -> _Shown:
    """Other rows' pictures, each in the size of the one it stands for, and those rows' ids."""
    from PIL import ImageOps

    if controls.donors is None:
        raise SettingError(
            "Whose pictures to show is not known: use collect_evidence(ds, Controls(engine)), or "
            "ds.map(Controls(engine).over(ds), batched=True)."
        )
    assert row.read.question is not None
    own = row.read.question.images
    count = min(row.attempts, controls.donors_per_row or row.attempts)
    return [
        (
            tuple(
                picture if picture.size == mine.size else ImageOps.pad(picture, mine.size, color=GREY)
                for picture, mine in zip(pictures, own, strict=True)
            ),
            donor,
        )
        for donor, pictures in controls.donors.pictures_for(row.raw, count=count)
    ]


_MAKERS: dict[str, Callable[[_Row, Controls], _Shown]] = {"blank": _blank, "shuffled": _shuffled}
