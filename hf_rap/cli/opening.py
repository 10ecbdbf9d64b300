"""The rows of one or several SOURCEs, their layout and where they come from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hf_rap.errors import LayoutError, MissingColumnError

from .options import make_layout
from .output import note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import datasets

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.provenance import SourceInfo


class Opened(NamedTuple):
    """What `open_rows` gives."""

    ds: datasets.Dataset
    info: SourceInfo
    layout: Layout | None
    """None: to be recognised."""


def open_rows(sources: Sequence[str], options: Mapping[str, Any]) -> Opened:
    """The rows of one source, or of several as one dataset, without those that stand in the test sets of --without.

    Args:
        sources: as `load_source` takes them.
        options: those of layout_options, and `without`.
    """
    from hf_rap.rows.mixing import mark_test_rows, mix_datasets
    from hf_rap.rows.provenance import describe_mixture
    from hf_rap.rows.sources import load_source

    from .files import layout_in, open_source

    tests = dict(zip(_names(options["without"]), map(load_source, options["without"]), strict=True))
    opened = [open_source(source) for source in sources]
    if len(sources) == 1:
        ((ds, info),) = opened
        layout = make_layout(options, ds, layout_in(sources[0]))
        if tests:
            ds, layout = mark_test_rows(ds, layout, tests)
            _note_left_out(sum(mark is not None and mark.startswith("in_test_set") for mark in ds[layout.fault]), tests)
        return Opened(ds, info, layout)
    names = _names(sources)
    datasets_by_name = {name: ds for name, (ds, _) in zip(names, opened, strict=True)}
    mixture = mix_datasets(datasets_by_name, layouts=_layouts(datasets_by_name, sources, options), without=tests)
    for remark in mixture.remarks:
        note(remark)
    for name, rows in mixture.rows.items():
        unreadable = ", ".join(f"{code}: {count:,}" for code, count in mixture.unreadable[name].items())
        more = [f"{mixture.duplicates[name]:,} stand earlier"] if mixture.duplicates[name] else []
        more += [f"not readable: {unreadable}"] if unreadable else []
        note(f"{name}: {rows:,} rows{''.join(f'; {part}' for part in more)}")
    if tests:
        _note_left_out(sum(mixture.left_out.values()), tests)
    infos = {name: info for name, (_, info) in zip(names, opened, strict=True)}
    return Opened(mixture.ds, describe_mixture(infos, mixture.rows), mixture.layout)


def _layouts(
    by_name: Mapping[str, datasets.Dataset], sources: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Layout]:
    """The layouts that files of ours remember, and those from options, which are for the sources that have such columns."""
    from .files import layout_in

    layouts: dict[str, Layout] = {}
    refused: list[MissingColumnError] = []
    for (name, ds), source in zip(by_name.items(), sources, strict=True):
        try:
            layout = make_layout(options, ds, layout_in(source))
        except MissingColumnError as error:
            refused.append(error)
            continue
        except LayoutError as error:
            raise LayoutError(f"{name}: {error}") from error
        if layout is not None:
            layouts[name] = layout
    if len(refused) == len(by_name):
        raise refused[0]
    return layouts


def _note_left_out(rows: int, tests: Mapping[str, Any]) -> None:
    note(f"{rows:,} rows stand in {', '.join(tests)} and are not asked (in_test_set)")


def _names(sources: Sequence[str]) -> list[str]:
    """A short name for each source: the last part of its path, or all of it where that is not enough."""
    from hf_rap.rows.sources import parse_source

    parsed = [parse_source(source) for source in sources]
    short = [Path(source.path).stem if source.is_local else source.path.rpartition("/")[2] for source in parsed]
    taken = Counter(short)
    names = [name if taken[name] == 1 else source for name, source in zip(short, sources, strict=True)]
    if len(set(names)) < len(names):
        raise click.UsageError("A SOURCE is given twice.")
    return names
