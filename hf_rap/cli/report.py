"""hf-rap report: a page on which a person sees the rows and moves the thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    band_options,
    command,
    layout_options,
    make_layout,
    make_selection,
    make_top,
    selection_options,
    source_argument,
    top_options,
)
from .output import echo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hf_rap.hub.reporting import Decided


@command()
@source_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="A name that ends in .html: one file, up to 50 MB; any other: a new folder, for more rows.",
)
@click.option("--before", metavar="SOURCE", help="An earlier selection or version: show what came, went and changed.")
@click.option("--title", help="Of the page; default: the name of SOURCE.")
@selection_options
@click.option("--seed", default=0, show_default=True, help="Of ties.")
@band_options
@top_options
@layout_options
def report(source: str, *, out: Path, before: str | None, title: str | None, **options: Any) -> None:
    """Write one page on which you see the rows of SOURCE, move the thresholds, and read why each row is kept or not.

    SOURCE is a file of `hf-rap select`, a version (a folder, or user/name@v1.0.0), or rows with evidence or scores, which
    are selected by the options. The page needs no server and no network.

    Example: hf-rap report selection.parquet

    Example: hf-rap report user/geometry3k-rap@v1.1.0 --before user/geometry3k-rap@v1.0.0 --out diff.html

    In Python: hf_rap.report(selection, "report.html")
    """
    from hf_rap.hub.reporting import is_version, title_of
    from hf_rap.hub.reporting import report as write_page

    decided = _decided(source, options)
    layout = decided.layout if is_version(source) else make_layout(options, decided.selection.scored, decided.layout)
    earlier = None if before is None else _decided(before, options)
    path = write_page(
        decided.selection,
        out,
        before=None if earlier is None else earlier.selection,
        title=title or title_of(decided, earlier),
        source=source,
        layout=layout,
    )
    page = path / "index.html" if path.is_dir() else path
    echo(f"{decided.selection.funnel[-1].rows:,} of {decided.selection.funnel[0].rows:,} rows are kept; open {page}")


def _decided(source: str, options: Mapping[str, Any]) -> Decided:
    """The selection that a source holds, or that the options make of its rows, with the layout that it remembers."""
    from hf_rap.hub.reporting import Decided, is_version, open_decided
    from hf_rap.select.comparison import with_scores

    from .files import is_selection, layout_in, open_source, read_selection

    if is_version(source):
        return open_decided(source)
    name = Path(source).name
    if is_selection(source):
        selection, _ = read_selection(Path(source))
        return Decided(selection, layout_in(source), name)
    ds, _ = open_source(source)
    if options["top"] is not None:
        selection = make_top(ds, dict(options))
    else:
        selection = make_selection(with_scores(ds), dict(options))
    return Decided(selection, layout_in(source), name)
