"""Whether a model and its rows fit each other: five shares, and what to do where one of them is out of its bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ADAPTIVE, ARM_COLUMNS, ARMS, IMAGE_REWARDS, SETTINGS
from hf_rap.verify import finding

from .arrays import arrow_columns
from .counts import read_counts
from .cut import MANY, counts_cut
from .settings import BUILT_IN, grader_of, plan_in, settings_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

# From these shares on there is something to do; docs/stability.md says why these. Of cut replies it is `cut.MANY`.
MANY_NEVER_SOLVED = 0.5
MANY_ALWAYS_SOLVED = 0.5
MANY_WITHOUT_ANSWER = 0.1
# Below this Jaccard overlap fewer than half of the kept rows would be kept again.
LOW_AGREEMENT = 0.333
# A last line that nothing marks as the answer may be one up to this length, as for the verifier.
LONGEST_BARE_ANSWER = 120
MOST_REPLIES = 20_000  # that are read; of more, evenly spread ones


WORDS = {
    "never_solved": "never solved",
    "always_solved": "always solved",
    "cut": "replies cut off",
    "no_answer": "without an answer",
    "agreement": "agreement of a rerun",
}
# Name of the share, whether it is out of its bounds, and what to say behind it.
_ADVICE: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    (
        "never_solved",
        lambda share: share >= MANY_NEVER_SOLVED,
        (
            "of the rows were never solved with the image: this model is too weak to select with. Score with a stronger one, "
            "take easier rows, or see whether the golds can be met: hf-rap inspect."
        ),
    ),
    (
        "always_solved",
        lambda share: share >= MANY_ALWAYS_SOLVED,
        "of the rows are always solved with the image: they teach this model nothing. Take harder rows.",
    ),
    (
        "cut",
        lambda share: share > MANY,
        (
            "of the replies were cut off at the token limit: raise --max-new-tokens; in a run, --continue-cut goes on with "
            "these alone."
        ),
    ),
    (
        "no_answer",
        lambda share: share >= MANY_WITHOUT_ANSWER,
        "of the replies hold no answer: check the prompt (--prompt), and look at some of them.",
    ),
    (
        "agreement",
        lambda share: share < LOW_AGREEMENT,
        "is the expected agreement of a rerun: more attempts, --adaptive sequential, or --min-probability.",
    ),
)


@dataclass(frozen=True)
class Health:
    """Shares in [0, 1]; None is unknown, for lack of evidence.

    Attributes:
        never_solved: of the rows with judged attempts with the image, those of which none is right.
        always_solved: of the same rows, those of which all are right.
        cut: of all replies, those that hit the token limit.
        no_answer: of the replies that were not cut off, those in which the built-in verifier finds no answer: nothing is
            marked as one (a box, a tag, "the answer is"), and the last line is too long to be one, or there is none.
        agreement: expected overlap (Jaccard) of this selection and that of a fresh scoring.

    """

    never_solved: float | None = None
    always_solved: float | None = None
    cut: float | None = None
    no_answer: float | None = None
    agreement: float | None = None

    @property
    def advice(self) -> tuple[str, ...]:
        """A sentence for each share that is out of its bounds, with what to do."""
        shares = ((getattr(self, name), is_bad, sentence) for name, is_bad, sentence in _ADVICE)
        return tuple(
            f"{share:.0%} {sentence}" for share, is_bad, sentence in shares if share is not None and is_bad(share)
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values, the advice included."""
        return {**asdict(self), "advice": list(self.advice)}

    def __str__(self) -> str:
        known = [f"{words} {share:.0%}" for name, words in WORDS.items() if (share := getattr(self, name)) is not None]
        line = f"Health: {', '.join(known) or 'unknown, for there are no replies'}"
        return "\n".join([line, *(f"  {sentence}" for sentence in self.advice)])


def health_of(facts: Mapping[str, Any]) -> Health:
    """What `Health.as_dict` has given."""
    return Health(**{name: facts[name] for name in WORDS})


