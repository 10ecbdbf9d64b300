"""When an adaptive collection stops asking about a row, and the decision that its attempts are to settle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from hf_rap.options import check, check_flags, check_number, check_whole, is_number
from hf_rap.scorers.cde import cde_score
from hf_rap.stats.thresholds import AS_MANY, MIN_REPLACEMENT_CDE, check_replacements, check_replacing


@dataclass(frozen=True)
class Exact:
    """Stop a row as soon as no outcome of its remaining attempts can change the selection.

    The rows that `select_cognitive` then selects with these options are those that it would select with all
    attempts: the replies are the same ones, there are only fewer of them.

    Args:
        min_cde: as in `select_cognitive`, but a number: a quantile needs the attempts of all rows.
        replace_easy: as in `select_cognitive`.
        min_replacement_cde: as in `select_cognitive`; None is the paper.
        replacements: as in `select_cognitive`.
        seed: as in `select_cognitive`.

    Raises:
        SettingError: an option is out of its range.

    Source:
        our own; the rule that it is for is that of arXiv 2506.04755. With known bounds of a mean it is what is called
        curtailed inspection in acceptance sampling.
    """

    min_cde: float = cde_score.min_cde
    replace_easy: bool = True
    min_replacement_cde: float | None = MIN_REPLACEMENT_CDE
    replacements: float | str = AS_MANY
    seed: int = 0

    mode: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        _check_threshold("min_cde", self.min_cde)
        check_flags(replace_easy=self.replace_easy)
        check_whole("seed", self.seed)
        if self.min_replacement_cde is not None:
            _check_threshold("min_replacement_cde", self.min_replacement_cde)
        check_replacements(self.replacements)
        check_replacing(self.replace_easy, self.min_replacement_cde, self.replacements)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: mode and options."""
        return {"mode": self.mode, **asdict(self)}


@dataclass(frozen=True)
class Sequential:
    """Start with few attempts, and spend more on the rows whose decision they are likeliest to change.

    The question per row is whether p1 - p0 > min_cde, for the true pass rates; its answer is the posterior probability
    of `hf_rap.stats.posterior`. Attempts go where they lower the probability of a wrong answer most, per attempt. The rows
    that this selects are `select_cognitive(ds, min_cde=..., min_probability=0.5, replace_easy=False)`: how many
    attempts a row got depends on how they came out, so raw p1 - p0 is biased; a posterior is not.

    Args:
        min_cde: the threshold of the selection, a number.
        budget: mean number of attempts per row and arm; 12.5 costs as many attempts as `Rollouts(attempts=12.5)`
            would. None: as many as `Rollouts.attempts`.
        agreement: stop earlier, when two such collections are expected to agree on so large a share of the rows
            that either selects (Jaccard overlap), in (0, 1]. None spends the budget.
        start: attempts per arm that every row gets at first.
        most: attempts per arm that no row gets more of.
        probe_prior: start from what a probe foretells of each row (`rap_probe_image_rate`, `rap_probe_text_rate`), and select
            with probe_prior=True, too.

    Raises:
        SettingError: an option is out of its range.

    Source:
        our own. The allocation is the knowledge gradient (Frazier, Powell and Dayanik 2008) for 0-1 loss, looking more
        than one attempt ahead (Frazier and Powell 2010, KG(*)).
    """

    min_cde: float = cde_score.min_cde
    budget: float | None = None
    agreement: float | None = None
    start: int = 2
    most: int = 64
    probe_prior: bool = False

    mode: ClassVar[str] = "sequential"

    def __post_init__(self) -> None:
        _check_threshold("min_cde", self.min_cde)
        check_whole("start", self.start, least=1)
        check_whole("most", self.most, least=self.start)
        check_number("budget", self.budget, least=self.start, most=self.most, none=True)
        check_number("agreement", self.agreement, above=0, most=1, none=True)
        check_flags(probe_prior=self.probe_prior)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: mode and options; without those that were not there when collections began."""
        options = {name: value for name, value in asdict(self).items() if name != "probe_prior" or value}
        return {"mode": self.mode, **options}


def _check_threshold(name: str, value: Any) -> None:
    reason = "attempts can only be spared at one that is known beforehand"
    check(is_number(value) and -1 <= value <= 1, name, value, f"a number between -1 and 1: {reason}")
