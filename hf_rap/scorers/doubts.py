"""The rows whose gold answer is doubtful, ready to look at and to report to whoever made the dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import ARM_COLUMNS, ARMS, ERROR, ID, IMAGE_RESPONSES, IMAGE_REWARDS, SETTINGS, require
from hf_rap.errors import RowError, SettingError
from hf_rap.options import check_number
from hf_rap.rows.cells import columns_of
from hf_rap.rows.questions import question_and_answer, raw_rows, row_id
from hf_rap.rows.settling import settle
from hf_rap.stats.settings import model_in, settings_in
from hf_rap.tables import whole_dataset

from .gold_doubt import WRONG_SHARE, GoldDoubtScore

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets

    from hf_rap.evidence.agreement import Agreement
    from hf_rap.rows.layouts import Layout

LEAST = 0.5
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Doubt:
    """A row whose attempts agree on another answer than the gold.

    Of each arm: attempts that count, those that give the gold, and those that give `answer`.
    """

    rap_id: str
    row: int
    doubt: float
    """`rap_gold_doubt`."""
    gold: str
    answer: str
    """What the attempts say, as the first of them wrote it."""
    image_attempts: int
    image_gold: int
    image_answer: int
    text_attempts: int
    text_gold: int
    text_answer: int
    question: str
    model: str
    """Whose attempts they are."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        arms = (
            f"  with the image {self.image_answer} of {self.image_attempts} say so and {self.image_gold} the gold; "
            f"on the text alone {self.text_answer} of {self.text_attempts} and {self.text_gold}"
        )
        shown = (
            f"{self.rap_id} (row {self.row:,}): doubt {self.doubt:.3f}",
            f"  {self.question}".replace("\n", "\n  "),
            f"  gold     {self.gold}",
            f"  attempts {self.answer}",
            arms,
        )
        return "\n".join(shown)


@dataclass(frozen=True)
class Doubts:
    """What `list_doubts` found.

    Attributes:
        rows: of the dataset.
        judged: those with attempts that count.
        unanswered: of these, rows in which neither the gold nor another answer has half of the attempts: too hard for the model,
            which says nothing about their golds. A wrong gold among them is not found.
        least: the doubt from which on a row is listed.
        doubts: these rows, the most doubtful first.
    """

    rows: int
    judged: int
    unanswered: int
    least: float
    doubts: tuple[Doubt, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "doubts": [doubt.as_dict() for doubt in self.doubts]}

    def __str__(self) -> str:
        head = (
            f"{len(self.doubts):,} of {self.judged:,} rows with attempts have a gold that is wrong with a probability of at least "
            f"{self.least:g}; of {self.unanswered:,} nobody can say, since no answer has half of their attempts."
        )
        return "\n\n".join([head, *map(str, self.doubts)])


def list_doubts(
    ds: datasets.Dataset,
    *,
    least: float = LEAST,
    layout: Layout | None = None,
    verifier: Any = None,
    prior: float = WRONG_SHARE,
) -> Doubts:
    """The rows whose gold is doubtful, by their stored replies; asks no model.

    Args:
        ds: evidence with its questions and answers.
        least: the `rap_gold_doubt` from which on a row is listed, in [0, 1].
        layout: which column is what; None recognises the layout from the column names.
        verifier: whose equality it is, see `GoldDoubtScore`.
        prior: share of the golds that are taken to be wrong before a model is heard.

    Raises:
        MissingColumnError: there are no replies.
        LayoutError: the layout is not recognised, or a column is missing.
        SettingError: an option is none.
    """
    ds = whole_dataset("list_doubts", ds)
    check_number("least", least, least=0, most=1)
    scorer = GoldDoubtScore(layout=layout, verifier=verifier, prior=prior)
    layout, _ = settle(layout, ds)
    scorer = replace(scorer, layout=layout)
    require("list_doubts", ds.column_names, (IMAGE_RESPONSES, IMAGE_REWARDS))
    evidence = {column.name for arm in ARMS for column in ARM_COLUMNS[arm]} | {ID.name, ERROR.name, SETTINGS.name}
    wanted = evidence | set(layout.columns_in(ds.column_names))
    stored = ds.select_columns([name for name in ds.column_names if name in wanted]).with_format("arrow")
    judged, unanswered, doubts = 0, 0, []
    for start in range(0, len(ds), _ROWS_AT_ONCE):
        cells = columns_of(stored[start : start + _ROWS_AT_ONCE])
        for place, (raw, agreement) in enumerate(zip(raw_rows(cells, layout), scorer.agreements(cells), strict=True)):
            doubt = scorer.doubt(agreement)
            if doubt is None:
                continue
            judged += 1
            most = max(agreement.gold[0], *(answer.counts[0] for answer in agreement.others), 0)
            unanswered += 2 * most < agreement.judged[0]
            if doubt >= least and agreement.others:
                ours = {name: cells[name][place] for name in (ID.name, SETTINGS.name) if name in cells}
                doubts.append(_doubt(start + place, doubt, agreement, ours, _texts(raw, layout)))
    doubts.sort(key=lambda doubt: (-doubt.doubt, doubt.row))
    return Doubts(len(ds), judged, unanswered, float(least), tuple(doubts))


class _Texts(NamedTuple):
    """What a reader needs of a row."""

    rap_id: str
    question: str
    gold: str


def _texts(raw: dict[str, Any], layout: Layout) -> _Texts:
    try:
        question, gold, _ = question_and_answer(raw, layout)
    except RowError as error:  # graded by others, who can read what we cannot
        question, gold = "", str(error)
    shown = ", ".join(map(str, gold)) if isinstance(gold, (list, tuple)) else str(gold)
    return _Texts(row_id(raw, layout), question, shown)


def _doubt(row: int, doubt: float, agreement: Agreement, ours: Mapping[str, Any], texts: _Texts) -> Doubt:
    try:
        model = model_in(settings_in(ours.get(SETTINGS.name)))
    except SettingError:  # settings of somebody else
        model = "unknown model"
    answer = agreement.others[0]
    return Doubt(
        ours.get(ID.name) or texts.rap_id,
        row,
        doubt,
        texts.gold,
        answer.text,
        *(agreement.judged[0], agreement.gold[0], answer.counts[0]),
        *(agreement.judged[1], agreement.gold[1], answer.counts[1]),
        texts.question,
        model,
    )