def check_health(ds: Any, *, agreement: float | None = None) -> Health:
    """The health of evidence, scores or a selection; what there is no column for is unknown.

    Args:
        ds: a `Dataset` with what `Rollouts` writes, as far as it is there.
        agreement: expected overlap with a fresh scoring, where a selection has one.

    Raises:
        LayoutError: a reward is NaN or outside [0, 1].

    """
    never, always = _solved(ds)
    return Health(never, always, _cut(ds), _without_answer(ds), None if agreement is None else round(agreement, 6))


def _solved(ds: Any) -> tuple[float | None, float | None]:
    """Shares of rows that are never, and always, solved with the image; rows whose attempts were spared are left out."""
    import numpy as np

    if IMAGE_REWARDS.name not in ds.column_names:
        return None, None
    counts, _ = read_counts("check_health", ds)
    whole = (counts.judged > 0) & ~_spared(ds)
    rows = int(np.count_nonzero(whole))
    if not rows:
        return None, None
    never, always = (
        round(int(np.count_nonzero(whole & of_all)) / rows, 6)
        for of_all in (counts.solved == 0, counts.solved == counts.judged)
    )
    return never, always


def _spared(ds: Any) -> NDArray[np.bool_]:
    """Rows with fewer attempts with the image than were planned, by an adaptive collection in exact mode."""
    import numpy as np
    import pyarrow.compute as pc

    columns = arrow_columns(ds, [ADAPTIVE.name, IMAGE_REWARDS.name])
    plans = columns.get(ADAPTIVE.name)
    texts = [] if plans is None else plans.drop_null().unique().to_pylist()
    planned = max((plan["attempts"] for plan in map(plan_in, texts) if plan["mode"] == "exact"), default=None)
    if plans is None or planned is None:
        return np.zeros(len(ds), dtype=bool)
    made = pc.list_value_length(columns[IMAGE_REWARDS.name]).fill_null(planned).to_numpy(zero_copy_only=False)
    adaptive = plans.is_valid().to_numpy(zero_copy_only=False)
    spared: NDArray[np.bool_] = adaptive & (made < planned)
    return spared


def _cut(ds: Any) -> float | None:
    """Of all replies of both arms those that were cut off."""
    cut, known = (sum(counts) for counts in zip((0, 0), *counts_cut(ds).values(), strict=True))
    return round(cut / known, 6) if known else None


def _without_answer(ds: Any) -> float | None:
    """Of the replies that a verifier of ours read, and that were not cut off, those without an answer."""
    wrong, read, distinct = 0, 0, dict[str, bool]()
    for reply, solved in _replies(ds):
        read += 1
        if solved:
            continue
        if reply not in distinct:
            distinct[reply] = 0 < len(finding.find_answer(reply).text.strip()) <= LONGEST_BARE_ANSWER
        wrong += not distinct[reply]
    return round(wrong / read, 6) if read else None


def _replies(ds: Any) -> Iterator[tuple[str, bool]]:
    """Replies that were graded by the built-in verifier and not cut off, each with whether it is right."""
    names = [column.name for arm in ARMS for column in (ARM_COLUMNS[arm].responses, ARM_COLUMNS[arm].rewards)]
    if SETTINGS.name not in ds.column_names or not set(names) <= set(ds.column_names):
        return
    step = max(1, len(ds) * 10 // MOST_REPLIES)
    cut = [name for arm in ARMS if (name := ARM_COLUMNS[arm].truncated.name) in ds.column_names]
    some = ds.select_columns([*names, *cut, SETTINGS.name]).with_format("arrow").select(range(0, len(ds), step))
    for row in some[:].to_pylist():
        who = grader_of(settings_in(row[SETTINGS.name]))
        if who is None or who[0] != BUILT_IN:
            continue
        for arm in ARMS:
            replies, rewards = row[ARM_COLUMNS[arm].responses.name] or [], row[ARM_COLUMNS[arm].rewards.name] or []
            flags = row.get(ARM_COLUMNS[arm].truncated.name) or [None] * len(replies)
            for reply, reward, truncated in zip(replies, rewards, flags, strict=False):
                if reply is not None and reward is not None and not truncated:
                    yield reply, reward == 1
