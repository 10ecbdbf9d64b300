"""What the attempts of an adaptive collection are for: the decision that they are to settle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from hf_rap.errors import SettingError
from hf_rap.select.published import PAPER


@dataclass(frozen=True)
class Exact:
    """Stop a row as soon as no outcome of its remaining attempts can change the selection.

    The rows that `select_cognitive` then selects with these options are those that it would select with all
    attempts: the replies are the same ones, there are only fewer of them.

    Args:
        min_cde: as in `select_cognitive`, but a number: a quantile needs the attempts of all rows.
        replace_easy: as in `select_cognitive`.
        min_replacement_cde: as in `select_cognitive`.
        seed: as in `select_cognitive`.

    Raises:
        SettingError: an option is out of its range.

    Source:
        our own; the rule that it is for is that of arXiv 2506.04755. With known bounds of a mean it is what is called
        curtailed inspection in acceptance sampling.
    """

    min_cde: float = PAPER.min_cde
    replace_easy: bool = True
    min_replacement_cde: float | None = None
    seed: int = 0

    mode: ClassVar[str] = "exact"

    def __post_init__(self) -> None:
        _check_number("min_cde", self.min_cde)
        if self.min_replacement_cde is not None:
            _check_number("min_replacement_cde", self.min_replacement_cde)
            if not self.replace_easy:
                raise SettingError("min_replacement_cde is for the replacements that replace_easy=True brings in.")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: mode and options."""
        return {"mode": self.mode, **asdict(self)}


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, str) or not -1 <= value <= 1:
        raise SettingError(
            f"{name} is {value!r}: attempts can only be spared at a threshold that is known beforehand, a number "
            "between -1 and 1."
        )
