"""The tables of reasons, made from the methods themselves, for scripts/render_reference.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.select.methods import METHODS
from hf_rap.select.top import TOP

if TYPE_CHECKING:
    from hf_rap.select.method import Method


def reasons_of(method: Method) -> str:
    """One row per reason: its name, kept or dropped, its meaning, and what is so of every row with it."""
    rows = [
        f"| `{reason.name}` | {'kept' if reason.kept else 'dropped'} | {reason.meaning} | "
        f"{f'`{reason.when}`' if reason.when else ''} |\n"
        for reason in method.reasons
    ]
    return "".join(["| reason | | meaning | of every row with it |\n|---|---|---|---|\n", *rows])


def all_reasons() -> str:
    """The reasons of every method, each under its name; methods that share their reasons stand together."""
    together: dict[str, list[str]] = {}
    for method in (*METHODS.values(), TOP):
        together.setdefault(reasons_of(method), []).append(f"`{method.name}`")
    return "\n".join(f"{', '.join(names)}:\n\n{table}" for table, names in together.items())
