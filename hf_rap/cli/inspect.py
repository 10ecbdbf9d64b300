"""hf-rap inspect: what would go wrong with a dataset before any model runs, and where the model looked in one row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.rows.presets import find_prompt

from .options import as_json, command, layout_options, prompt_option, sources_argument
from .output import echo, print_json, print_pairs

if TYPE_CHECKING:
    from hf_rap.rows.inspection import Inspection


@command()
@sources_argument
@layout_options
@prompt_option("What stands around the question in the rows that are shown; default: as in `hf-rap rollouts`.")
@click.option("--show", default=5, show_default=True, help="Rows to spell out per kind of problem.")
@click.option("--row", metavar="ID", help="Show this row alone, by its rap_id, as the model will be asked.")
@click.option("--attention", is_flag=True, help="Draw where the model looked in a reply to --row.")
@click.option("--attempt", type=click.IntRange(1), help="Which reply, from 1; default: the one with the highest psi.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG of --attention; default: attention-ID.png.")
@click.option("--overwrite", is_flag=True, help="Replace a file at --out.")
@as_json
def inspect(
    sources: tuple[str, ...],
    *,
    show: int,
    row: str | None,
    attention: bool,
    attempt: int | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show three rows of SOURCE as a model will be asked, and list those that cannot be scored, and why.

    With --row ID it shows that row alone, with --row ID --attention it draws a reply to it, each token shaded by how much
    it is stared at.

    Example: hf-rap inspect hiyouga/geometry3k#train

    In Python: hf_rap.inspect_dataset(ds)
    """
    if (attention and row is None) or (not attention and (attempt or out)):
        raise click.UsageError("--attention needs --row ID; --attempt and --out are for them.")
    if attention:
        assert row is not None
        if len(sources) > 1:
            raise click.UsageError("--attention draws a reply of one file.")
        _draw_reply(sources[0], row, attempt, out, as_json=as_json)
        return
    from hf_rap.rows.inspection import inspect_dataset, inspect_row

    from .opening import open_rows

    ds, _, layout = open_rows(sources, options)
    prompt = find_prompt(options["prompt"] or "default")
    if row is not None:
        shown = inspect_row(ds, row, layout, prompt=prompt)
        print_json(shown.as_dict()) if as_json else echo(str(shown))
        return
    inspection = inspect_dataset(ds, layout, prompt=prompt)
    if as_json:
        print_json(inspection.as_dict())
        return
    print_pairs(inspection.facts)
    for sentence in (*inspection.unread, *inspection.remarks):
        echo(f"\n{sentence}")
    for row_shown in inspection.shown:
        echo(f"\n{row_shown}")
    _print_problems(inspection, show)


def _print_problems(inspection: Inspection, show: int) -> None:
    for code, count in inspection.codes.items():
        echo(f"\n{code}: {count}")
        shown = [problem for problem in inspection.problems if problem.code == code][:show]
        for problem in shown:
            echo(f"  row {problem.index} ({problem.row_id}): {problem.message}")
        if count > len(shown):
            echo(f"  and {count - len(shown)} more")


def _draw_reply(source: str, row_id: str, attempt: int | None, out: Path | None, *, as_json: bool) -> None:
    from hf_rap.columns import ACE, ATTENTION, ID, IMAGE_REWARDS, require
    from hf_rap.errors import SourceError
    from hf_rap.evidence.attention_picture import draw_attention
    from hf_rap.rows.sources import load_source

    ds = load_source(source)
    require("inspect --attention", ds.column_names, (ID, ATTENTION))
    ds = ds.select_columns(
        [column.name for column in (ID, ATTENTION, IMAGE_REWARDS, ACE) if column.name in ds.features]
    )
    index = next((place for place, identity in enumerate(ds[ID.name]) if identity == row_id), None)
    if index is None:
        raise SourceError(f"No row of {source} has the {ID.name} {row_id!r}.")
    row = ds[index]
    number = _attempt_to_draw(row, row_id, attempt)
    drawn = row[ATTENTION.name][number - 1]
    reward = (row.get(IMAGE_REWARDS.name) or [None] * number)[number - 1]
    facts = {
        "row": row_id,
        "attempt": number,
        "attempts": len(row[ATTENTION.name]),
        "reward": reward,
        "token": drawn["token"],
        "log_psi_windowed": drawn["log_psi_windowed"],
        "log_psi": drawn["log_psi"],
        "image_share": drawn["image_share"],
        "entropy": drawn["entropy"],
        "rap_ace": row.get(ACE.name),
    }
    judged = {None: "not judged", 1.0: "right", 0.0: "wrong"}.get(reward, f"reward {reward}")
    title = f"{row_id}, attempt {number} of {facts['attempts']}, {judged}"
    path = out or Path(f"attention-{re.sub(r'[^0-9A-Za-z._-]+', '-', row_id)}.png")
    path.write_bytes(draw_attention(drawn, title=title))
    if as_json:
        print_json({**facts, "file": str(path)})
    else:
        print_pairs({name: _shown(value) for name, value in facts.items()} | {"file": str(path)})


def _attempt_to_draw(row: dict[str, Any], row_id: str, attempt: int | None) -> int:
    """The number of the attempt that was asked for, or of the readable one with the highest windowed psi."""
    from hf_rap.columns import ATTENTION
    from hf_rap.errors import SettingError, SourceError

    entries = row[ATTENTION.name] or []
    if attempt is not None and attempt > len(entries):
        raise SettingError(f"--attempt {attempt}: the row {row_id!r} has {len(entries)} replies with the image.")
    readable = [
        number
        for number, entry in enumerate(entries, start=1)
        if entry is not None and entry["error"] is None and attempt in (None, number)
    ]
    if not readable:
        errors = {entry["error"] for entry in entries if entry is not None and entry["error"] is not None}
        raise SourceError(
            f"The row {row_id!r} has no reply to draw: {'; '.join(sorted(errors)) or 'it has no replies'}."
        )

    def psi(number: int) -> float:
        value = entries[number - 1]["log_psi_windowed"]
        return float("-inf") if value is None else float(value)

    return max(readable, key=psi)


def _shown(value: Any) -> Any:
    return "unknown" if value is None else f"{value:.3f}" if isinstance(value, float) else value
