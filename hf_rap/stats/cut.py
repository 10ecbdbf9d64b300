"""Replies that hit the token limit: how many there are. What they would have said nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARM_COLUMNS, ARMS

if TYPE_CHECKING:
    from collections.abc import Mapping

# From this share on, scores say as much about the limit as about the rows.
MANY = 0.05
WHERE = {"image": "with the image", "text": "on the text alone"}


def counts_cut(ds: Any) -> dict[str, tuple[int, int]]:
    """How many replies were cut off, and of how many this is known, per arm that there is evidence of."""
    import pyarrow.compute as pc

    counts: dict[str, tuple[int, int]] = {}
    for arm in (arm for arm in ARMS if ARM_COLUMNS[arm].truncated.name in ds.column_names):
        name = ARM_COLUMNS[arm].truncated.name
        flags = pc.list_flatten(ds.select_columns([name]).with_format("arrow")[:][name])
        counts[arm] = pc.sum(flags.cast("int8")).as_py() or 0, len(flags) - flags.null_count
    return counts


def shares_cut(ds: Any) -> dict[str, float | None]:
    """The share of replies that were cut off, per arm that there is evidence of; None where nothing was asked."""
    return {arm: cut / known if known else None for arm, (cut, known) in counts_cut(ds).items()}


def many_cut(arms: Mapping[str, Any]) -> dict[str, float]:
    """The arms of which more than `MANY` was cut off, by `shares_cut` or by the facts of a card."""
    many = {}
    for arm, arm_facts in arms.items():
        share = (arm_facts.get("truncated") or {}).get("share") if isinstance(arm_facts, dict) else arm_facts
        if share is not None and share > MANY:
            many[arm] = share
    return many


def describe_cut(shares: Mapping[str, float | None]) -> str | None:
    """What to say where many replies were cut off; None where few were."""
    many = many_cut(shares)
    if not many:
        return None
    arms = " and ".join(f"{share:.1%} of the replies {WHERE[arm]}" for arm, share in many.items())
    return (
        f"{arms} hit the token limit and were cut off: what they would have said is not known, and scores of rows with "
        "long replies are bent by it. With a run, --continue-cut and a larger --max-new-tokens go on with these alone "
        "(continue_cut=True); cut= says what they count as."
    )
