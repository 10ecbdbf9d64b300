"""hf-rap rollouts: ask the model every question with and without its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import as_json, layout_options, make_rollouts, model_options, sampling_options, source_argument
from .output import note, print_json, print_pairs


@click.command()
@source_argument
@layout_options
@model_options
@sampling_options
@click.option("--out", type=click.Path(path_type=Path), help="Parquet file to write; needed without --dry-run.")
@click.option("--dry-run", type=int, metavar="N", help="Only time N rows and estimate the whole.")
@as_json
def rollouts(source: str, *, out: Path | None, dry_run: int | None, as_json: bool, **options: Any) -> None:
    """Collect evidence for SOURCE: replies with and without the image, graded.

    Example: hf-rap rollouts hiyouga/geometry3k --model Qwen/Qwen2.5-VL-3B-Instruct --out evidence.parquet

    In Python: ds.map(hf_rap.Rollouts(hf_rap.TransformersEngine(model)), batched=True)
    """
    from hf_rap.collect import collect_evidence
    from hf_rap.files import open_source, write_file

    if out is None and dry_run is None:
        raise click.UsageError("Give --out FILE.parquet, or --dry-run N.")
    ds, info = open_source(source)
    if dry_run is not None:
        print_estimate(ds, options, rows=dry_run, as_json=as_json)
        return
    assert out is not None
    evidence = collect_evidence(ds, make_rollouts(options))
    write_file(evidence, out, source=info)
    failed = sum(error is not None for error in evidence["rap_error"])
    result = {"rows": len(ds), "rows with rap_error": failed, "file": str(out)}
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
    note(f"next: hf-rap score {out} --out scored.parquet")


def print_estimate(ds: Any, options: dict[str, Any], *, rows: int, as_json: bool) -> None:
    """What the whole of `ds` would take, measured on a few of its rows."""
    from hf_rap.collect import estimate

    found = estimate(ds, make_rollouts(options), rows=rows)
    if as_json:
        print_json(found.as_dict())
        return
    print_pairs(
        {
            "measured": f"{found.rows_measured} rows in {found.seconds_measured:.1f} s, model already loaded",
            "rate": f"{found.rows_per_second:.2f} rows/s, {found.tokens_per_second:.0f} tokens/s",
            "all rows": f"{found.rows:,} rows, about {_duration(found.hours)}",
        }
    )


def _duration(hours: float) -> str:
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.1f} h"
