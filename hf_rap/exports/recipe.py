"""A selection -> training as a paper did it, in one folder: what is compared differs in its rows and in nothing else.

geometry3k-easyr1/
selected/ random/ full/   each as `export` writes it, with the same rows to validate on
selected-grpo.yaml ...    whole configurations, one per set of rows and algorithm
README.md                 the commands

and for two stages

prior/
one/ two/                 the second with hints behind its questions
one-grpo.yaml two-grpo.yaml
train.sh                  the second stage goes on from what the first has saved
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.columns import KEEP
from hf_rap.errors import ExportError
from hf_rap.options import check, check_choice, check_path
from hf_rap.select import Selection
from hf_rap.system import whole_folder

from .base import Target
from .easyr1 import PROMPT_FILE
from .exporting import check_options, check_target, checked_rows, fenced, given_of, refuse, write_export
from .limits import Limits
from .published import ALGORITHMS, CONFIGS, WEIGHTED, Plan, numbers_of
from .trainers import find_trainer
from .writing import setting

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import datasets
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate

    from .base import Trainer
    from .handoff import Handoff
    from .rows import ExportRows

SETS = ("selected", "random", "full")
STAGES = ("one", "two")
_REWARD = """\
\"\"\"The accuracy of replies, hard prompts weighing more; of a group of {group} replies.\"\"\"

from hf_rap.training import accuracy_reward, difficulty_weighted

