"""hf-rap inspect: what would go wrong with a dataset, before any model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import as_json, layout_options, make_layout, source_argument
from .output import print_json, print_pairs

if TYPE_CHECKING:
    from hf_rap.inspection import Inspection


@click.command()
@source_argument
@layout_options
@click.option("--show", default=5, show_default=True, help="Rows to spell out per kind of problem.")
@as_json
def inspect(source: str, question: str, images: str, answer: str, id_column: str, *, show: int, as_json: bool) -> None:
    """List the rows of SOURCE that cannot be scored, and why.

    Example: hf-rap inspect hiyouga/geometry3k#train

    In Python: hf_rap.inspect_dataset(ds)
    """
    from hf_rap.inspection import inspect_dataset
    from hf_rap.sources import load_source

    layout = make_layout(question, images, answer, id_column)
    found = inspect_dataset(load_source(source), layout)
    if as_json:
        print_json(found.as_dict())
        return
    named = {"question": found.layout.question, "images": found.layout.images, "answer": found.layout.answer}
    print_pairs(
        {
            "layout": f"{found.layout.name} ({', '.join(f'{what}: {column}' for what, column in named.items())})",
            "rows": found.rows,
            "usable": found.usable,
            "duplicates": found.duplicates,
            "images per row": ", ".join(f"{rows} rows with {count}" for count, rows in found.images_per_row.items()),
        }
    )
    _print_problems(found, show)


def _print_problems(found: Inspection, show: int) -> None:
    for code, count in found.codes.items():
        click.echo(f"\n{code}: {count}")
        shown = [problem for problem in found.problems if problem.code == code][:show]
        for problem in shown:
            click.echo(f"  row {problem.index} ({problem.row_id}): {problem.message}")
        if count > len(shown):
            click.echo(f"  and {count - len(shown)} more")
