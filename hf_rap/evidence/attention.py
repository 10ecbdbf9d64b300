"""Evidence of attention: read stored replies again with a local model, and note where its last layer looked."""

from __future__ import annotations

import json
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap import columns
from hf_rap.engines.asking import attend, describe
from hf_rap.engines.base import Reply, Request
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import RowError, SettingError, warnings_stay_warnings
from hf_rap.options import check_flags, check_whole
from hf_rap.rows.presets import prompt_or_instruction
from hf_rap.rows.questions import raw_rows, read_question
from hf_rap.stats.settings import noted, settings_in

from .collector import first_fault
from .psi import FORM, FORMS, MIN_COLUMN, POOLING, SIGMA, WINDOW, highest, log_psis
from .stored_replies import StoredReplies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hf_rap.engines.base import AttentionEngine, ReplyAttention
    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate

VERSION_OF_EVIDENCE = "2"  # part of the settings: raise it when the same reply can give other numbers
_NO_FAULT = ("reply_empty", "reply_too_short")


@dataclass(frozen=True)
class Attention(StoredReplies):
    """Adds where the model looked to replies that are there: `ds.map(Attention(engine), batched=True)`.

    Each stored reply to the question with its images is read once more by the model (teacher
    forcing): one forward pass over the prompt, and one behind it over each reply; no sampling, no
    eager attention. So the replies may come from a server that cannot tell its attention, as long
    as the local model is the same one.

    Args:
        engine: a local model (`TransformersEngine`), the one that wrote the replies.
        window: rows of a column that the windowed psi takes.
        other_model: read replies that another model wrote, or another revision of it, which is refused otherwise: how this
            one looks at them says nothing of why they were written.
        prompt: how the rows were asked, see `Rollouts`; None takes it from the row's `rap_settings`, and without those
            the default of `Rollouts`.
        layout: which column is what; None recognises the layout from the column names.
        instruction: the old name of `prompt=PromptTemplate(suffix=...)`.

    Reads:
        the columns of the layout; rap_image_responses. Where they are there: rap_settings;
        rap_image_prompt_tokens, with which the prompt of now is compared; rap_image_token_ids, the tokens as the
        model wrote them (`Rollouts(keep_ids=True)`), without which the text of a reply is cut into tokens anew.

    Writes:
        - `rap_attention`: per attempt with the image, null where there is no reply. An attempt that
          cannot be read has an `error` ("code: message", `hf_rap.columns.ATTENTION_ERROR_CODES`,
          or a code of `rap_error`) and nulls; it never stops the run.
        - `rap_attention_settings`: JSON, what could change it. Beside it `replies_by`, the model that wrote the replies,
          where that is another one, or where nothing tells that it is this one (a server's replies, say).

    Raises:
        SettingError: the window is shorter than 2, the engine cannot tell its attention, or another model wrote the
            replies.
        LayoutError: the layout is not recognised, or a column is missing.
        ColumnExistsError: the dataset has `rap_attention` already.
        EngineError: the model cannot be loaded, or its last layer has no ordinary attention.

    Source:
        arXiv 2506.04755, attention confidence estimator; arXiv 2311.17911 (OPERA) for pooling heads.
        The paper does not say how heads are pooled, nor whether a prompt's tokens count: there is both, with rows
        divided by their sum over all tokens, as in OPERA's code, and over those of the reply. Only columns of the reply
        are looked at; and those of its thinking, up to the last `</think>`, also by themselves.
    """

    kind: ClassVar[str] = "attention"
    settings_column: ClassVar[columns.Column] = columns.ATTENTION_SETTINGS
    what: ClassVar[str] = "attention"
    how: ClassVar[str] = "how it looks at them"

    engine: AttentionEngine
    window: int = WINDOW
    prompt: PromptTemplate | str | None = None
    other_model: bool = field(default=False, metadata=ONLY_IN_MAP)
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    version: str = VERSION_OF_EVIDENCE
    instruction: InitVar[str | None] = None

    def __post_init__(self, instruction: str | None) -> None:
        self.check_given()
        check_engine(self.engine, self.window)
        check_flags(other_model=self.other_model)
        if self.prompt is not None or instruction is not None:
            object.__setattr__(self, "prompt", prompt_or_instruction(self.prompt, instruction))

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        return columns.ATTENTION_EVIDENCE

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the attention of a row, beside the columns that are read."""
        return _settings(describe(self.engine), self._given, self.window, self.version)

    @warnings_stay_warnings()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        layout = self.check_batch(batch)
        responses = batch[columns.IMAGE_RESPONSES.name]
        unknown = [None] * len(responses)
        prompts = batch.get(columns.IMAGE_PROMPT_TOKENS.name) or unknown
        writers = batch.get(columns.SETTINGS.name) or unknown
        templates = [self._prompt(text) for text in writers]
        requests = [
            None if texts is None else _request(raw, layout, template)
            for raw, texts, template in zip(raw_rows(batch, layout), responses, templates, strict=True)
        ]
        ids = batch.get(columns.IMAGE_TOKEN_IDS.name) or unknown
        described = describe(self.engine) if any(requests) else {}
        settings = [
            None if texts is None else self._settings_of(settings_in(written), described, template)
            for texts, written, template in zip(responses, writers, templates, strict=True)
        ]
        cells = attend_rows(self.engine, requests, responses, prompts, ids, window=self.window)
        return columns.typed({columns.ATTENTION: cells, columns.ATTENTION_SETTINGS: settings})

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row the error of its first attempt that cannot be read; replies that are too short are what they are."""
        return [_failure(attempts) for attempts in evidence[columns.ATTENTION.name]]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int:
        """Tokens of the replies that were read."""
        rows = evidence[columns.ATTENTION.name]
        return sum(len(entry["tokens"] or ()) for attempts in rows for entry in attempts or () if entry is not None)

    def _settings_of(self, there: Mapping[str, Any], here: Mapping[str, Any], prompt: PromptTemplate) -> str:
        """`rap_attention_settings` of a row whose replies were written with the settings `there`."""
        settings = _settings(here, prompt, self.window, self.version)
        return json.dumps(self._with_writer(settings, there, here), sort_keys=True)


