"""Write the tables of reasons into docs/selection.md, from the methods themselves.

python scripts/render_reasons.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hf_rap.select.methods import METHODS
from hf_rap.select.top import TOP

if TYPE_CHECKING:
    from hf_rap.select.method import Method

ROOT = Path(__file__).parents[1]
# Between these marks of a page stands a table.
MARKED = re.compile(r"(<!-- scripts/render_reasons.py: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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


TABLES = {"all": all_reasons}


def with_tables(page: str) -> str:
    """The page with its tables as they are today."""
    return MARKED.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", page)


def main() -> None:
    path = ROOT / "docs" / "selection.md"
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
