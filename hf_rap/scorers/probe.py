"""Foretold pass rates: a linear model of what a model holds of each prompt, fitted to rows that have attempts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.columns import (
    IMAGE_REWARDS,
    IMAGE_STATES,
    PROBE_CDE,
    PROBE_IMAGE,
    PROBE_SCORES,
    PROBE_TEXT,
    STATES_SETTINGS,
    TEXT_REWARDS,
    TEXT_STATES,
    Column,
    features_of,
    require,
    typed,
)
from hf_rap.errors import LayoutError, SettingError
from hf_rap.options import check_number, check_text
from hf_rap.papers import PAPER
from hf_rap.rows.batches import Batch, batched
from hf_rap.stats.counts import Counts, cde_of, read_counts
from hf_rap.stats.settings import counted, settings_in
from hf_rap.tables import whole_dataset

from .base import scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import datasets
    import numpy as np
    from numpy.typing import NDArray

LEAST_ROWS = 40  # with attempts and states, and of one source to hold it out
FOLDS = 5
_BINS = 5
_ALPHAS = [10.0**power for power in range(-1, 7)]
RECALLS = (0.9, 0.95, 0.99)


class Fit(NamedTuple):
    """A linear model: center (width,), weights (width, 3) and offset (3,)."""

    center: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: NDArray[np.float64]

    def __call__(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is foretold of each row, (n_rows, 3): the pass rates of both arms and their difference."""
        foretold: NDArray[np.float64] = (numbers - self.center) @ self.weights + self.offset
        return foretold


class Bin(NamedTuple):
    """A fifth of the labelled rows, by what was foretold: how many, the mean of that, and the mean of what came."""

    rows: int
    foretold: float
    came: float


