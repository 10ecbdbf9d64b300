"""A selection, or two of them, -> the page."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hf_rap.columns import CDE, DIFFICULTY, ERROR_CODES, ID, KEEP, REASON
from hf_rap.errors import SettingError
from hf_rap.rows.settling import settle
from hf_rap.stats.arrays import arrow_columns, nulls_for_nan, numbered, numbers_of
from hf_rap.version import VERSION

from .numbers import names_in, numbers_in
from .pages import Rows, coded, write_page
from .rules import rule_of

if TYPE_CHECKING:
    import os

    from hf_rap.rows.layouts import Layout
    from hf_rap.select import Selection


def write_report(
    selection: Selection,
    path: str | os.PathLike[str],
    *,
    title: str,
    source: str | None = None,
    layout: Layout | None = None,
    before: Selection | None = None,
) -> Path:
    """Write the page of a selection.

    Args:
        selection: what is shown.
        path: a name that ends in .html, or a new folder.
        title: of the page.
        source: what the rows were read from, as the command line takes it; for the lines to copy.
        layout: which column is what; None recognises it.
        before: an earlier selection: the page shows what came, went and changed its reason.

    Returns:
        The file, or the folder.

    Raises:
        SettingError: more than 50 MB for one file.
        PublishError: there is something else where the folder is to be.
        LayoutError: the layout is not recognised.

    """
    settled, _ = settle(layout, selection.scored)
    facts = {"title": title, "source": source, **_facts(selection, settled, source)}
    rows = Rows([(selection.scored, settled)])
    if before is not None:
        _add_before(facts, rows, selection, before)
    return write_page(path, facts, rows)


def report_bytes(selection: Selection, *, title: str, layout: Layout | None) -> bytes:
    """The page in one file, to put it elsewhere; raises as `write_report`."""
    with TemporaryDirectory() as work:
        return write_report(selection, Path(work) / "report.html", title=title, layout=layout).read_bytes()


def _facts(selection: Selection, layout: Layout, source: str | None) -> dict[str, Any]:
    columns = arrow_columns(selection.scored, [KEEP.name, REASON.name])
    keep = columns[KEEP.name].to_pylist()
    return {
        "hf_rap": VERSION,
        "rows": len(keep),
        "kept": sum(keep),
        "sentence": selection.method["sentence"],
        "remarks": list(selection.remarks),
        "keep": [int(kept) for kept in keep],
        "reason": coded(columns[REASON.name].to_pylist()),
        "reasons": {**ERROR_CODES, **selection.method["reasons"]},
        "came_in": selection.method.get("came_in", []),
        "steps": selection.method.get("steps", {}),
        "funnel": [list(step) for step in selection.funnel],
        "numbers": numbers_in(selection),
        "names": names_in(selection, layout),
        "decide": _coded_rule(rule_of(selection, source)),
    }


def _coded_rule(rule: dict[str, Any]) -> dict[str, Any]:
    if "before" in rule["columns"]:
        rule["columns"]["before"] = coded(rule["columns"]["before"])
    return rule


def _add_before(facts: dict[str, Any], rows: Rows, selection: Selection, before: Selection) -> None:
    """What another selection said of the rows; rows that it alone has stand behind the others."""
    now, earlier = (_keyed(each) for each in (selection, before))
    places = {key: place for place, key in enumerate(earlier)}
    was = [places.get(key) for key in now]
    there = set(now)
    gone = [place for key, place in places.items() if key not in there]
    columns = arrow_columns(before.scored, [KEEP.name, REASON.name, CDE.name, DIFFICULTY.name])
    keep, reason = columns[KEEP.name].to_pylist(), columns[REASON.name].to_pylist()
    every = [*was, *gone]
    facts["kept_before"] = [0 if place is None else int(keep[place]) for place in every]
    facts["was"] = coded([None if place is None else reason[place] for place in every])
    facts["keep"] += [0] * len(gone)
    facts["reason"]["index"] += [None] * len(gone)
    facts["reasons"] = {**before.method["reasons"], **facts["reasons"]}
    facts["rows"] = len(every)
    for name in (CDE.name, DIFFICULTY.name):
        if name in columns:
            values = nulls_for_nan(numbers_of(columns[name]))
            then = [None if place is None else values[place] for place in every]
            facts["numbers"][f"{name} before"] = {"label": f"{name.removeprefix('rap_')} before", "values": then}
    for numbers in facts["numbers"].values():
        numbers["values"] += [None] * (len(every) - len(numbers["values"]))
    for names in facts["names"].values():
        if gone and "(not there)" not in names["names"]:
            names["names"].append("(not there)")
        names["index"] += [len(names["names"]) - 1] * len(gone)
    facts["decide"] = {
        **facts["decide"],
        "kind": None,
        "why": "Two selections are compared: their rows are shown as they were decided.",
        "handles": [],
        "columns": {},
    }
    if gone:
        layout, _ = settle(None, before.scored)
        rows.parts.append((before.scored.select(gone), layout))


def _keyed(selection: Selection) -> list[tuple[str, int]]:
    """Each row by its id, and by how many rows before it have that id."""
    if ID.name not in selection.scored.column_names:
        raise SettingError(
            "Two selections are compared by rap_id, and one of them has none: collect evidence, or add it."
        )
    return numbered(arrow_columns(selection.scored, [ID.name])[ID.name].to_pylist())
