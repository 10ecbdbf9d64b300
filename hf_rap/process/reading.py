"""Process-reward data from JSONL files, the Hub or a Dataset, with what is wrong with each row.

Every layout comes out with a question (see `hf_rap.columns.QUESTIONS`), `steps_with_score`, `source`,
`rap_id` and `rap_error`; what else there is stays.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, ID, QUESTIONS, STEPS, TypedList, arrow_type
from hf_rap.errors import (
    ColumnExistsError,
    LayoutError,
    MissingColumnError,
    RowError,
    SettingError,
    SourceError,
    first_line,
    logger_of,
)
from hf_rap.options import check, check_flags, check_path, check_text
from hf_rap.rows.sources import as_source_error, load_source, parse_source
from hf_rap.tables import whole_dataset

from . import jsonl
from .checks import find_faults
from .mapped import dataset_from_files

if TYPE_CHECKING:
    import datasets

logger = logger_of(__name__)

MAX_FAULTS_SHOWN = 5


@dataclass(frozen=True)
class ProcessLayout:
    """Which columns of a dataset hold process rewards.

    Args:
        question: text, or a chat; renamed to `question` unless it has a usual name.
        steps: list of texts; or list of {"step", "score"}, then without `scores`.
        scores: list of numbers in [0, 1] or flags, one per step.
        source: the column that a selection is balanced by, renamed to `source`; None puts all rows into one.
        id: names the rows, renamed to `rap_id`; None numbers them.

    """

    question: str
    steps: str
    scores: str | None = None
    source: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        for name in ("question", "steps"):
            check_text(name, getattr(self, name), empty=False)
        for name in ("scores", "source", "id"):
            check_text(name, getattr(self, name), none=True, empty=False)


TRL_STEPWISE = ProcessLayout("prompt", "completions", "labels")


def load_process_rewards(
    source: Any,
    *,
    images: str | os.PathLike[str] | None = None,
    layout: ProcessLayout | None = None,
    strict: bool = False,
    open_images: bool = False,
) -> datasets.Dataset:
    """The rollouts at `source`, one row each, with `steps_with_score` ready for `bis_score`.

    Rows that cannot be used (a broken line, no image, no steps, a score that is null or outside
    [0, 1]) stay as rows with null steps and say why in `rap_error`, with file and line: they get no
    score, count in no quota, are never selected, and appear on the card.

    JSONL files in the layout of VisualPRM400K are parsed block by block into a memory-mapped file
    in the cache of `datasets`, so memory does not grow with their size. Each file is one source,
    named like the file; files are read in the order of their names. `image` holds the names of a
    row's images as they are in the file.

    Args:
        source: a folder, a JSONL file or a pattern; a Hub dataset with such files, or anything that
            `load_source` takes; or a `Dataset`.
        images: only for JSONL files: the folder that the names in `image` start at. Rows whose files
            are not there are kept out, and a column `images` points to the files. None looks at no file.
        layout: which column is what; None recognises `steps_with_score` and the stepwise layout of
            TRL (`prompt`, `completions`, `labels`).
        strict: raise instead of keeping rows out.
        open_images: also decode every image once, and keep out rows with one that fails; needs `images`.

    Raises:
        SettingError: an option is out of its range, or open_images without images.
        SourceError: there is nothing to read, or with strict, some row cannot be used.
        LayoutError: the columns are not recognised, or not as the layout says.

    """
    check_path("images", images, "the folder that holds the image files", none=True)
    fine = layout is None or isinstance(layout, ProcessLayout)
    check(fine, "layout", layout, "a ProcessLayout(question=..., steps=...), or None to recognise it")
    check_flags(strict=strict, open_images=open_images)
    if open_images and images is None:
        raise SettingError("open_images needs images=, the folder that holds the image files.")
    named = isinstance(source, (str, os.PathLike))
    rows = named or hasattr(source, "__getitem__") or hasattr(source, "__iter__")
    check(rows, "source", source, "a folder, files, a Hub id or a Dataset")
    if not named:
        ds = _from_dataset(whole_dataset("load_process_rewards", source), layout, "dataset")
    else:
        files = _jsonl_files(os.fspath(source)) if layout is None else []
        if files:
            ds = dataset_from_files(files, None if images is None else Path(images).absolute(), opened=open_images)
        else:
            ds = _from_dataset(load_source(os.fspath(source)), layout, parse_source(os.fspath(source)).path)
    _report(ds, strict=strict)
    return ds


def count_faults(ds: datasets.Dataset) -> dict[str, int]:
    """How many rows cannot be used, by the code of their `rap_error`."""
    return dict(Counter(RowError.parse(error).code for error in _faults(ds)))


def _faults(ds: datasets.Dataset) -> list[str]:
    if ERROR.name not in ds.column_names:
        return []
    errors = ds.select_columns([ERROR.name]).with_format("arrow")[:][ERROR.name]
    messages: list[str] = errors.drop_null().to_pylist()
    return messages


def _report(ds: datasets.Dataset, *, strict: bool) -> None:
    faults = _faults(ds)
    if not faults:
        return
    shown = "; ".join(faults[:MAX_FAULTS_SHOWN])
    more = f"; and {len(faults) - MAX_FAULTS_SHOWN:,} more" if len(faults) > MAX_FAULTS_SHOWN else ""
    message = f"{len(faults):,} of {len(ds):,} rollouts cannot be used: {shown}{more}."
    if strict:
        raise SourceError(f"{message} Mend them, or read without strict to keep them out.")
    logger.warning("%s They are kept out of scores and quotas; rap_error says why.", message)


def _jsonl_files(source: str) -> list[Path]:
    """The files in the layout of VisualPRM400K that `source` stands for; none for anything else."""
    origin = parse_source(source)
    path = Path(origin.path).expanduser()
    if path.is_dir():
        files = sorted(path.rglob("*.jsonl"), key=lambda file: file.relative_to(path).as_posix())
    elif origin.is_local:
        files = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if name.endswith(".jsonl"))  # noqa: PTH207 - patterns may be absolute
    else:
        with as_source_error(origin):
            files = _on_the_hub(origin.path, origin.revision)
    chosen = [file for file in files if jsonl.is_visualprm(file)]
    if chosen and len(chosen) < len(files):
        strangers = ", ".join(file.name for file in files if file not in chosen)
        raise SourceError(
            f"{source}: {strangers} has no {STEPS.name!r}, unlike the other files: give a pattern without it."
        )
    return chosen


def _on_the_hub(repo: str, revision: str | None) -> list[Path]:
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=["*.jsonl"]))
    return sorted(folder.rglob("*.jsonl"))


# Datasets


def _from_dataset(ds: datasets.Dataset, layout: ProcessLayout | None, name: str) -> datasets.Dataset:
    import datasets

    ds = ds.with_format(None)
    if layout is None:
        layout = _recognise(ds.column_names)
    for column in (layout.question, layout.steps, layout.scores, layout.source, layout.id):
        if column is not None and column not in ds.column_names:
            raise MissingColumnError("ProcessLayout", column, ds.column_names)
    is_usual = layout.question in QUESTIONS
    renamed = {
        layout.question: layout.question if is_usual else "question",
        layout.source: "source",
        layout.id: ID.name,
    }
    for old, new in renamed.items():
        if old is not None and old != new:
            if new in ds.column_names:
                raise ColumnExistsError("load_process_rewards", [new])
            ds = ds.rename_column(old, new)
    read = [layout.steps, *([layout.scores] if layout.scores else [])]
    keep_errors = ERROR.name in ds.column_names
    made = ds.select_columns([*read, *([ERROR.name] if keep_errors else [])]).map(
        partial(_steps_of, layout=layout, numbered=layout.id is None and ID.name not in ds.column_names),
        batched=True,
        with_indices=True,
        remove_columns=[*read, *([ERROR.name] if keep_errors else [])],
        desc="steps",
    )
    ds = ds.remove_columns([*read, *([ERROR.name] if keep_errors else [])])
    if "source" not in ds.column_names:
        ds = ds.add_column("source", [Path(name).name] * len(ds))
    return datasets.concatenate_datasets([ds, made], axis=1)


def _recognise(columns: list[str]) -> ProcessLayout:
    if STEPS.name in columns:
        question = next((name for name in QUESTIONS if name in columns), None)
        if question is not None:
            return ProcessLayout(
                question,
                STEPS.name,
                source="source" if "source" in columns else None,
                id=ID.name if ID.name in columns else None,
            )
    if {TRL_STEPWISE.question, TRL_STEPWISE.steps, TRL_STEPWISE.scores} <= set(columns):
        return TRL_STEPWISE
    raise LayoutError(
        f"No steps with scores were recognised in the columns {', '.join(columns)}. Name them: "
        "load_process_rewards(source, layout=ProcessLayout(question=..., steps=..., scores=...))."
    )


def _steps_of(
    batch: dict[str, list[Any]], indices: list[int], *, layout: ProcessLayout, numbered: bool
) -> dict[str, Any]:
    import pyarrow as pa

    earlier = batch.get(ERROR.name, [None] * len(indices))
    rows: list[list[dict[str, Any]] | None] = []
    faults: dict[int, RowError] = {}
    for place, steps in enumerate(batch[layout.steps]):
        if steps is None or layout.scores is None:
            rows.append(steps)
            continue
        scores = batch[layout.scores][place] or []
        if len(scores) != len(steps):
            faults[place] = RowError("score_invalid", f"{len(steps)} steps and {len(scores)} scores")
            rows.append(None)
        else:
            rows.append(
                [
                    {"step": step, "score": None if score is None else float(score)}
                    for step, score in zip(steps, scores, strict=True)
                ]
            )
    try:
        array = pa.array(rows, type=arrow_type(STEPS.dtype))
    except (pa.ArrowException, TypeError) as error:
        raise LayoutError(
            f"The steps in column {layout.steps!r} are not as the layout says: {first_line(error)}."
        ) from error
    faults = {**find_faults(array, None), **faults}
    errors = [
        message if message is not None else str(faults[place].at(f"row {index}")) if place in faults else None
        for place, (message, index) in enumerate(zip(earlier, indices, strict=True))
    ]
    usable = [None if error is not None else row for row, error in zip(array.to_pylist(), errors, strict=True)]
    made = {STEPS.name: TypedList(usable, STEPS.dtype), ERROR.name: TypedList(errors, ERROR.dtype)}
    return {**({ID.name: [str(index) for index in indices]} if numbered else {}), **made}
