"""The selection rule of arXiv 2506.04755, with a floor for replacements and a budget.

`decide` is the rule, pure and on arrays; the rest reads the arrays from a dataset.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from hf_rap.adaptive.rules import Exact
from hf_rap.columns import (
    ACE,
    ACE_SETTINGS,
    ADAPTIVE,
    CDE,
    CDE_CONTROL,
    CONTROLS,
    DIFFICULTY,
    ERROR,
    IMAGE_REWARDS,
    control_rewards,
    require,
)
from hf_rap.errors import SettingError
from hf_rap.papers import CITE_OPERA, CITE_RAP, PAPER
from hf_rap.stats.arrays import arrow_columns, ids_of, numbers_of, seeded_order
from hf_rap.stats.counts import read_counts
from hf_rap.stats.lists import known_of, number_lists
from hf_rap.stats.posterior import Posterior, fit_prior
from hf_rap.stats.thresholds import Quantile, threshold

from .arrays import first_within, plain, ranked, rows_of_budget, scores_of, strata_of, why_unscored
from .base import AUTO, DecideAgain, Decision, Settings, Step
from .method import Citation, Method, Reason
from .stopped import COLLECT_ALL, adaptive_rule, read_stopped, settle_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts
    from hf_rap.stats.posterior import Prior

    from .stopped import Stopped

logger = logging.getLogger(__name__)

# max_ace by the form of the score, where the user gives none. The paper's number is for the literal form; it
# means nothing for the windowed one, whose level is the model's, so there the most biased tenth goes.
MAX_ACE: dict[str, float | Quantile] = {"literal": PAPER.max_ace, "windowed": Quantile(0.9)}
_WHY_ATTEMPTS = "min_probability reads the attempts behind a score."


def select_rap(ds: Any, settings: Settings) -> Decision:
    """The decision for each row of a dataset; what it means is told by `select_cognitive`."""
    import numpy as np

    _check_columns(settings, ds.column_names)
    rule = read_rule(ds, settings)
    columns = arrow_columns(ds, [column.name for column in (CDE, DIFFICULTY, IMAGE_REWARDS)])
    cde, difficulty = (numbers_of(columns.get(column.name)) for column in (CDE, DIFFICULTY))
    attempts = _attempts(columns.get(IMAGE_REWARDS.name))
    counts = None
    if settings.min_probability is not None:
        compared = rule.control or "text"
        require("select_cognitive", ds.column_names, (IMAGE_REWARDS, control_rewards(compared)), _WHY_ATTEMPTS)
        counts = read_counts("select_cognitive", ds, compared)
    adaptive = adaptive_rule(ds)
    if adaptive is not None and adaptive["mode"] == "sequential":
        _check_sequential(settings)
    stopped = read_stopped(ds)
    maybe_above = np.zeros(len(ds), dtype=bool)
    if stopped is not None:
        cde, difficulty, attempts, maybe_above = _scores_of_stopped(stopped, rule)
    min_cde, (keep, reason, funnel) = rule.decide(cde, difficulty, attempts, counts)
    if isinstance(settings.max_ace, Real) and rule.max_ace is not None:
        _remark_on_ace(ds, rule, dict(funnel))
    if maybe_above.any():
        reason[maybe_above & ~keep] = "stopped_early"
        funnel = tuple(step for step in funnel if step.name != "image_needed")  # nobody knows how many
    rule_record = {
        "min_cde": min_cde,
        "min_probability": plain(settings.min_probability),
        "max_ace": rule.max_ace,
        "replace_easy": bool(settings.replace_easy),
        "min_replacement_cde": plain(settings.min_replacement_cde),
        "budget": rule.budget,
        "stratify_by": settings.stratify_by,
        "seed": plain(settings.seed),
        "attempts": None if attempts is None else np.unique(attempts[attempts > 0]).tolist(),
        "asked": {name: plain(getattr(settings, name)) for name in ("min_cde", "max_ace", "budget")},
    }
    if rule.control is not None:
        rule_record["control"] = rule.control
    return Decision(keep, reason, funnel, rule_record)


def _scores_of_stopped(stopped: Stopped, rule: RapRule) -> Any:
    """What decides where rows were stopped early; refuses options that need all attempts."""
    import numpy as np

    needs_all = {
        "a quantile for min_cde": isinstance(rule.min_cde, Quantile),
        "max_ace": rule.max_ace is not None,
        "budget": rule.budget is not None,
        "a score against another control than the question alone": rule.control not in (None, "text"),
        "min_probability": rule.settings.min_probability is not None,
    }
    for name in (name for name, is_set in needs_all.items() if is_set):
        raise SettingError(
            f"{np.count_nonzero(stopped.rows):,} rows were stopped early in exact mode, and {name} needs all of their "
            f"attempts{'; max_ace=None leaves it out' if name == 'max_ace' else ''}. {COLLECT_ALL}"
        )
    settings = rule.settings
    assert isinstance(rule.min_cde, float)
    exact = Exact(rule.min_cde, bool(settings.replace_easy), settings.min_replacement_cde, settings.seed)
    order = np.zeros(len(stopped.rows), dtype=np.uint64) if rule.order is None else rule.order
    return settle_stopped(stopped, exact, order)


def _check_sequential(settings: Settings) -> None:
    if settings.min_probability is None or settings.replace_easy:
        raise SettingError(
            "How many attempts these rows got depends on how they came out (sequential mode), so p1 - p0 and the "
            "difficulty are biased. Select on the posterior: min_probability=0.5, replace_easy=False "
            "(--min-probability 0.5 --keep-easy)."
        )


def decide_rap_again(ds: Any, settings: Settings) -> DecideAgain:
    """The same rule for other counts of the same rows."""
    rule = read_rule(ds, settings)

    def decide_again(image: Counts, text: Counts) -> NDArray[np.bool_]:
        cde, difficulty = scores_of(image, text)
        counts = None if settings.min_probability is None else (image, text)
        keep: NDArray[np.bool_] = rule.decide(cde, difficulty, image.judged, counts)[1][0]
        return keep

    return decide_again


@dataclass(frozen=True)
class RapRule:
    """The rule and what it needs to know of the rows that stays when the model answers again."""

    settings: Settings
    min_cde: float | Quantile
    ace: NDArray[np.float64] | None
    max_ace: float | None
    budget: int | None
    strata: NDArray[np.int64] | None
    order: NDArray[np.uint64] | None
    errors: Any
    prior: Prior | None
    control: str | None

    def decide(
        self,
        cde: NDArray[np.float64],
        difficulty: NDArray[np.float64] | None,
        attempts: NDArray[np.int64] | None,
        counts: tuple[Counts, Counts] | None,
    ) -> tuple[float, tuple[NDArray[np.bool_], NDArray[np.object_], tuple[Step, ...]]]:
        """The threshold that was used, and what the function `decide` gives; `counts` where probabilities decide."""
        min_cde = self.min_cde.of(cde) if isinstance(self.min_cde, Quantile) else self.min_cde
        return min_cde, decide(
            cde,
            min_cde=min_cde,
            ace=None if self.max_ace is None else self.ace,
            max_ace=self.max_ace,
            difficulty=difficulty,
            replace_easy=self.settings.replace_easy,
            min_replacement_cde=self.settings.min_replacement_cde,
            attempts=attempts,
            budget=self.budget,
            strata=self.strata,
            order=self.order,
            unscored=why_unscored(cde, self.errors),
            surely_above=None if counts is None else self._surely_above(counts),
        )

    def _surely_above(self, counts: tuple[Counts, Counts]) -> Callable[[float], NDArray[np.bool_]]:
        min_probability = self.settings.min_probability
        assert self.prior is not None
        assert min_probability is not None
        posterior = Posterior(self.prior, *counts)

        def surely_above(limit: float) -> NDArray[np.bool_]:
            sure: NDArray[np.bool_] = posterior.cde_above(limit) >= min_probability
            return sure

        return surely_above


def read_rule(ds: Any, settings: Settings) -> RapRule:
    """The options checked, and the columns that they are about."""
    min_cde = threshold("min_cde", settings.min_cde, -1, 1)
    ace_limit = settings.max_ace
    max_ace = None if ace_limit is None or ace_limit == AUTO else threshold("max_ace", ace_limit, 0, math.inf)
    _check_together(settings)
    budget = rows_of_budget(settings.budget, len(ds))
    if settings.stratify_by is not None:
        require("stratify_by", ds.column_names, [settings.stratify_by])

    columns = arrow_columns(
        ds, [*(column.name for column in (ACE, ACE_SETTINGS, CDE_CONTROL, ERROR)), settings.stratify_by]
    )
    control = _control(columns[CDE_CONTROL.name]) if CDE_CONTROL.name in columns else None
    ace = numbers_of(columns.get(ACE.name))
    if ace_limit == AUTO:
        max_ace = _usual_max_ace(columns.get(ACE_SETTINGS.name))
    if ace is None:
        max_ace = None
    elif isinstance(max_ace, Quantile):
        max_ace = max_ace.of(ace)
    return RapRule(
        settings=settings,
        min_cde=min_cde,
        ace=ace,
        max_ace=max_ace,
        budget=budget,
        strata=None if settings.stratify_by is None else strata_of(settings.stratify_by, columns[settings.stratify_by]),
        order=seeded_order(ids_of(ds), settings.seed) if settings.replace_easy or budget else None,
        errors=columns.get(ERROR.name),
        prior=None if settings.min_probability is None else fit_prior(ds, control=control or "text"),
        control=control,
    )


def decide(
    cde: NDArray[np.float64],
    *,
    min_cde: float,
    ace: NDArray[np.float64] | None = None,
    max_ace: float | None = None,
    difficulty: NDArray[np.float64] | None = None,
    replace_easy: bool = False,
    min_replacement_cde: float | None = None,
    attempts: NDArray[np.int64] | None = None,
    budget: int | None = None,
    strata: NDArray[np.int64] | None = None,
    order: NDArray[np.uint64] | None = None,
    unscored: NDArray[np.object_] | None = None,
    surely_above: Callable[[float], NDArray[np.bool_]] | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.object_], tuple[Step, ...]]:
    """Keep and reason of each row, and the funnel. All arrays are (n_rows,); NaN is unknown.

    Args:
        cde: causal discrepancy.
        min_cde: keep what is above it.
        ace: attention confidence; None leaves this step out.
        max_ace: keep what is not above it.
        difficulty: share of failed attempts; replace_easy needs it, a budget ranks by it.
        replace_easy: replace rows of difficulty 0 by the hardest that are solvable.
        min_replacement_cde: a replacement has a cde above it.
        attempts: judged attempts with the image, M of the rule.
        budget: keep exactly so many rows.
        strata: numbers from 0, between which the budget is shared.
        order: breaks the ties that are left, smaller first; by default the row's position.
        unscored: the reason of a row without cde.
        surely_above: limit -> rows whose true cde is above it with enough probability; None asks `cde` itself.

    >>> import numpy as np
    >>> cde, difficulty = np.array([0.8, 0.2, np.nan, 0.6]), np.array([0.2, 0.6, np.nan, 0])
    >>> keep, reason, funnel = decide(cde, min_cde=0.5, difficulty=difficulty, replace_easy=True)
    >>> keep.tolist()
    [True, True, False, False]
    >>> reason.tolist()
    ['image_needed', 'hard_replacement', 'not_scored', 'always_solved']

    """
    import numpy as np

    funnel = [Step("rows", len(cde))]

    def step(name: str) -> None:
        funnel.append(Step(name, int(np.count_nonzero(keep))))

    reason = np.full(len(cde), "not_scored", dtype=object) if unscored is None else unscored.copy()
    keep = ~np.isnan(cde)
    could_enter = keep.copy()
    reason[keep] = "image_not_needed"
    step("scored")

    if surely_above is None:
        keep = cde > min_cde
        needed = "image_needed"
    else:
        keep = could_enter & surely_above(min_cde)
        needed = "image_probably_needed"
        reason[could_enter & (cde > min_cde)] = "not_sure_enough"
    reason[keep] = needed
    step(needed)

    if ace is not None and max_ace is not None:
        unknown, biased = np.isnan(ace), ace > max_ace
        for fault, of_rows, name in (
            ("attention_unknown", unknown, "attention_known"),
            ("attention_biased", biased, "attention_unbiased"),
        ):
            reason[keep & of_rows] = fault
            keep, could_enter = keep & ~of_rows, could_enter & ~of_rows
            step(name)

    if replace_easy:
        assert difficulty is not None, "replace_easy needs the difficulty"
        easy = difficulty == 0
        leave = keep & easy
        reason[leave] = "always_solved"
        keep, could_enter = keep & ~easy, could_enter & ~easy
        step("not_always_solved")
        hard = could_enter & ~keep & (difficulty < 1) & (difficulty >= _one_failure(attempts))
        if min_replacement_cde is not None:
            limit = min_replacement_cde
            hard &= cde > limit if surely_above is None else surely_above(limit)
        enter = ranked(hard, -difficulty, -cde, order)[: np.count_nonzero(leave)]
        keep[enter] = True
        reason[enter] = "hard_replacement"
        step("replaced")

    if budget is not None:
        chosen = _within_budget(
            could_enter, budget, strata, ~keep, -cde, None if difficulty is None else -difficulty, order
        )
        reason[keep & ~chosen] = "over_budget"
        reason[chosen & ~keep] = "filled_to_budget"
        keep = chosen

    step("selected")
    return keep, reason, tuple(funnel)


def _one_failure(attempts: NDArray[np.int64] | None) -> Any:
    """The difficulty of one failed attempt, 1/M; without M the smallest number above 0."""
    import numpy as np

    if attempts is None:
        return np.nextafter(0.0, 1.0)
    return 1 / np.maximum(attempts, 1)


def _within_budget(
    could_enter: NDArray[np.bool_], budget: int, strata: NDArray[np.int64] | None, *keys: Any
) -> NDArray[np.bool_]:
    """The first `budget` of the rows that could enter, ranked by the keys inside their stratum."""
    import numpy as np

    possible = int(np.count_nonzero(could_enter))
    if budget > possible:
        raise SettingError(
            f"budget asks for {budget:,} rows, but only {possible:,} of {len(could_enter):,} could be in: "
            "rows with a score that pass max_ace and, with replace_easy, are not always solved. "
            f"Ask for {possible:,} or fewer."
        )
    return first_within(could_enter, budget, strata, *keys)


def _usual_max_ace(ace_settings: Any) -> float | Quantile:
    """The threshold that belongs to the form of `rap_ace`; of scores that do not tell their form, the paper's."""
    texts = {text for text in ace_settings.unique().to_pylist() if text} if ace_settings is not None else set()
    if len(texts) > 1:
        raise SettingError(
            f"rap_ace was computed in {len(texts)} ways, which do not compare: {'; '.join(sorted(texts))}. Score all rows "
            "the same way, or give max_ace."
        )
    if not texts:
        return MAX_ACE["literal"]
    settings = texts.pop()
    limit = MAX_ACE.get(form) if isinstance(form := _form(settings), str) else None
    if limit is None:
        raise SettingError(f"rap_ace_settings names no form that has a usual limit ({settings!r}): give max_ace.")
    return limit


