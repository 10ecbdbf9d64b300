"""Evidence of a first look: what the model holds of a prompt before it answers, with and without the images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hf_rap import columns
from hf_rap.engines.asking import prompt_states
from hf_rap.engines.options import ONLY_IN_MAP
from hf_rap.errors import RowError, SettingError, warnings_stay_warnings
from hf_rap.options import check, is_number
from hf_rap.rows.presets import prompt_or_instruction
from hf_rap.rows.prompts import DEFAULT_PROMPT, PromptTemplate
from hf_rap.rows.questions import raw_rows

from .collector import PromptedCollector
from .grading import Grading
from .rollouts import read_rows
from .state_columns import DEPTHS, VERSION, size_of_states, state_columns, states_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hf_rap.engines.base import Request, StatesEngine
    from hf_rap.rows.layouts import Layout

    from .rollouts import AskedRow


@dataclass(frozen=True)
class PromptStates(PromptedCollector):
    """Adds what the model holds of each prompt before it answers: `ds.map(PromptStates(engine), batched=True)`.

    One pass per arm over the prompt that `Rollouts` asks; nothing is generated. `Rollouts(states=True)` writes the same on the
    way, for rows that are rolled out anyway. A linear model of these numbers, fitted to
    rows that have attempts (`hf_rap.fit_probe`), foretells which of the others the model solves.

    Args:
        engine: a local model (`TransformersEngine`).
        depths: of the layers that are read, in (0, 1]: 1 is the last one, 0.5 the one in the middle.
        prompt: what stands around the question, as in `Rollouts`.
        layout: which column is what; None recognises the layout from the column names.

    Reads:
        the columns of the layout.

    Writes:
        - `rap_image_states`, `rap_text_states`: the hidden states of the prompt's last token, half precision, those of one layer
          behind those of the other: (n_depths x width,). 24 kB a row for three layers and both arms of a model
          of width 2,048.
        - `rap_states_error`: "code: message", codes of `rap_error`. A row without an image or a readable gold is not read.
        - `rap_states_settings`: JSON, what could change it.

    Raises:
        SettingError: a depth outside of (0, 1], or an engine that tells no states (servers do not).
        LayoutError: the layout is not recognised, or a column is missing.
        ColumnExistsError: the dataset has these columns already.
        EngineError: the model cannot be loaded, or has no list of layers.

    Source:
        ours; probes of hidden states for success: arXiv 2602.09924, 2509.12886.

    """

    kind: ClassVar[str] = "prompt states"

    engine: StatesEngine
    depths: tuple[float, ...] = DEPTHS
    prompt: PromptTemplate | str = DEFAULT_PROMPT
    layout: Layout | None = field(default=None, metadata=ONLY_IN_MAP)
    version: str = VERSION  # part of the cache key of `map`

    def __post_init__(self) -> None:
        self.check_given()
        self.take_prompt(prompt_or_instruction(self.prompt, None))
        given = self.depths
        fine = (
            isinstance(given, (list, tuple)) and given and all(is_number(depth) and 0 < depth <= 1 for depth in given)
        )
        check(bool(fine), "depths", given, "numbers in (0, 1], such as (0.5, 1.0): 1 is the last layer")
        object.__setattr__(self, "depths", tuple(map(float, given)))
        if not hasattr(self.engine, "prompt_states"):
            raise SettingError(
                f"{type(self.engine).__name__} does not tell what its model holds of a prompt; a local model does: "
                "PromptStates(TransformersEngine(model))."
            )

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """The columns that are added."""
        return columns.STATES_EVIDENCE

    @warnings_stay_warnings()
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        layout = self.check_batch(batch)
        rows = read_rows(raw_rows(batch, layout), layout, Grading())
        places = [(place, arm) for place, row in enumerate(rows) if row.error is None for arm in columns.ARMS]
        requests = [self._request(rows[place], arm) for place, arm in places]
        answers = prompt_states(self.engine, requests, depths=self.depths)
        errors = [row.error for row in rows]
        states: dict[str, list[Any]] = {arm: [None] * len(rows) for arm in columns.ARMS}
        for (place, arm), answer in zip(places, answers, strict=True):
            if isinstance(answer, RowError):
                errors[place] = errors[place] or answer
            else:
                states[arm][place] = answer
        settings = json.dumps(self.settings(), sort_keys=True) if places else None
        return columns.typed(state_columns(states, errors, settings))

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row, and what is only written down."""
        return states_settings(self.engine, self._prompt, self.layout, self.depths, self.version)

    def remark_before(self, rows: int) -> str | None:
        """How much room they take."""
        return size_of_states(self.engine, rows, self.depths)

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row its error; a row without an image is what it is."""
        return super().failures({columns.ERROR.name: evidence[columns.STATES_ERROR.name]})

    def _request(self, row: AskedRow, arm: str) -> Request:
        assert row.question is not None
        return self.request_of(row.id, row.question, arm, with_images=arm == "image", attempts=1)
