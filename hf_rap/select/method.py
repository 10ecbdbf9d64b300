"""What a selection method knows about itself, so that cards, samples, comparisons and stability need not know which one it is."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import CDE, DECISIONS, KEEP, REASON, STEPS, Column, features_of, require
from hf_rap.errors import SettingError
from hf_rap.options import check, check_text
from hf_rap.rows.compat import with_columns

from .base import Selection, Settings, rows_to_select, scores_in_double
from .duplicates import DUPLICATE, MEANING, first_of_equal, spread
from .given import ask_method, read_decision
from .overrides import BY_HAND, Marks, describe_marks, marks_for, override
from .stopped import refuse_spared

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .base import DecideAgain, Decision

# What options mean that several methods have; those of one method alone stand beside it.
OPTION_MEANINGS = {
    "method": "rule that decides",
    "method_version": "of the rule: rises when the same scores can get another decision or another reason",
    "min_probability": "how sure it has to be that the true score, not that of these few attempts, passes",
    "probe_prior": "probabilities start from what a probe foretells of each row, not from one prior for all rows",
    "budget": "rows to keep",
    "stratify_by": "column whose values share the budget",
    "seed": "of the order among rows that are equal in everything else",
}
# Parts of a rule that are no options: they say how it came about.
NO_OPTIONS = ("method", "method_version", "asked", "attempts", "control", "reward", "min_gain", "stage", BY_HAND)
QUESTIONS, PROCESS_REWARDS = "questions", "process_rewards"
_STEPS = {"rows": "in all", "distinct": "are different rows", "scored": "have a score", "selected": "are selected"}


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
        when: what the columns of the row must say (`hf_rap.select.predicates`), as card and docs print it. Empty where
            that cannot be seen there: a place among other rows, a draw.
        came_in: an earlier step had dropped the row; plots tell these rows apart.

    """

    name: str
    kept: bool
    meaning: str
    when: str = ""
    came_in: bool = False


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
        reasons: all that it gives beside the codes of `rap_error`, and what is true of a row that has one.
        steps: what is printed behind the number of rows of a step of the funnel ("are not always solved"); a function of
            the rule where that changes it.
        options: those of `select_cognitive` that it looks at; others are refused when they are changed.
        fixed: options that have another value for it, always.
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
        before: options that a rule stands for which was written before it named them.
        version: rises when the same scores can get another decision or another reason; every rule names it.

    """

    name: str
    decide: Callable[[Any, Settings], Any] | None
    sentence: str | Callable[[Mapping[str, Any]], str]
    reasons: tuple[Reason, ...] = ()
    steps: Mapping[str, str] | Callable[[Mapping[str, Any]], Mapping[str, str]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
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
    before: Mapping[str, Any] = field(default_factory=dict)
    version: str = "1"

    def __post_init__(self) -> None:
        check_text("name", self.name, empty=False)
        fine = self.decide is None or (callable(self.decide) and not isinstance(self.decide, type))
        check(fine, "decide", self.decide, "a function (dataset, settings) -> which rows are kept")
        fine = callable(self.sentence) or (isinstance(self.sentence, str) and bool(self.sentence.strip()))
        check(fine, "sentence", self.sentence, "a text, or a function of the rule that gives one")
        self._several("reasons", Reason, "Reason(name, kept, meaning)")
        self._several("options", str, "names of options of select_cognitive")
        self._several("needs", (Column, str), "columns")
        if not callable(self.citations):
            self._several("citations", Citation, "Citation(lead, bibtex)")
        unknown = sorted(set(self.options) - {option.name for option in fields(Settings)})
        check(not unknown, "options", unknown, "names of options of select_cognitive")
        names = [reason.name for reason in self.reasons]
        check(len(set(names)) == len(names), "reasons", names, "each name once")
        check_text("ranks_by", self.ranks_by, none=True, empty=False)

    def _several(self, name: str, kind: Any, takes: str) -> None:
        """One of a kind stands for a tuple with it: the comma in `(Citation(...),)` is easily forgotten."""
        value = getattr(self, name)
        values = (value,) if isinstance(value, kind) else value
        fine = isinstance(values, (list, tuple)) and all(isinstance(each, kind) for each in values)
        check(fine, name, value, f"a tuple of {takes}")
        object.__setattr__(self, name, tuple(values))

    def describe(self, rule: Mapping[str, Any], columns: Collection[str]) -> dict[str, Any]:
        """All that a card says about it, ready for JSON: versions of methods from elsewhere stay readable without them."""
        process = STEPS.name in columns
        citations = self.citations(rule, columns) if callable(self.citations) else self.citations
        return {
            "name": self.name,
            "sentence": self.sentence(rule) if callable(self.sentence) else self.sentence,
            "data": PROCESS_REWARDS if process else QUESTIONS,
            "reasons": {**{reason.name: reason.meaning for reason in self.reasons}, DUPLICATE: MEANING},
            "when": {reason.name: reason.when for reason in self.reasons if reason.when},
            "came_in": [reason.name for reason in self.reasons if reason.came_in],
            "steps": {**_STEPS, **(self.steps(rule) if callable(self.steps) else self.steps)},
            "meanings": {**OPTION_MEANINGS, **self.meanings},
            "score": rule.get("by") or self.ranks_by or CDE.name,
            "function": self.function(rule) if callable(self.function) else self.function,
            "citations": [{"lead": citation.lead, "bibtex": citation.bibtex} for citation in citations],
        }

    def select(self, ds: Any, settings: Settings, overrides: Any = None) -> Selection:
        """The dataset with what it decides; raises as `decision`, and `SettingError` for anything but rows.

        Args:
            ds: the rows.
            settings: the options.
            overrides: marks of a person, see `hf_rap.select.overrides.read_marks`.

        """
        ds = rows_to_select(self.name, ds)
        marks = marks_for(ds, overrides)
        return make_selection(ds, self, self.decision(ds, settings), marks)

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
        settings.refuse_others(self.name, self.options, self.fixed)
        ranks_by = () if self.ranks_by is None else (self.ranks_by,)
        require(self.name, ds.column_names, (*self.needs, *ranks_by))
        if self.needs_budget and settings.budget is None:
            raise SettingError(f"Method {self.name!r} needs a budget: a number of rows, or a share of them.")
        reasons = {reason.name: reason.kept for reason in self.reasons}
        positions = first_of_equal(ds)
        rows = ds if positions is None else ds.select(positions)
        given = ask_method(self.name, self.decide, rows, replace(settings, **self.fixed))
        decision = read_decision(self.name, reasons, given, rows)
        return decision if positions is None else spread(decision, positions, len(ds))


def make_selection(ds: Any, method: Method, decision: Decision, marks: Marks | None = None) -> Selection:
    """The dataset with its decisions; those of an earlier selection are replaced, scores of single precision read.

    Marks of a person go before the decision, whatever the method.
    """
    import pyarrow as pa

    if marks:
        decision = override(method.name, ds, decision, marks)
    scored = scores_in_double(
        ds.remove_columns([column.name for column in DECISIONS if column.name in ds.column_names])
    )
    columns = {KEEP.name: pa.array(decision.keep), REASON.name: pa.array(decision.reason, type=pa.string())}
    scored = with_columns(scored, columns, features_of(DECISIONS))
    rule = {"method": method.name, "method_version": method.version, **decision.rule}
    about = method.describe(rule, scored.column_names)
    return Selection(scored, rule, decision.funnel, describe_marks(about) if marks else about, decision.remarks)