def _remark_on_ace(ds: Any, rule: RapRule, funnel: Mapping[str, int]) -> None:
    """Warns of a number that is the paper's, or that drops most rows, where `rap_ace` is not of the paper's form."""
    import numpy as np

    columns = arrow_columns(ds, [ACE_SETTINGS.name])
    texts = columns[ACE_SETTINGS.name].drop_null().unique().to_pylist() if columns else []
    form = _form(texts[0]) if texts else None
    before, after = funnel["attention_known"], funnel["attention_unbiased"]
    if form in (None, "literal") or not (rule.max_ace == PAPER.max_ace or 2 * (before - after) > before):
        return
    assert rule.ace is not None
    level = float(np.nanmedian(rule.ace)) if before else float("nan")
    logger.warning(
        "max_ace=%s drops %d of %d rows: rap_ace is %s here, with a median of %.2g, and %s is the paper's limit for the "
        "literal form alone. Give a quantile, max_ace='q0.9' (--max-ace q0.9), or score with ACEScore(form='literal') "
        "(--ace-form literal).",
        rule.max_ace,
        before - after,
        before,
        form,
        level,
        PAPER.max_ace,
    )


def _form(ace_settings: str) -> Any:
    try:
        return json.loads(ace_settings)["form"]
    except (ValueError, LookupError, TypeError):
        return None


