"""A selection or a version, or two of them, as one page to look at."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.errors import SourceError
from hf_rap.options import check, check_path, check_text
from hf_rap.reports.reporting import write_report
from hf_rap.rows.layouts import check_given, layout_from
from hf_rap.rows.media import allowed
from hf_rap.rows.sources import load_source, parse_source
from hf_rap.select import Selection, Step
from hf_rap.select.base import scores_in_double
from hf_rap.select.methods import describe_method
from hf_rap.versions.configs import SCORED
from hf_rap.versions.manifest import MANIFEST, read_manifest

from .reading import find_version, load, open_repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from huggingface_hub import HfApi

    from hf_rap.rows.layouts import Layout

_TARGET = "a name that ends in .html, or a new folder"
_VERSION = re.compile(r"v?\d+\.\d+\.\d+")


class Decided(NamedTuple):
    """A selection and what is known of its rows."""

    selection: Selection
    layout: Layout | None
    name: str
    manifest: Mapping[str, Any] | None = None
    """Of a version."""


def report(
    selection: Selection | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    before: Selection | str | os.PathLike[str] | None = None,
    title: str | None = None,
    source: str | None = None,
    layout: Layout | None = None,
    media_roots: Iterable[str | os.PathLike[str]] = (),
    api: HfApi | None = None,
) -> Path:
    """Write a page on which a person sees the rows, moves the thresholds and reads why each row is kept or not.

    The page needs no server and no network, and asks for nothing: it opens from disk. Thresholds can be moved where the
    rule is one (methods "rap", "rap-paper", "difficulty" and "top"), with the result that the same function gives in Python.

    Args:
        selection: what `select_cognitive` and its like return; or a version: its folder, or "user/name@v1.0.0".
        path: a name that ends in .html gives one file of up to 50 MB, about 5,000 rows with replies; any other name a new
            folder, whose parts are read when they are looked at.
        before: an earlier selection or version of the same rows, matched by `rap_id`: the page shows what came, went and
            changed its reason.
        title: of the page; None takes the name of the version.
        source: where the rows are, as the command line takes it: the page's lines to copy begin with it.
        layout: which column is what; None takes the version's, or recognises it.
        media_roots: folders beside the dataset's own whose files rows may name, see `hf_rap.rows.media`.
        api: another client for the Hub.

    Returns:
        The file, or the folder, whose page is index.html.

    Raises:
        SettingError: one file would be larger than 50 MB, or rows of two selections have no ids to be matched by.
        SourceError: there is no such version.
        LayoutError: the layout is not recognised.
        PublishError: there is something else in the folder.

    """
    check_path("path", path, _TARGET)
    check_given(layout)
    check_text("title", title, none=True, empty=False)
    check_text("source", source, none=True, empty=False)
    decided = open_decided(selection, api)
    earlier = None if before is None else open_decided(before, api, "before")
    title = title_of(decided, earlier) if title is None else title
    with allowed(media_roots):
        return write_report(
            decided.selection,
            path,
            title=title,
            source=source or (None if isinstance(selection, Selection) else str(selection)),
            layout=layout or decided.layout,
            before=None if earlier is None else earlier.selection,
        )


def title_of(decided: Decided, earlier: Decided | None) -> str:
    """What a page is called that was given no title."""
    return decided.name if earlier is None else f"{earlier.name} and {decided.name}"


def open_decided(
    selection: Selection | str | os.PathLike[str], api: HfApi | None = None, option: str = "selection"
) -> Decided:
    """A selection, or that of a version.

    Args:
        selection: one of the two.
        api: another client for the Hub.
        option: whose value it is, for errors.

    Raises:
        SettingError: it is neither.
        SourceError: there is no such version.

    """
    if isinstance(selection, Selection):
        return Decided(selection, None, "selection")
    takes = "what select_cognitive returns, or a version: its folder, or user/name@v1.0.0"
    named = isinstance(selection, (str, os.PathLike)) and bool(str(selection).strip())
    check(named and is_version(str(selection)), option, selection, takes)
    text = str(selection)
    origin = parse_source(text)
    if origin.is_local:
        folder = Path(origin.path).expanduser()
        manifest = read_manifest((folder / MANIFEST).read_bytes(), folder.name)
        files = sorted(name for name in manifest["files"] if name.startswith(f"{SCORED}/"))
        if not files:
            raise SourceError(f"{folder}: its {MANIFEST} names no rows ({SCORED}/).")
        scored = load_source(str(folder / SCORED))
        return _decided(scored, manifest, folder.name)
    repository = open_repository(origin.path, api)
    version = (origin.revision or "").removeprefix("v")
    _, manifest = find_version(repository, version, allow_withdrawn=True)
    scored = load(origin.path, SCORED, version=version, allow_withdrawn=True, api=repository.api)
    return _decided(scored, manifest, f"{origin.path} {version}")


def is_version(source: str) -> bool:
    """The text names a version: a folder with a manifest, or a repository at three numbers."""
    origin = parse_source(source)
    if origin.is_local:
        return (Path(origin.path).expanduser() / MANIFEST).is_file()
    return _VERSION.fullmatch(origin.revision or "") is not None


def _decided(scored: Any, manifest: dict[str, Any], name: str) -> Decided:
    facts = manifest["facts"]
    where = f"{MANIFEST} of {name}"
    try:
        rule: dict[str, Any] = facts["rule"]
        funnel = tuple(Step(step["step"], step["rows"], step["came_in"]) for step in facts["funnel"])
        remarks = tuple(map(str, facts.get("remarks") or ()))
        method = {**describe_method(rule, scored.column_names), **facts.get("method", {})}
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{where} does not say how its rows were selected.") from error
    return Decided(
        Selection(scores_in_double(scored), rule, funnel, method, remarks),
        layout_from(facts["layout"], where),
        name,
        manifest,
    )
