"""The rule of s1 for choosing questions: what was not solved, any domain as likely as another, long replies first."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ERROR, IMAGE_REWARDS, IMAGE_TOKENS, require
from hf_rap.errors import SettingError
from hf_rap.papers import CITE_S1
from hf_rap.stats.arrays import arrow_columns, ids_of, seeded_order
from hf_rap.stats.lists import number_lists
from hf_rap.stats.settings import CORRECT

from .arrays import plain, rows_of_budget, strata_of, why_unscored
from .base import Decision, Selection, Settings, Step
from .method import Citation, Method, Reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def select_s1(
    ds: Any, *, budget: float, stratify_by: str | None = None, seed: int = 0, overrides: Any = None
) -> Selection:
    """Rows that the first attempt with the image does not solve, drawn by domain and by length.

    Of the domains (the values of `stratify_by`) one is drawn, each as likely as another, and of its rows one, where the
    longest is twice as likely as the next, and so on; until there are enough rows. Without `stratify_by` all are one domain.

    Args:
        ds: a `Dataset` with `rap_image_rewards` and `rap_image_tokens`; `rap_id` and `rap_error` are read where they are there.
        budget: a number of rows (1,000 in the paper) or a share of all rows.
        stratify_by: the column of the domain.
        seed: of the draws.
        overrides: marks of a person, as in `select_cognitive`.

    Raises:
        MissingColumnError: a column is absent.
        SettingError: the budget is out of its range, or fewer rows are unsolved.

    Source:
        arXiv 2501.19393, and data/filter.ipynb of simplescaling/s1 (commit 77272c6). There two models have one attempt each, the
        length is that of another model's trace, and a part is drawn like the domains of its benchmarks and a part taken by hand:
        none of these has a place here.

    """
    return S1.select(ds, Settings(budget=budget, stratify_by=stratify_by, seed=seed), overrides)


def decide_s1(ds: Any, settings: Settings) -> Decision:
    """The decision behind `select_s1`."""
    import numpy as np

    require("select_s1", ds.column_names, (IMAGE_REWARDS, IMAGE_TOKENS))
    stratify_by = settings.stratify_by
    if stratify_by is not None:
        require("stratify_by", ds.column_names, [stratify_by])
    columns = arrow_columns(ds, [IMAGE_REWARDS.name, IMAGE_TOKENS.name, ERROR.name, stratify_by])
    lists = [
        number_lists("select_s1", name, columns[name]).to_pylist() for name in (IMAGE_REWARDS.name, IMAGE_TOKENS.name)
    ]
    first = np.array([row[0] if row else None for row in lists[0]], dtype=np.float64)
    tokens = [[count for count in row or () if count is not None] for row in lists[1]]
    length = np.array([math.fsum(row) / len(row) if row else np.nan for row in tokens])
    scored = ~np.isnan(first) & ~np.isnan(length)
    unsolved = scored & (first < CORRECT)
    budget = rows_of_budget(settings.budget, len(ds))
    assert budget is not None, "checked by the method: it needs one"
    if budget > np.count_nonzero(unsolved):
        raise SettingError(
            f"budget asks for {budget:,} rows, but only {np.count_nonzero(unsolved):,} of {len(ds):,} are not solved by their first "
            "attempt. Ask for fewer."
        )
    strata = np.zeros(len(ds), dtype=np.int64) if stratify_by is None else strata_of(stratify_by, columns[stratify_by])
    order = np.lexsort((seeded_order(ids_of(ds), settings.seed), -np.where(scored, length, 0.0)))
    keep = np.zeros(len(ds), dtype=bool)
    keep[_drawn([row for row in order if unsolved[row]], strata, budget, settings.seed)] = True
    reason = why_unscored(np.where(scored, length, np.nan), columns.get(ERROR.name))
    reason[scored] = "solved_at_first"
    reason[unsolved] = "not_drawn_by_length"
    reason[keep] = "drawn_by_length"
    counts = {"rows": len(ds), "scored": scored.sum(), "unsolved": unsolved.sum(), "selected": keep.sum()}
    funnel = tuple(Step(name, int(count)) for name, count in counts.items())
    rule = {"budget": budget, "stratify_by": stratify_by, "seed": plain(settings.seed)}
    return Decision(keep, reason, funnel, {**rule, "asked": {"budget": plain(settings.budget)}})


def _drawn(rows: list[Any], strata: NDArray[np.int64], budget: int, seed: Any) -> list[Any]:
    """So many of the rows, which come longest first."""
    domains: dict[int, list[Any]] = {}
    for row in rows:
        domains.setdefault(int(strata[row]), []).append(row)
    names = sorted(domains)
    drawn = []
    for draw in range(budget):
        name = names[int(_uniform(seed, draw, "domain") * len(names))]
        of_domain = domains[name]
        # Of n rows that of rank r has 2^-r of 2 - 2^(1-n).
        share = _uniform(seed, draw, "row") * (1 - 0.5 ** min(len(of_domain), 60))
        drawn.append(of_domain.pop(min(int(-math.log2(1 - share)), len(of_domain) - 1)))
        if not of_domain:
            names.remove(name)
    return drawn


def _uniform(seed: Any, draw: int, what: str) -> float:
    """A random-looking number in [0, 1), the same in every process and release of numpy."""
    digest = blake2b(f"{seed}:{draw}:{what}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "little") / 2**48


S1 = Method(
    "s1",
    decide_s1,
    "a baseline, rows that one attempt does not solve, long replies first, any domain as likely as another",
    reasons=(
        Reason("drawn_by_length", True, "not solved at first, and drawn in its domain, longer replies more likely"),
        Reason("not_drawn_by_length", False, "not solved at first, and not drawn"),
        Reason("solved_at_first", False, "the first attempt with the image is right"),
        Reason("not_scored", False, "there is no judged first reply and rap_error does not say why"),
    ),
    steps={"scored": "have a judged first reply", "unsolved": "are not solved by it"},
    options=("budget", "stratify_by"),
    needs_budget=True,
    needs_all_attempts=False,
    ranks_by=IMAGE_TOKENS.name,
    citations=(Citation("The method (s1)", CITE_S1),),
    function="select_s1",
)
