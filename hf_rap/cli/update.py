"""hf-rap update: the next version of a selection, for a model that was trained on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hf_rap.select.update import ASK_ABOVE, ASKED, BEFORE, CHECKED, DRAWN, LOGGED

from .collecting import collect
from .options import (
    as_json,
    command,
    engine_options,
    grading_options,
    hub_options,
    make_rollouts,
    model_options,
    run_options,
    sampling_options,
    settle_noting,
    together,
    version_options,
)
from .output import echo, note, print_json, print_pairs
from .publish import check_target_options, publish_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate
    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.select import Selection
    from hf_rap.select.trained import RowRewards
    from hf_rap.select.update import Plan

_log_options = together(
    [
        click.option(
            "--rewards",
            "logs",
            multiple=True,
            required=True,
            type=click.Path(path_type=Path),
            help="Folder or file with the rewards of the training (RewardLog, TRL's completions, verl's rollouts); may be repeated.",
        ),
        click.option("--reward-name", help="The reward function that judges answers, where the log has several."),
        click.option(
            "--last-steps", type=int, help="Rewards of the last so many steps count; default: the later half of all."
        ),
        click.option(
            "--ask-above",
            type=float,
            default=ASK_ABOVE,
            show_default=True,
            help="Ask rows again whose decision changes with a higher chance than this.",
        ),
        click.option(
            "--check-share",
            type=float,
            default=CHECKED,
            show_default=True,
            help="Of the other rows ask this share as well, drawn by seed: how many of them change.",
        ),
    ],
    title="Update",
)


@command()
@click.argument("selection")
@click.argument("repo", required=False)
@_log_options
@model_options
@engine_options
@sampling_options
@grading_options
@run_options
@version_options
@hub_options
@click.option("--dry-run", is_flag=True, help="Only say which rows would be asked; nothing is loaded.")
@as_json
def update(selection: str, repo: str | None, *, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Ask the trained model again the rows of SELECTION whose decision can have changed, and write the next version.

    SELECTION is a file of `hf-rap select` or a version (a folder, or user/name@v1.0.0). What its rows have been rewarded with in the training
    says how far the model has come; the rule of SELECTION decides anew. Options of sampling that are not given stay as they were. The answers are
    kept in a run folder, as those of `hf-rap run`.

    Example: hf-rap update geometry3k-rap --rewards rewards --model checkpoint-200 --to-folder geometry3k-rap-2

    In Python: hf_rap.select.trained.rewards_by_row, hf_rap.select.update.plan_update and apply_update
    """
    from hf_rap.select.trained import rewards_by_row
    from hf_rap.select.update import apply_update, describe_update, plan_update

    before = _open(selection)
    if options["to_folder"] is not None and options["version_name"] is None:
        options["version_name"] = before.next_version
    if not dry_run:
        check_target_options(repo, options)
    scored = before.selection.scored
    log = rewards_by_row(
        scored,
        options["logs"],
        reward=options["reward_name"],
        correct=options["correct"],
        last_steps=options["last_steps"],
    )
    plan = plan_update(
        before.selection,
        log.rewards,
        ask_above=options["ask_above"],
        check_share=options["check_share"],
        seed=abs(options["seed"]),
    )
    if dry_run:
        _say(_of_plan(plan, log), as_json=as_json)
        return
    _note_log(log)
    evidence = _ask(scored, plan, before.layout, options, repo)
    if evidence is None:  # another process gives it
        return
    updated = apply_update(before.selection, plan, evidence, log.rewards, log.settings)
    facts = describe_update(before.selection, plan, updated)
    if not as_json:
        _say({**_of_plan(plan, log), **_of_update(facts)}, as_json=False)
        echo("")
        echo(updated)
    publish_version(updated, repo, options, before.source, before.layout, as_json=as_json)


_KNOWN_BY = "known_by"  # the column of the ids, while rows are asked


class _Before(NamedTuple):
    """What is updated."""

    selection: Selection
    layout: Layout | None
    source: SourceInfo | None
    next_version: str | None


def _open(selection: str) -> _Before:
    from hf_rap.hub.reporting import is_version, open_decided
    from hf_rap.hub.reselecting import source_in
    from hf_rap.versions.tags import bumped

    from .files import layout_in, read_selection

    if not is_version(selection):
        chosen, source = read_selection(Path(selection))
        return _Before(chosen, layout_in(selection), source, None)
    decided = open_decided(selection)
    manifest = decided.manifest or {}
    source = source_in(manifest["facts"], selection)
    return _Before(decided.selection, decided.layout, source, bumped([manifest["version"]], "minor"))


