"""The difficulty prior of arXiv 2505.13261: rows of a middling pass rate, and two stages of training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import DIFFICULTY, ERROR, IMAGE_REWARDS, require
from hf_rap.errors import SettingError
from hf_rap.options import check, check_number, check_whole, is_whole
from hf_rap.papers import CITE_DIFFICULTY_PRIOR, DIFFICULTY_PRIOR
from hf_rap.stats.arrays import arrow_columns, ids_of, numbers_of, seeded_order
from hf_rap.stats.counts import Counts, read_counts
from hf_rap.stats.exact import complement
from hf_rap.stats.posterior import Posterior, fit_prior
from hf_rap.stats.thresholds import check_band, check_share

from .arrays import as_given, asked_alone, plain, ranked, scores_of, why_unscored
from .base import DecideAgain, Decision, Selection, Settings, Step, rows_to_select
from .method import Citation, Method, Reason, make_selection
from .overrides import marks_for, refuse_unplaced

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class Stages(NamedTuple):
    """Two disjoint selections from the same rows."""

    one: Selection
    two: Selection


def select_difficulty(
    ds: Any,
    low: float = DIFFICULTY_PRIOR.low,
    high: float = DIFFICULTY_PRIOR.high,
    *,
    min_probability: float | None = None,
    overrides: Any = None,
) -> Selection:
    """The rows with low <= pass rate <= high, where the pass rate is 1 - `rap_difficulty`.

    The pass rates of a base model over a dataset are U-shaped: most rows are solved nearly always or
    nearly never, and neither kind teaches much. With other bounds this is the plain pass-rate band.

    A row at a bound is in. The published bounds are for many samples per row: of five, the rows with one to
    four right are inside.

    Args:
        ds: a `Dataset` with `rap_difficulty`; `rap_error` is read where it is there.
        low: smallest pass rate that is kept, in [0, 1].
        high: largest pass rate that is kept, in [0, 1].
        min_probability: in (0, 1): keep rows whose true pass rate is inside the band with at least this probability,
            given their attempts and the prior of the dataset (`hf_rap.fit_prior`), which takes `rap_image_rewards`.
        overrides: marks of a person, which go before the rule, see `select_cognitive`.

    Raises:
        MissingColumnError: `rap_difficulty` is absent, or with min_probability the rewards.
        SettingError: the bounds are not 0 <= low <= high <= 1, or min_probability is no share.

    Source:
        arXiv 2505.13261, offline curation, with its bounds. Whether it counts the bounds in is not
        said there.

    Examples:
        >>> from datasets import Dataset
        >>> select_difficulty(Dataset.from_dict({"rap_difficulty": [0.0, 0.4, 1.0, None]})).reasons
        {'moderate': 1, 'not_scored': 1, 'too_easy': 1, 'too_hard': 1}

    """
    band = replace(DIFFICULTY_BAND, decide=lambda ds, _: decide_difficulty(ds, low, high, min_probability))
    return band.select(ds, Settings(), overrides)


def decide_difficulty(ds: Any, low: float, high: float, min_probability: float | None) -> Decision:
    """The decision behind `select_difficulty`."""
    import numpy as np

    check_share("min_probability", min_probability)
    difficulty, reason, inside = _band(ds, low, high)
    if min_probability is not None:
        surely = _surely_inside(ds, low, high, min_probability)
        sure = ~np.isnan(difficulty) & surely(*read_counts("select_difficulty", ds))
        reason[inside & ~sure] = "not_sure_enough"
        reason[sure] = "probably_moderate"
        inside = sure
    funnel = (
        Step("rows", len(ds)),
        Step("scored", int(np.count_nonzero(~np.isnan(difficulty)))),
        Step("selected", int(np.count_nonzero(inside))),
    )
    rule = {"low": float(low), "high": float(high), "min_probability": plain(min_probability)}
    return Decision(inside, reason, funnel, rule)


def decide_difficulty_again(ds: Any, rule: Mapping[str, Any]) -> DecideAgain:
    """The same rule for other counts of the same rows."""
    low, high = rule.get("low", DIFFICULTY_PRIOR.low), rule.get("high", DIFFICULTY_PRIOR.high)
    min_probability = rule.get("min_probability")
    check_band(low, high)
    check_share("min_probability", min_probability)
    if min_probability is not None:
        return _surely_inside(ds, low, high, min_probability)
    alone = asked_alone(ds)

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        _, difficulty = scores_of(*as_given(alone, image, text))
        # NaN is in no band.
        inside: NDArray[np.bool_] = (difficulty <= complement(low)) & (difficulty >= complement(high))
        return inside

    return decide_again


def _surely_inside(ds: Any, low: float, high: float, min_probability: float) -> DecideAgain:
    """Rows whose true pass rate is inside the band with that probability, the counts and the prior given."""
    require("select_difficulty", ds.column_names, (IMAGE_REWARDS,))
    prior, alone = fit_prior(ds), asked_alone(ds)

    def surely_inside(image: Counts, text: Counts) -> NDArray[np.bool_]:
        posterior = Posterior(prior, *as_given(alone, image, text))
        sure: NDArray[np.bool_] = posterior.pass_rate_within(low, high) >= min_probability
        return sure

    return surely_inside


def split_stages(
    ds: Any,
    *,
    low: float = DIFFICULTY_PRIOR.low,
    high: float = DIFFICULTY_PRIOR.high,
    middle: float | None = None,
    sizes: tuple[int, int] | None = None,
    seed: int = 0,
    overrides: Any = None,
) -> Stages:
    """Stage one, the moderate rows, and stage two, the medium to hard ones; no row is in both.

    Both lie in the band of `select_difficulty`, which is divided either at a pass rate or by size.

    Args:
        ds: a `Dataset` with `rap_difficulty`; `rap_error` and `rap_id` are read where they are there.
        low: smallest pass rate of the band, as in `select_difficulty`.
        high: largest pass rate of the band.
        middle: rows with a pass rate below it are stage two, the others stage one. The paper gives
            no such bound; without `sizes` it is 0.5.
        sizes: rows of stage one and of stage two, for example the paper's (2000, 600). Stage two are the
            hardest rows of the band; stage one is drawn at random from the rest of it.
        seed: of the draw, and of the order among rows that are equally hard.
        overrides: marks of a person, as in `select_cognitive`. A row that is marked keep stays in its stage; one that the
            rule has in neither is refused, since the mark does not say in which.

    Raises:
        MissingColumnError: `rap_difficulty` is absent.
        SettingError: bounds out of order, both `middle` and `sizes`, or more rows asked for than are
            inside the band; or a mark cannot be followed.

    Source:
        arXiv 2505.13261, two-stage training: 2K moderate rows, then 0.6K medium to hard ones.

    Examples:
        >>> from datasets import Dataset
        >>> stages = split_stages(Dataset.from_dict({"rap_difficulty": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]}))
        >>> stages.one.selected["rap_difficulty"][:], stages.two.selected["rap_difficulty"][:]
        ([0.2, 0.4], [0.6, 0.8])

    """
    import numpy as np

    ds = rows_to_select("split_stages", ds)
    check_band(low, high)
    check_number("middle", middle, least=low, most=high, none=True)
    two_sizes = isinstance(sizes, (list, tuple)) and len(sizes) == 2
    fine = two_sizes and all(is_whole(size) and size >= 1 for size in sizes or ())
    check(fine or sizes is None, "sizes", sizes, "two numbers of rows, such as (2000, 600)")
    check_whole("seed", seed)
    if middle is not None and sizes is not None:
        raise SettingError("split_stages divides either at `middle` or by `sizes`: give one of them.")
    difficulty, reason, inside = _band(ds, low, high)
    if sizes is None:
        middle = 0.5 if middle is None else middle
        check_number("middle", middle, least=low, most=high)
        stage_two = inside & (difficulty > complement(middle))
        stage_one = inside & ~stage_two
    else:
        stage_one, stage_two = _by_size(ds, difficulty, inside, sizes, seed)
    bounds = {"low": float(low), "high": float(high)}
    divided = {"middle": middle, "sizes": None if sizes is None else list(sizes), "seed": seed}
    scored = int(np.count_nonzero(~np.isnan(difficulty)))
    marks = marks_for(ds, overrides)
    refuse_unplaced(ds, marks, stage_one | stage_two)
    stages = []
    for name, keep in (("stage_one", stage_one), ("stage_two", stage_two)):
        why = reason.copy()
        why[inside] = "other_stage"
        why[keep] = name
        counts = {"rows": len(ds), "scored": scored, "inside": int(inside.sum()), "selected": int(keep.sum())}
        decision = Decision(
            keep, why, tuple(Step(*step) for step in counts.items()), {**bounds, **divided, "stage": name}
        )
        stages.append(make_selection(ds, DIFFICULTY_BAND, decision, marks.without_keep(ds, ~keep)))
    return Stages(*stages)


def _by_size(
    ds: Any, difficulty: NDArray[np.float64], inside: NDArray[np.bool_], sizes: tuple[int, int], seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    import numpy as np

    possible = int(np.count_nonzero(inside))
    if sum(sizes) > possible:
        raise SettingError(
            f"sizes asks for {sizes[0]:,} and {sizes[1]:,} rows, but only {possible:,} of {len(ds):,} are inside the "
            "band. Ask for fewer, or widen low and high."
        )
    order = seeded_order(ids_of(ds), seed)
    stage_one, stage_two = np.zeros((2, len(ds)), dtype=bool)
    stage_two[ranked(inside, -difficulty, order)[: sizes[1]]] = True
    stage_one[ranked(inside & ~stage_two, order)[: sizes[0]]] = True
    return stage_one, stage_two


def _band(ds: Any, low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.object_], NDArray[np.bool_]]:
    """Difficulty, reason and whether it is inside, of each row."""
    import numpy as np

    check_band(low, high)
    require("select_difficulty", ds.column_names, (DIFFICULTY,))
    columns = arrow_columns(ds, [DIFFICULTY.name, ERROR.name])
    difficulty = numbers_of(columns[DIFFICULTY.name])
    too_hard, too_easy = difficulty > complement(low), difficulty < complement(high)
    reason = why_unscored(difficulty, columns.get(ERROR.name))
    inside = ~np.isnan(difficulty) & ~too_hard & ~too_easy
    for fault, rows in (("too_hard", too_hard), ("too_easy", too_easy), ("moderate", inside)):
        reason[rows] = fault
    return difficulty, reason, inside


_INSIDE = "low <= 1 - rap_difficulty <= high"
DIFFICULTY_BAND = Method(
    "difficulty",
    lambda ds, settings: decide_difficulty(ds, DIFFICULTY_PRIOR.low, DIFFICULTY_PRIOR.high, settings.min_probability),
    "rows that are neither nearly always nor nearly never solved",
    reasons=(
        Reason("moderate", True, "pass rate with the image inside the band", _INSIDE),
        Reason(
            "probably_moderate",
            True,
            "the true pass rate with the image is inside the band with at least min_probability",
            "min_probability is not None",
        ),
        Reason("stage_one", True, "moderate: for the first stage of training", _INSIDE),
        Reason("stage_two", True, "medium to hard: for the second stage of training", _INSIDE),
        Reason(
            "not_scored",
            False,
            "difficulty is null and rap_error does not say why",
            "rap_difficulty is None",
        ),
        Reason(
            "too_easy",
            False,
            "pass rate with the image above the band",
            "1 - rap_difficulty > high",
        ),
        Reason(
            "too_hard",
            False,
            "pass rate with the image below the band",
            "1 - rap_difficulty < low",
        ),
        Reason(
            "not_sure_enough",
            False,
            "the score passes, but so few attempts do not say so with min_probability",
            f"min_probability is not None and {_INSIDE}",
        ),
        Reason(
            "other_stage",
            False,
            "inside the band, but in the other stage or not among the rows that were asked for",
            _INSIDE,
        ),
    ),
    steps={"scored": "have a pass rate: 1 - rap_difficulty", "inside": "have one inside the band"},
    options=("min_probability",),
    meanings={
        "low": "smallest pass rate with the image",
        "high": "largest pass rate with the image",
        "middle": "rows with a smaller pass rate are stage two",
        "sizes": "rows of stage one and of stage two",
        "stage": "which of the two stages this is",
    },
    ranks_by=DIFFICULTY.name,
    decide_again=decide_difficulty_again,
    citations=(Citation("The method (the difficulty prior)", CITE_DIFFICULTY_PRIOR),),
    function=lambda rule: "split_stages" if rule.get("stage") else "select_difficulty",
)
