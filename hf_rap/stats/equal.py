"""Rows whose long replies are all the same: a model that is drawn from does not say the same thing four times by chance."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ARM_COLUMNS, ARMS, SETTINGS
from hf_rap.system import release_mapped_files

from .cut import WHERE
from .settings import settings_in

if TYPE_CHECKING:
    from collections.abc import Mapping

ATTEMPTS = 4  # that a row needs to count
LONG_TOKENS = 20  # that each of its replies has to exceed
LONG_WORDS = 15  # where nobody has counted tokens
_ROWS_AT_ONCE = 1000
# From this share of the rows on something else than the model is at work.
MANY = 0.05


def count_equal(ds: Any) -> dict[str, dict[str, int]]:
    """Per arm that there are replies of: rows with at least four, all of them long, and those of them with equal ones.

    Rows at temperature 0, where all attempts are one reply, do not count.
    """
    arms = {arm: ARM_COLUMNS[arm] for arm in ARMS if ARM_COLUMNS[arm].responses.name in ds.column_names}
    read = [column.name for of_arm in arms.values() for column in (of_arm.responses, of_arm.tokens)]
    present = [name for name in (*read, SETTINGS.name) if name in ds.column_names]
    counts = {arm: {"rows": 0, "equal": 0} for arm in arms}
    for batch in ds.select_columns(present).with_format(None).iter(batch_size=_ROWS_AT_ONCE) if arms else ():
        nothing = [None] * len(batch[present[0]])
        drawn = [_is_drawn(text) for text in batch.get(SETTINGS.name, nothing)]
        for arm, of_arm in arms.items():
            rows = zip(batch[of_arm.responses.name], batch.get(of_arm.tokens.name, nothing), drawn, strict=True)
            long = [texts for texts, tokens, is_drawn in rows if is_drawn and _all_long(texts, tokens)]
            counts[arm]["rows"] += len(long)
            counts[arm]["equal"] += sum(len(set(texts)) == 1 for texts in long)
        release_mapped_files()
    return counts


@cache
def _is_drawn(settings: str | None) -> bool:
    """Whether replies were drawn at a temperature above 0, as far as their settings say."""
    return settings is None or settings_in(settings).get("temperature") != 0


def _all_long(texts: list[str | None] | None, tokens: list[int | None] | None) -> bool:
    if texts is None or len(texts) < ATTEMPTS or None in texts:
        return False
    return all(is_long(text or "", count) for text, count in zip(texts, tokens or [None] * len(texts), strict=True))


def is_long(text: str, tokens: int | None) -> bool:
    """So long that a model that is drawn from does not give it twice by chance; `tokens` where they were counted."""
    return len(text.split()) > LONG_WORDS if tokens is None else tokens > LONG_TOKENS


def many_equal(counts: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """The arms in which more than `MANY` of the rows that count have equal replies, and their share."""
    shares = {arm: of_arm["equal"] / of_arm["rows"] for arm, of_arm in counts.items() if of_arm["rows"]}
    return {arm: share for arm, share in shares.items() if share > MANY}


def describe_equal(counts: Mapping[str, Mapping[str, int]]) -> str | None:
    """What to say where many rows have equal replies; None where few have."""
    many = many_equal(counts)
    if not many:
        return None
    arms = " and ".join(
        f"{counts[arm]['equal']:,} of {counts[arm]['rows']:,} rows {WHERE[arm]} ({share:.1%})"
        for arm, share in many.items()
    )
    return (
        f"{arms} have at least {ATTEMPTS} replies of over {LONG_TOKENS} tokens which are all the same, though the temperature is "
        "not 0: one reply counted several times says less than pass rates claim. A top_k, a temperature or a cache of the "
        "server may do this, or a model that was trained until it says one thing alone."
    )
