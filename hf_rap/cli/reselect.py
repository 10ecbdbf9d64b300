"""hf-rap reselect: another selection from the scores of a version, published as the next one."""

from __future__ import annotations

from typing import Any

import click

from .options import as_json, budget_of, command, dry_publish_option, hub_options, selection_options
from .output import note
from .publish import report_release


@command()
@click.argument("repo")
@click.argument("version_name", metavar="VERSION")
@selection_options
@click.option("--seed", default=0, show_default=True, help="Of ties.")
@click.option("--to", "target", help="Publish to another repository than REPO.")
@click.option("--version", "new_version", help="Of the new selection; default: the next minor one.")
@hub_options
@dry_publish_option
@as_json
def reselect(
    repo: str,
    version_name: str,
    *,
    target: str | None,
    new_version: str | None,
    bump: str | None,
    public: bool,
    random_control: bool,
    despite_licence: bool,
    allow_lower: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Decide anew from the scores of VERSION of REPO, without a model, and publish that as the next version.

    Options that are not given stay as VERSION had them.

    Example: hf-rap reselect user/geometry3k-rap v1.0.0 --min-cde 0.3 --bump minor

    In Python: hf_rap.reselect("user/geometry3k-rap", "1.0.0", options={"min_cde": 0.3}), then hf_rap.publish
    """
    from hf_rap.hub import publish
    from hf_rap.hub import reselect as decide_anew

    context = click.get_current_context()
    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    if "budget" in given:
        given["budget"] = budget_of(given["budget"])
    selection, source, layout = decide_anew(repo, version_name.removeprefix("v"), options=given)
    if not as_json:
        note(str(selection))
    release = publish(
        selection,
        target or repo,
        new_version,
        bump=bump or (None if new_version else "minor"),
        private=not public,
        random_control=random_control,
        source=source,
        layout=layout,
        despite_licence=despite_licence,
        allow_lower=allow_lower,
        dry_run=dry_run,
    )
    report_release(release, as_json=as_json)
