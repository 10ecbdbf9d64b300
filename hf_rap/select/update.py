"""A selection by an earlier model, and what a later one is known to do -> the rows to ask again, and the next selection.

The way of a row:

    attempts of the earlier model, or rewards of the training instead   what is known of it
    -> posterior of its pass rates; where it was not trained on, moved as those that were
    -> fresh attempts drawn from these, decided by the whole rule        a chance that its decision changes
    -> above the bound, or drawn for the check: asked by the later model
    -> the rule, once more, on what there is now                         kept or not, and why
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    ADAPTIVE,
    ARM_COLUMNS,
    EVIDENCE,
    HINTED_PREFIX,
    IMAGE_FORMATTED,
    IMAGE_REWARDS,
    PREFIX,
    PROBED,
    SETTINGS,
    UNASKED,
    UPDATE,
    Column,
    features_of,
)
from hf_rap.errors import SettingError
from hf_rap.options import check, check_number, check_whole
from hf_rap.rows.compat import with_columns
from hf_rap.stats.arrays import arrow_columns, ids_of, seeded_order
from hf_rap.stats.counts import Counts, read_counts
from hf_rap.stats.posterior import Posterior, fit_prior
from hf_rap.stats.settings import CORRECT, correct_of

from .again import decide_again, select_again
from .comparison import kept_flags, with_scores
from .rules import tokens_in
from .stability import answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import datasets
    import numpy as np
    from numpy.typing import NDArray

    from .base import Selection

    Rewards = Sequence[Sequence[float | None] | None]

ASK_ABOVE = 0.1
CHECKED = 0.05
DRAWS = 40
# What `rap_update` says of a row.
ASKED, DRAWN, LOGGED, BEFORE = "asked", "drawn", "log", "before"
_EDGE = 1e-6  # rates this near to 0 and 1 stay where they are


@dataclass(frozen=True, eq=False)
class Plan:
    """Which rows are asked again.

    Attributes:
        source: of each row, (n_rows,), where its evidence will come from: "asked" because its decision can have changed, "drawn" to check
            how often one changes that was not to be asked, "log" of the training, or "before".
        chance: that the decision changes, (n_rows,); 0 where the row has no judged attempt to say so.
        shift: by how much the log-odds of being right moved from the earlier model to the rewards of the training, mean over the rows
            that were trained on; rows that were not are taken to move between not at all and as far.
        ask_above: the bound.

    """

    source: NDArray[np.object_]
    chance: NDArray[np.float64]
    shift: float
    ask_above: float

    @property
    def ask(self) -> NDArray[np.int64]:
        """The rows that are asked, in their order."""
        import numpy as np

        return np.flatnonzero((self.source == ASKED) | (self.source == DRAWN))

    def counts(self) -> dict[str, int]:
        """Rows of each source; together all rows."""
        return {name: int((self.source == name).sum()) for name in (ASKED, DRAWN, LOGGED, BEFORE)}


def plan_update(
    selection: Selection,
    rewards: Rewards,
    *,
    ask_above: float = ASK_ABOVE,
    check_share: float = CHECKED,
    draws: int = DRAWS,
    seed: int = 0,
) -> Plan:
    """Which rows of a selection a later model has to be asked.

    Rows that the training has no rewards of cannot be known: they are taken to have moved as those that it has, by something between
    nothing and all of it, and a seeded share of those that are not asked is asked all the same, which says how often that is wrong.

    Args:
        selection: by the earlier model, with its rewards.
        rewards: of each row 1.0, 0.0 or null per attempt of the training, as `rewards_by_row` gives them; None without.
        ask_above: a row is asked whose chance of another decision is above this, in [0, 1].
        check_share: of the other rows this share is asked as well, drawn by seed and id, in [0, 1].
        draws: how many fresh scorings are drawn.
        seed: of draws, of the rows that are checked, and of ties.

    Raises:
        SettingError: the rule does not decide by rewards alone, attempts were spared, or an option is out of its range.
        MissingColumnError: a column is absent.

    """
    import numpy as np

    check_number("ask_above", ask_above, least=0, most=1)
    check_number("check_share", check_share, least=0, most=1)
    check_whole("draws", draws, least=1)
    check_whole("seed", seed, least=0)
    rows, rule = selection.scored, selection.rule
    check(
        len(rewards) == len(rows), "rewards", f"{len(rewards)} lists", f"one for each of the {len(rows)} rows, or None"
    )
    refuse_update(rows, rule)
    image, text = read_counts("plan_update", rows)
    again = decide_again(rows, rule)
    trained = _counts_of(rewards)
    has = trained.judged > 0
    now = Counts(np.where(has, trained.solved, image.solved), np.where(has, trained.judged, image.judged))
    prior = fit_prior(rows)
    random = np.random.default_rng(seed)
    shift = _shift(Posterior(prior, image, text).pass_rate_mean()[has], trained.rows(has))
    posterior, kept = Posterior(prior, now, text), kept_flags(selection)
    # As many fresh attempts as the rows were given before.
    judged = [np.where(arm.judged > 0, arm.judged.max(initial=0), 0) for arm in (image, text)]
    changed = np.zeros(len(rows))
    for _ in range(draws):
        p1, p0 = (np.nan_to_num(arm) for arm in posterior.draw(random))
        p1 = np.where(has, p1, _moved(p1, shift * random.random(len(rows))))
        changed += again(*answer((p1, p0), judged, random)) != kept
    readable = image.judged > 0
    chance = np.where(readable, changed / draws, 0.0)
    source = np.where(has, LOGGED, BEFORE).astype(object)
    source[chance > ask_above] = ASKED
    rest = np.flatnonzero(readable & (chance <= ask_above))
    order = seeded_order(ids_of(rows.select(rest)), seed) if rest.size else np.zeros(0)
    source[rest[np.argsort(order, kind="stable")[: ceil(check_share * rest.size)]]] = DRAWN
    return Plan(source, chance, shift, float(ask_above))


def refuse_update(ds: Any, rule: Mapping[str, Any]) -> None:
    """Raise `SettingError` where a decision hangs on more than rewards with the image and on the question alone."""
    import pyarrow.compute as pc

    other = {"max_ace": "attention", "control": "another control", "probe_prior": "what a probe foretold"}
    used = next((what for name, what in other.items() if rule.get(name) not in (None, False, "text")), None)
    if used is not None:
        raise SettingError(
            f"The rule goes by {used}, which an update does not collect: score the rows anew, or select without it first."
        )
    for column in (ADAPTIVE, PROBED):
        if column.name in ds.column_names and pc.any(arrow_columns(ds, [column.name])[column.name].is_valid()).as_py():
            raise SettingError(
                "Attempts of these rows were spared where they decided nothing for the earlier model, so they do not say what a later one "
                "can change: update from a collection with all attempts."
            )


def apply_update(
    selection: Selection, plan: Plan, evidence: datasets.Dataset, rewards: Rewards, log: Mapping[str, Any]
) -> Selection:
    """The selection by the same rule, with the new evidence of the rows that were asked.

    Rows that the log speaks for and that were not asked have its rewards in the image arm, and their attempts on the question alone
    of before. `rap_update` says of each row which it is. What belonged to replies of before (attention, controls,
    likelihoods) is left out.

    Args:
        selection: by the earlier model.
        plan: which rows were asked.
        evidence: these rows with their new evidence, in the order of `plan.ask`.
        rewards: as `plan_update` takes them.
        log: what is known of the training, for `rap_settings`.

    Raises:
        SettingError: `evidence` is of other rows than the plan has, by their ids.

    """
    import numpy as np
    from datasets import concatenate_datasets

    rows = selection.scored
    ids = list(ids_of(rows.select(plan.ask))) if plan.ask.size else []
    fine = len(evidence) == len(ids) and (not ids or list(ids_of(evidence)) == ids)
    check(
        fine, "evidence", f"{len(evidence)} rows", f"the {len(ids)} rows of the plan, by their rap_id and in its order"
    )
    logged, before = (np.flatnonzero(plan.source == name) for name in (LOGGED, BEFORE))
    own = [name for name in rows.column_names if not name.startswith(PREFIX) or name.startswith(HINTED_PREFIX)]
    names = [
        column.name for column in (*EVIDENCE, UNASKED) if column.name in {*rows.column_names, *evidence.column_names}
    ]
    features = features_of([column for column in (*EVIDENCE, UNASKED) if column.name in names])
    ours = rows.select_columns([name for name in rows.column_names if name in {*own, *names}])
    from_log = _with_log(ours.select(logged), [rewards[row] or [] for row in logged.tolist()], log)
    new = evidence.select_columns([name for name in evidence.column_names if name in {*own, *names}])
    parts = [_aligned(part, names, features) for part in (ours.select(before), from_log, new) if len(part)]
    together = concatenate_datasets([part.select_columns([*own, *names]) for part in parts])
    order = np.argsort(np.concatenate([before, logged, plan.ask]))
    updated = _with(together.select(order), UPDATE, plan.source.tolist())
    after = select_again(with_scores(updated), selection.rule)
    return replace(after, remarks=(*after.remarks, _remark(describe_update(selection, plan, after))))


def describe_update(before: Selection, plan: Plan, after: Selection) -> dict[str, Any]:
    """What was asked, what came of it, and what it spared, as JSON-able facts.

    `rows` of each source add up to all; `changed` are those of them with another decision. `kept` before is `stayed` plus `went`,
    and `kept` now `stayed` plus `came`. `tokens` were generated for the rows that were asked; `tokens_for_all` is what all rows would
    take: those of before, times what the asked rows take now by what they took before. Null where tokens are not told.
    """
    was, now = kept_flags(before), kept_flags(after)
    sources = (ASKED, DRAWN, LOGGED, BEFORE)
    now_tokens, earlier = (generated(ds.select(plan.ask)) for ds in (after.scored, before.scored))
    all_before = generated(before.scored)
    for_all = (
        None if now_tokens is None or all_before is None or not earlier else round(all_before * now_tokens / earlier)
    )
    return {
        "rows": plan.counts(),
        "changed": {name: int(((was != now) & (plan.source == name)).sum()) for name in sources},
        "kept_before": int(was.sum()),
        "stayed": int((was & now).sum()),
        "went": int((was & ~now).sum()),
        "came": int((now & ~was).sum()),
        "kept": int(now.sum()),
        "shift": round(plan.shift, 4),
        "ask_above": plan.ask_above,
        "tokens": now_tokens if len(plan.ask) else 0,
        "tokens_for_all": for_all,
    }


def generated(ds: Any) -> int | None:
    """Tokens of the replies of these rows, both arms; None where they are not told."""
    sums = [tokens_in(ds, ARM_COLUMNS[arm].tokens.name) for arm in ("image", "text")]
    known = [tokens for tokens in sums if tokens is not None]
    return sum(known) if known else None


def _remark(facts: Mapping[str, Any]) -> str:
    rows, changed = facts["rows"], facts["changed"]
    checked = f"; of {rows[DRAWN]:,} drawn to check {changed[DRAWN]:,} have another decision now" if rows[DRAWN] else ""
    return (
        f"An update: {rows[ASKED] + rows[DRAWN]:,} rows were asked again, {rows[LOGGED]:,} have rewards of the training and {rows[BEFORE]:,} the "
        f"evidence of before (rap_update){checked}.{' ' + advice if (advice := advice_of(facts)) else ''}"
    )


def advice_of(facts: Mapping[str, Any]) -> str | None:
    """That so many of the drawn rows have another decision that the others cannot be left as they are; else None.

    The rows that were not asked were to change with a chance of at most the bound; said where the drawn ones change more often.
    """
    drawn, changed = facts["rows"][DRAWN], facts["changed"][DRAWN]
    if not drawn or changed <= max(1.0, facts["ask_above"] * drawn):
        return None
    return (
        f"That is more than the bound of {facts['ask_above']:g}: the model has changed on rows of which the log says nothing. Ask more "
        "(a lower ask_above), or score all rows anew."
    )


def _with_log(ds: datasets.Dataset, rewards: list[Any], log: Mapping[str, Any]) -> datasets.Dataset:
    """Rows with the rewards of the training in the image arm, in the place of the replies of before."""
    if not len(ds):
        return ds
    values: dict[Column, list[Any]] = {IMAGE_REWARDS: rewards}
    for column in (*ARM_COLUMNS["image"][1:], IMAGE_FORMATTED):
        values[column] = [None] * len(ds)
    graded = ds[SETTINGS.name] if SETTINGS.name in ds.column_names else [None] * len(ds)
    values[SETTINGS] = [_settings(log, correct_of(text)) for text in graded]
    for column, cells in values.items():
        if column in (IMAGE_REWARDS, SETTINGS) or column.name in ds.column_names:
            ds = _with(ds.remove_columns([column.name] if column.name in ds.column_names else []), column, cells)
    return ds


def _settings(log: Mapping[str, Any], correct: float) -> str:
    """Of a row whose image arm is of the training; the attempts on the question alone count as before."""
    return json.dumps(
        {**log, "text": "as before", **({} if correct == CORRECT else {"correct": correct})}, sort_keys=True
    )


def _aligned(ds: datasets.Dataset, names: Sequence[str], features: Any) -> datasets.Dataset:
    """The rows with each column of evidence in its own type, whoever wrote them, and null where they lack one."""
    import pyarrow as pa

    wrong = [name for name in names if ds.features.get(name) != features[name]]
    if not wrong:
        return ds
    types = {name: features.arrow_schema.field(name).type for name in wrong}
    there = arrow_columns(ds, wrong)
    arrays = {
        name: there[name].cast(kind) if name in there else pa.nulls(len(ds), kind) for name, kind in types.items()
    }
    return with_columns(
        ds.remove_columns(list(there)), arrays, type(features)({name: features[name] for name in wrong})
    )


def _with(ds: datasets.Dataset, column: Column, values: list[Any]) -> datasets.Dataset:
    import pyarrow as pa

    features = features_of([column])
    return with_columns(ds, {column.name: pa.array(values, features.arrow_schema.field(0).type)}, features)


def _counts_of(rewards: Rewards) -> Counts:
    import numpy as np

    known = [[reward for reward in row or () if reward is not None] for row in rewards]
    return Counts(
        np.array([sum(row) for row in known], dtype=np.float64), np.array([len(row) for row in known], dtype=np.int64)
    )


def _shift(before: NDArray[np.float64], trained: Counts) -> float:
    """From the mean pass rate of the earlier model, as far as it is known, to that of the training, in log-odds; 0 without rows."""
    import numpy as np

    known = ~np.isnan(before)
    if not known.any():
        return 0.0
    rates = (float(before[known].mean()), float((trained.solved / trained.judged)[known].mean()))
    earlier, later = (np.log(rate / (1 - rate)) for rate in np.clip(rates, 0.01, 0.99))
    return float(later - earlier)


def _moved(rates: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates with other log-odds; those of 0 and 1 stay."""
    import numpy as np

    inner = (rates > _EDGE) & (rates < 1 - _EDGE)
    odds = np.divide(rates, 1 - rates, out=np.ones_like(rates), where=inner) * np.exp(by)
    moved: NDArray[np.float64] = np.where(inner, odds / (1 + odds), rates)
    return moved
