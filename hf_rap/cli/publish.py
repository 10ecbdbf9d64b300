"""hf-rap publish: a selection as a version on the Hub, or in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import as_json, hub_options, layout_options, make_layout, version_options
from .output import note, print_json, print_pairs, print_stability

if TYPE_CHECKING:
    from hf_rap.hub import Release
    from hf_rap.versions.folder import Published


@click.command()
@click.argument("selection", type=click.Path(path_type=Path))
@click.argument("repo", required=False)
@version_options
@hub_options
@layout_options
@as_json
def publish(
    selection: Path,
    repo: str | None,
    *,
    to_folder: Path | None,
    version_name: str | None,
    name: str | None,
    bump: str | None,
    public: bool,
    control: bool,
    despite_licence: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Publish SELECTION (a file of `hf-rap select`) as a version of the dataset REPO on the Hub, or in a folder.

    Safe to repeat: what was interrupted goes on, and a version that is there is never changed.

    Example: hf-rap publish selection.parquet user/geometry3k-rap --version 1.0.0

    In Python: hf_rap.publish(selection, "user/geometry3k-rap", "1.0.0")
    """
    from hf_rap.hub import publish as publish_to_hub
    from hf_rap.versions.folder import publish_to_folder

    from .files import read_selection

    if (repo is None) == (to_folder is None):
        raise click.UsageError("Give either REPO (user/name) or --to-folder FOLDER.")
    chosen, info = read_selection(selection)
    layout = make_layout(options)
    if to_folder is not None:
        if bump or public or despite_licence or dry_run:
            raise click.UsageError("--bump, --public, --despite-licence and --dry-run are for the Hub.")
        version = version_name or "1.0.0"
        done = publish_to_folder(
            chosen, to_folder, version=version, name=name, source=info, layout=layout, control=control
        )
        report_version(done, as_json=as_json)
        return
    assert repo is not None
    if name:
        raise click.UsageError("--name is for a folder; on the Hub the dataset is called as its repository.")
    release = publish_to_hub(
        chosen,
        repo,
        version_name,
        bump=bump,
        private=not public,
        control=control,
        source=info,
        layout=layout,
        despite_licence=despite_licence,
        dry_run=dry_run,
    )
    report_release(release, as_json=as_json)


def report_version(done: Published, *, as_json: bool) -> None:
    """Says where the version lies, how to load it, and how far a fresh scoring would agree with it."""
    rows, found = done.facts["rows"], done.facts["stability"]
    if as_json:
        told = {"folder": str(done.path), "version": done.version, "rows": rows["all"], "selected": rows["kept"]}
        print_json({**told, "stability": found})
        return
    print_stability(found)
    click.echo(
        f"version {done.version} in {done.path}: {rows['kept']:,} of {rows['all']:,} rows selected, "
        f"card in {done.path / 'README.md'}"
    )
    click.echo(f'load it: datasets.load_dataset("{done.path}", "selected")')


def report_release(release: Release, *, as_json: bool) -> None:
    """Says what is on the Hub, or would be, and how to load it."""
    rows, since = release.facts["rows"], release.facts.get("since")
    if as_json:
        told = {"repo": release.repo_id, "version": release.version, "commit": release.commit, "new": release.is_new}
        print_json(
            {
                **told,
                "rows": rows["all"],
                "selected": rows["kept"],
                "since": since,
                "files": release.files,
                "stability": release.facts.get("stability"),
            }
        )
        return
    if release.commit is None:
        note("dry run: nothing was sent")
        print_pairs({name: f"{file['bytes']:,} bytes" for name, file in release.files.items()})
    if since:
        kept = since["kept"]
        click.echo(
            f"since {since['version']}: {kept['added']:,} rows in, {kept['removed']:,} out, "
            f"{kept['both']:,} in both (Jaccard {kept['jaccard']})"
        )
    print_stability(release.facts.get("stability"))
    state = (
        "would be" if release.commit is None else "is" if release.is_new else "was there already, with this content:"
    )
    click.echo(f"version {release.version} of {release.repo_id} {state} {rows['kept']:,} of {rows['all']:,} rows")
    click.echo(f'load it: datasets.load_dataset("{release.repo_id}", "selected", revision="{release.tag}")')
