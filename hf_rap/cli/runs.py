"""hf-rap runs: what a run folder holds."""

from __future__ import annotations

import click

from hf_rap.settings import model_in

from .options import as_json
from .output import note, print_json

# What tells two runs of the same model apart.
_SHOWN = ("temperature", "top_p", "top_k", "max_new_tokens", "seed", "continuations", "early_stop", "window")


@click.command()
@click.argument("url")
@as_json
def runs(url: str, *, as_json: bool) -> None:
    """List what the run at URL holds: one line per fingerprint (kind of evidence, model and settings).

    Example: hf-rap runs s3://my-bucket/geometry3k-run

    In Python: hf_rap.list_runs(url)
    """
    from hf_rap.runs.listing import list_runs

    found = list_runs(url)
    if as_json:
        print_json([held.as_dict() for held in found])
        return
    for held in found:
        counts = [f"{held.rows:,} rows", f"{held.failed:,} failed", f"{held.parts:,} parts"]
        if held.fewest_attempts is not None:
            most = f"-{held.most_attempts}" if held.most_attempts != held.fewest_attempts else ""
            counts.insert(2, f"{held.fewest_attempts}{most} attempts")
        settings = ", ".join(f"{name} {held.settings[name]}" for name in _SHOWN if name in held.settings)
        click.echo(
            f"{held.fingerprint}  {held.kind or 'unknown'}  {model_in(held.settings)}  {', '.join(counts)} "
            f"({settings or 'manifest unreadable'})"
        )
        for line in held.unusable:
            note(f"not used: {line}")
    if not found:
        note("The run is empty.")
