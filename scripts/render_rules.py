"""Write docs/rules.md from the table of rules.

python scripts/render_rules.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hf_rap.columns import how_to_make
from hf_rap.select.rules import RULES

if TYPE_CHECKING:
    from hf_rap.select.rules import Rule

PAGE = Path(__file__).parents[1] / "docs" / "rules.md"
HEAD = """# Which rule: every published one on the same evidence

`hf-rap select --method NAME` selects by one of them, `select_cognitive(ds, method="NAME")` in Python; those that rank take a budget. All give a
reason for every row, obey marks of a person and can be made again from their record ([selection.md](selection.md)).

```sh
hf-rap compare scored.parquet --methods all
```

runs all of them on one file: rows kept, what the replies behind each rule cost in tokens, the overlap of every two, and for a rule that cannot run
the evidence that it lacks. Without `--budget` rules that rank keep as many rows as the first rule that does not. On {rows} rows with {attempts}
attempts per arm it takes {seconds} s (`python benchmarks/rules.py`).

**They contradict each other**, and hardly one of these papers says which rows it kept, by which model and with which sampling: what stands under
*against* cannot be settled by reading. Overlap tells how much the choice matters on your rows; whether training on a selection is better than on as many random rows only
training tells ([evidence.md](evidence.md)).

A pass rate p is that with the image; where a rule has no number in its source, what is done here is marked as ours.

<!-- scripts/render_rules.py writes what follows -->
"""
# Measured by benchmarks/rules.py, which prints this line.
MEASURED = {"rows": "100,000", "attempts": "8", "seconds": "7.5"}


def table() -> list[str]:
    """All rules, a line each."""
    lines = ["| rule | source | keeps | replies |", "|---|---|---|---|"]
    return lines + [
        f"| [`{rule.name}`](#{_anchor(rule.name)}) | {_sources(rule)} | {_cell(rule.formula)} | {', '.join(rule.arms) or rule.cost} |"
        for rule in RULES.values()
    ]


def about(rule: Rule) -> list[str]:
    """One rule, with what makes the columns that it reads."""
    makers = [f"`{name}`{_maker(name)}" for name in rule.needs]
    lines = [
        f"## {rule.name}",
        "",
        f"- source: {_sources(rule)}",
        f"- keeps: {rule.formula}",
        f"- numbers: {rule.defaults}",
        f"- needs: {'; '.join(makers) or 'nothing'}",
        f"- costs: {rule.cost}",
    ]
    further = (("left open", rule.left_open), ("against", rule.against))
    return [*lines, *(f"- {title}: {text}" for title, text in further if text), ""]


def page() -> str:
    """The whole page."""
    lines = [HEAD.format(**MEASURED), *table(), ""]
    for rule in RULES.values():
        lines += about(rule)
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(name: str) -> str:
    return name.replace(":", "")


def _maker(name: str) -> str:
    made = how_to_make(name).removeprefix("Make it first: ").removesuffix(".")
    return f" ({made})" if made else ""


def _sources(rule: Rule) -> str:
    return ", ".join(f"[{paper}](https://arxiv.org/abs/{paper})" for paper in rule.source) or "a baseline"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
