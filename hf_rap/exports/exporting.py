"""A selection, a published version or any dataset -> a folder that one trainer loads.

geometry3k-easyr1/
train.parquet        the rows, images inside
val.parquet          rows that are held out, for trainers that do not start without
reward_easyr1.py     its reward function: the verifier that scored the rows
README.md            what was left out and why, and the lines to paste
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import ExportError, visible
from hf_rap.options import check, check_flags, check_path, check_text
from hf_rap.rows.layouts import check_given
from hf_rap.rows.media import allowed
from hf_rap.rows.presets import find_prompt
from hf_rap.rows.sources import load_source, parse_source
from hf_rap.select import Selection
from hf_rap.system import is_free, whole_folder
from hf_rap.tables.notebook import brief, code, html_block, html_page, html_table

from .base import MODEL, Given, Target
from .handoff import Handoff, check_rows, ready_rows
from .lengths import rounded
from .limits import Limits
from .rows import export_rows
from .trainers import find_trainer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    import datasets

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate

    from .base import Trainer
    from .rows import ExportRows

SCORED = "scored"  # of `prompt`: the one that each row was scored with

# datasets takes these in a file name for a pattern, and every trainer here reads through datasets.
_PATTERN = "*?[]"


@dataclass(frozen=True, repr=False)
class Exported:
    """An export that was written: where it is, what was checked, what to paste into the trainer."""

    path: Path
    handoff: Handoff
    snippet: str

    def __repr__(self) -> str:
        return brief(
            f"Exported: {visible(str(self.path))}\n{self.handoff.table(show=0)}", "print(exported.handoff.table())"
        )

    def _repr_html_(self) -> str:
        handoff = self.handoff
        first = {row.code: row for row in reversed(handoff.refused)}
        refused = [
            (code(name), rows, f"row {first[name].index:,}: {first[name].message}")
            for name, rows in handoff.codes.items()
        ]
        facts = [("folder", code(self.path)), ("rows ready", handoff.ready), ("rows in all", handoff.rows)]
        facts += [("held out to validate on", len(handoff.held_out))] if handoff.held_out else []
        return html_page(
            f"Exported for {handoff.trainer}: {handoff.ready:,} of {handoff.rows:,} rows",
            html_table([*facts, *((f"fixed: {what}", rows) for what, rows in handoff.fixed.items())]),
            *([html_table(refused, ("refused", "rows", "the first"))] if refused else []),
            *handoff.notes,
            html_block(self.snippet),
        )


def export(
    source: Selection | datasets.Dataset | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    to: str = "universal",
    layout: Layout | None = None,
    limits: Limits | None = None,
    fix: bool = False,
    drop: bool = False,
    prompt: PromptTemplate | str | None = None,
    hints: bool = False,
    media_roots: Iterable[str | os.PathLike[str]] = (),
) -> Exported:
    """Write the rows as a new folder in the layout of one trainer, all or nothing.

    The prompt is the one that the rows were scored with. Images keep the bytes of their files. Ids, `<image>` places and, where the trainer hands further
    columns to its reward function, the score columns go along.

    Args:
        source: a selection (its kept rows), a dataset, or what `load_source` takes: a published
            folder, a Hub id, files.
        path: a folder that does not exist yet, or is empty.
        to: the trainer, one of `hf_rap.exports.trainers.TRAINERS`.
        layout: which column is what; None recognises it.
        limits: what the training run takes, see `Limits`.
        fix: change what can be changed without changing what a row asks: images that the trainer would open with other pixels
            are written as they were scored, those beyond the pixel limits are resized, an answer is taken out of its solution where only an answer can be compared.
        drop: leave out the rows that would be refused, instead of refusing all.
        prompt: what stands around the question: a `PromptTemplate`, the name of a preset or a file, see docs/prompts.md. None and
            "scored": the one that each row was scored with; the question stays bare where nothing says it.
        hints: put the hints of difficulty behind the questions (a column of `hf_rap.training.add_difficulty_hint`).
        media_roots: folders beside the dataset's own whose files rows may name, see `hf_rap.rows.media`.

    Raises:
        SettingError: there is no such trainer.
        LayoutError: the layout is not recognised.
        ExportError: there is something at `path`, rows would be refused, or too few are left.

    Examples:
        >>> export(selection, "geometry3k-easyr1", to="easyr1")  # doctest: +SKIP

    """
    trainer = find_trainer(to)
    check_path("path", path, "a folder that does not exist yet, or is empty")
    template = check_options(layout, limits, prompt, fix=fix, drop=drop, hints=hints)
    target = Path(path).absolute()
    check_target(target, trainer)
    limits = limits or Limits()
    with allowed(media_roots):
        rows, handoff = checked_rows(source, trainer, layout, limits, template, fix=fix, hints=hints)
    refuse(handoff, trainer, limits, drop=drop)

    with whole_folder(target) as folder:
        snippet = write_export(rows, handoff, trainer, limits, Target(folder, target))
        (folder / "README.md").write_text(_readme(handoff, snippet), encoding="utf-8")
    return Exported(target, handoff, snippet)


def write_export(rows: ExportRows, handoff: Handoff, trainer: Trainer, limits: Limits, place: Target) -> str:
    """Write what is ready of the rows into the folder of `place`, which exists; the lines to paste."""
    folder, target = place.folder, place.final
    snippet = trainer.snippet(given_of(handoff, limits, target, hinted=rows.hints))
    check_text(f"what {type(trainer).__name__}.snippet gives", snippet, empty=False)
    for split, count in (("train", handoff.train), ("val", len(handoff.held_out))):
        if not count:
            continue
        before = _files(folder)
        ready = Counted(ready_rows(rows, trainer, limits, handoff, held_out=split == "val"))
        trainer.write(ready, rows.features, Target(folder, target, handoff.prompt, split))
        _check_written(trainer, ready.count, count, Target(folder, target))
        _check_kept(trainer, before, _files(folder))
    return snippet


def given_of(handoff: Handoff, limits: Limits, target: Path, *, hinted: bool) -> Given:
    """What a snippet is filled in with, for rows that go to `target`."""
    return Given(
        target,
        rows=handoff.train,
        held_out=len(handoff.held_out),
        max_images=handoff.max_images,
        model=limits.model or MODEL,
        gpus=limits.gpus,
        group=limits.group,
        rollout_batch=limits.rollout_batch,
        prompt_tokens=limits.max_prompt_tokens or rounded(handoff.prompt_tokens),
        prompted=hinted or not handoff.bare,
        prompt=handoff.prompt,
        system_turn=handoff.system_turn,
        chat_template_kwargs=handoff.chat_template_kwargs,
    )


def _files(folder: Path) -> dict[str, int]:
    """The data files and when they were written; what both calls write alike does not count."""
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.name.startswith(("train.", "val."))}


def _check_kept(trainer: Trainer, before: dict[str, int], after: dict[str, int]) -> None:
    """Raise `ExportError` where the rows that are held out took the place of those to train on."""
    if before and any(after.get(name) != written for name, written in before.items()):
        raise ExportError(
            f"{type(trainer).__name__}.write has written the rows that are held out over those to train on: "
            'call the file by target.split ("train" or "val").'
        )


def _check_written(trainer: Trainer, read: int, ready: int, target: Target) -> None:
    """Raise `ExportError` where rows were left out without a word, or nothing was written."""
    if read < ready:
        raise ExportError(
            f"{type(trainer).__name__}.write has read {read:,} of {ready:,} rows, so nothing is exported."
        )
    if not is_free(target.final):
        raise ExportError(
            f"{type(trainer).__name__}.write has written to target.final ({target.final}), where the export is moved to: "
            "write to target.folder, and remove what is there."
        )
    if not any(target.folder.iterdir()):
        raise ExportError(f"{type(trainer).__name__}.write has written nothing into target.folder.")


class Counted:
    """Rows, once, and how many were taken."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.count = 0
        self._rows = iter(rows)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        row = next(self._rows)
        self.count += 1
        return row


