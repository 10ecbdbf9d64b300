"""How results are printed: aligned pairs for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


def print_pairs(pairs: Mapping[str, object]) -> None:
    """One `name  value` per line, aligned; numbers with thousands separators."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        click.echo(f"{name:<{width}}  {shown}")


def print_json(value: Any) -> None:
    """`value` as JSON on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """A line for people, on stderr, so that stdout stays data."""
    click.echo(text, err=True)
