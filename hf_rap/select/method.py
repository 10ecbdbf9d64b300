"""What a selection method knows about itself, so that cards, samples, comparisons and stability need not know which one it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import CDE, DECISIONS, ERROR, ERROR_CODES, KEEP, REASON, STEPS, features_of, require
from hf_rap.errors import SettingError
from hf_rap.rows.compat import with_columns
from hf_rap.stats.arrays import arrow_columns

from .arrays import why_unscored
from .base import Decision, Selection, Settings, Step, rows_to_select, scores_in_double
from .stopped import refuse_spared

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from hf_rap.columns import Column

    from .base import DecideAgain

# What options mean that several methods have; those of one method alone stand beside it.
OPTION_MEANINGS = {
    "method": "rule that decides",
    "min_probability": "how sure it has to be that the true score, not that of these few attempts, passes",
    "budget": "rows to keep",
    "stratify_by": "column whose values share the budget",
    "seed": "of the order among rows that are equal in everything else",
}
# Parts of a rule that are no options: they say how it came about.
NO_OPTIONS = ("method", "asked", "attempts", "control", "reward", "stage")
QUESTIONS, PROCESS_REWARDS = "questions", "process_rewards"


class Citation(NamedTuple):
    """A paper: what is taken from it, and its BibTeX entry."""

    lead: str
    bibtex: str


@dataclass(frozen=True)
class Reason:
    """Why a row is kept or dropped.

    Args:
        name: as `rap_reason` has it.
        kept: the row is kept.
        meaning: in words, for people who read the card.
        holds: whether it is so, for a row of `selection.scored` and the rule of the selection: what the row's own
            columns must say. A place among other rows (a rank, a draw) cannot be seen there.

    """

    name: str
    kept: bool
    meaning: str
    holds: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] = lambda row, rule: True  # noqa: ARG005


@dataclass(frozen=True)
class Method:
    """A selection method: how it decides, and all that is said about it anywhere.

    A method of your own needs the first two; the others make its card, comparisons and stability say more:

        thorough = Method(
            "thorough",
            decide=lambda ds, settings: ds.with_format("numpy")["rap_text_tokens_mean"] > 100,
            sentence="rows whose text-only replies are long",
            citations=(Citation("The rule", "@misc{...}"),),
        )
        select_cognitive(ds, method=thorough)

    Args:
        name: as `select_cognitive(method=...)` and the card have it.
        decide: (dataset, settings) -> the decision, or which rows are kept as booleans (n_rows,). None for a method that
            is reached through `function` alone.
        sentence: what its rows are, behind "N of M rows of X, selected for training models to reason:". Names between
            backticks print as code, `{model}` becomes the model's name. A function of the rule where that changes it.
        reasons: all that it gives beside the codes of `rap_error`.
        options: those of `select_cognitive` that it looks at; others are refused when they are changed.
        meanings: what further options of its rule mean, for the card.
        needs: columns that have to be there.
        needs_budget: it ranks rows, so it has to be told how many.
        needs_all_attempts: it compares rows by all of their attempts, so an adaptive collection does not serve it.
        adaptive: `hf-rap rollouts --adaptive` knows its rule.
        attempts: the only number of attempts that it knows; None takes any.
        ranks_by: the column that a card shows beside the rows to look at; None takes what the rule names, or cde.
        decide_again: (dataset, options by name) -> the rule for other counts of the same rows; None where it does not
            decide by counts.
        citations: papers; a function of the rule and the columns that are there where these change them.
        function: the public function that gives it with all of its options, and what to write behind its call; a
            function of the rule where that changes it.

    """

    name: str
    decide: Callable[[Any, Settings], Any] | None
    sentence: str | Callable[[Mapping[str, Any]], str]
    reasons: tuple[Reason, ...] = ()
    options: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Column, ...] = ()
    needs_budget: bool = False
    needs_all_attempts: bool = True
    adaptive: bool = False
    attempts: int | None = None
    ranks_by: str | None = None
    decide_again: Callable[[Any, Mapping[str, Any]], DecideAgain] | None = None
    citations: tuple[Citation, ...] | Callable[[Mapping[str, Any], Collection[str]], tuple[Citation, ...]] = ()
    function: str | Callable[[Mapping[str, Any]], str] = "select_cognitive"

    def describe(self, rule: Mapping[str, Any], columns: Collection[str]) -> dict[str, Any]:
        """All that a card says about it, ready for JSON: versions of methods from elsewhere stay readable without them."""
        process = STEPS.name in columns
        citations = self.citations(rule, columns) if callable(self.citations) else self.citations
        return {
            "name": self.name,
            "sentence": self.sentence(rule) if callable(self.sentence) else self.sentence,
            "data": PROCESS_REWARDS if process else QUESTIONS,
            "reasons": {reason.name: reason.meaning for reason in self.reasons},
            "meanings": {**OPTION_MEANINGS, **self.meanings},
            "score": rule.get("by") or self.ranks_by or CDE.name,
            "function": self.function(rule) if callable(self.function) else self.function,
            "citations": [{"lead": citation.lead, "bibtex": citation.bibtex} for citation in citations],
        }

    def select(self, ds: Any, settings: Settings) -> Selection:
        """The dataset with what it decides; raises as `decision`, and `SettingError` for anything but rows."""
        ds = rows_to_select(self.name, ds)
        return make_selection(ds, self, self.decision(ds, settings))

    def decision(self, ds: Any, settings: Settings) -> Decision:
        """What it decides for the rows of a dataset.

        Raises:
            SettingError: an option was changed that it does not look at, a budget is missing, it is reached through
                another function alone, or what it gives is no decision about these rows.
            MissingColumnError: a column is absent.

        """
        if self.decide is None:
            raise SettingError(f"Method {self.name!r} has options of its own: use `hf_rap.{self.function}`.")
        if self.needs_all_attempts:
            refuse_spared(ds, self.name)
        settings.refuse_others(self.name, self.options)
        require(self.name, ds.column_names, self.needs)
        if self.needs_budget and settings.budget is None:
            raise SettingError(f"Method {self.name!r} needs a budget: a number of rows, or a share of them.")
        return _as_decision(self, ds, self.decide(ds, settings))


def _as_decision(method: Method, ds: Any, given: Any) -> Decision:
    """A decision as it is; from booleans one with a reason for each side."""
    import numpy as np

    keep = np.asarray(given.keep if isinstance(given, Decision) else given)
    if keep.dtype != bool or keep.shape != (len(ds),):
        raise SettingError(
            f"Method {method.name!r} gave {type(given).__name__} of type {keep.dtype} and shape {keep.shape}: it takes a "
            f"boolean per row, shape ({len(ds)},), or a Decision with them."
        )
    if not isinstance(given, Decision):
        names = [
            next((reason.name for reason in method.reasons if reason.kept == kept), f"{word}_by_{method.name}")
            for kept, word in ((True, "kept"), (False, "dropped"))
        ]
        funnel = (Step("rows", len(ds)), Step("selected", int(keep.sum())))
        return Decision(keep, np.where(keep, *names).astype(object), funnel, {})
    reasons = {reason.name for reason in method.reasons} | set(ERROR_CODES)
    unknown = sorted(set(given.reason.tolist()) - reasons) if method.reasons else []
    if unknown and unknown[0] not in set(why_unscored(np.full(len(ds), np.nan), _errors(ds)).tolist()):
        raise SettingError(
            f"Method {method.name!r} gives the reason {unknown[0]!r}, which is not among its reasons: add "
            f"Reason({unknown[0]!r}, ...) to Method(reasons=...)."
        )
    return given


def _errors(ds: Any) -> Any:
    return arrow_columns(ds, [ERROR.name]).get(ERROR.name)


def make_selection(ds: Any, method: Method, decision: Decision) -> Selection:
    """The dataset with its decisions; those of an earlier selection are replaced, scores of single precision read."""
    import pyarrow as pa

    scored = scores_in_double(
        ds.remove_columns([column.name for column in DECISIONS if column.name in ds.column_names])
    )
    columns = {KEEP.name: pa.array(decision.keep), REASON.name: pa.array(decision.reason, type=pa.string())}
    scored = with_columns(scored, columns, features_of(DECISIONS))
    rule = {"method": method.name, **decision.rule}
    return Selection(scored, rule, decision.funnel, method.describe(rule, scored.column_names))
