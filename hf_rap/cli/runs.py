"""hf-rap runs: what a run folder holds."""

from __future__ import annotations

import click

from hf_rap.stats.settings import grader_in_words, model_in

from .options import as_json, command
from .output import echo, note, print_json

# What tells two runs of the same model apart.
_SHOWN = ("temperature", "top_p", "top_k", "max_new_tokens", "seed", "continuations", "early_stop", "window")


@command()
@click.argument("url")
@as_json
def runs(url: str, *, as_json: bool) -> None:
    """List what the run at URL holds: one line per fingerprint (kind of evidence, model and settings).

    Example: hf-rap runs s3://my-bucket/geometry3k-run

    In Python: hf_rap.list_runs(url)
    """
    from hf_rap.runs.listing import list_runs

    entries = list_runs(url)
    if as_json:
        print_json([held.as_dict() for held in entries])
        return
    for held in entries:
        counts = [f"{held.rows:,} rows", f"{held.failed:,} failed", f"{held.parts:,} parts"]
        if held.fewest_attempts is not None:
            most = f"-{held.most_attempts}" if held.most_attempts != held.fewest_attempts else ""
            counts.insert(2, f"{held.fewest_attempts}{most} attempts")
        shown = {name: held.settings[name] for name in _SHOWN if name in held.settings}
        if held.limits:
            shown["max_new_tokens"] = " and ".join(map(str, held.limits))
        if held.graders:
            shown["graded by"] = " and ".join(map(grader_in_words, held.graders))
        settings = ", ".join(f"{name} {value}" for name, value in shown.items())
        model = "no model" if held.settings and held.model is None else model_in(held.settings)
        about = f" ({settings})" if settings else "" if held.settings else " (manifest unreadable)"
        echo(f"{held.fingerprint}  {held.kind or 'unknown'}  {model}  {', '.join(counts)}{about}")
        for line in held.unusable:
            note(f"not used: {line}")
    if not entries:
        note("The run is empty.")
