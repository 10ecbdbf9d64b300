"""hf-rap runs: what a run folder holds."""

from __future__ import annotations

import click

from .options import as_json
from .output import note, print_json

# What tells two runs of the same model apart.
_SHOWN = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")


@click.command()
@click.argument("url")
@as_json
def runs(url: str, *, as_json: bool) -> None:
    """List what the run at URL holds: one line per fingerprint (model, prompt and sampling settings).

    Example: hf-rap runs s3://my-bucket/geometry3k-run

    In Python: hf_rap.list_runs(url)
    """
    from hf_rap.runs.listing import list_runs

    found = list_runs(url)
    if as_json:
        print_json([held.as_dict() for held in found])
        return
    for held in found:
        attempts = f"{held.fewest_attempts}" + (
            f"-{held.most_attempts}" if held.most_attempts > held.fewest_attempts else ""
        )
        settings = ", ".join(f"{name} {held.settings[name]}" for name in _SHOWN if name in held.settings)
        click.echo(
            f"{held.fingerprint}  {held.model or 'unknown model'}  {held.rows:,} rows, {held.failed:,} failed, "
            f"{attempts} attempts, {held.parts:,} parts ({settings or 'manifest unreadable'})"
        )
        for line in held.unusable:
            note(f"not used: {line}")
    if not found:
        note("The run is empty.")
