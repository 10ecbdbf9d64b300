"""hf-rap publish: a selection as a version on the Hub, or in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    as_json,
    command,
    dry_publish_option,
    hub_options,
    layout_options,
    make_layout,
    overrides_option,
    version_options,
)
from .output import echo, note, print_health, print_json, print_pairs, print_stability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hf_rap.hub import Release
    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.select import Selection
    from hf_rap.versions.folder import Published


@command()
@click.argument("selection", type=click.Path(path_type=Path))
@click.argument("repo", required=False)
@version_options
@hub_options
@dry_publish_option
@overrides_option
@click.option("--hints", is_flag=True, help="Put the hints of difficulty behind the questions that trainers are given.")
@layout_options
@as_json
def publish(
    selection: Path,
    repo: str | None,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """Publish SELECTION (a file of `hf-rap select`) as a version of the dataset REPO on the Hub, or in a folder.

    Safe to repeat: what was interrupted goes on, and a version that is there is never changed.

    Example: hf-rap publish selection.parquet user/geometry3k-rap --version 1.0.0

    Example: hf-rap publish selection.parquet --overrides marks.csv --to-folder geometry3k-rap

    In Python: hf_rap.publish(selection, "user/geometry3k-rap", "1.0.0")
    """
    from hf_rap.select.again import select_again

    from .files import layout_in, read_selection

    check_target_options(repo, options)
    if repo is None and options["dry_run"]:
        raise click.UsageError("--dry-run is for the Hub.")
    chosen, info = read_selection(selection)
    if options["overrides"] is not None:
        chosen = select_again(chosen.scored, chosen.rule, {"overrides": options["overrides"]})
    layout = make_layout(options, chosen.scored, layout_in(str(selection)))
    publish_version(chosen, repo, options, info, layout, as_json=as_json)


def check_target_options(repo: str | None, options: Mapping[str, Any]) -> None:
    """What has to be given together, and whether a version can be written there, before anything is read."""
    from hf_rap.versions.folder import check_target
    from hf_rap.versions.tags import FIRST

    folder = options["to_folder"]
    if (repo is None) == (folder is None):
        raise click.UsageError("Give either REPO (user/name) or --to-folder FOLDER.")
    for_hub = [name for name in ("bump", "public", "despite_licence", "allow_lower") if options[name]]
    if folder is not None and for_hub:
        raise click.UsageError(f"--{for_hub[0].replace('_', '-')} is for the Hub.")
    if repo is not None and options["name"]:
        raise click.UsageError("--name is for a folder; on the Hub the dataset is called as its repository.")
    if repo is not None and (options["version_name"] is None) == (options["bump"] is None):
        raise click.UsageError("Give either --version (1.0.0) or --bump (patch, minor or major).")
    if folder is not None:
        check_target(folder, options["version_name"] or FIRST)


def publish_version(
    selection: Selection,
    repo: str | None,
    options: Mapping[str, Any],
    source: SourceInfo | None,
    layout: Layout | None,
    *,
    as_json: bool,
) -> None:
    """Write the version where version_options and hub_options say, and say what there is."""
    from hf_rap.hub import publish as publish_to_hub
    from hf_rap.versions.folder import publish_to_folder
    from hf_rap.versions.tags import FIRST

    shared = {
        "random_control": options["random_control"],
        "hints": bool(options.get("hints")),
        "report": options["report"],
        "licence": options["licence"],
        "source": source,
        "layout": layout,
    }
    if repo is None:
        version, name = options["version_name"] or FIRST, options["name"]
        done = publish_to_folder(selection, options["to_folder"], version=version, name=name, **shared)
        report_version(done, as_json=as_json)
        return
    release = publish_to_hub(
        selection,
        repo,
        options["version_name"],
        bump=options["bump"],
        private=not options["public"],
        despite_licence=options["despite_licence"],
        allow_lower=options["allow_lower"],
        dry_run=bool(options.get("dry_run")),
        **shared,
    )
    report_release(release, as_json=as_json)


def report_version(done: Published, *, as_json: bool) -> None:
    """Says where the version lies, how to load it, and how far a fresh scoring would agree with it."""
    rows, stability = done.facts["rows"], done.facts["stability"]
    if as_json:
        facts = {"folder": str(done.path), "version": done.version, "rows": rows["all"], "selected": rows["kept"]}
        print_json({**facts, "stability": stability, "health": done.facts.get("health")})
        return
    print_stability(stability)
    print_health(done.facts.get("health"))
    echo(
        f"version {done.version} in {done.path}: {rows['kept']:,} of {rows['all']:,} rows selected, "
        f"card in {done.path / 'README.md'}"
    )
    echo(f'load it: datasets.load_dataset({json.dumps(str(done.path))}, "selected")')


def report_release(release: Release, *, as_json: bool) -> None:
    """Says what is on the Hub, or would be, and how to load it."""
    rows, since = release.facts["rows"], release.facts.get("since")
    if as_json:
        facts = {"repo": release.repo_id, "version": release.version, "commit": release.commit, "new": release.is_new}
        print_json(
            {
                **facts,
                "rows": rows["all"],
                "selected": rows["kept"],
                "since": since,
                "files": release.files,
                "stability": release.facts.get("stability"),
                "health": release.facts.get("health"),
            }
        )
        return
    if release.commit is None:
        note("dry run: nothing was sent")
        print_pairs({name: f"{file['bytes']:,} bytes" for name, file in release.files.items()})
    if since:
        kept = since["kept"]
        echo(
            f"since {since['version']}: {kept['added']:,} rows in, {kept['removed']:,} out, "
            f"{kept['both']:,} in both (Jaccard {kept['jaccard']})"
        )
    print_stability(release.facts.get("stability"))
    print_health(release.facts.get("health"))
    if release.note:
        note(release.note)
    state = (
        "would be" if release.commit is None else "is" if release.is_new else "was there already, with this content:"
    )
    echo(f"version {release.version} of {release.repo_id} {state} {rows['kept']:,} of {rows['all']:,} rows")
    echo(f'load it: datasets.load_dataset("{release.repo_id}", "selected", revision="{release.tag}")')
