"""Rules that others have published on the pass rate with the image alone: no replies on the question, no attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.columns import DIFFICULTY, IMAGE_REWARDS
from hf_rap.errors import SettingError
from hf_rap.papers import ANY_RIGHT as ANY_RIGHT_PUBLISHED
from hf_rap.papers import (
    CITE_DISCREPANCY,
    CITE_HARDEST_TENTH,
    CITE_LEARNABILITY,
    CITE_VARIANCE_PROMOTION,
    CITE_VL_RETHINKER,
    HARDEST,
)
from hf_rap.stats.arrays import arrow_columns, numbers_of
from hf_rap.stats.counts import difficulty_of, read_counts

from .arrays import as_given, asked_alone
from .baselines import by_hardness
from .method import Citation, Method, Reason
from .ranking import RANKED, STEPS, by_bound, by_rank, rank_again, reasons_of_rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts

    from .base import DecideAgain, Decision, Settings

# Products of rates that are equal as fractions (1/5 of 4/5, 4/5 of 1/5) differ in their last bits; attempts do not.
_DECIMALS = 12


def learnability_of(difficulty: NDArray[np.float64]) -> NDArray[np.float64]:
    """The variance p (1 - p) of each row, (n_rows,), in [0, 0.25]; NaN where the difficulty is.

    >>> import numpy as np
    >>> learnability_of(np.array([0.5, 0.8, 0.2, 1.0])).tolist()
    [0.25, 0.16, 0.16, 0.0]
    """
    import numpy as np

    variance: NDArray[np.float64] = np.round(difficulty * (1 - difficulty), _DECIMALS)
    return variance


def by_learnability(ds: Any, settings: Settings) -> Decision:
    """`method="learnability"` of `select_cognitive`."""
    difficulty = numbers_of(arrow_columns(ds, [DIFFICULTY.name])[DIFFICULTY.name])
    return _by_value(ds, settings, learnability_of(difficulty), ("most_learnable", "p (1 - p)"))


def pass_gap_of(image: Counts, attempts: int) -> NDArray[np.float64]:
    """Pass@N - pass@1 of each row by the unbiased estimator, (n_rows,), in [0, 1); NaN below N judged attempts.

    Of n attempts c are right: pass@N = 1 - C(n - c, N) / C(n, N) (arXiv 2107.03374), pass@1 = c / n. Parts of an attempt
    count as none.

    >>> import numpy as np
    >>> from hf_rap.stats.counts import Counts
    >>> pass_gap_of(Counts(np.array([1.0, 0.0, 2.0]), np.array([4, 4, 8])), 4).round(4).tolist()
    [0.75, 0.0, 0.5357]
    """
    import numpy as np

    right, judged = np.floor(image.solved), image.judged.astype(np.float64)
    wrong, enough = judged - right, image.judged >= attempts
    none_right = np.ones(len(judged))
    for place in range(attempts):  # the chance that N of the n attempts, drawn without putting back, are all wrong
        none_right *= np.clip(wrong - place, 0, None) / np.maximum(judged - place, 1)
    gap: NDArray[np.float64] = np.where(
        enough, np.round(1 - none_right - right / np.maximum(judged, 1), _DECIMALS), np.nan
    )
    return gap


def by_pass_gap(ds: Any, settings: Settings) -> Decision:
    """`method="pass-gap"` of `select_cognitive`."""
    image = as_given(asked_alone(ds), *read_counts("Method 'pass-gap'", ds))[0]
    attempts = usual_attempts(image)
    decision = _by_value(ds, settings, pass_gap_of(image, attempts), ("widest_gap", "pass@N - pass@1"))
    return decision._replace(rule={**decision.rule, "attempts": attempts})


def usual_attempts(image: Counts) -> int:
    """The number of judged attempts that most rows have, of those with any; of two the larger one.

    Raises:
        SettingError: no row has a judged attempt.

    """
    import numpy as np

    made = np.bincount(image.judged)[1:]
    if not made.any():
        raise SettingError("Method 'pass-gap' goes by attempts with the image, and no row has one that was judged.")
    return int(len(made) - np.argmax(made[::-1]))


def _by_value(ds: Any, settings: Settings, values: NDArray[np.float64], named: tuple[str, str]) -> Decision:
    """The rows of highest value; rows of value 0, which group-relative rewards learn nothing from, are remarked upon."""
    import numpy as np

    kept, value = named
    decision = by_rank(ds, settings, values, (kept, f"not_{kept}"))
    nothing = int(np.count_nonzero(decision.keep & (values <= 0)))
    remark = (
        f"{nothing:,} of {np.count_nonzero(decision.keep):,} kept rows have a {value} of 0: always or never solved. "
        "The budget is larger than the number of rows that the rule tells apart."
    )
    return decision._replace(remarks=(remark,)) if nothing else decision


def by_any_right(ds: Any, _: Settings) -> Decision:
    """`method="any-right"` of `select_cognitive`."""
    difficulty = numbers_of(arrow_columns(ds, [DIFFICULTY.name])[DIFFICULTY.name])
    decision = by_bound(ds, difficulty, difficulty < 1, ("any_right", "never_right"), {})
    return decision._replace(remarks=_remark_on_attempts(ds))


def _remark_on_attempts(ds: Any) -> tuple[str, ...]:
    """That a row had more or fewer chances than in the paper, where the attempts are there."""
    if IMAGE_REWARDS.name not in ds.column_names:
        return ()
    image = as_given(asked_alone(ds), *read_counts("Method 'any-right'", ds))[0]
    if not image.judged.any():
        return ()
    attempts, published = usual_attempts(image), ANY_RIGHT_PUBLISHED.attempts
    if attempts == published:
        return ()
    more = "more" if attempts > published else "fewer"
    return (f"Most rows have {attempts} attempts; of {published}, as published, {more} rows would have none right.",)


def any_right_again(ds: Any, _: Mapping[str, Any]) -> DecideAgain:
    """The same rule for other counts of the same rows."""
    alone = asked_alone(ds)

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        keep: NDArray[np.bool_] = difficulty_of(as_given(alone, image, text)[0]) < 1
        return keep

    return decide_again


_CITE_VARIANCE = Citation("The score, as a term of the variance promotion score", CITE_VARIANCE_PROMOTION)
LEARNABILITY = Method(
    "learnability",
    by_learnability,
    "rows whose rewards vary most from attempt to attempt",
    reasons=reasons_of_rank("most_learnable", "p (1 - p)", "rap_difficulty is None"),
    steps=STEPS,
    options=RANKED,
    needs_budget=True,
    ranks_by=DIFFICULTY.name,
    decide_again=rank_again(lambda image: learnability_of(difficulty_of(image))),
    citations=(Citation("The method (learnability)", CITE_LEARNABILITY), _CITE_VARIANCE),
)
PASS_GAP = Method(
    "pass-gap",
    by_pass_gap,
    "rows that {model} can solve and seldom does",
    reasons=reasons_of_rank("widest_gap", "pass@N - pass@1"),
    steps=STEPS,
    options=RANKED,
    needs=(IMAGE_REWARDS,),
    needs_budget=True,
    meanings={"attempts": "N, the judged attempts that most rows have"},
    decide_again=rank_again(lambda image: pass_gap_of(image, usual_attempts(image))),
    citations=(Citation("The method (discrepancy of pass@N and pass@1)", CITE_DISCREPANCY),),
)
ANY_RIGHT = Method(
    "any-right",
    by_any_right,
    "rows that are solved at least once",
    reasons=(
        Reason("any_right", True, "at least one attempt is right", "rap_difficulty < 1"),
        Reason("never_right", False, "no attempt is right", "rap_difficulty >= 1"),
        Reason("not_scored", False, "difficulty is null and rap_error does not say why", "rap_difficulty is None"),
    ),
    steps={"scored": "have a pass rate: 1 - rap_difficulty"},
    ranks_by=DIFFICULTY.name,
    decide_again=any_right_again,
    citations=(Citation("The method (any of eight attempts right)", CITE_VL_RETHINKER),),
)
HARDEST_TENTH = Method(
    "hardest-tenth",
    by_hardness,
    "the tenth of the rows that is solved least often",
    reasons=reasons_of_rank("hardest", "difficulty", "rap_difficulty is None"),
    steps=STEPS,
    options=("stratify_by",),
    fixed={"budget": HARDEST.share},
    ranks_by=DIFFICULTY.name,
    decide_again=rank_again(difficulty_of),
    citations=(Citation("The method (the hardest tenth)", CITE_HARDEST_TENTH),),
)