def check_engine(engine: object, window: int) -> None:
    """Raises `SettingError` for an engine without attention, or a window that holds no two tokens."""
    if not hasattr(engine, "attend"):
        raise SettingError(
            f"{type(engine).__name__} cannot tell its attention. Collect replies with it, then read them with a local "
            "model: ds.map(Attention(TransformersEngine(model)), batched=True)."
        )
    check_whole("window", window, least=2)


def attention_settings(
    described: Mapping[str, Any], prompt: PromptTemplate, window: int, version: str = VERSION_OF_EVIDENCE
) -> str:
    """JSON: everything that could change `rap_attention`."""
    return json.dumps(_settings(described, prompt, window, version), sort_keys=True)


def _settings(described: Mapping[str, Any], prompt: PromptTemplate | None, window: int, version: str) -> dict[str, Any]:
    asked = {"instruction": None} if prompt is None else prompt.settings()
    return noted({**described, **asked, "window": window, "attention_version": version})


def attend_rows(
    engine: AttentionEngine,
    requests: Sequence[Request | RowError | None],
    responses: Sequence[Sequence[str | None] | None],
    prompt_tokens: Sequence[int | None],
    token_ids: Sequence[Sequence[Sequence[int] | None] | None],
    *,
    window: int,
) -> list[list[dict[str, Any] | None] | None]:
    """`rap_attention` of rows: what was asked, or why it cannot be; replies; tokens of the prompt back then, of the replies."""
    replies, places = [], []
    cells: list[list[dict[str, Any] | None] | None] = [
        None if texts is None else [None] * len(texts) for texts in responses
    ]
    for row, (request, texts, tokens, ids) in enumerate(
        zip(requests, responses, prompt_tokens, token_ids, strict=True)
    ):
        for attempt, text in enumerate(texts or ()):
            if text is None:
                continue
            if isinstance(request, Request):
                written = None if ids is None else ids[attempt]
                replies.append(Reply(request, text, tokens, None if written is None else tuple(written)))
                places.append((row, attempt))
            else:
                _at(cells, row)[attempt] = _entry(request)
    for (row, attempt), answer in zip(places, attend(engine, replies, window=window), strict=True):
        _at(cells, row)[attempt] = _entry(answer)
    return cells


def _at(cells: list[list[dict[str, Any] | None] | None], row: int) -> list[dict[str, Any] | None]:
    attempts = cells[row]
    assert attempts is not None
    return attempts


def _request(raw: Mapping[str, Any], layout: Layout, prompt: PromptTemplate) -> Request | RowError:
    try:
        question = read_question(raw, layout)
    except RowError as error:
        return error
    messages = prompt.messages(question.text, system=question.system)
    return Request(question.id, "image", messages, question.images, 1, chat_template_kwargs=prompt.chat_template_kwargs)


def _entry(answer: ReplyAttention | RowError | None) -> dict[str, Any]:
    """One entry of `rap_attention`."""
    names = columns.struct_fields(columns.ATTENTION)
    if not hasattr(answer, "tokens"):
        return {**dict.fromkeys(names), "error": str(answer)}
    assert answer is not None
    assert not isinstance(answer, RowError)
    entry = {
        **dict.fromkeys(names),
        "tokens": answer.tokens,
        **{f"product_{reading}": values for reading, values in answer.products.items()},
        **{f"window_{reading}": values for reading, values in answer.windows.items()},
        "thinking_tokens": answer.thinking,
        **{f"thinking_product_{reading}": values for reading, values in answer.thinking_products.items()},
        **{f"thinking_window_{reading}": values for reading, values in answer.thinking_windows.items()},
        "image_shares": answer.image_shares or None,
        "image_share": _mean(answer.image_shares),
        "entropy": _mean(answer.entropies),
    }
    for form, name in zip(FORMS, ("log_psi", "log_psi_windowed"), strict=True):
        psis = log_psis(entry, form=form, heads=POOLING, sigma=SIGMA)
        best = highest(psis, 1 if form == "literal" else MIN_COLUMN)
        if best is not None:
            entry[name] = best[0]
            if form == FORM:
                entry |= {"position": best[1], "token": answer.tokens[best[1]]}
    return entry


def _failure(attempts: Sequence[Mapping[str, Any] | None] | None) -> str | None:
    return first_fault((entry["error"] for entry in attempts or () if entry is not None), _NO_FAULT)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