def check_export(
    source: Selection | datasets.Dataset | str | os.PathLike[str],
    *,
    to: str = "universal",
    layout: Layout | None = None,
    limits: Limits | None = None,
    fix: bool = False,
    prompt: PromptTemplate | str | None = None,
    hints: bool = False,
) -> Handoff:
    """What `export` would refuse, without writing anything.

    Args:
        source: a selection, its rows, or a version in a folder.
        to: the trainer, a name of `hf-rap export --to`.
        layout: which column is what; None recognises it.
        limits: what the trainer will be run with: pixels, tokens of a prompt, rows of a batch.
        fix: as `export` would mend what can be mended.
        prompt: what stands around the question; None is the prompt that the rows were scored with.
        hints: the hints of `add_difficulty_hint` go into the prompt.

    """
    trainer = find_trainer(to)
    template = check_options(layout, limits, prompt, fix=fix, hints=hints)
    return checked_rows(source, trainer, layout, limits or Limits(), template, fix=fix, hints=hints)[1]


def check_options(
    layout: Layout | None, limits: Limits | None, prompt: PromptTemplate | str | None, **flags: bool
) -> PromptTemplate | None:
    """The prompt that was given; raises `SettingError` for an option that cannot work, before any row is read."""
    check_given(layout)
    check(limits is None or isinstance(limits, Limits), "limits", limits, "Limits(...), or None")
    check_flags(**flags)
    return None if prompt is None or prompt == SCORED else find_prompt(prompt)