@dataclass(frozen=True)
class ProbeReport:
    """How well a probe foretells rows that it was not fitted to: each labelled row by a fit without it.

    Attributes:
        rows: labelled ones.
        above: share of them with cde > min_cde.
        min_cde: of that.
        auc: how often a row above comes before one that is not; 0.5 is chance, None where all rows are of one kind.
        reliability: fifths of the rows, by the foretold cde.
        left_out: recall -> share of the rows that the highest cut leaves out which keeps so many of the rows above. From these
            very rows, so on others it is a little less.
        sources: by source that was held out as a whole, the AUC on it; None where its rows are of one kind.

    """

    rows: int
    above: float
    min_cde: float
    auc: float | None
    reliability: tuple[Bin, ...]
    left_out: Mapping[float, float]
    sources: Mapping[str, float | None]

    def __str__(self) -> str:
        lines = [
            f"Probe: fitted to {self.rows:,} rows, {self.above:.0%} of them with cde > {self.min_cde:g}",
            f"  AUC on rows held out    {_shown(self.auc)}",
            *(f"  AUC on source held out  {_shown(auc)}  {source}" for source, auc in list(self.sources.items())[:5]),
            "  foretold cde  " + "  ".join(f"{each.foretold:6.2f}" for each in self.reliability),
            "  cde that came " + "  ".join(f"{each.came:6.2f}" for each in self.reliability),
            "  rows left out at recall "
            + ", ".join(f"{recall:.0%}: {share:.0%}" for recall, share in self.left_out.items()),
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Probe:
    """Appends the pass rates and the cde that are foretold: `ds.map(probe, batched=True)`; `fit_probe` makes it.

    It is several fits, each to all labelled rows but a fifth; a row belongs to the fifth that its own states name, and is
    foretold by the fit without it. So no row is foretold from its own attempts, whether it is one of the labelled ones or not,
    and what is known of the labelled ones holds for all.

    Reads:
        rap_image_states, rap_text_states, rap_states_settings; with `by` that column.

    Writes:
        - `rap_probe_image_rate`, `rap_probe_text_rate`: in [0, 1].
        - `rap_probe_cde`: in [-1, 1]; it orders rows, and no attempt stands behind it. All three are null where the states
          are, and for rows of a source on which nobody knows how well it foretells.

    Raises:
        MissingColumnError: there are no states.
        LayoutError: they are those of another model, prompt or depth.

    """

    fits: tuple[Fit, ...]
    states: str
    report: ProbeReport = field(repr=False)
    by: str | None = None
    foretells: frozenset[str] = frozenset()
    version: str = "2"  # raise it whenever the same input can give another number

    def __repr__(self) -> str:
        return str(self.report)

    @property
    def reads(self) -> tuple[Column, ...]:
        """The states and what they depend on."""
        return (IMAGE_STATES, TEXT_STATES, STATES_SETTINGS)

    @property
    def writes(self) -> tuple[Column, ...]:
        """Both rates and their difference."""
        return PROBE_SCORES

    @property
    def features(self) -> datasets.Features:
        """The types of `writes`."""
        return features_of(self.writes)

    @batched
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        import numpy as np

        require("Probe", batch, self.reads)
        rows = Batch("Probe", batch)
        for text in rows.arrow(STATES_SETTINGS.name).unique().to_pylist():
            if text is not None and states_of(text) != self.states:
                raise LayoutError(
                    "The probe was fitted to states of another model, prompt or depth than those in this dataset: fit it to "
                    "rows with these states."
                )
        foretold = self.rates(rows)
        there = ~np.isnan(foretold[:, 2])
        columns = zip((PROBE_IMAGE, PROBE_TEXT, PROBE_CDE), foretold.T, strict=True)
        return typed({column: scores(values, there) for column, values in columns})

    def rates(self, rows: Batch, folds: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """What is foretold of each row, (n_rows, 3), NaN where nothing is; `folds` where `fit_labelled` had some."""
        import numpy as np

        numbers, there = read_states(rows)
        if self.by is not None:
            require("Probe", rows, (self.by,))
            there &= np.array([str(source) in self.foretells for source in rows.arrow(self.by).to_pylist()], dtype=bool)
        foretold = np.full((len(there), 3), np.nan)
        if there.any():
            foretold[there] = foretell(self.fits, numbers[there], None if folds is None else folds[there])
        clipped: NDArray[np.float64] = np.clip(foretold, (0, 0, -1), 1)
        return clipped


def fit_probe(
    ds: Any,
    *,
    min_cde: float = PAPER.min_cde,
    by: str | None = None,
    min_auc: float = 0.75,
) -> Probe:
    """A probe fitted to the rows of a dataset that have states and attempts, held to what it foretells of others.

    Ridge regression of the pass rates of both arms, and of their difference, on the states of both; its strength by
    generalised cross-validation. What `probe.report` says comes from fits without the rows that are foretold.

    Args:
        ds: rows with `PromptStates`, some of them with `Rollouts` (null elsewhere).
        min_cde: the threshold that the report is about.
        by: column of the sources; each is held out as a whole as well, and rows of a source that was not there, or is
            foretold worse than `min_auc` asks, get nulls. None: all rows are of one source.
        min_auc: on held-out rows; below it the probe is refused.

    Raises:
        MissingColumnError: states or rewards are not there.
        SettingError: scikit-learn is not installed, too few rows have both, all are of one kind, or the held-out AUC is below
            `min_auc`.
        LayoutError: the states are of several models, prompts or depths.

    Source:
        ours; linear probes of hidden states for success: arXiv 2602.09924, 2509.12886.

    """
    import numpy as np

    check_number("min_cde", min_cde, least=-1, most=1)
    check_number("min_auc", min_auc, least=0, most=1)
    check_text("by", by, none=True, empty=False)
    check_sklearn()
    ds = whole_dataset("fit_probe", ds)
    require("fit_probe", ds.column_names, (IMAGE_STATES, TEXT_STATES, STATES_SETTINGS, IMAGE_REWARDS, TEXT_REWARDS))
    if by is not None:
        require("fit_probe", ds.column_names, (by,))
    image, without = read_counts("fit_probe", ds)
    labelled = np.flatnonzero((image.judged > 0) & (without.judged > 0))
    stored = ds.select_columns([IMAGE_STATES.name, TEXT_STATES.name, STATES_SETTINGS.name, *([by] if by else [])])
    rows = Batch("fit_probe", stored.select(labelled).with_format("arrow")[:])
    numbers, there = read_states(rows)
    kind = kind_of(rows)
    labelled, numbers = labelled[there], numbers[there]
    if len(labelled) < LEAST_ROWS:
        raise SettingError(
            f"{len(labelled)} rows have states and judged attempts of both arms, and a probe takes {LEAST_ROWS}: roll out more."
        )
    sources = None if by is None else np.array([str(name) for name in rows.arrow(by).to_pylist()], dtype=object)[there]
    counts = [arm.rows(labelled) for arm in (image, without)]
    return fit_labelled(numbers, counts, states=kind, sources=sources, min_cde=min_cde, by=by, min_auc=min_auc)


def fit_labelled(
    numbers: NDArray[np.float64],
    arms: Sequence[Counts],
    *,
    states: str,
    min_cde: float,
    min_auc: float,
    by: str | None = None,
    sources: NDArray[np.object_] | None = None,
    folds: NDArray[np.int64] | None = None,
) -> Probe:
    """`fit_probe` for labelled rows: their states (n_rows, width), judged attempts of both arms, and names of sources.

    `folds` where the rows have ids (`folds_of_ids`): those by the states themselves move with their last bits.
    """
    import numpy as np

    rates = np.stack([arm.solved / arm.judged for arm in arms], axis=1)
    targets = np.column_stack([rates, cde_of(*arms)])
    fold = fold_of(numbers) if folds is None else folds
    fits = tuple(_fit(numbers[fold != number], targets[fold != number]) for number in range(FOLDS))
    report = _report(numbers, targets, foretell(fits, numbers, fold)[:, 2], sources, min_cde)
    if report.auc is None:
        raise SettingError(
            f"All {len(numbers)} labelled rows are {'above' if report.above else 'not above'} min_cde={min_cde:g}, so nothing can "
            "be learned of the difference: roll out more, or take another min_cde."
        )
    if report.auc < min_auc:
        raise SettingError(
            f"The probe foretells too little: on held-out rows its AUC is {report.auc:.3f}, and min_auc asks {min_auc:g}. Roll out "
            f"more than these {len(numbers)} rows, or do without."
        )
    good = {name for name, auc in report.sources.items() if auc is not None and auc >= min_auc}
    return Probe(fits, states, report, by, frozenset(good))


def fold_of(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """The fold that the states of each row name, (n_rows,): the same for equal rows, wherever they stand."""
    return _folds(row.tobytes() for row in numbers.astype("<f2"))


def folds_of_ids(ids: Iterable[str]) -> NDArray[np.int64]:
    """The fold that the id of each row names, (n_rows,): the same whatever was read together with the row."""
    return _folds(name.encode("utf-8", "surrogatepass") for name in ids)


def _folds(contents: Iterable[bytes]) -> NDArray[np.int64]:
    import numpy as np

    digests = (blake2b(content, digest_size=4).digest() for content in contents)
    return np.frombuffer(b"".join(digests), dtype="<u4").astype(np.int64) % FOLDS


def foretell(
    fits: Sequence[Fit], numbers: NDArray[np.float64], folds: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """(n_rows, 3): each row by the fit that its fold is not in."""
    import numpy as np

    fold = fold_of(numbers) if folds is None else folds
    foretold = np.zeros((len(numbers), 3))
    for number, fit in enumerate(fits):
        foretold[fold == number] = fit(numbers[fold == number])
    return foretold


def read_states(rows: Batch) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The states of both arms side by side, (n_rows, width), 0 where they are null; and where they are not."""
    import numpy as np
    import pyarrow as pa

    arms, valid = [], []
    for column in (IMAGE_STATES, TEXT_STATES):
        lists = rows.arrow(column.name)
        if pa.types.is_null(lists.type):
            lists = lists.cast(pa.list_(pa.float16()))
        valid.append(lists.is_valid().to_numpy(zero_copy_only=False))
        lengths = lists.value_lengths().drop_null().to_numpy(zero_copy_only=False)
        width = int(lengths[0]) if len(lengths) else 0
        if (lengths != width).any():
            raise LayoutError(
                f"Column {column.name!r} has lists of different lengths: states of several models or depths."
            )
        numbers = np.zeros((len(lists), width))
        numbers[valid[-1]] = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lengths), width)
        arms.append(numbers)
    return np.concatenate(arms, axis=1), valid[0] & valid[1]


def kind_of(rows: Batch) -> str:
    """What tells the states of these rows apart from others, "" where there are none; raises `LayoutError` for two kinds."""
    kinds = {states_of(text) for text in rows.arrow(STATES_SETTINGS.name).unique().to_pylist() if text is not None}
    if len(kinds) > 1:
        raise LayoutError("The states are of several models, prompts or depths: a probe is fitted to those of one.")
    return next(iter(kinds), "")


def states_of(settings: str) -> str:
    """What tells states apart, of their `rap_states_settings`."""
    return json.dumps(counted(settings_in(settings)), sort_keys=True)


def _fit(numbers: NDArray[np.float64], targets: NDArray[np.float64]) -> Fit:
    """Ridge regression, its strength by generalised cross-validation."""
    import numpy as np
    from sklearn.linear_model import RidgeCV  # type: ignore[import-untyped]

    center, spread = numbers.mean(axis=0), numbers.std(axis=0)
    spread[spread == 0] = 1
    ridge = RidgeCV(_ALPHAS, alpha_per_target=True).fit((numbers - center) / spread, targets)
    weights: NDArray[np.float64] = ridge.coef_.T / spread[:, None]
    return Fit(center, weights, np.asarray(ridge.intercept_))


def _foretold(
    numbers: NDArray[np.float64], targets: NDArray[np.float64], rows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The cde of these rows by a fit to the others."""
    cde: NDArray[np.float64] = _fit(numbers[~rows], targets[~rows])(numbers[rows])[:, 2]
    return cde


def _report(
    numbers: NDArray[np.float64],
    targets: NDArray[np.float64],
    foretold: NDArray[np.float64],
    sources: NDArray[np.object_] | None,
    min_cde: float,
) -> ProbeReport:
    import numpy as np

    cde = targets[:, 2]
    above = cde > min_cde
    order = np.argsort(foretold, kind="stable")
    fifths = [part for part in np.array_split(order, _BINS) if part.size]
    return ProbeReport(
        rows=len(numbers),
        above=float(above.mean()),
        min_cde=float(min_cde),
        auc=_auc(above, foretold),
        reliability=tuple(Bin(len(part), float(foretold[part].mean()), float(cde[part].mean())) for part in fifths),
        left_out={recall: left_out(above[order], recall) for recall in RECALLS},
        sources={} if sources is None else _of_sources(numbers, targets, sources, min_cde),
    )


def _of_sources(
    numbers: NDArray[np.float64], targets: NDArray[np.float64], sources: NDArray[np.object_], min_cde: float
) -> dict[str, float | None]:
    """The AUC on each source by a fit to the others; None where it cannot be known."""
    import numpy as np

    aucs: dict[str, float | None] = {}
    for name in dict.fromkeys(sources.tolist()):
        rows = sources == name
        enough = np.count_nonzero(~rows) >= LEAST_ROWS
        aucs[name] = _auc(targets[rows, 2] > min_cde, _foretold(numbers, targets, rows)) if enough else None
    return aucs


def _auc(above: NDArray[np.bool_], foretold: NDArray[np.float64]) -> float | None:
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    return float(roc_auc_score(above, foretold)) if 0 < above.sum() < len(above) else None


def left_out(above: NDArray[np.bool_], recall: float) -> float:
    """Share of the rows, the least likely first, before so many of those above are lost that the recall is missed."""
    import numpy as np

    may_go = int((1 - recall) * np.count_nonzero(above) + 1e-9)
    lost = np.cumsum(above)
    return float(np.count_nonzero(lost <= may_go) / len(above))


def check_sklearn() -> None:
    """Raise `SettingError` where scikit-learn is not installed."""
    try:
        import sklearn  # type: ignore[import-untyped] # noqa: F401
    except ImportError as error:
        raise SettingError('fit_probe needs scikit-learn: pip install "hf-rap[probe]"') from error


def _shown(auc: float | None) -> str:
    return "unknown" if auc is None else f"{auc:.3f}"
