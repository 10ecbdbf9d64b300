"""hf-rap diff: what came in and went out between two versions."""

from __future__ import annotations

from typing import Any

import click

from .options import as_json, command
from .output import echo, print_json, print_pairs


@command()
@click.argument("versions", nargs=-1, required=True, metavar="REPO OLD NEW | OLD NEW")
@click.option("--group-by", help="Column to compare the kept rows by; default: the one that the card counts.")
@click.option("--show", default=10, show_default=True, help="Rows to list.")
@as_json
def diff(versions: tuple[str, ...], *, group_by: str | None, show: int, as_json: bool) -> None:
    """Compare two versions of a dataset on the Hub, or two files of `hf-rap select`, or two folders.

    Example: hf-rap diff user/geometry3k-rap v1.0.0 v1.1.0

    In Python: hf_rap.diff("user/geometry3k-rap@v1.0.0", "user/geometry3k-rap@v1.1.0")
    """
    from hf_rap.hub import diff as difference

    if len(versions) == 3:
        old, new = (f"{versions[0]}@{version}" for version in versions[1:])
    elif len(versions) == 2:
        old, new = versions
    else:
        raise click.UsageError("Give REPO OLD NEW, or two files or folders.")
    result = difference(old, new, group_by=group_by)
    if as_json:
        print_json({**result.facts, "changed": result.rows})
        return
    _print_facts(result.facts)
    for row in result.rows[:show]:
        echo(f"{row['change']:<8} {row['id']}  {row['was'] or 'not there'} -> {row['now'] or 'not there'}")
    if len(result.rows) > show:
        echo(f"and {len(result.rows) - show:,} more rows: --show N, or --json")


def _print_facts(facts: dict[str, Any]) -> None:
    rows, kept = facts["rows"], facts["kept"]
    print_pairs(
        {
            "rows": f"{rows['old']:,} -> {rows['new']:,}, {rows['both']:,} in both",
            "kept": f"{kept['old']:,} -> {kept['new']:,}, {kept['both']:,} in both",
            "added": kept["added"],
            "removed": kept["removed"],
            "Jaccard overlap": kept["jaccard"],
            **{f"mean {name}": f"{means['old']} -> {means['new']}" for name, means in facts["scores"].items()},
            "model": f"{_names(facts['models']['old'])} -> {_names(facts['models']['new'])}",
        }
    )
    for change in facts["changes"]:
        reasons = f"{change['was'] or 'not there'} -> {change['now'] or 'not there'}"
        echo(f"{change['change']:<8} {change['rows']:>8,}  {reasons}")
    tables = {"rap_difficulty": facts["difficulty"]}
    if facts["groups"]:
        tables[facts["groups"]["column"]] = facts["groups"]["shown"]
    for title, lines in tables.items():
        if lines:
            echo(f"\nkept rows by {title}")
            print_pairs(
                {
                    str(row["value"]): f"{row['old']:,} ({row['old_share']}) -> {row['new']:,} ({row['new_share']})"
                    for row in lines
                }
            )
    echo()


def _names(models: list[str]) -> str:
    return ", ".join(models) or "unknown"