weighted_accuracy = difficulty_weighted(accuracy_reward, {weight!r}, group_size={group}, id_column="id")
"""


@dataclass(frozen=True)
class ExportedRecipe:
    """What was written: where, rows to train on of each set, what was checked, and the commands."""

    path: Path
    rows: Mapping[str, int]
    handoff: Handoff
    commands: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    """What all sets of rows of an export have in common."""

    trainer: Trainer
    recipe: str
    numbers: Mapping[str, Any]
    limits: Limits
    layout: Layout | None
    prompt: PromptTemplate | None
    fix: bool
    target: Path
    weighted: bool = False

    def check(self, ds: datasets.Dataset, limits: Limits, *, hints: bool = False) -> tuple[ExportRows, Handoff]:
        """The rows of one set as they would be written."""
        return checked_rows(ds, self.trainer, self.layout, limits, self.prompt, fix=self.fix, hints=hints)

    def write(self, rows: ExportRows, handoff: Handoff, name: str, folder: Path, limits: Limits) -> Plan:
        """The rows of one set below `folder`, and the run on them."""
        refuse(handoff, self.trainer, limits, drop=True)
        place = Target(folder / name, self.target / name)
        place.folder.mkdir()
        write_export(rows, handoff, self.trainer, limits, place)
        given = given_of(handoff, limits, place.final, hinted=rows.hints)
        own_file = handoff.prompt is not None
        return Plan(
            given,
            self.numbers,
            ALGORITHMS[0],
            name,
            prompt_key="problem" if own_file or not given.prompted else "prompt_text",
            format_prompt=str(place.final / PROMPT_FILE) if own_file else None,
            weighted=self.weighted,
        )

    def configure(self, plan: Plan, folder: Path) -> str:
        """Write the configuration of a run; the command that takes it."""
        import yaml  # type: ignore[import-untyped]

        file = f"{plan.name}.yaml"
        text = yaml.safe_dump(CONFIGS[self.trainer.name](plan), sort_keys=False, allow_unicode=True)
        (folder / file).write_text(text, encoding="utf-8")
        if self.trainer.name == "easyr1":
            return f"python3 -m verl.trainer.main {setting('config', self.target / file)}"
        program = "rloo" if plan.algorithm == "rloo" else "grpo"
        many = f" --num_processes={plan.given.gpus}" if plan.given.gpus > 1 else ""
        return f"trl {program}{many} --config {shlex.quote(str(self.target / file))}"


def export_recipe(
    selection: Selection,
    path: str | os.PathLike[str],
    *,
    to: str = "easyr1",
    recipe: str = "rap",
    layout: Layout | None = None,
    limits: Limits | None = None,
    fix: bool = False,
    drop: bool = False,
    prompt: PromptTemplate | str | None = None,
    algorithms: Sequence[str] = ALGORITHMS,
    seed: int = 0,
) -> ExportedRecipe:
    """Write the training of a paper as a new folder: the selected rows, as many drawn at random, and all that a trainer takes.

    The rows to validate on are the same for the three, and in none of them: they are taken out first.

    Args:
        selection: with all rows that were scored.
        path: a folder that does not exist yet, or is empty.
        to: "easyr1" or "trl".
        recipe: whose numbers.
        layout: which column is what; None recognises it.
        limits: model, GPUs, replies to a prompt, and rows to hold out.
        fix: see `export`.
        drop: leave out the rows that would be refused, instead of refusing all.
        prompt: see `export`.
        algorithms: of `ALGORITHMS`.
        seed: of the random rows.

    Raises:
        SettingError: an option is out of its range.
        ExportError: there is something at `path`, rows would be refused, or too few are left.

    """
    check(isinstance(selection, Selection), "selection", selection, "a Selection, or a file of `hf-rap select`")
    for algorithm in algorithms:
        check_choice("algorithms", algorithm, ALGORITHMS)
    job = _job(path, to, recipe, layout=layout, limits=limits, prompt=prompt, fix=fix)
    ds = selection.scored
    _, handoff = job.check(ds, job.limits)
    refuse(handoff, job.trainer, job.limits, drop=drop)
    _need_held_out(handoff, job.trainer)
    held_out = list(handoff.held_out)
    with whole_folder(job.target) as folder:
        commands, counts = [], {}
        for name, rows in _sets(ds, handoff, seed).items():
            limits_of_set = replace(job.limits, val_rows=len(held_out))
            checked = job.check(ds.select(sorted([*rows, *held_out])), limits_of_set)
            of_set = job.write(*checked, name, folder, limits_of_set)
            counts[name] = of_set.given.rows
            for algorithm in algorithms:
                plan = replace(of_set, algorithm=algorithm, name=f"{name}-{algorithm}")
                commands.append(job.configure(plan, folder))
        _write_readme(folder, job, handoff, counts, commands)
    return ExportedRecipe(job.target, counts, handoff, tuple(commands))


def export_stages(
    first: Selection,
    second: Selection,
    path: str | os.PathLike[str],
    *,
    to: str = "trl",
    recipe: str = "difficulty-prior",
    layout: Layout | None = None,
    limits: Limits | None = None,
    fix: bool = False,
    drop: bool = False,
    prompt: PromptTemplate | str | None = None,
    weight: str | None = "exponential",
) -> ExportedRecipe:
    """Write the two stages of a training as one script, whose second stage starts from the checkpoint of the first.

    Args:
        first: rows of the first stage.
        second: rows of the second, with a column of `hf_rap.training.add_difficulty_hint`: its hints stand behind the questions.
        path: a folder that does not exist yet, or is empty.
        to: "trl" or "easyr1".
        recipe: whose numbers.
        layout: which column is what; None recognises it.
        limits: model, GPUs, replies to a prompt, and rows to hold out.
        fix: see `export`.
        drop: leave out the rows that would be refused, instead of refusing all.
        prompt: see `export`.
        weight: of the advantages, a name in `hf_rap.training.WEIGHTS`; None weighs all prompts alike, and EasyR1 does so
            always: its reward function is not told which replies belong together.

    Raises:
        SettingError: an option is out of its range, or stage two has no hints.
        ExportError: there is something at `path`, rows would be refused or are in both stages, or too few are left.

    """
    for name, stage in zip(STAGES, (first, second), strict=True):
        check(isinstance(stage, Selection), name, stage, "a Selection, or a file of `hf-rap select`")
    weighted = weight is not None and to == "trl"
    job = replace(_job(path, to, recipe, layout=layout, limits=limits, prompt=prompt, fix=fix), weighted=weighted)
    ids = [
        set(stage.selected["rap_id"]) if "rap_id" in stage.selected.column_names else set() for stage in (first, second)
    ]
    both = ids[0] & ids[1]
    if both:
        raise ExportError(f"{len(both):,} rows are in both stages, such as {min(both)}: select them by one call.")
    with whole_folder(job.target) as folder:
        plans, counts, handoffs = [], {}, []
        for name, stage in zip(STAGES, (first, second), strict=True):
            of_stage, handoff = job.check(stage.selected, job.limits, hints=name == "two")
            refuse(handoff, job.trainer, job.limits, drop=drop)
            _need_held_out(handoff, job.trainer)
            plan = job.write(of_stage, handoff, name, folder, job.limits)
            plans.append(replace(plan, name=f"{name}-{plan.algorithm}"))
            handoffs.append(handoff)
            counts[name] = plan.given.rows
        before = plans[0]
        # What the first stage has saved at its end: TRL the model itself, EasyR1 parts that its script joins.
        saved = before.output if to == "trl" else f"{before.output}/last/huggingface"
        plans[1] = replace(plans[1], given=replace(plans[1].given, model=saved))
        commands = [job.configure(plan, folder) for plan in plans]
        if weighted:
            text = _REWARD.format(group=before.given.group, weight=weight)
            (folder / f"{WEIGHTED.partition('.')[0]}.py").write_text(text, encoding="utf-8")
        script = _script(job, commands, before)
        (folder / "train.sh").write_text(script, encoding="utf-8")
        commands = [f"bash {shlex.quote(str(job.target / 'train.sh'))}"]
        _write_readme(folder, job, handoffs[1], counts, commands)
    return ExportedRecipe(job.target, counts, handoffs[1], tuple(commands))


def _job(
    path: str | os.PathLike[str],
    to: str,
    recipe: str,
    *,
    layout: Layout | None,
    limits: Limits | None,
    prompt: PromptTemplate | str | None,
    fix: bool,
) -> _Job:
    check_choice("to", to, tuple(CONFIGS))
    check_path("path", path, "a folder that does not exist yet, or is empty")
    numbers = numbers_of(recipe)
    template = check_options(layout, limits, prompt, fix=fix)
    trainer = find_trainer(to)
    target = Path(path).absolute()
    check_target(target, trainer)
    limits = replace(limits or Limits(group=numbers["group_size"]), hold_out=True)
    return _Job(trainer, recipe, numbers, limits, layout, template, fix, target)


def _need_held_out(handoff: Handoff, trainer: Trainer) -> None:
    if trainer.accepts.validates and not handoff.held_out:
        raise ExportError(
            f"{trainer.title} does not start without rows to validate on, and none of {handoff.ready:,} is held out: "
            "give --val-rows, or select more rows."
        )


def _sets(ds: datasets.Dataset, handoff: Handoff, seed: int) -> dict[str, NDArray[np.int64]]:
    """The rows to train on of each set, by their places."""
    import numpy as np

    usable = np.ones(len(ds), dtype=bool)
    usable[[row.index for row in handoff.refused]] = False
    usable[list(handoff.held_out)] = False
    keep = np.asarray(ds.data.column(KEEP.name).to_numpy(), dtype=bool)
    selected = np.flatnonzero(usable & keep)
    if not len(selected):
        raise ExportError("No selected row is left to train on: hold out fewer (--val-rows), or select more.")
    ids = ds["rap_id"][:] if "rap_id" in ds.column_names else range(len(ds))
    order = [blake2b(f"{seed}:{identity}".encode("utf-8", "surrogatepass")).digest() for identity in ids]
    full = np.flatnonzero(usable)
    drawn = np.array(sorted(full, key=lambda row: (order[row], row))[: len(selected)])
    return {"selected": selected, "random": drawn, "full": full}


def _script(job: _Job, commands: Sequence[str], first: Plan) -> str:
    join = ""
    if job.trainer.name == "easyr1":
        # The newest checkpoint, joined by the script of EasyR1's checkout.
        at = shlex.quote(first.output)
        join = (
            f"LAST=$(ls -d {at}/global_step_* | sort -V | tail -n 1)/actor\n"
            f'python3 scripts/model_merger.py --local_dir "$LAST"\nln -sfn "$LAST" {at}/last\n'
        )
    # TRL looks for the reward function in the folder that it is started in.
    enter = f"cd {shlex.quote(str(job.target))}\n" if job.trainer.name == "trl" else ""
    return f"#!/usr/bin/env bash\nset -euo pipefail\n{enter}{commands[0]}\n{join}{commands[1]}\n"


def _write_readme(
    folder: Path, job: _Job, handoff: Handoff, counts: Mapping[str, int], commands: Sequence[str]
) -> None:
    rows = "\n".join(f"{name}: {count:,} rows to train on" for name, count in counts.items())
    where = "in a checkout of EasyR1 (commit b44b311)" if job.trainer.name == "easyr1" else "with TRL 1.16.0"
    (folder / "README.md").write_text(
        f"# Training by the recipe {job.recipe}, for {job.trainer.title}\n\n{fenced(handoff.table())}\n\n{fenced(rows)}\n\n"
        f"The commands, {where} and hf_rap beside it; checkpoints go beside this folder. Where each number stands: "
        f"docs/reference/papers.md of hf_rap.\n\n{fenced(chr(10).join(commands))}\n",
        encoding="utf-8",
    )
