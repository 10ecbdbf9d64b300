"""Which rollouts cannot be used, and why; vectorised over Arrow columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR_CODES
from hf_rap.errors import RowError
from hf_rap.rows.images import open_image
from hf_rap.rows.media import Named, short_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def find_faults(steps: pa.Array, images: pa.Array | None) -> dict[int, RowError]:
    """Row -> what is wrong, for the rows that cannot be used; the first fault of each.

    Args:
        steps: list<struct<step: string, score: float64, ...>>.
        images: list<string>, the names of the images; None where images are not asked for.

    """
    faults: dict[int, RowError] = {}
    if images is not None:
        _add(faults, "image_missing", _without_image(images), lambda _row: "no image is named")
    _add_step_faults(faults, steps)
    return faults


def find_file_faults(images: pa.Array, fault_of: Callable[[str], RowError | None]) -> dict[int, RowError]:
    """Row -> fault for the rows one of whose images has one; `fault_of` says it of a name, or None."""
    faults: dict[int, RowError] = {}
    for row, names in enumerate(images.to_pylist()):
        fault = next((fault for name in names or () if name and (fault := fault_of(name))), None)
        if fault:
            faults[row] = fault
    return faults


def image_fault(name: str, root: Path, *, opened: bool) -> RowError | None:
    """What is wrong with an image file below `root`; opens it only where asked to."""
    image = Named(name, str(root / name), (str(root),))
    if image.lies_outside() or not (root / name).is_file():
        return RowError("image_missing", f"there is no file {short_name(name)} in the folder of the images")
    if opened:
        try:
            open_image(image)
        except RowError as error:
            return error
    return None


def _without_image(images: pa.Array) -> NDArray[np.int64]:
    import numpy as np
    import pyarrow.compute as pc

    lengths = pc.list_value_length(images).fill_null(0).to_numpy(zero_copy_only=False)
    names = pc.list_flatten(images)
    empty = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(names)), 0).fill_null(True)
    parents = np.repeat(np.arange(len(images)), lengths)
    bad = lengths == 0
    bad[parents[empty.to_numpy(zero_copy_only=False)]] = True
    return np.flatnonzero(bad)


def _add_step_faults(faults: dict[int, RowError], steps: pa.Array) -> None:
    import numpy as np
    import pyarrow.compute as pc

    lengths = pc.list_value_length(steps).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    _add(faults, "steps_missing", np.flatnonzero(lengths == 0), lambda _row: "there are no steps")
    ends = np.cumsum(lengths)
    parents = np.repeat(np.arange(len(steps)), lengths)
    flat = pc.list_flatten(steps)

    def place(step: Any) -> int:
        return int(step - (ends[parents[step]] - lengths[parents[step]]) + 1)

    texts = pc.utf8_trim_whitespace(pc.struct_field(flat, "step"))
    empty = np.flatnonzero(pc.equal(pc.utf8_length(texts), 0).fill_null(True).to_numpy(zero_copy_only=False))
    _add(
        faults,
        "steps_missing",
        parents[empty],
        lambda at: f"step {place(empty[at])} of {lengths[parents[empty[at]]]} has no text",
    )
    stored = pc.struct_field(flat, "score")
    scores = stored.to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    _add(
        faults,
        "score_invalid",
        parents[wrong],
        lambda at: (
            f"step {place(wrong[at])} of {lengths[parents[wrong[at]]]} has the score "
            f"{_shown(stored[int(wrong[at])].as_py())}; scores are in [0, 1]"
        ),
    )


def _add(faults: dict[int, RowError], code: str, rows: NDArray[np.int64], message: Any) -> None:
    assert code in ERROR_CODES
    for at, row in enumerate(rows.tolist()):
        if row not in faults:
            faults[row] = RowError(code, message(at))


def _shown(score: float | None) -> str:
    return "null" if score is None else f"{score:g}"