def _check_together(settings: Settings) -> None:
    """Raise `SettingError` for options that do not go with each other."""
    if settings.min_replacement_cde is not None and not settings.replace_easy:
        raise SettingError("min_replacement_cde is for the replacements that replace_easy=True brings in.")
    if settings.stratify_by is not None and settings.budget is None:
        raise SettingError("stratify_by shares out a budget: give a budget too.")
    if settings.min_probability is not None and settings.budget is not None:
        raise SettingError(
            "min_probability says how sure to be of each row, budget how many rows to keep whatever they are: give one "
            "of them."
        )


def _check_columns(settings: Settings, names: list[str]) -> None:
    require("select_cognitive", names, (CDE,))
    if settings.replace_easy:
        require("select_cognitive", names, (DIFFICULTY,), "Or select with replace_easy=False.")
    if settings.min_probability is not None:
        require("select_cognitive", names, (IMAGE_REWARDS,), _WHY_ATTEMPTS)


def _control(column: Any) -> str:
    """What the cde of all these rows compares the image with."""
    controls = sorted(str(control) for control in column.fill_null("text").unique().to_pylist())
    if len(controls) > 1:
        raise SettingError(
            f"{CDE.name} compares the image with {' in some rows and with '.join(controls)} in others: score all rows with "
            "the same CDEScore(control=...)."
        )
    return controls[0]


