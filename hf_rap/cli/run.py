"""hf-rap run: everything from a dataset and a model to a version, on the Hub or in a folder."""

from __future__ import annotations

from typing import Any

import click

from hf_rap.errors import NothingSelectedError
from hf_rap.scorers import usual_scores

from .collecting import collect, say_faster
from .options import (
    adaptive_options,
    as_json,
    band_options,
    command,
    engine_options,
    grading_options,
    hub_options,
    layout_options,
    make_rollouts,
    make_selection,
    make_stopping,
    model_options,
    run_options,
    sampling_options,
    selection_options,
    settle_noting,
    sources_argument,
    version_options,
)
from .output import echo, note, pairs_of_cut, print_adaptive, print_pairs
from .probing import make_probing, print_probed, probe_options
from .publish import check_target_options, publish_version
from .rollouts import print_estimate


@command()
@sources_argument
@layout_options
@model_options
@engine_options
@sampling_options
@run_options
@grading_options
@selection_options
@band_options
@adaptive_options
@probe_options
@version_options
@hub_options
@click.option("--dry-run", type=int, metavar="N", help="Only time N rows and estimate the whole.")
@as_json
def run(sources: tuple[str, ...], *, dry_run: int | None, as_json: bool, **options: Any) -> None:
    """Roll out, score, select and publish SOURCE in one go, as a version of a dataset on the Hub, or in a folder.

    hf-rap run SOURCE... REPO publishes on the Hub, hf-rap run SOURCE... --to-folder FOLDER into a folder. Several sources
    become one dataset.

    The evidence is kept: in FOLDER.run beside the folder, in ./NAME.run for user/NAME on the Hub, or where --run says.
    Start the same command again after whatever happened, and it goes on; with other thresholds nothing is asked again.

    Example: hf-rap run hiyouga/geometry3k --model Qwen/Qwen2.5-VL-3B-Instruct --to-folder geometry3k-rap

    In Python: collect_in_run, add_scores, select_cognitive and publish_to_folder or publish, one after the other.
    """
    from hf_rap.rows.turns import each_turn
    from hf_rap.scorers import find_scorer
    from hf_rap.scorers.base import add_scores
    from hf_rap.versions.adaptive_facts import describe_adaptive
    from hf_rap.versions.probe_facts import describe_probed

    from .opening import open_rows

    repo = None
    if options["to_folder"] is None and len(sources) > 1:
        *given, repo = sources
        sources = tuple(given)
    if dry_run is None:
        check_target_options(repo, options)
    stopping = make_stopping(options)
    probing = make_probing({**options, "dry_run": dry_run})
    if probing is not None and options["adaptive"] == "sequential" and not options["probe_prior"]:
        raise click.UsageError("--probe --adaptive sequential starts from what is foretold: add --probe-prior.")
    if options["adaptive"] == "sequential" and (options["min_probability"] is None or options["replace_easy"]):
        raise click.UsageError("--adaptive sequential selects on the posterior: add --min-probability 0.5 --keep-easy.")
    if options["adaptive"] == "exact" and (options["budget"] or options["min_probability"] is not None):
        raise click.UsageError("--adaptive exact takes neither --budget nor --min-probability: they need all attempts.")
    ds, info, layout = open_rows(sources, options)
    ds, layout = each_turn(ds, layout)
    rollouts = make_rollouts(options, settle_noting(layout, ds))
    if dry_run is not None:
        print_estimate(ds, rollouts, rows=dry_run, as_json=as_json)
        return
    kept = options["run"] = options["run"] or run_beside(repo, options)
    note(f"1/4 evidence goes into {kept}; the same command goes on from there")
    evidence = collect(ds, rollouts, options, wanted=True, stopping=stopping, probing=probing)
    if evidence is None:  # another process gives it
        return
    names = usual_scores(evidence)
    note(f"2/4 scoring: {', '.join(names)}")
    scored = add_scores(evidence, *(find_scorer(name) for name in names))
    note("3/4 selecting; other options of selection take the same evidence")
    selection = make_selection(scored, options)
    note("4/4 writing the version and its card")
    if not as_json:
        echo(selection)
        print_adaptive(describe_adaptive(selection.scored))
        print_probed(describe_probed(selection.scored))
        print_pairs(pairs_of_cut(selection.scored, as_json=False))
    try:
        publish_version(selection, repo, options, info, rollouts.layout, as_json=as_json)
    except NothingSelectedError as error:
        raise NothingSelectedError(
            f"{error} The evidence stays in {kept}: start again with other thresholds, and nothing is asked again."
        ) from error
    note(f"the evidence stays in {kept}: other thresholds, or more --attempts, go on from there")
    say_faster(options)


def run_beside(repo: str | None, options: dict[str, Any]) -> str:
    """Where the evidence goes when nothing is said."""
    if repo is not None:
        return f"{repo.rpartition('/')[2]}.run"
    folder = options["to_folder"]
    return str(folder.with_name(f"{folder.name}.run") if folder.name else folder.absolute().with_suffix(".run"))
