"""hf-rap doubt: the rows whose gold answer is probably wrong."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.columns import ID

from .options import as_json, command, layout_options, make_grading, settle_layout, source_argument
from .output import echo, note, paste, print_json

if TYPE_CHECKING:
    from hf_rap.scorers.doubts import Doubts

_SUFFIXES = (".csv", ".jsonl")
_NUMBER = re.compile(r"[+-]?[\d.,]+")


@command()
@source_argument
@click.option("--least", default=0.5, show_default=True, help="List rows from this probability of a wrong gold on.")
@click.option("--prior", default=0.05, show_default=True, help="Share of wrong golds before the model is heard.")
@click.option(
    "--verifier",
    metavar="MODULE:NAME",
    help="Says which answers are the same: a callable (reply, gold, question); default: the built-in one.",
)
@click.option("--show", default=10, show_default=True, help="Rows to spell out.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write all of them: .csv with a column to mark, or .jsonl to send."
)
@click.option("--overwrite", is_flag=True, help="Replace a file at --out.")
@layout_options
@as_json
def doubt(
    source: str, *, least: float, prior: float, show: int, out: Path | None, as_json: bool, **options: Any
) -> None:
    """List the rows of SOURCE whose attempts agree with each other and not with the gold answer. Asks no model.

    SOURCE holds evidence. A file of --out that ends in .csv has an empty column mark: write wrong_gold into it where that is so,
    and give the file to `hf-rap select --overrides`.

    Example: hf-rap doubt evidence.parquet --out doubts.csv

    In Python: hf_rap.list_doubts(ds); as a score ds.map(hf_rap.gold_doubt_score, batched=True)
    """
    from hf_rap.scorers.doubts import list_doubts

    from .files import open_source

    if out is not None and out.suffix not in _SUFFIXES:
        raise click.UsageError(f"--out {out}: give a name that ends in {' or '.join(_SUFFIXES)}.")
    ds, _ = open_source(source)
    verifier = make_grading(options).get("verifier")
    layout = settle_layout(options, ds, source)
    doubts = list_doubts(ds, least=least, prior=prior, layout=layout, verifier=verifier)
    if out is not None:
        _write(doubts, out)
    if as_json:
        print_json(doubts.as_dict() | ({} if out is None else {"file": str(out)}))
        return
    summary, *rows = str(doubts).split("\n\n", len(doubts.doubts)) if doubts.doubts else [str(doubts)]
    for text in (summary, *rows[:show]):
        echo(f"{text}\n")
    if len(rows) > show:
        echo(f"and {len(rows) - show:,} more: --show, or --out doubts.csv")
    if out is not None:
        note(f"written: {out}")
        if out.suffix == ".csv":
            note(
                "next: look at the rows, write wrong_gold into the column mark where that is so, and "
                + paste("hf-rap", "select", "scored.parquet", "--overrides", out, "--out", "selection.parquet")
            )


def _write(doubts: Doubts, out: Path) -> None:
    """One line for each row: JSON, or a table with an empty column for a person's mark."""
    from hf_rap.select.mark_files import MARK
    from hf_rap.system import whole_output

    rows = [row.as_dict() for row in doubts.doubts]
    with whole_output(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        if out.suffix == ".csv":
            names = ["rap_id", MARK, *(name for name in _names() if name != "rap_id")]
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows({MARK: "", **{name: _as_cell(value, name) for name, value in row.items()}} for row in rows)
        else:
            file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _as_cell(value: Any, name: str) -> Any:
    """A value that no spreadsheet takes for a formula: "=..." of a stranger gets an apostrophe. Ids stay, since marks go by them."""
    begins = isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@") and name != ID.name
    return f"'{value}" if begins and not _NUMBER.fullmatch(value) else value


def _names() -> list[str]:
    from dataclasses import fields

    from hf_rap.scorers.doubts import Doubt

    return [part.name for part in fields(Doubt)]