def _attempts(rewards: Any) -> Any:
    """How many rewards of each row are known."""
    return None if rewards is None else known_of(number_lists("select_cognitive", IMAGE_REWARDS.name, rewards))


def _sentence(rule: Mapping[str, Any]) -> str:
    control = CONTROLS.get(rule.get("control", ""))
    without = f"with {control.shows}" if control else "from the text alone"
    replaced = ", and hard rows in the place of those that it always solves" if rule.get("replace_easy") else ""
    return f"rows that {{model}} solves more often with the image than {without}{replaced}"


def _citations(_: Mapping[str, Any], columns: Collection[str]) -> tuple[Citation, ...]:
    if ACE.name not in columns:
        return (Citation("The method (causal discrepancy, difficulty-aware replacement)", CITE_RAP),)
    return (
        Citation("The method (causal discrepancy, attention confidence, difficulty-aware replacement)", CITE_RAP),
        Citation("The attention score is built from the column-wise product of", CITE_OPERA),
    )


def _needed(row: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    """The score passes; where probabilities decide, the row alone cannot tell."""
    return rule.get("min_probability") is not None or row[CDE.name] > rule["min_cde"]


def _replaces(row: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    floor = rule.get("min_replacement_cde")
    sure = floor is None or rule.get("min_probability") is not None or row[CDE.name] > floor
    return bool(rule["replace_easy"] and 0 < row[DIFFICULTY.name] < 1 and sure)


RAP = Method(
    "rap",
    select_rap,
    _sentence,
    reasons=(
        Reason("image_needed", True, "the image raises the chance of being right by more than min_cde", _needed),
        Reason(
            "image_probably_needed",
            True,
            "the true cde is above min_cde with at least min_probability",
            lambda _, rule: rule["min_probability"] is not None,
        ),
        Reason("hard_replacement", True, "hard: took the place of a row that is always solved", _replaces),
        Reason(
            "filled_to_budget",
            True,
            "next in line by cde, to reach the budget",
            lambda _, rule: rule["budget"] is not None,
        ),
        Reason(
            "not_scored",
            False,
            "cde is null and rap_error does not say why",
            lambda row, _: row[CDE.name] is None,
        ),
        Reason(
            "stopped_early",
            False,
            "out whatever the attempts that were spared would have said; they would tell whether the image is needed",
            lambda row, _: row[ADAPTIVE.name] is not None,
        ),
        Reason(
            "image_not_needed",
            False,
            "the image does not raise the chance of being right by more than min_cde",
            lambda row, rule: not row[CDE.name] > rule["min_cde"],
        ),
        Reason(
            "not_sure_enough",
            False,
            "the score passes, but so few attempts do not say so with min_probability",
            lambda row, rule: rule["min_probability"] is not None and row[CDE.name] > rule["min_cde"],
        ),
        Reason(
            "attention_unknown",
            False,
            "the image is needed, but ace is null",
            lambda row, rule: row[ACE.name] is None and _needed(row, rule),
        ),
        Reason(
            "attention_biased",
            False,
            "the image is needed, but one token draws too much attention: ace above max_ace",
            lambda row, rule: row[ACE.name] > rule["max_ace"] and _needed(row, rule),
        ),
        Reason(
            "always_solved",
            False,
            "the image is needed, but every judged attempt with it is correct",
            lambda row, rule: row[DIFFICULTY.name] == 0 and _needed(row, rule),
        ),
        Reason(
            "over_budget",
            False,
            "would be kept, but the budget has no room",
            lambda _, rule: rule["budget"] is not None,
        ),
    ),
    options=(
        "min_cde",
        "max_ace",
        "replace_easy",
        "min_replacement_cde",
        "budget",
        "stratify_by",
        "min_probability",
    ),
    meanings={
        "min_cde": "a row needs a causal discrepancy above this",
        "max_ace": "and an attention confidence of at most this",
        "replace_easy": "rows that are always solved make room for hard ones",
        "min_replacement_cde": "these need a causal discrepancy above this",
        "control": "what the causal discrepancy compares the image with",
    },
    needs_all_attempts=False,
    adaptive=True,
    decide_again=lambda ds, rule: decide_rap_again(ds, Settings.of(rule)),
    citations=_citations,
)
