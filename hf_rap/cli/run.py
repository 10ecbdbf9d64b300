"""hf-rap run: everything from a dataset and a model to a version in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    adaptive_options,
    as_json,
    endpoint_options,
    grading_options,
    layout_options,
    make_rollouts,
    make_rule,
    make_selection,
    model_options,
    sampling_options,
    selection_options,
    source_argument,
)
from .output import pairs_of_cut, print_adaptive, print_pairs
from .publish import report_version
from .rollouts import print_estimate
from .score import usual_scores


@click.command()
@source_argument
@layout_options
@model_options
@endpoint_options
@sampling_options
@grading_options
@selection_options
@adaptive_options
@click.option("--to-folder", type=click.Path(path_type=Path), help="New or empty folder; needed without --dry-run.")
@click.option("--version", "version_name", default="1.0.0", show_default=True)
@click.option("--name", help="Name of the dataset on its card; default: the folder's name.")
@click.option("--dry-run", type=int, metavar="N", help="Only time N rows and estimate the whole.")
@as_json
def run(
    source: str,
    *,
    to_folder: Path | None,
    version_name: str,
    name: str | None,
    dry_run: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Roll out, score, select and publish SOURCE in one go.

    Example: hf-rap run hiyouga/geometry3k --model Qwen/Qwen2.5-VL-3B-Instruct --to-folder geometry3k-rap

    In Python: collect_evidence, add_scores, select_cognitive and publish_to_folder, one after the other.
    """
    from hf_rap.adaptive.collect import collect_adaptive
    from hf_rap.evidence.collector import collect_evidence
    from hf_rap.scorers import SCORERS
    from hf_rap.scorers.base import add_scores
    from hf_rap.versions.adaptive_facts import describe_adaptive
    from hf_rap.versions.folder import check_target, publish_to_folder

    from .files import open_source

    if to_folder is None and dry_run is None:
        raise click.UsageError("Give --to-folder FOLDER, or --dry-run N.")
    rule = make_rule(options)
    if options["adaptive"] == "sequential" and (options["min_probability"] is None or options["replace_easy"]):
        raise click.UsageError("--adaptive sequential selects on the posterior: add --min-probability 0.5 --keep-easy.")
    if options["adaptive"] == "exact" and (options["budget"] or options["min_probability"] is not None):
        raise click.UsageError("--adaptive exact takes neither --budget nor --min-probability: they need all attempts.")
    ds, info = open_source(source)
    if dry_run is not None:
        print_estimate(ds, options, rows=dry_run, as_json=as_json)
        return
    assert to_folder is not None
    check_target(to_folder, version_name)  # not after hours of rollouts
    rollouts = make_rollouts(options)
    evidence = collect_evidence(ds, rollouts) if rule is None else collect_adaptive(ds, rollouts, rule)
    assert evidence is not None  # one process
    scored = add_scores(evidence, *(SCORERS[name] for name in usual_scores(evidence.column_names)))
    selection = make_selection(scored, options)
    done = publish_to_folder(selection, to_folder, version=version_name, name=name, source=info, layout=rollouts.layout)
    if not as_json:
        click.echo(repr(selection))
        print_adaptive(describe_adaptive(selection.scored))
        print_pairs(pairs_of_cut(selection.scored, as_json=False))
    report_version(done, as_json=as_json)
