"""Collect evidence of the rows that are worth it: a slice is rolled out, a probe fitted to it, and what it rules out is left.

All of it goes through a run folder, and nothing but states and attempts is remembered there: a collection that was interrupted
finds these, plays the same rounds again, and goes on where it stopped.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from hf_rap.columns import (
    ERROR,
    ID,
    IMAGE_STATES,
    PROBE_SCORES,
    PROBED,
    STATES_EVIDENCE,
    STATES_SETTINGS,
    TEXT_STATES,
    features_of,
    refuse_existing,
    require,
)
from hf_rap.errors import RowError, SettingError, logger_of
from hf_rap.options import check
from hf_rap.rows.batches import Batch
from hf_rap.runs.collecting import collect_in_run
from hf_rap.runs.fill import Run
from hf_rap.runs.folder import check_url
from hf_rap.scorers.probe import LEAST_ROWS, check_sklearn, fit_labelled, folds_of_ids, kind_of, read_states
from hf_rap.stats.counts import Counts, cde_of
from hf_rap.tables import whole_dataset

from .collect import SoFar, adapt, check_both_arms, checked_stopping, most_attempts, with_stopping
from .probing import Audit, Probing, audit_of, audited, next_size, slice_order
from .stopping import Exact, Sequential

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.evidence.rollouts import Rollouts
    from hf_rap.scorers.probe import Probe

logger = logger_of(__name__)

_SETTLED_AT_ONCE = 8
_SETTLED_BY = 1.5  # times the attempts so far
_ROWS_AT_ONCE = 1_000  # whose states are in memory
_NOT_OF_STATES = ("continue_cut", "max_total_tokens")  # options of a run that are about replies


def collect_probed(
    ds: datasets.Dataset,
    rollouts: Rollouts,
    recall: float = 0.99,
    *,
    probing: Probing | None = None,
    stopping: Exact | Sequential | str | None = None,
    url: str | None = None,
    **options: Any,
) -> datasets.Dataset | None:
    """The dataset with its evidence, without the attempts of rows that a probe rules out at this recall.

    1. The hidden states of all prompts, where they are not there: one pass per arm (`PromptStates`).
    2. A random slice of the rows is rolled out, and a probe fitted to it. As long as too few of these rows are worth keeping to
       certify a cut, or the probe foretells too little, it says so and labels more: in the end all rows, as without.
    3. Rows whose foretold cde is below the cut are left out: `rap_error` and the `rap_reason` of a selection are
       "below_probe". Unknown is not low. Of these the rows of the audit are rolled out all the same, and so is all else.
    4. `rap_probed` says what was done, and the recall that the audit shows.

    Worth keeping is a row whose cde is above `min_cde`; those that decide the cut get more attempts (`Probing.settle`), which
    the evidence does not hold. What was left out can be rolled out later: the same run with `collect_in_run`.

    Args:
        ds: the rows, with `PromptStates` or without.
        rollouts: model, prompt, sampling and attempts.
        recall: of the rows worth keeping, the share that is rolled out, on average over slices.
        probing: the other options, and then the recall, too.
        stopping: attempts of rows that are not left out are made where they matter, as in `collect_adaptive`; slice and audit
            have all of those of `rollouts`. Sequential: with the prior by what is foretold, so select with probe_prior=True.
        url: of the run folder. None: a temporary one, which is removed.
        options: those of `hf_rap.runs.fill.Run`.

    Returns:
        The dataset; None in a process of rank above 0.

    Raises:
        SettingError: scikit-learn is not installed, the engine tells no states, or as `collect_adaptive`.
        MissingColumnError: there is no column `Probing.by`.
        LayoutError: the states that the dataset already has are of several models, prompts or depths; or as `Run`.
        SourceError, EngineError, RunError: as `Run`.

    Source:
        ours; split conformal prediction (Papadopoulos et al. 2002) for the cut, arXiv 2602.09924 for probes.

    """
    from hf_rap.evidence.rollouts import Rollouts

    ds = whole_dataset("collect_probed", ds)
    check(isinstance(rollouts, Rollouts), "rollouts", rollouts, "Rollouts(engine)")
    check(probing is None or isinstance(probing, Probing), "probing", probing, "Probing(...), or None")
    probing = Probing(recall=recall) if probing is None else probing
    stopping = None if stopping is None else checked_stopping(stopping)
    if isinstance(stopping, Sequential):
        stopping = replace(stopping, probe_prior=True)
    if url is not None:
        check_url(url)
    check_both_arms(rollouts)
    check_sklearn()
    refuse_existing("collect_probed", ds.column_names, (PROBED, *PROBE_SCORES))
    if probing.by is not None:
        require("collect_probed", ds.column_names, (probing.by,))
    if options.get("world", 1) != 1 and STATES_SETTINGS.name not in ds.column_names:
        raise SettingError(
            "Several processes share rollouts, and each needs the states of all rows: collect them first "
            "(collect_in_run(ds, PromptStates(engine), url)) and give collect_probed their rows, or use one process."
        )
    if url is None:
        with tempfile.TemporaryDirectory(prefix="hf-rap-run-") as folder:
            return _collect(ds, rollouts, probing, stopping, (folder, options))
    return _collect(ds, rollouts, probing, stopping, (url, options))


def _collect(
    ds: datasets.Dataset,
    rollouts: Rollouts,
    probing: Probing,
    stopping: Exact | Sequential | None,
    run_options: tuple[str, Mapping[str, Any]],
) -> datasets.Dataset | None:
    url, options = run_options
    given = STATES_SETTINGS.name in ds.column_names
    if not given:
        ds = _with_states(ds, rollouts, url, options)
    with Run(ds, rollouts, url, **options) as run:
        collection = _Collection(run, rollouts, probing, stopping)
        collection.label()
        record = collection.roll_out()
        if run.rank:
            return None
        made = _with_columns(run, collection, json.dumps(record, sort_keys=True))
    return made if given else made.remove_columns([column.name for column in STATES_EVIDENCE])


def _with_states(ds: datasets.Dataset, rollouts: Rollouts, url: str, options: Mapping[str, Any]) -> datasets.Dataset:
    """The rows with the states of the prompts that the rollouts ask, by way of the same run."""
    from hf_rap.evidence.states import PromptStates

    states = PromptStates(rollouts.engine, prompt=rollouts.prompt, layout=rollouts.layout)  # type: ignore[arg-type]
    rest = {name: value for name, value in options.items() if name not in _NOT_OF_STATES}
    made: datasets.Dataset = collect_in_run(ds, states, url, **rest)
    return made


class _Collection:
    """A collection on its way: which rows are labelled, and what is foretold of all."""

    def __init__(self, run: Run, rollouts: Rollouts, probing: Probing, stopping: Exact | Sequential | None) -> None:
        import numpy as np

        self.run, self.probing, self.stopping = run, probing, stopping
        self.attempts = rollouts.attempts
        self.so_far = SoFar(run, self.attempts)
        ids = [row.id for row in run.rows]
        self.order = slice_order(ids, probing.seed)
        self.kind = kind_of(
            Batch("collect_probed", run.ds.select_columns([STATES_SETTINGS.name]).with_format("arrow")[:])
        )
        self.audited = audited(ids, probing.audit, probing.seed)
        self.folds = folds_of_ids(ids)
        self.labelled = np.zeros(len(ids), dtype=bool)
        self.left_out = np.zeros(len(ids), dtype=bool)
        self.foretold = np.full((len(ids), len(PROBE_SCORES)), np.nan)
        self.probe: Probe | None = None
        self.cut: float | None = None
        self.recall_at_cut: float | None = None
        self.why: str | None = None
        self.settling = np.zeros(len(ids), dtype=np.int64)  # attempts per arm beyond those of the evidence

    def label(self) -> None:
        """Roll out a slice that grows until a cut can be certified, or it holds all rows."""
        import numpy as np

        n_rows, size = len(self.run.rows), self.probing.first
        while True:
            size = min(size, n_rows)
            self.run.about = "the slice"
            self.make(self.order[:size])
            self.labelled[self.order[:size]] = True
            if self.may_lose and self.fit():
                self.cut = self.settled_cut()
                if self.cut is not None:
                    found = self.labelled & self.worth
                    self.recall_at_cut = float(1 - np.mean(self.foretold[found, 2] < self.cut))
                    return
                if self.may_lose:
                    self.why = "nothing is foretold of too many of the rows worth keeping"
            if size == n_rows:
                self.why = self.why or self.too_few()
                logger.warning("All %s rows are rolled out: %s.", f"{n_rows:,}", self.why)
                return
            if self.may_lose:
                size = min(n_rows, 2 * size)
            else:
                self.why, size = self.too_few(), next_size(size, self.needed, n_rows)
            logger.warning("%s. Labelling goes on, to %s rows.", self.why, f"{size:,}")
            self.why = None

    @property
    def so_many(self) -> tuple[int, int, int]:
        """Labelled rows worth keeping, labelled rows, and all."""
        import numpy as np

        return (
            int(np.count_nonzero(self.labelled & self.worth)),
            int(np.count_nonzero(self.labelled)),
            len(self.labelled),
        )

    @property
    def may_lose(self) -> int:
        """The place of the cut among the labelled rows worth keeping; 0 without one."""
        return self.probing.may_lose(*self.so_many)

    @property
    def needed(self) -> int:
        """Labelled rows that a cut takes."""
        return self.probing.needed(*self.so_many)

    def too_few(self) -> str:
        """Why no cut can be certified, and what it takes."""
        worth, size, rows = self.so_many
        more = f"about {self.needed:,} labelled rows" if worth else "more labelled rows than can be told"
        return (
            f"{size:,} rows are labelled, {worth:,} of them worth keeping (cde > {self.probing.min_cde:g}), too few for a cut at recall "
            f"{self.probing.recall:.4g}" + (f", which takes {more}" if size < rows else "")
        )

    def make(self, rows: Any, attempts: int | None = None) -> None:
        """So many attempts of these rows, or all, where they are not there."""
        import numpy as np

        wanted = np.zeros_like(self.so_far.made)
        assert self.run.goals is not None
        wanted[rows] = np.maximum((attempts or self.attempts) - self.run.goals[rows], 0)
        if wanted.any():
            self.so_far.ask(wanted)

    @property
    def near(self) -> NDArray[np.bool_]:
        """Rows whose cde so far may be above min_cde: by one standard deviation of what these attempts can give at most."""
        near: NDArray[np.bool_] = cde_of(*self.counts) > self.probing.min_cde - self.deviation
        return near

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Of the cde so far, at most."""
        import numpy as np

        assert self.run.goals is not None
        deviation: NDArray[np.float64] = (2.0 * np.maximum(self.run.goals.max(axis=1), 1)) ** -0.5
        return deviation

    def settle(self, rows: NDArray[np.int64]) -> None:
        """Attempts of these rows until their cde is a standard deviation from min_cde, or there are as many as are allowed.

        A few attempts that are all for a row are no reason to stop: rows are here because little was foretold of them.
        """
        self.run.about = "rows that decide the cut"
        made = self.attempts
        while made < self.probing.settle and len(rows):
            clear = cde_of(*self.counts) > self.probing.min_cde + self.deviation
            rows = rows[self.near[rows] & ~(clear[rows] & (made > self.attempts))]
            made = min(ceil(_SETTLED_BY * made), self.probing.settle)
            self.make(rows, made)

    def settled_cut(self) -> float | None:
        """The foretold cde of the k-th labelled row worth keeping, the least likely first; those that may be so are settled."""
        import numpy as np

        rows = np.flatnonzero(self.labelled & self.near & ~np.isnan(self.foretold[:, 2]))
        rows = rows[np.argsort(self.foretold[rows, 2], kind="stable")]
        for start in range(0, len(rows), _SETTLED_AT_ONCE):
            self.settle(rows[start : start + _SETTLED_AT_ONCE])
            settled = rows[: start + _SETTLED_AT_ONCE]
            worthy, place = settled[self.worth[settled]], self.may_lose
            if not place:
                return None
            if len(worthy) >= place:
                return float(self.foretold[worthy[place - 1], 2])
        return None

    @property
    def counts(self) -> tuple[Counts, Counts]:
        """Attempts of both arms so far."""
        solved, judged = self.so_far.state.solved.astype(float), self.so_far.state.judged
        return Counts(solved[:, 0], judged[:, 0]), Counts(solved[:, 1], judged[:, 1])

    @property
    def worth(self) -> NDArray[np.bool_]:
        """Rows whose cde so far is above min_cde; unknown is not."""
        above: NDArray[np.bool_] = cde_of(*self.counts) > self.probing.min_cde
        return above

    def fit(self) -> bool:
        """A probe of the labelled rows, and what it foretells of all; or why there is none."""
        import numpy as np

        ds, by = self.run.ds, self.probing.by
        judged = (self.so_far.state.judged > 0).all(axis=1)
        rows = np.flatnonzero(self.labelled & judged)
        names = [IMAGE_STATES.name, TEXT_STATES.name, *([by] if by else [])]
        stored = ds.select_columns([name for name in names if name in ds.column_names])
        batch = Batch("collect_probed", stored.select(rows).with_format("arrow")[:])
        numbers, there = read_states(batch)
        if np.count_nonzero(there) < LEAST_ROWS:
            self.why = f"{np.count_nonzero(there):,} labelled rows have states, and a probe takes {LEAST_ROWS}"
            return False
        sources = None if by is None else np.array([str(name) for name in batch.arrow(by).to_pylist()], dtype=object)
        try:
            self.probe = fit_labelled(
                numbers[there],
                [arm.rows(rows[there]) for arm in self.counts],
                states=self.kind,
                min_cde=self.probing.min_cde,
                min_auc=self.probing.min_auc,
                by=by,
                sources=None if sources is None else sources[there],
                folds=self.folds[rows[there]],
            )
        except SettingError as error:
            self.why = str(error).rstrip(".")
            return False
        stored = stored.with_format("arrow")
        for start in range(0, len(stored), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            self.foretold[part] = self.probe.rates(Batch("collect_probed", stored[part]), self.folds[part])
        return True

    def roll_out(self) -> dict[str, Any]:
        """The audit, then all that is not left out; what was done, ready for JSON."""
        import numpy as np

        below = np.zeros(len(self.labelled), dtype=bool)
        if self.cut is not None:
            below = (self.foretold[:, 2] < self.cut) & ~self.labelled
            # Rows with the same content and id share their attempts.
            asked = np.zeros(int(self.so_far.equal.max()) + 1, dtype=bool)
            np.logical_or.at(asked, self.so_far.equal, ~below)
            below &= ~asked[self.so_far.equal]
        audit = below & self.audited
        self.run.about = "the audit"
        self.make(np.flatnonzero(audit))
        self.settle(np.flatnonzero(audit))
        in_audit = self.worth
        self.left_out = below & ~audit
        assert self.run.goals is not None
        # What was made to settle a row stays in the run, and is no part of its evidence.
        self.settling = np.maximum(self.run.goals.max(axis=1) - self.attempts, 0)
        made = np.minimum(self.run.goals, self.attempts)
        most = self.attempts if self.stopping is None else most_attempts(self.stopping, self.attempts)
        self.so_far = SoFar(self.run, most)
        self.run.about = None
        self.so_far.ask(made)
        if self.stopping is None:
            self.make(np.flatnonzero(~self.left_out))
        else:
            self.so_far.state.left[self.left_out] = 0
            rates = self.foretold[:, :2] if isinstance(self.stopping, Sequential) else None
            self.stopping_record = adapt(self.so_far, self.stopping, self.attempts, rates)
        worth = np.where(audit, in_audit, self.worth)
        shown = audit_of(
            int(np.count_nonzero(audit)),
            int(np.count_nonzero(audit & worth)),
            int(np.count_nonzero(self.left_out)),
            int(np.count_nonzero(worth)),
        )
        return {**self.probing.as_dict(), **self.facts(shown)}

    def facts(self, shown: Audit) -> dict[str, Any]:
        """What was done, and how well it went."""
        import numpy as np

        report = None if self.probe is None else self.probe.report
        return {
            "attempts": self.attempts,
            "cut": self.cut,
            "why": self.why,
            "labelled": int(np.count_nonzero(self.labelled)),
            "labelled_worth": int(np.count_nonzero(self.labelled & self.worth)),
            "left_out": int(np.count_nonzero(self.left_out)),
            "settled": int(np.count_nonzero(self.settling)),
            "settled_attempts": int(self.settling.sum()),
            "audited": shown.rows,
            "audited_worth": shown.worth,
            "recall_shown": shown.recall,
            "recall_low": shown.low,
            "recall_at_cut": None if self.recall_at_cut is None else round(self.recall_at_cut, 6),
            "auc": None if report is None or report.auc is None else round(report.auc, 6),
            "reliability": []
            if report is None
            else [[part.rows, round(part.foretold, 6), round(part.came, 6)] for part in report.reliability],
        }


def _with_columns(run: Run, collection: _Collection, record: str) -> datasets.Dataset:
    """The rows with their evidence, what was foretold, and what was done; those that were left out say so."""
    import numpy as np
    import pyarrow as pa

    rows = np.flatnonzero(collection.left_out).tolist()
    made = run.read(without=rows)
    if collection.stopping is not None:
        made = with_stopping(made, collection.stopping_record)
    columns = {name: made.with_format("arrow")[name].to_pylist() for name in (ID.name, ERROR.name)}
    for row in rows:
        columns[ID.name][row] = run.rows[row].id
        says = f"foretold cde is {collection.foretold[row, 2]:.3g}, below {collection.cut:.3g}: not rolled out"
        columns[ERROR.name][row] = str(RowError("below_probe", says))
    for name, values in columns.items():
        feature = made.features[name]
        made = made.remove_columns(name).add_column(name, pa.array(values, pa.string()), feature=feature)
    for place, column in enumerate(PROBE_SCORES):
        values = pa.array(collection.foretold[:, place], pa.float64(), from_pandas=True)
        made = made.add_column(column.name, values, feature=features_of([column])[column.name])
    texts = pa.array([record] * len(made), pa.string())
    return made.add_column(PROBED.name, texts, feature=features_of([PROBED])[PROBED.name])
