"""The selection rule of arXiv 2506.04755: to the letter, and with a floor for replacements, which is the default.

`decide` is the rule, pure and on arrays; the rest reads the arrays from a dataset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

from hf_rap.adaptive.stopping import Exact
from hf_rap.columns import (
    ACE,
    ACE_SETTINGS,
    CDE,
    CDE_CONTROL,
    CONTROLS,
    DIFFICULTY,
    ERROR,
    IMAGE_REWARDS,
    control_rewards,
    require,
)
from hf_rap.errors import SettingError, logger_of
from hf_rap.options import ForeignError, read_json
from hf_rap.papers import CITE_OPERA, CITE_RAP, PAPER
from hf_rap.stats.arrays import arrow_columns, ids_of, numbers_of, seeded_order
from hf_rap.stats.counts import read_counts
from hf_rap.stats.lists import known_of, number_lists
from hf_rap.stats.posterior import Posterior, fit_prior, rates_of
from hf_rap.stats.thresholds import AS_MANY, Quantile, check_replacing, rows_replacing, threshold

from .arrays import (
    first_of_each,
    first_within,
    plain,
    ranked,
    rows_of_budget,
    rows_per_value,
    scores_of,
    strata_of,
    why_unscored,
)
from .base import AUTO, BAND, DecideAgain, Decision, Settings, Step
from .method import Citation, Method, Reason
from .remarks import LEAST_ROWS, remark_on_band, remark_on_replaced, remark_on_threshold
from .stopped import COLLECT_ALL, read_stopped, settle_stopped, stopping_of
from .text_rows import REASONS as TEXT_REASONS
from .text_rows import check_text_rows, in_band, let_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.stats.counts import Counts
    from hf_rap.stats.posterior import Prior

    from .stopped import Stopped

logger = logger_of(__name__)

# max_ace by the form of the score, where the user gives none. The paper's number is for the literal form; it
# means nothing for the windowed one, whose level is the model's, so there the most biased tenth goes.
MAX_ACE: dict[str, float | Quantile] = {"literal": PAPER.max_ace, "windowed": Quantile(0.9)}
# Why a row is dropped whose cde is not above min_cde: what its two pass rates say.
NOT_ABOVE = ("never_solved", "image_misleads", "solved_without_image", "image_helps_little", "image_changes_nothing")
_WHY_ATTEMPTS = "min_probability reads the attempts behind a score."
_WITHOUT_TEXT = "Of rows that were never asked on the text alone select with --method difficulty (method='difficulty')."


def select_rap(ds: Any, settings: Settings) -> Decision:
    """The decision for each row of a dataset; what it means is told by `select_cognitive`."""
    decision = _select_by_cde(ds, settings)
    return let_in(ds, decision) if settings.text_rows == BAND else decision


def _select_by_cde(ds: Any, settings: Settings) -> Decision:
    """Without rows that have no image."""
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
    adaptive = stopping_of(ds)
    if adaptive is not None and adaptive["mode"] == "sequential":
        _check_sequential(settings)
    stopped = read_stopped(ds)
    check_text_rows(settings, stopped=stopped is not None)
    maybe_above = np.zeros(len(ds), dtype=bool)
    if stopped is not None:
        cde, difficulty, attempts, maybe_above = _scores_of_stopped(stopped, rule)
    min_cde, (keep, reason, funnel) = rule.decide(cde, difficulty, attempts, counts)
    if isinstance(settings.max_ace, Real) and rule.max_ace is not None:
        _remark_on_ace(ds, rule, {step.name: step.rows for step in funnel})
    if stopped is not None:
        reason[stopped.rows & np.isin(reason, NOT_ABOVE)] = "stopped_below"
        reason[maybe_above & ~keep] = "stopped_early"
        if maybe_above.any():
            funnel = tuple(step for step in funnel if step.name != "image_needed")  # nobody knows how many
    rule_record = {
        "min_cde": min_cde,
        "min_probability": plain(settings.min_probability),
        "max_ace": rule.max_ace,
        "replace_easy": bool(settings.replace_easy),
        "min_replacement_cde": plain(settings.min_replacement_cde),
        "replacements": plain(settings.replacements),
        "budget": rule.budget,
        "stratify_by": settings.stratify_by,
        "seed": plain(settings.seed),
        "attempts": None if attempts is None else np.unique(attempts[attempts > 0]).tolist(),
        "asked": {name: plain(getattr(settings, name)) for name in ("min_cde", "max_ace", "budget")},
        **rule.said_only_where_so,
    }
    remarks: tuple[str, ...] = ()
    if np.count_nonzero(~np.isnan(cde)) >= LEAST_ROWS:
        replaced = remark_on_replaced(keep, reason == "hard_replacement")
        remarks = (replaced,) if replaced else ()
        if stopped is None:
            remarks += _remarks(rule, min_cde, keep, (cde, difficulty, attempts))
    return Decision(keep, reason, funnel, rule_record, remarks)


def _remarks(rule: RapRule, min_cde: float, keep: NDArray[np.bool_], scores: tuple[Any, Any, Any]) -> tuple[str, ...]:
    """Where another rule, or another threshold, keeps the same rows; `scores` are cde, difficulty and attempts."""
    import numpy as np

    def kept_at(min_cde: float, max_ace: float | None = rule.max_ace) -> NDArray[np.bool_]:
        other = replace(rule, min_cde=min_cde, max_ace=max_ace)
        kept: NDArray[np.bool_] = other.decide(*scores, counts=None)[1][0]
        return kept

    remarks = [remark_on_band(keep, scores[1])]
    if rule.settings.min_probability is None:
        remarks.append(remark_on_threshold("min_cde", min_cde, scores[0], keep, kept_at))
        if rule.max_ace is not None and np.array_equal(kept_at(min_cde, None), keep):
            remarks.append(f"max_ace={rule.max_ace:.3g} decides nothing: without it the same rows are kept.")
    return tuple(remark for remark in remarks if remark is not None)


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
    exact = Exact(
        min_cde=rule.min_cde,
        replace_easy=bool(settings.replace_easy),
        min_replacement_cde=settings.min_replacement_cde,
        replacements=settings.replacements,
        seed=settings.seed,
    )
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
        if settings.text_rows == BAND:  # a row without an image is as hard as its text
            keep = keep | in_band(ds, scores_of(text, text)[1])[1]
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
    quotas: Callable[[NDArray[np.bool_]], NDArray[np.int64] | None]
    order: NDArray[np.uint64] | None
    errors: Any
    prior: Prior | None
    rates: NDArray[np.float64] | None
    control: str | None

    @property
    def said_only_where_so(self) -> dict[str, Any]:
        """Parts of the record that are not usual."""
        control = {} if self.control is None else {"control": self.control}
        return {**control, **({"probe_prior": True} if self.settings.probe_prior else {})}

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
            replacements=self.settings.replacements,
            attempts=attempts,
            budget=self.budget,
            strata=self.strata,
            quotas=self.quotas,
            order=self.order,
            unscored=why_unscored(cde, self.errors),
            surely_above=None if counts is None else self._surely_above(counts),
        )

    def _surely_above(self, counts: tuple[Counts, Counts]) -> Callable[[float], NDArray[np.bool_]]:
        min_probability = self.settings.min_probability
        assert self.prior is not None
        assert min_probability is not None
        posterior = Posterior(self.prior, *counts, self.rates)

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
        quotas=partial(rows_per_value, settings.budget, settings.stratify_by, columns.get(settings.stratify_by or "")),
        order=seeded_order(ids_of(ds), settings.seed) if settings.replace_easy or budget else None,
        errors=columns.get(ERROR.name),
        prior=None
        if settings.min_probability is None
        else fit_prior(ds, control=control or "text", probe=settings.probe_prior or None),
        rates=rates_of("select_cognitive", ds) if settings.probe_prior else None,
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
    replacements: float | str = AS_MANY,
    attempts: NDArray[np.int64] | None = None,
    budget: int | None = None,
    strata: NDArray[np.int64] | None = None,
    quotas: Callable[[NDArray[np.bool_]], NDArray[np.int64] | None] = lambda _: None,
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
        replacements: at most how many there are, by `rows_replacing`.
        attempts: judged attempts with the image, M of the rule.
        budget: keep exactly so many rows.
        strata: numbers from 0, between which the budget is shared.
        quotas: rows that could enter -> rows of each stratum, in the place of shares.
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

    rows = _Rows(cde, difficulty, order, unscored)
    if surely_above is None:
        rows.drop(~(cde > min_cde), step="image_needed", kept="image_needed")
    else:
        rows.reason[rows.keep & (cde > min_cde)] = "not_sure_enough"
        rows.drop(~surely_above(min_cde), step="image_probably_needed", kept="image_probably_needed")
    if ace is not None and max_ace is not None:
        rows.bar(np.isnan(ace), "attention_unknown", step="attention_known")
        rows.bar(ace > max_ace, "attention_biased", step="attention_unbiased")
    if replace_easy:
        assert difficulty is not None, "replace_easy needs the difficulty"
        leaving = rows.bar(difficulty == 0, "always_solved", step="not_always_solved")
        hard = (difficulty < 1) & (difficulty >= one_failure(attempts))
        if min_replacement_cde is not None:
            limit = min_replacement_cde
            hard &= cde > limit if surely_above is None else surely_above(limit)
        most = rows_replacing(replacements, leaving)
        enter = ranked(rows.could_enter & ~rows.keep & hard, -difficulty, -cde, order)[:most]
        rows.let_in(enter, "hard_replacement", step="replaced")
    if budget is not None:
        rows.fit(budget, strata, quotas(rows.could_enter))
    rows.count("selected")
    return rows.keep, rows.reason, tuple(rows.funnel)


class _Rows:
    """Which rows are in while the steps of the rule go by, and why; all arrays are (n_rows,).

    Attributes:
        keep: rows that are in.
        could_enter: rows that no step has barred.
        came_in: rows that were let in after they had been dropped.
        reason: of each row, if it stays as it is.
        funnel: the steps so far.

    """

    def __init__(
        self,
        cde: NDArray[np.float64],
        difficulty: NDArray[np.float64] | None,
        order: NDArray[np.uint64] | None,
        unscored: NDArray[np.object_] | None,
    ) -> None:
        import numpy as np

        self.keys = (-cde, None if difficulty is None else -difficulty, order)
        self.funnel = [Step("rows", len(cde))]
        self.keep = ~np.isnan(cde)
        self.could_enter = self.keep.copy()
        self.came_in = np.zeros(len(cde), dtype=bool)
        self.reason = np.where(
            self.keep, why_not_above(cde, difficulty), "not_scored" if unscored is None else unscored
        )
        self.count("scored")

    def count(self, step: str) -> None:
        """Note how many rows are in."""
        in_now, entered = (int(rows.sum()) for rows in (self.keep, self.keep & self.came_in))
        self.funnel.append(Step(step, in_now, entered))

    def drop(self, rows: NDArray[np.bool_], *, step: str, kept: str) -> None:
        """These rows are out, for the reason that they have; the others are in for this one."""
        self.keep = self.keep & ~rows
        self.reason[self.keep] = kept
        self.count(step)

    def bar(self, rows: NDArray[np.bool_], reason: str, *, step: str) -> int:
        """These rows are out and never come in, for this reason if they were in; how many were."""
        leave = self.keep & rows
        self.reason[leave] = reason
        self.keep, self.could_enter = self.keep & ~rows, self.could_enter & ~rows
        self.count(step)
        return int(leave.sum())

    def let_in(self, rows: NDArray[np.int64], reason: str, *, step: str) -> None:
        """These rows are in after all; where there are none, there is no such step."""
        if rows.size:
            self.keep[rows] = self.came_in[rows] = True
            self.reason[rows] = reason
            self.count(step)

    def fit(self, budget: int, strata: NDArray[np.int64] | None, quotas: NDArray[np.int64] | None) -> None:
        """The budget is kept: rows that are in before others, both by the score."""
        chosen = _within_budget(self.could_enter, budget, strata, ~self.keep, *self.keys, quotas=quotas)
        self.reason[self.keep & ~chosen] = "over_budget"
        filled = chosen & ~self.keep
        self.keep = self.keep & chosen
        self.count("within_budget")
        self.let_in(filled.nonzero()[0], "filled_to_budget", step="filled")


def why_not_above(cde: NDArray[np.float64], difficulty: NDArray[np.float64] | None) -> NDArray[np.object_]:
    """One of NOT_ABOVE for each row, as if its cde were not above min_cde."""
    import numpy as np

    unknown = np.full(len(cde), np.nan)
    failed = unknown if difficulty is None else difficulty
    same = cde == 0
    number = np.full(len(cde), len(NOT_ABOVE) - 1)
    for place, rows in enumerate((same & (failed == 1), cde < 0, same & (failed < 1), cde > 0)):
        number[rows] = place
    why: NDArray[np.object_] = np.array(NOT_ABOVE, dtype=object)[number]
    return why


def one_failure(attempts: NDArray[np.int64] | None) -> Any:
    """The difficulty of one failed attempt, 1/M; without M the smallest number above 0."""
    import numpy as np

    if attempts is None:
        return np.nextafter(0.0, 1.0)
    return 1 / np.maximum(attempts, 1)


def _within_budget(
    could_enter: NDArray[np.bool_],
    budget: int,
    strata: NDArray[np.int64] | None,
    *keys: Any,
    quotas: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """The first `budget` of the rows that could enter, ranked by the keys inside their stratum."""
    import numpy as np

    possible = int(np.count_nonzero(could_enter))
    if not possible:
        raise SettingError(
            f"budget asks for {budget:,} rows, and none of {len(could_enter):,} could be in: no row has a score that passes max_ace"
            " and, with replace_easy, is not always solved. `hf-rap inspect` says which rows cannot be scored, and "
            "rap_error why those that were asked are not; without rap_cde run `hf-rap score` first."
        )
    if budget > possible:
        raise SettingError(
            f"budget asks for {budget:,} rows, but only {possible:,} of {len(could_enter):,} could be in: "
            "rows with a score that pass max_ace and, with replace_easy, are not always solved. "
            f"Ask for {possible:,} or fewer."
        )
    if quotas is not None and strata is not None:
        return first_of_each(could_enter, strata, quotas, *keys)
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
        return read_json(ace_settings)["form"]
    except (ForeignError, LookupError, TypeError):
        return None


def _check_together(settings: Settings) -> None:
    """Raise `SettingError` for options that do not go with each other."""
    check_replacing(settings.replace_easy, settings.min_replacement_cde, settings.replacements)
    if settings.stratify_by is not None and settings.budget is None:
        raise SettingError("stratify_by shares out a budget: give a budget too.")
    if settings.min_probability is not None and settings.budget is not None:
        raise SettingError(
            "min_probability says how sure to be of each row, budget how many rows to keep whatever they are: give one "
            "of them."
        )


def _check_columns(settings: Settings, names: list[str]) -> None:
    require("select_cognitive", names, (CDE,), _WITHOUT_TEXT if DIFFICULTY.name in names else "")
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
    helped = "" if rule.get("min_replacement_cde") is None else " with which the image helps, too,"
    replaced = (
        f", and hard rows{helped} in the place of those that it always solves" if rule.get("replace_easy") else ""
    )
    return f"rows that {{model}} solves more often with the image than {without}{replaced}"


def _citations(_: Mapping[str, Any], columns: Collection[str]) -> tuple[Citation, ...]:
    if ACE.name not in columns:
        return (Citation("The method (causal discrepancy, difficulty-aware replacement)", CITE_RAP),)
    return (
        Citation("The method (causal discrepancy, attention confidence, difficulty-aware replacement)", CITE_RAP),
        Citation("The attention score is built from the column-wise product of", CITE_OPERA),
    )


def _steps(rule: Mapping[str, Any]) -> dict[str, str]:
    """What is printed behind the numbers of the funnel."""
    floor = rule.get("min_replacement_cde")
    helped = "" if floor is None else f": rap_cde > {floor:g}"
    return {
        "scored": "have a score: rap_cde",
        "image_needed": f"need the image: rap_cde > {rule['min_cde']:g}",
        "image_probably_needed": f"need the image: rap_cde > {rule['min_cde']:g} is likely enough",
        "attention_known": "their attention is known: rap_ace",
        "attention_unbiased": f"no token draws too much attention: rap_ace <= {rule['max_ace'] or 0:g}",
        "not_always_solved": "are not always solved",
        "replaced": f"hard rows in place of the always solved{helped}",
        "within_budget": "fit into the budget",
        "filled": "the next by rap_cde fill the budget",
        "text_in_band": "rows without an image whose pass rate is in the band",
    }


# Where probabilities decide, the score of a row does not tell alone.
_NEEDED = "(min_probability is not None or rap_cde > min_cde)"
RAP = Method(
    "rap",
    select_rap,
    _sentence,
    reasons=(
        Reason("image_needed", True, "solved more often with the image, by more than min_cde", "rap_cde > min_cde"),
        Reason(
            "image_probably_needed",
            True,
            "the true cde is above min_cde with at least min_probability",
            "min_probability is not None",
        ),
        Reason(
            "hard_replacement",
            True,
            "hard: in the place of a row that is always solved",
            "0 < rap_difficulty < 1 and (min_probability is not None or "
            "(rap_cde <= min_cde and (min_replacement_cde is None or rap_cde > min_replacement_cde)))",
            came_in=True,
        ),
        Reason(
            "filled_to_budget",
            True,
            "next in line by cde, to reach the budget",
            "budget is not None and rap_cde <= min_cde",
            came_in=True,
        ),
        Reason("not_scored", False, "cde is null and rap_error does not say why", "rap_cde is None"),
        Reason(
            "stopped_early",
            False,
            "out whatever the attempts that were spared would have said; they would tell why",
            "rap_adaptive is not None",
        ),
        Reason(
            "stopped_below",
            False,
            "cde is not above min_cde, whatever the attempts that were spared would have said",
            "rap_adaptive is not None and not rap_cde > min_cde",
        ),
        Reason(
            "never_solved",
            False,
            "no attempt is right, with the image or without",
            "rap_difficulty == 1 and rap_cde == 0 and rap_cde <= min_cde",
        ),
        Reason("image_misleads", False, "solved more often without the image", "rap_cde < 0 and rap_cde <= min_cde"),
        Reason(
            "solved_without_image",
            False,
            "solved as often without the image",
            "rap_difficulty < 1 and rap_cde == 0 and rap_cde <= min_cde",
        ),
        Reason(
            "image_helps_little",
            False,
            "solved more often with the image, but not by more than min_cde",
            "0 < rap_cde <= min_cde",
        ),
        Reason(
            "image_changes_nothing",
            False,
            "cde is 0, and nothing says whether the row is ever solved",
            "rap_difficulty is None and rap_cde == 0 and rap_cde <= min_cde",
        ),
        Reason(
            "not_sure_enough",
            False,
            "the score passes, but so few attempts do not say so with min_probability",
            "min_probability is not None and rap_cde > min_cde",
        ),
        Reason("attention_unknown", False, "needs the image, but ace is null", f"rap_ace is None and {_NEEDED}"),
        Reason(
            "attention_biased",
            False,
            "needs the image, but one token draws too much attention",
            f"rap_ace > max_ace and {_NEEDED}",
        ),
        Reason(
            "always_solved",
            False,
            "needs the image, but every attempt with it is right",
            f"rap_difficulty == 0 and {_NEEDED}",
        ),
        Reason(
            "over_budget",
            False,
            "would be kept, but the budget has no room",
            "budget is not None and (rap_cde > min_cde or 0 < rap_difficulty < 1)",
        ),
        *TEXT_REASONS,
    ),
    steps=_steps,
    options=(
        "min_cde",
        "max_ace",
        "replace_easy",
        "min_replacement_cde",
        "replacements",
        "budget",
        "stratify_by",
        "min_probability",
        "probe_prior",
        "text_rows",
    ),
    meanings={
        "min_cde": "a row needs a causal discrepancy above this",
        "max_ace": "and an attention confidence of at most this",
        "replace_easy": "rows that are always solved make room for hard ones",
        "min_replacement_cde": "these need a causal discrepancy above this",
        "replacements": "so many of them: rows, a share of those that leave, or as many",
        "control": "what the causal discrepancy compares the image with",
        "text_rows": "rows without an image are dropped, or kept where their pass rate is in a band",
        "text_easiest": "the smallest difficulty of that band",
        "text_hardest": "the largest",
    },
    needs_all_attempts=False,
    adaptive=True,
    decide_again=lambda ds, rule: decide_rap_again(ds, Settings.of(rule)),
    citations=_citations,
    version="2",
)

# To the letter: a row need not show that the image helps to come in.
RAP_PAPER = replace(
    RAP,
    name="rap-paper",
    options=tuple(
        option for option in RAP.options if option not in ("min_replacement_cde", "min_probability", "probe_prior")
    ),
    fixed={"min_replacement_cde": None},
    version="1",
)
