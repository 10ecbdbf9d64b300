"""How much a selection would change if the same model answered again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .columns import ACE, ERROR, ID, IMAGE_REWARDS, KEEP, TEXT_REWARDS
from .errors import SettingError
from .scorers.cde import cde_score
from .scorers.difficulty import difficulty_score
from .select import select_cognitive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .select import Selection

DRAWS = 20
# More rows would hold up publishing by more than half a minute.
MAX_ROWS = 20_000
_RULE = ("method", "min_cde", "max_ace", "replace_easy", "min_replacement_cde", "budget", "stratify_by", "seed")


def estimate_stability(selection: Selection, *, draws: int = DRAWS) -> dict[str, Any] | None:
    """A bootstrap over attempts: each row's judged attempts are drawn again from themselves, with replacement.

    The thresholds stay those that decided, also where they were asked for as quantiles. A row that all
    attempts agree on never changes, so the overlap is an upper estimate.

    Returns:
        {"draws", "jaccard_mean", "jaccard_min", "sure"}, where `sure` counts the kept rows that were kept in
        every draw; None without rewards of both arms, with over `MAX_ROWS` rows, or
        for another method than "rap".

    """
    import datasets
    import numpy as np

    scored = selection.scored
    names = set(scored.column_names)
    if (
        selection.rule.get("method") != "rap"
        or not {IMAGE_REWARDS.name, TEXT_REWARDS.name} <= names
        or len(scored) > MAX_ROWS
    ):
        return None
    read = [column.name for column in (ID, IMAGE_REWARDS, TEXT_REWARDS, ACE, ERROR) if column.name in names]
    read += [name for name in [selection.rule["stratify_by"]] if name in names and name not in read]
    small = scored.select_columns(read)
    rows, features = small.with_format("arrow")[:].to_pydict(), small.features

    def decide(image: list[Any], text: list[Any]) -> NDArray[np.bool_]:
        drawn = {**rows, IMAGE_REWARDS.name: image, TEXT_REWARDS.name: text}
        scores = {**cde_score(drawn), **difficulty_score(drawn)}
        typed = type(features)({**features, **cde_score.features, **difficulty_score.features})
        ds = datasets.Dataset.from_dict({**drawn, **scores}, features=typed)
        again = select_cognitive(ds, **{name: selection.rule[name] for name in _RULE})
        keeps: NDArray[np.bool_] = again.scored.data.column(KEEP.name).to_numpy()
        return keeps

    image, text = rows[IMAGE_REWARDS.name], rows[TEXT_REWARDS.name]
    kept = scored.data.column(KEEP.name).to_numpy()
    random = np.random.default_rng(0)
    overlaps, always = [], kept.copy()
    try:
        if (decide(image, text) != kept).any():
            return None  # the scores came from elsewhere, or another rule decided
        for _ in range(draws):
            keeps = decide([_drawn(one, random) for one in image], [_drawn(one, random) for one in text])
            overlaps.append(np.count_nonzero(kept & keeps) / np.count_nonzero(kept | keeps))
            always &= keeps
    except SettingError:  # a budget for which a draw has not enough rows
        return None
    return {
        "draws": draws,
        "jaccard_mean": round(float(np.mean(overlaps)), 6),
        "jaccard_min": round(float(min(overlaps)), 6),
        "sure": int(np.count_nonzero(always)),
    }


def _drawn(rewards: list[float | None] | None, random: np.random.Generator) -> list[float] | None:
    """As many attempts as were judged, drawn from them."""
    known = [reward for reward in rewards or () if reward is not None]
    if not known:
        return None if rewards is None else []
    return [known[place] for place in random.integers(len(known), size=len(known))]
