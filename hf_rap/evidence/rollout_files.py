"""Files with one graded rollout a line, as NeMo Gym and verifiers write them, read as evidence of the rows that were asked.

    NeMo Gym   {"_ng_task_index": 4, "_ng_rollout_index": 2, "reward": 1.0, "response": {"model": "...", "output": [{"type": "message",
                "content": [{"type": "output_text", "text": "..."}]}]}, "responses_create_params": {"temperature": 1.0, ...}}
    verifiers  {"example_id": 4, "reward": 1.0, "completion": [{"role": "assistant", "content": "..."}], "error": null, "is_truncated": false}
               beside it metadata.json: {"model": "...", "sampling_args": {"temperature": 1.0}}

Source: nemo_gym/rollout_collection.py of NVIDIA-NeMo/Gym@00536e7, verifiers/utils/save_utils.py of PrimeIntellect-ai/verifiers@00d8320.
A rollout of verifiers that failed has a reward of 0 beside its error: nobody knows whether it would have been right, so it is null here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ERROR, IMAGE_RESPONSES, IMAGE_REWARDS, IMAGE_TRUNCATED, require
from hf_rap.errors import LayoutError, RowError, SourceError
from hf_rap.options import ForeignError, check_number, check_text, is_number, is_whole, read_json, read_json_file, shown
from hf_rap.tables import whole_dataset

from .pass_rates import ENGINE, UNKNOWN, with_evidence

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import datasets

_SAMPLING = ("temperature", "top_p", "top_k", "max_output_tokens", "max_tokens")
_MOST_BYTES = 1 << 28  # of a line, which may hold pictures
_MOST_NAMED = 3  # models or settings in a sentence


class Rollout(NamedTuple):
    """One line."""

    key: Any
    reward: float | None
    text: str | None
    cut: bool | None
    model: str | None
    sampling: str | None


@dataclass(frozen=True)
class _Layout:
    """Where a framework writes the number of the row, and of the rollout."""

    name: str
    task: str
    rollout: str | None = None


_LAYOUTS = (_Layout("NeMo Gym", "_ng_task_index", "_ng_rollout_index"), _Layout("verifiers", "example_id"))


def add_rollout_file(
    ds: datasets.Dataset,
    path: str | os.PathLike[str],
    *,
    by: str | None = None,
    correct: float | None = None,
    model: str | None = None,
    sampling: str | None = None,
) -> datasets.Dataset:
    """The dataset with the graded rollouts in a file of NeMo Gym or verifiers as its evidence; asks no model.

    Args:
        ds: the rows that were asked.
        path: rollouts.jsonl or results.jsonl.
        by: a field of the lines and a column of the rows, which says whose a rollout is. None goes by the number that the framework has
            given the row, which is its place in `ds` where all rows that were asked differ and stand in the same order.
        correct: rewards from here on count as 1, the others as 0; None takes rewards as they are, in [0, 1].
        model: whose rollouts they are; None is what the file says, or unknown.
        sampling: how they were drawn, in words; None is what the file says, or unknown.

    Returns:
        The dataset with `rap_image_rewards`, `rap_image_responses`, `rap_image_truncated`, `rap_error` ("rate_unknown: ..." for rows
        without a rollout) and `rap_settings`. There is no arm on the text alone.

    Raises:
        SourceError: the file cannot be read.
        LayoutError: a line is none of a rollout, its row is not there, a rollout stands there twice, or a reward is no number from 0 to 1.
        MissingColumnError: there is no column `by`.
        ColumnExistsError: there is evidence already.
        SettingError: an option is none.
    """
    ds = whole_dataset("add_rollout_file", ds)
    for name, value in (("by", by), ("model", model), ("sampling", sampling)):
        check_text(name, value, none=True, empty=False)
    check_number("correct", correct, none=True)
    require("add_rollout_file", ds.column_names, () if by is None else (by,))
    place = Path(path)
    layout, rollouts = _rollouts(place, ds, by, correct)
    beside = _beside(place) if layout.name == "verifiers" else {}
    settings = {
        "engine": ENGINE,
        "file": place.name,
        "format": layout.name,
        "model": model or _all_of(rollouts, "model") or str(beside.get("model") or UNKNOWN),
        "sampling": sampling or _all_of(rollouts, "sampling") or _sampling(beside.get("sampling_args")) or UNKNOWN,
    }
    error = str(RowError("rate_unknown", f"{place.name} has no rollout of this row"))
    return with_evidence(
        "add_rollout_file",
        ds,
        {
            IMAGE_REWARDS: [[rollout.reward for rollout in row] or None for row in rollouts],
            IMAGE_RESPONSES: [[rollout.text for rollout in row] or None for row in rollouts],
            IMAGE_TRUNCATED: [[rollout.cut for rollout in row] or None for row in rollouts],
            ERROR: [None if row else error for row in rollouts],
        },
        settings,
    )


def _rollouts(
    path: Path, ds: datasets.Dataset, by: str | None, correct: float | None
) -> tuple[_Layout, list[list[Rollout]]]:
    """The rollouts of each row, in the order of the file."""
    places = _places(ds, by)
    rollouts: list[list[Rollout]] = [[] for _ in range(len(ds))]
    first: dict[tuple[Any, str], int] = {}
    layout = None
    for number, record in _lines(path):
        where = f"{path.name}, line {number},"
        layout = layout or _layout_of(record, where, by)
        rollout = _read(record, layout, where, by, correct)
        if rollout.key not in places:
            what = f" in {by!r}." if by else ": give those that were asked, or by=... (--by), a field that both have."
            raise LayoutError(
                f"{where} is of the row {shown(rollout.key)}, which these {len(ds):,} rows do not have{what}"
            )
        if layout.rollout is not None and record.get(layout.rollout) is not None:
            twin = first.setdefault((rollout.key, str(record[layout.rollout])), number)
            if twin != number:
                raise LayoutError(
                    f"{where} is the same rollout as line {twin}: {layout.rollout} {record[layout.rollout]!r}."
                )
        rollouts[places[rollout.key]].append(rollout)
    if layout is None:
        raise SourceError(f"{path.name} has no rollouts.")
    return layout, rollouts


def _places(ds: datasets.Dataset, by: str | None) -> Mapping[Any, int]:
    """Where the row of each key stands."""
    if by is None:
        return {place: place for place in range(len(ds))}
    keys = ds.select_columns([by]).with_format("arrow")[:][by].to_pylist()
    places: dict[Any, int] = {}
    for place, key in enumerate(map(_key, keys)):
        if key is None:
            continue
        if places.setdefault(key, place) != place:
            raise LayoutError(
                f"Rows {places[key]} and {place} have the same {by!r}, {shown(key)}: it does not say whose a rollout is."
            )
    return places


def _key(value: Any) -> Any:
    """Numbers and texts as a text, since JSON and tables differ in what they make of an id."""
    return None if value is None else str(value)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, read_json(line, most=_MOST_BYTES)
    except ForeignError as error:
        raise SourceError(f"{path.name}, line {number}, cannot be read: it {error}.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error


def _layout_of(record: Mapping[str, Any], where: str, by: str | None) -> _Layout:
    for layout in _LAYOUTS:
        if layout.task in record:
            return layout
    if by is not None and "reward" in record:
        return _Layout("rollouts", by)
    tasks = " or ".join(layout.task for layout in _LAYOUTS)
    raise LayoutError(
        f"{where} is no rollout of NeMo Gym or verifiers: it has neither {tasks} (it has: {', '.join(record)}). Of another framework, "
        "say by=... (--by) and have a field reward."
    )


def _read(record: Mapping[str, Any], layout: _Layout, where: str, by: str | None, correct: float | None) -> Rollout:
    name = by or layout.task
    if record.get(name) is None:
        raise LayoutError(f"{where} has no {name!r}, which says whose rollout it is.")
    key = record[name]
    if by is None and not is_whole(key):
        raise LayoutError(f"{where} has {shown(key)} for {name}, and it is a whole number.")
    given = record.get("response")
    response: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    params = record.get("responses_create_params")
    reward = None if record.get("error") is not None else _reward(record.get("reward"), where, correct)
    texts = record.get("completion", record.get("text")) if layout.name != "NeMo Gym" else response.get("output")
    cut = record.get("is_truncated")
    model = response.get("model") or record.get("model")
    return Rollout(
        int(key) if by is None else _key(key),
        reward,
        _text(texts),
        cut if isinstance(cut, bool) else None,
        str(model) if model else None,
        _sampling(params) or _sampling(response),
    )


def _reward(reward: Any, where: str, correct: float | None) -> float | None:
    if reward is None:
        return None
    if isinstance(reward, bool):
        reward = float(reward)
    if is_number(reward) and correct is not None:
        return float(reward >= correct)
    if is_number(reward) and 0 <= reward <= 1:
        return float(reward)
    raise LayoutError(
        f"{where} has a reward of {shown(reward)}, and rewards are from 0 to 1: say from which on a rollout is right, correct=... (--correct)."
    )


def _text(said: Any) -> str | None:
    """The last text of the assistant in a completion: a text, chat turns, or the output of a response."""
    if isinstance(said, str):
        return said
    for turn in reversed(said if isinstance(said, list) else []):
        if not isinstance(turn, Mapping) or turn.get("role", "assistant") != "assistant":
            continue
        content = turn.get("content")
        if isinstance(content, str):
            return content
        parts = (
            [part.get("text") for part in content or [] if isinstance(part, Mapping)]
            if isinstance(content, list)
            else []
        )
        if texts := [part for part in parts if isinstance(part, str)]:
            return "".join(texts)
    return None


def _sampling(given: Any) -> str | None:
    """What is said of how replies were drawn, as JSON."""
    known = (
        {name: given[name] for name in _SAMPLING if given.get(name) is not None} if isinstance(given, Mapping) else {}
    )
    return json.dumps(known, sort_keys=True) if known else None


def _beside(path: Path) -> dict[str, Any]:
    """What metadata.json says, where it stands beside the file."""
    beside = path.parent / "metadata.json"
    try:
        return read_json_file(beside) if beside.is_file() else {}
    except (ForeignError, OSError) as error:
        raise SourceError(f"{beside} cannot be read: it {error}.") from error


def _all_of(rollouts: list[list[Rollout]], name: str) -> str | None:
    """The models of all rollouts, or how they were drawn, the most frequent first; None where no line says it."""
    counts = Counter(value for row in rollouts for rollout in row if (value := getattr(rollout, name)) is not None)
    most = [value for value, _ in counts.most_common(_MOST_NAMED)]
    more = len(counts) - len(most)
    return " and ".join([*most, *([f"{more} more"] if more else [])]) or None