def _ask(
    scored: datasets.Dataset, plan: Plan, layout: Layout | None, options: dict[str, Any], repo: str | None
) -> datasets.Dataset | None:
    """The rows of the plan with their new evidence, in its order; None where another process gives it."""
    from hf_rap.columns import HINTED_PREFIX, ID, PREFIX, UNASKED

    from .run import run_beside

    if not plan.ask.size:
        note("No row has to be asked: the selection follows from what is known.")
        return scored.select([])
    names = [
        name
        for name in scored.column_names
        if not name.startswith(PREFIX) or name.startswith(HINTED_PREFIX) or name == UNASKED.name
    ]
    before = scored.select(plan.ask)
    rows = before.select_columns([*names, ID.name]).rename_column(ID.name, _KNOWN_BY)
    prompt = _as_before(options, scored)
    options["run"] = options["run"] or run_beside(repo, options)
    note(f"evidence goes into {options['run']}; the same command goes on from there")
    # Ids stay as they were, wherever they came from.
    settled = settle_noting(layout if layout is None else replace(layout, id=_KNOWN_BY), rows)
    rollouts = make_rollouts({**options, "states": False}, replace(settled, id=_KNOWN_BY))
    return collect(rows, rollouts if prompt is None else replace(rollouts, prompt=prompt), options, wanted=True)


_SAMPLING = ("temperature", "top_p", "top_k", "max_new_tokens", "cut", "correct")


def _as_before(options: dict[str, Any], scored: datasets.Dataset) -> PromptTemplate | None:
    """Makes options of sampling and grading that are not given those of before; the prompt of before where none is given.

    Two models can be compared where all else is alike.
    """
    from hf_rap.rows.prompts import PromptTemplate
    from hf_rap.select.pass_rates import usual_attempts
    from hf_rap.stats.counts import read_counts
    from hf_rap.stats.settings import BUILT_IN, grader_of

    settings = _usual_settings(scored)
    image, text = read_counts("hf-rap update", scored)
    before = {name: settings[name] for name in _SAMPLING if settings.get(name) is not None}
    before |= {"attempts": usual_attempts(image), "arms": "both" if text.judged.any() else "image"}
    source = click.get_current_context().get_parameter_source
    options.update(
        {name: value for name, value in before.items() if source(name) is click.core.ParameterSource.DEFAULT}
    )
    grader = (grader_of(settings) or (BUILT_IN,))[0]
    if options["verifier"] is None and grader != BUILT_IN:
        raise click.UsageError(f"The rows were graded by {grader}: give --verifier, so that they are graded alike.")
    return PromptTemplate.from_settings(settings) if options["prompt"] is options["instruction"] is None else None


def _usual_settings(scored: datasets.Dataset) -> dict[str, Any]:
    """Those of most rows that a model was asked for; nothing where none say."""
    from hf_rap.columns import SETTINGS
    from hf_rap.stats.settings import settings_in

    texts = Counter(scored[SETTINGS.name] if SETTINGS.name in scored.column_names else ())
    parsed = (settings_in(text) for text, _ in texts.most_common())
    return next((settings for settings in parsed if "max_new_tokens" in settings), {})


def _note_log(log: RowRewards) -> None:
    if log.strangers:
        note(f"{log.strangers:,} ids in the log are of no row of the selection, and are left out")
    if log.earlier:
        note(
            f"{log.earlier:,} rows were trained on before step {log.steps[0]:,} alone: what they got then is of another model"
        )


def _of_plan(plan: Plan, log: RowRewards) -> dict[str, Any]:
    counts = plan.counts()
    first, last = log.steps
    return {
        "rows": sum(counts.values()),
        "steps that count": f"{first:,} to {last:,}, {log.attempts:,} rewards of {log.rows:,} rows",
        "the model moved": f"{plan.shift:+.2f} in log-odds of being right, on these rows",
        "asked": f"{counts[ASKED]:,}, whose decision changes with a chance above {plan.ask_above:g}",
        "drawn": f"{counts[DRAWN]:,} of the others, to check",
        "log": f"{counts[LOGGED]:,} not asked, known by the training",
        "before": f"{counts[BEFORE]:,} not asked, as before",
    }


def _of_update(facts: Mapping[str, Any]) -> dict[str, Any]:
    changed, tokens, for_all = facts["changed"], facts["tokens"], facts["tokens_for_all"]
    spared = "unknown" if not for_all or tokens is None else f"{1 - tokens / for_all:.0%}"
    return {
        "changed": ", ".join(f"{count:,} of {facts['rows'][name]:,} {name}" for name, count in changed.items()),
        "kept": f"{facts['kept_before']:,} before, {facts['stayed']:,} stayed, {facts['went']:,} went, {facts['came']:,} came: {facts['kept']:,}",
        "tokens": f"{'unknown' if tokens is None else format(tokens, ',')} generated; all rows would take about "
        f"{'unknown' if for_all is None else format(for_all, ',')}: {spared} spared",
    }


def _say(pairs: dict[str, Any], *, as_json: bool) -> None:
    print_json(pairs) if as_json else print_pairs(pairs)