def checked_rows(
    source: Any,
    trainer: Trainer,
    layout: Layout | None,
    limits: Limits,
    prompt: PromptTemplate | None,
    *,
    fix: bool,
    hints: bool = False,
) -> tuple[ExportRows, Handoff]:
    """The rows of a source as they would be written, and what would happen to them."""
    if isinstance(source, Selection):
        rows = export_rows(source.selected, layout=layout, prompt=prompt, among=source.scored, hints=hints)
    elif isinstance(source, (str, os.PathLike)):
        origin = parse_source(os.fspath(source))
        name = Path(origin.path).name if origin.is_local else origin.path
        rows = export_rows(load_source(origin), layout=layout, data_source=name, prompt=prompt, hints=hints)
    else:
        rows = export_rows(source, layout=layout, prompt=prompt, hints=hints)
    return rows, check_rows(rows, trainer, limits, fix=fix)


def check_target(target: Path, trainer: Trainer) -> None:
    """Raise `ExportError` for a folder that is taken, or whose name the trainer's loader takes apart."""
    if not is_free(target):
        raise ExportError(f"There is something at {target}: give a folder that does not exist yet, or is empty.")
    bad = [sign for sign in _PATTERN + trainer.accepts.path_without if sign in str(target)]
    if bad:
        raise ExportError(
            f"{target} has {' '.join(bad)} in its name, which the loader of {trainer.title} takes for something else: "
            "give another folder."
        )


def refuse(handoff: Handoff, trainer: Trainer, limits: Limits, *, drop: bool) -> None:
    """Raise `ExportError` where rows would be refused that are not to be left out, or too few are left."""
    if handoff.refused and not drop:
        kinds = ", ".join(f"{code}: {rows:,}" for code, rows in handoff.codes.items())
        first = handoff.refused[0]
        hint = "fix=True (--fix) mends some of them; " if handoff.fixable else ""
        raise ExportError(
            f"{len(handoff.refused):,} of {handoff.rows:,} rows would be refused by {trainer.title} ({kinds}). "
            f"The first is row {first.index} ({first.row_id}): {first.message.rstrip('.')}. {hint}drop=True (--drop) leaves them out."
        )
    if not handoff.ready:
        raise ExportError(f"No row is left for {trainer.title}.")
    if limits.rollout_batch and handoff.train < limits.rollout_batch:
        raise ExportError(
            f"{handoff.train:,} rows do not fill one rollout batch of {limits.rollout_batch:,}, and {trainer.title} "
            f"would stop or train on nothing: use a batch of {handoff.train:,} or less, or select more rows."
        )


def _readme(handoff: Handoff, snippet: str) -> str:
    return f"# Export for {handoff.trainer}\n\n{fenced(handoff.table())}\n\n{fenced(snippet)}\n"


def fenced(text: str) -> str:
    """A block of text as it is, which nothing in it can end; of no language, for some lines are YAML or Python."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"
