"""Write docs/rules.md from the table of rules.

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

## How much the choice matters

`python benchmarks/checkpoints.py --steps 20 100`: 400 planted rows, five attempts per arm of the built-in model.

- `rap-paper` and `difficulty` keep the same 70 rows, the first for 56,030 tokens of replies, the second for 28,026.
- `rap` and `pass-gap` share none of their 32 rows each, `rap` and `hardest-tenth` none either: what one calls best the other leaves out. Random rows in such
  numbers would share 4 to 5 %.
- `hardest` and `hardest-tenth` keep rows that were never solved (mean difficulty 1.000, mean cde below 0): 60 of 380 rows are such, a tenth of the rows is
  full of them, and a model that never solves a row learns nothing from its rewards.
- `learnability` and `variance-promotion` share half of their rows (0.488); the words of this small model say little.

## Two models, or two checkpoints of one

```sh
hf-rap compare before.parquet after.parquet --methods rap,difficulty
```

matches rows by `rap_id` and shows for every rule how far the two selections overlap, beside what a rerun of either would give (*rerun*, as `hf-rap stability`
expects it: two models can hardly agree more than one with itself), and random rows in such numbers; `--plot` draws it. `hf_rap.select.agreement.compare_models` in Python.
The same benchmark, with the model scored once more (*rerun*: another seed), and after it was taught to guess for as many steps as its name says:

| rule | pair | rows | rows | overlap | rerun | rerun | of ceiling | by chance |
|---|---|---:|---:|---:|---:|---:|---:|---:|
| `rap` | start - rerun | 32 | 39 | 0.183 | 0.256 | 0.232 | 75% | 0.046 |
| `rap` | start - after 20 | 32 | 59 | 0.230 | 0.256 | 0.296 | 83% | 0.055 |
| `rap` | start - after 100 | 32 | 59 | 0.110 | 0.256 | 0.273 | 42% | 0.055 |
| `rap-paper` | start - rerun | 70 | 80 | 0.415 | 0.379 | 0.497 | 95% | 0.103 |
| `rap-paper` | start - after 20 | 70 | 77 | 0.140 | 0.379 | 0.205 | 48% | 0.101 |
| `rap-paper` | start - after 100 | 70 | 59 | 0.122 | 0.379 | 0.208 | 41% | 0.087 |
| `difficulty` | start - rerun | 70 | 80 | 0.415 | 0.379 | 0.497 | 95% | 0.103 |
| `difficulty` | start - after 20 | 70 | 184 | 0.171 | 0.379 | 0.532 | 37% | 0.145 |
| `difficulty` | start - after 100 | 70 | 180 | 0.238 | 0.379 | 0.580 | 50% | 0.144 |
| `any-right` | start - rerun | 320 | 321 | 0.902 | 0.895 | 0.914 | 100% | 0.668 |
| `any-right` | start - after 20 | 320 | 257 | 0.770 | 0.895 | 0.788 | 91% | 0.554 |
| `any-right` | start - after 100 | 320 | 305 | 0.900 | 0.895 | 0.885 | 101% | 0.640 |
| `learnability` | start - rerun | 32 | 32 | 0.185 | 0.248 | 0.254 | 74% | 0.042 |
| `learnability` | start - after 20 | 32 | 32 | 0.049 | 0.248 | 0.236 | 20% | 0.042 |
| `learnability` | start - after 100 | 32 | 32 | 0.103 | 0.248 | 0.270 | 40% | 0.042 |
| `pass-gap` | start - rerun | 32 | 32 | 0.255 | 0.234 | 0.261 | 103% | 0.042 |
| `pass-gap` | start - after 20 | 32 | 32 | 0.032 | 0.234 | 0.173 | 16% | 0.042 |
| `pass-gap` | start - after 100 | 32 | 32 | 0.208 | 0.234 | 0.147 | 109% | 0.042 |
| `hardest-tenth` | start - rerun | 40 | 40 | 0.600 | 0.538 | 0.579 | 107% | 0.053 |
| `hardest-tenth` | start - after 20 | 40 | 40 | 0.250 | 0.538 | 0.606 | 44% | 0.053 |
| `hardest-tenth` | start - after 100 | 40 | 40 | 0.509 | 0.538 | 0.588 | 90% | 0.053 |

A rerun of the same model agrees with the first scoring by 74 to 107 % of what was expected; so the ceiling is right within what 400 rows can tell. Twenty steps of
training leave `learnability` and `pass-gap` at chance, and the band at a third of its ceiling. It does not only grow
with the steps: after a hundred of them five of the seven rules are nearer to the start again, and `rap` and `rap-paper` farther. Evidence of another checkpoint is no evidence of yours. `any-right` changes least, as it keeps most.

## The rules

A pass rate p is that with the image; where a rule has no number in its source, what is done here is marked as ours.

<!-- scripts/render_rules.py writes what follows -->
"""
# Measured by benchmarks/rules.py, which prints this line.
MEASURED = {"rows": "100,000", "attempts": "8", "seconds": "7.5"}


def overview() -> list[str]:
    """All rules, a line each."""
    rows = [
        (f"[`{rule.name}`](#{_anchor(rule.name)})", _sources(rule), rule.formula, ", ".join(rule.arms) or rule.cost)
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


def page() -> str:
    """The whole page."""
    lines = [HEAD.format(**MEASURED), *overview(), ""]
    for rule in RULES.values():
        lines += about(rule)
    return "\n".join(lines)


def _anchor(name: str) -> str:
    return name.replace(":", "")


def _maker(name: str) -> str:
    return f" ({MAKERS[name]})" if name in MAKERS else ""


def _sources(rule: Rule) -> str:
    return ", ".join(f"[{paper}](https://arxiv.org/abs/{paper})" for paper in rule.source) or "a baseline"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
