"""The states of prompts as columns: what `PromptStates` and `Rollouts(states=True)` write alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap import columns
from hf_rap.engines.asking import describe
from hf_rap.errors import RowError, SettingError, cell_of
from hf_rap.stats.settings import noted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.engines.base import Engine
    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate

DEPTHS = (0.5, 0.75, 1.0)
VERSION = "1"  # raise it when the same input can give other numbers
_BYTES = 2  # of a number in half precision


def check_tells(engine: Any) -> None:
    """Raise `SettingError` for an engine whose replies do not come with the states of their prompts."""
    if not getattr(engine, "tells_states", False):
        raise SettingError(
            f"{type(engine).__name__} does not tell what its model holds of a prompt (tells_states = True); a local model does: "
            "Rollouts(TransformersEngine(model), states=True)."
        )


def states_settings(
    engine: Engine, prompt: PromptTemplate, layout: Layout | None, depths: Sequence[float], version: str = VERSION
) -> dict[str, Any]:
    """JSON-able: everything that could change the states of a row, and what is only written down."""
    settings = {**describe(engine), **prompt.settings(), **(layout.settings if layout else {})}
    return noted({**settings, "depths": list(depths), "states": version})


def state_columns(
    arms: Mapping[str, Sequence[NDArray[np.float16] | None]], errors: Sequence[RowError | None], settings: str | None
) -> dict[columns.Column, list[Any]]:
    """The columns for the states of both arms, (n_depths, width) each; a row with an error has none of either."""
    states = {
        arm: [
            None if error is not None or numbers is None else numbers.ravel().tolist()
            for numbers, error in zip(of_arm, errors, strict=True)
        ]
        for arm, of_arm in arms.items()
    }
    some = [image is not None or text is not None for image, text in zip(states["image"], states["text"], strict=True)]
    return {
        columns.IMAGE_STATES: states["image"],
        columns.TEXT_STATES: states["text"],
        columns.STATES_ERROR: [cell_of(error) for error in errors],
        columns.STATES_SETTINGS: [settings if has else None for has in some],
    }


def size_of_states(engine: Any, rows: int, depths: Sequence[float]) -> str | None:
    """What the states of so many rows take, for people; None where the engine does not tell how wide they are."""
    width = getattr(engine, "states_width", None)
    if width is None:
        return None
    of_row = len(columns.ARMS) * len(depths) * width * _BYTES
    return f"The states of {len(depths)} layers and both arms take {_shown(of_row)} a row, {_shown(rows * of_row)} for {rows:,} rows."


def _shown(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1_000:
            return f"{count:.3g} {unit}"
        count /= 1_000
    return f"{count:,.1f} GB"
