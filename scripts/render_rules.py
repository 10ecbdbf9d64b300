"""Write docs/rules.md and docs/rules/disagree.md from the table of rules; docs/reference/rules.md is written by render_reference.py.

python scripts/render_rules.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from page_tables import table

from hf_rap.columns import MAKERS
from hf_rap.select.rules import RULES

if TYPE_CHECKING:
    from hf_rap.select.rules import Rule

DOCS = Path(__file__).parents[1] / "docs"
HEAD = """# Which rule: every published one on the same evidence

You will see what every published rule keeps of your rows, what its replies cost, and how far any two agree:

<!-- exhaustive -->
```console
$ hf-rap compare scored.parquet --methods all
```

runs all of them on one file: rows kept, what the replies behind each rule cost in tokens, the overlap of every two, and for a rule that cannot run
the [evidence](glossary.md#evidence) that it lacks. Without `--budget` rules that rank keep as many rows as the first rule that does not. On {rows} rows with {attempts}
attempts per arm it takes {seconds} s (`python benchmarks/rules.py` in the repository).

`hf-rap select --method NAME` selects by one of them, `select_cognitive(ds, method="NAME")` in Python; those that rank take a budget. All give a
reason for every row, obey marks of a person and can be made again from their record ([selection](selection.md)).

**Knowing nothing**, begin with the default, and look at the remark that says when a plain band would keep the same rows: [when a plain band is enough](band.md).

## How much the choice matters

Much: of 400 planted rows the default and `pass-gap` keep 32 each and share none, while `rap-paper` and `difficulty` keep the same 70
([measured](measurements/rules.md)). Overlap tells how much the choice matters on your rows; whether training on a selection is better than on as many random rows only
training tells ([does it work?](evidence.md), and [a bake-off on your data](trainers/bakeoff.md)).

## Two models, or two checkpoints of one

```console
$ hf-rap compare before.parquet after.parquet --methods rap,difficulty
```

matches rows by `rap_id` and shows for every rule how far the two selections overlap ([Jaccard](glossary.md#jaccard)), beside what a rerun of either would give (*rerun*, as `hf-rap stability`
expects it: two models can hardly agree more than one with itself), and random rows in such numbers; `--plot` draws it. `hf_rap.select.agreement.compare_models` in Python.
Twenty steps of training leave a band at a third of that ceiling ([measured](measurements/rules.md#two-models-or-two-checkpoints-of-one)): evidence of another checkpoint is no evidence of yours.

## The rules

A pass rate p is that with the image. Numbers, needs and what each source leaves open: [every rule in full](reference/rules.md).

<!-- scripts/render_rules.py writes what follows -->
"""
DISAGREE = """# Where papers disagree

You will know what is said against each rule before you choose one. **They contradict each other**, and hardly one of these papers says which rows it kept, by which model
and with which sampling, so what stands here cannot be settled by reading. `hf-rap compare --methods all` shows on your rows how much it matters ([which rule](../rules.md)).

<!-- scripts/render_rules.py writes what follows -->
"""
IN_FULL = """# Every rule in full

Source, formula, numbers, needs, cost, what its source leaves open and who contradicts it. A pass rate p is that with the image; where a rule has no number in its
source, what is done here is marked as ours. [Which rule](../rules.md) has them side by side.

<!-- scripts/render_reference.py writes what follows -->
"""
# Measured by benchmarks/rules.py, which prints this line.
MEASURED = {"rows": "100,000", "attempts": "8", "seconds": "7.5"}


def overview() -> list[str]:
    """All rules, a line each."""
    rows = [
        (
            f"[`{rule.name}`](reference/rules.md#{_anchor(rule.name)})",
            _sources(rule),
            rule.formula,
            ", ".join(rule.arms) or rule.cost,
        )
        for rule in RULES.values()
    ]
    return table(("rule", "source", "keeps", "replies"), rows)


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


def against() -> list[str]:
    """What others say against rules, a line each; rules against which the same is said stand together."""
    together: dict[str, list[str]] = {}
    for rule in RULES.values():
        if rule.against:
            together.setdefault(rule.against, []).append(f"`{rule.name}`")
    return table(("rule", "against it"), [(", ".join(names), text) for text, names in together.items()])


def page() -> str:
    """The page that sets the rules side by side."""
    return "\n".join([HEAD.format(**MEASURED), *overview(), "", "Next: [where papers disagree](rules/disagree.md)", ""])


def disagree() -> str:
    """The page of what others say against the rules."""
    return "\n".join([DISAGREE, *against(), "", "Next: [when a plain band is enough](../band.md)", ""])


def rules_page() -> str:
    """The page that has a part for each rule."""
    return "\n".join([IN_FULL, *(line for rule in RULES.values() for line in about(rule))])


def _anchor(name: str) -> str:
    return name.replace(":", "")


def _maker(name: str) -> str:
    return f" ({MAKERS[name]})" if name in MAKERS else ""


def _sources(rule: Rule) -> str:
    return ", ".join(f"[{paper}](https://arxiv.org/abs/{paper})" for paper in rule.source) or "a baseline"


if __name__ == "__main__":
    (DOCS / "rules.md").write_text(page(), encoding="utf-8")
    (DOCS / "rules" / "disagree.md").write_text(disagree(), encoding="utf-8")
