"""The scores of a version -> another selection, without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.options import check, check_flags
from hf_rap.rows.layouts import layout_from
from hf_rap.rows.provenance import source_info
from hf_rap.select.again import select_again
from hf_rap.versions.configs import SCORED

from .reading import find_version, load, open_repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from huggingface_hub import HfApi

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.select import Selection


def reselect(
    repo_id: str,
    version: str | None = None,
    *,
    options: dict[str, Any] | None = None,
    allow_withdrawn: bool = False,
    api: HfApi | None = None,
) -> tuple[Selection, SourceInfo, Layout]:
    """Decide anew from the config `scored` of a version.

    selection, source, layout = reselect("user/geometry3k-rap", "1.0.0", options={"min_cde": 0.3})
    publish(selection, "user/geometry3k-rap", bump="minor", source=source, layout=layout)

    Args:
        repo_id: `user/name`.
        version: "1.0.0"; None takes the highest that is not withdrawn.
        options: of `select_cognitive`; what is not given stays as the version had it.
        allow_withdrawn: start from a version that its publisher has withdrawn.
        api: another client for the Hub.

    Returns:
        The selection, where its rows came from, and which column is what.

    Raises:
        SourceError, WithdrawnError, HubError: as `load`.
        SettingError: an option is out of its range.

    """
    check_flags(allow_withdrawn=allow_withdrawn)
    check(options is None or isinstance(options, dict), "options", options, "a dictionary")
    repository = open_repository(repo_id, api)
    _, manifest = find_version(repository, version, allow_withdrawn=allow_withdrawn)
    facts, where = manifest["facts"], f"rap.json of {repo_id}"
    scored = load(repo_id, SCORED, version=manifest["version"], allow_withdrawn=allow_withdrawn, api=repository.api)
    selection = select_again(scored, facts["rule"], options)
    if selection.rule.get("by") == facts["rule"].get("by") and not selection.method["citations"]:
        # A score whose scorer is not known here: what the version said about it is still so.
        selection.method["citations"] = facts.get("method", {}).get("citations", [])
    return (
        selection,
        source_in(facts, where),
        layout_from(facts["layout"], where),
    )


def source_in(facts: Mapping[str, Any], where: str) -> SourceInfo:
    """Where the rows of a version first came from, as its facts say."""
    return source_info(
        {**facts["source"], "licence": facts["licence"], "parts": tuple(facts.get("sources") or ())}, where
    )
