"""Evidence of what stored replies hang on: read again with their image and without, token by token."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap import columns
from hf_rap.engines.asking import describe, log_likelihoods
from hf_rap.engines.base import Reply, Request
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import EngineError, RowError, SettingError, warnings_stay_warnings
from hf_rap.options import check, check_flags, check_whole
from hf_rap.rows.presets import prompt_or_instruction
from hf_rap.rows.questions import raw_rows, read_question
from hf_rap.stats.settings import settings_in
from hf_rap.tables import whole_dataset

from .collector import NO_FAULT, first_fault
from .donors import Donors
from .other_pictures import GREY, blank, shares, shuffled
from .stored_replies import StoredReplies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    import datasets

    from hf_rap.engines.base import LikelihoodEngine, LogLikelihood
    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate
    from hf_rap.rows.questions import Question

ARMS = ("text", *columns.CONTROLS)
_NO_FAULT = (*NO_FAULT, "reply_empty", "no_donor")


@dataclass(frozen=True)
class ReplyLikelihood(StoredReplies):
    """Adds how likely each token of the replies with the image is, with it and without: `ds.map(ReplyLikelihood(engine), batched=True)`.

    Each stored reply to the question with its images is read once more (teacher forcing) behind the question as it was asked, and
    once per arm behind what stands there instead; nothing is generated. The tokens are the same in all arms: those that the
    model wrote, where the row has them (`Rollouts(keep_ids=True)`), else those of the text, cut anew. Then white space at its ends
    is lost, control tokens are ordinary text (a server takes them as control tokens), and where a model spelled a word unusually the usual
    spelling stands in. What ends a reply is not read, so that one that was cut off is read like any other.

    Args:
        engine: the model that wrote the replies: `TransformersEngine`, `VLLMEngine`, or an `EndpointEngine` whose server tells
            `prompt_logprobs` (vLLM).
        arms: what the image is compared with: "text", the question alone; "blank", grey pictures of the same size; "shuffled",
            pictures of other rows, another one for each reply, which takes all rows: `collect_evidence(ds, ...)`.
        seed: of who gives pictures to whom, as in `Controls`.
        prompt: how the rows were asked, see `Rollouts`; None takes it from the row's `rap_settings`, and without those
            the default of `Rollouts`.
        other_model: read replies that another model wrote, or another revision of it, which is refused otherwise.
        layout: which column is what; None recognises the layout from the column names.
        donors: what `over` sets.

    Reads:
        the columns of the layout; rap_image_responses. Where they are there: rap_settings; rap_image_prompt_tokens, with which
        the prompt of now is compared; rap_image_token_ids.

    Writes:
        rap_reply_logprobs: per attempt with the image, null where there is no reply: its tokens and, per arm, the natural
            logarithm of each one's probability at temperature 1; null for arms that were not asked for. What cannot be read is
            null, with an `error` ("code: message", `hf_rap.columns.REPLY_ERROR_CODES`, or a code of `rap_error`).
        rap_reply_logprobs_settings: JSON, what could change it. Beside it `replies_by`, as in `Attention`.

    Raises:
        SettingError: there is no such arm, the engine cannot tell likelihoods, another model wrote the replies, or pictures
            are to be shuffled and the dataset is not known.
        LayoutError: the layout is not recognised, or a column is missing.
        ColumnExistsError: the dataset has these columns already.
        EngineError: the model cannot be loaded, or the engine or the server tells no log-probabilities of single tokens.

    Source:
        arXiv 2602.17186 (given answers, image against none); 2510.09285 (tokens of the model's own replies, while it trains).
    """

    kind: ClassVar[str] = "reply likelihood"
    settings_column: ClassVar[columns.Column] = columns.REPLY_LOGPROBS_SETTINGS
    what: ClassVar[str] = "dependence on the image"
    how: ClassVar[str] = "how likely it finds them"

    engine: LikelihoodEngine
    arms: tuple[str, ...] = ("text",)
    seed: int = 0
    prompt: PromptTemplate | str | None = None
    other_model: bool = field(default=False, metadata=ONLY_IN_MAP)
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    donors: Donors | None = field(default=None, metadata=ONLY_IN_MAP)
    version: str = "1"  # part of the cache key of `map`: raise it when the same input can give other numbers

    def __post_init__(self) -> None:
        self.check_given()
        some = isinstance(self.arms, Iterable) and not isinstance(self.arms, str)
        arms = tuple(self.arms) if some else ()
        fine = arms and all(arm in ARMS for arm in arms) and len(set(arms)) == len(arms)
        check(bool(fine), "arms", self.arms, f"some of {', '.join(ARMS)}, each once")
        object.__setattr__(self, "arms", arms)
        check_whole("seed", self.seed)
        check_flags(other_model=self.other_model)
        check(self.donors is None or isinstance(self.donors, Donors), "donors", self.donors, "what `over(ds)` sets")
        if self.prompt is not None:
            object.__setattr__(self, "prompt", prompt_or_instruction(self.prompt, None))
        if not hasattr(self.engine, "log_likelihoods"):
            raise SettingError(
                f"{type(self.engine).__name__} cannot tell how likely the tokens of a reply are. A local model can, and a server of "
                "vLLM: ReplyLikelihood(TransformersEngine(model)), ReplyLikelihood(EndpointEngine(url, model=...))."
            )

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        return columns.REPLY_EVIDENCE

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row, beside the columns that are read."""
        return self._settings(describe(self.engine), self._given)

    def over(self, ds: datasets.Dataset) -> Self:
        """The same, knowing the whole dataset where pictures are shuffled; reads every image file once then."""
        settled = super().over(ds)
        if self.donors is not None or "shuffled" not in self.arms:
            return settled
        ds = whole_dataset("ReplyLikelihood", ds)
        return replace(settled, donors=Donors(ds, settled.check(ds.features), seed=self.seed))

    @warnings_stay_warnings()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        layout = self.check_batch(batch)
        responses = batch[columns.IMAGE_RESPONSES.name]
        unknown = [None] * len(responses)
        writers = batch.get(columns.SETTINGS.name) or unknown
        prompt_tokens = batch.get(columns.IMAGE_PROMPT_TOKENS.name) or unknown
        ids = batch.get(columns.IMAGE_TOKEN_IDS.name) or unknown
        rows = [
            _Row(raw, self._prompt(writer), texts, tokens, written)
            for raw, writer, texts, tokens, written in zip(
                raw_rows(batch, layout), writers, responses, prompt_tokens, ids, strict=True
            )
            if texts is not None
        ]
        for row in rows:
            row.read(layout)
        for arm in ("image", *self.arms):  # one after the other, for the sake of the pictures that are in memory
            places, replies = [], []
            for row in rows:
                for attempt, reply in row.replies(arm, self):
                    places.append((row, attempt))
                    replies.append(reply)
            for (row, attempt), answer in zip(places, log_likelihoods(self.engine, replies), strict=True):
                row.take(arm, attempt, answer, type(self.engine).__name__)
        cells = iter([row.cell() for row in rows])
        described = describe(self.engine) if rows else {}
        settings = [
            None
            if texts is None
            else json.dumps(
                self._with_writer(self._settings(described, self._prompt(writer)), settings_in(writer), described),
                sort_keys=True,
            )
            for texts, writer in zip(responses, writers, strict=True)
        ]
        return columns.typed(
            {
                columns.REPLY_LOGPROBS: [None if texts is None else next(cells) for texts in responses],
                columns.REPLY_LOGPROBS_SETTINGS: settings,
            }
        )

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row the error of its first attempt that cannot be read; empty replies are what they are."""
        rows = evidence[columns.REPLY_LOGPROBS.name]
        return [
            first_fault((entry["error"] for entry in attempts or () if entry is not None), _NO_FAULT)
            for attempts in rows
        ]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int:
        """Tokens of the replies that were read."""
        rows = evidence[columns.REPLY_LOGPROBS.name]
        return sum(len(entry["tokens"] or ()) for attempts in rows for entry in attempts or () if entry is not None)

    def _settings(self, described: Mapping[str, Any], prompt: PromptTemplate | None) -> dict[str, Any]:
        asked = {"instruction": None} if prompt is None else prompt.settings()
        others = {"arms": self.arms, "grey": GREY, "donor_seed": self.seed}
        return self.noted({**described, **asked, **others, "reply_likelihood": self.version})


@dataclass
class _Row:
    """One row that has replies, on its way to their numbers."""

    raw: Mapping[str, Any]
    prompt: PromptTemplate
    texts: Sequence[str | None]
    prompt_tokens: int | None
    ids: Sequence[Sequence[int] | None] | None
    question: Question | None = None
    entries: list[dict[str, Any] | None] = field(init=False)  # null: there is no such reply

    def __post_init__(self) -> None:
        names = columns.struct_fields(columns.REPLY_LOGPROBS)
        self.entries = [None if text is None else dict.fromkeys(names) for text in self.texts]

    def read(self, layout: Layout) -> None:
        """Takes the question; of one that cannot be read, or has no image, and of an empty reply, the reason is told instead."""
        try:
            question = read_question(self.raw, layout)
            if not question.images:
                raise RowError("no_image", columns.ERROR_CODES["no_image"])
            self.question = question
        except RowError as error:
            for entry in self.entries:
                _note(entry, error)
            return
        for entry, text in zip(self.entries, self.texts, strict=True):
            if text == "":
                _note(entry, RowError("reply_empty", columns.REPLY_ERROR_CODES["reply_empty"]))

    def replies(self, arm: str, reader: ReplyLikelihood) -> list[tuple[int, Reply]]:
        """The numbers of the attempts that can be read in an arm, and what the engine is to read."""
        attempts = [place for place, text in enumerate(self.texts) if text]
        if self.question is None or not attempts:
            return []
        own = self.question.images
        try:
            shown = (
                blank(own)
                if arm == "blank"
                else shuffled(own, self.raw, reader.donors, count=len(attempts), collector="ReplyLikelihood")
                if arm == "shuffled"
                else [(own if arm == "image" else (), "")]
            )
        except RowError as error:
            for place in attempts:
                _note(self.entries[place], error)
            return []
        made: list[tuple[int, Reply]] = []
        for (first, stop), (pictures, _) in zip(pairwise(shares(len(attempts), len(shown))), shown, strict=True):
            request = self._request(arm, pictures, reader)
            made += [(place, self._reply(place, request)) for place in attempts[first:stop]]
        return made

    def take(self, arm: str, attempt: int, answer: LogLikelihood | RowError, engine: str) -> None:
        """Note what the engine said; of several errors of a reply the first is told."""
        entry = self.entries[attempt]
        assert entry is not None
        if isinstance(answer, RowError):
            _note(entry, answer)
            return
        if len(answer.logprobs) != answer.tokens or len(answer.texts) != answer.tokens:
            raise EngineError(
                f"{engine}.log_likelihoods tells the sum of a reply alone, and ReplyLikelihood takes each token's: "
                "LogLikelihood(logprob, tokens, logprobs, texts)."
            )
        if entry["tokens"] not in (None, list(answer.texts)):
            _note(entry, RowError("tokens_changed", f"behind another prompt ({arm}) the reply has other tokens"))
            return
        entry["tokens"], entry[arm] = list(answer.texts), list(answer.logprobs)

    def cell(self) -> list[dict[str, Any] | None]:
        """The row of `rap_reply_logprobs`; its pictures are let go."""
        self.question = None
        return self.entries

    def _request(self, arm: str, pictures: tuple[Any, ...], reader: ReplyLikelihood) -> Request:
        assert self.question is not None
        messages = self.prompt.messages(self.question.text, with_images=bool(pictures), system=self.question.system)
        files: tuple[bytes | None, ...] = self.question.files if arm == "image" else ()
        lighten = getattr(reader.engine, "lighten", None)
        if lighten is not None and pictures:
            given = files or (None,) * len(pictures)
            pictures, files = zip(*map(lighten, pictures, given), strict=True)
        return Request(
            row_id=self.question.id,
            arm=arm,
            messages=messages,
            images=pictures,
            attempts=1,
            files=files,
            chat_template_kwargs=self.prompt.chat_template_kwargs,
        )

    def _reply(self, place: int, request: Request) -> Reply:
        text, ids = self.texts[place], None if self.ids is None else self.ids[place]
        assert text is not None
        prompt_tokens = self.prompt_tokens if request.arm == "image" else None
        return Reply(request, text, prompt_tokens, None if ids is None else tuple(ids))


def _note(entry: dict[str, Any] | None, error: RowError) -> None:
    if entry is not None:
        entry["error"] = entry["error"] or str(error)
