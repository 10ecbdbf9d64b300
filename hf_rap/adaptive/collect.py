"""Collect evidence with attempts where they matter, by way of a run folder.

A round asks for the attempts that the planner wants after those of all rounds before. Nothing but the attempts
themselves is remembered: a collection that was interrupted plays its rounds again, finds them in the run, and goes on
where it stopped, with the same plan. Processes that share a run all plan, and each does its own rows.
"""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any

from hf_rap.columns import ADAPTIVE, ERROR, IMAGE_REWARDS, TEXT_REWARDS, features_of, refuse_existing
from hf_rap.errors import SettingError, code_of
from hf_rap.options import check, check_choice, renamed
from hf_rap.runs.fill import Run
from hf_rap.stats.arrays import seeded_order
from hf_rap.stats.posterior import rates_of
from hf_rap.tables import whole_dataset

from . import exact, sequential
from .state import State
from .stopping import Exact, Sequential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import datasets
    import numpy as np
    from numpy.typing import NDArray

    from hf_rap.evidence.rollouts import Rollouts
    from hf_rap.runs.stretches import Stretch

    # Attempts so far, and replies so far (n_rows, 2), to attempts wanted now (n_rows, 2).
    Planner = Callable[[State, NDArray[np.int64]], NDArray[np.int64]]

_REWARDS: dict[str | None, str] = {"image": IMAGE_REWARDS.name, "text": TEXT_REWARDS.name}
# By name, with the options that the paper's rule of selection has.
MODES: dict[str, Exact | Sequential] = {"exact": Exact(), "sequential": Sequential()}


def collect_adaptive(
    ds: datasets.Dataset,
    rollouts: Rollouts,
    stopping: Exact | Sequential | str | None = None,
    url: str | None = None,
    **options: Any,
) -> datasets.Dataset | None:
    """The dataset with its evidence, each row with as many attempts per arm as its decision needs.

    The replies that are there are those of `collect_evidence(ds, rollouts)`: attempts have numbers, the first so many
    of each arm are made. `rap_adaptive` says by what. What was spared can be collected later: the same run with
    `collect_in_run` makes the attempts that are missing.

    Args:
        ds: the rows.
        rollouts: model, prompt and sampling. In exact mode its `attempts` are those that no row gets more of; in
            sequential mode, the mean per row and arm where `stopping` has no budget.
        stopping: when a row has enough: `Exact(...)`, `Sequential(...)`, or "exact" or "sequential" for their defaults.
        url: of the run folder. None: a temporary one, which is removed.
        options: those of `hf_rap.runs.fill.Run`.

    Returns:
        The dataset; None in a process of rank above 0.

    Raises:
        SettingError: the rollouts collect attention, which would not be that of all attempts, or ask one arm alone.
        SourceError, LayoutError, EngineError, RunError: as `Run`.
    """
    from hf_rap.evidence.rollouts import Rollouts

    ds = whole_dataset("collect_adaptive", ds)
    check(isinstance(rollouts, Rollouts), "rollouts", rollouts, "Rollouts(engine)")
    stopping = checked_stopping(renamed("rule", options.pop("rule", None), "stopping", stopping))
    check_both_arms(rollouts)
    refuse_existing("collect_adaptive", ds.column_names, (ADAPTIVE,))
    if url is None:
        with tempfile.TemporaryDirectory(prefix="hf-rap-run-") as folder:
            return _collect(ds, rollouts, stopping, folder, options)
    return _collect(ds, rollouts, stopping, url, options)


def checked_stopping(stopping: Any) -> Exact | Sequential:
    """The stopping, or that of this name; raises `SettingError` for what is none."""
    if isinstance(stopping, str):
        check_choice("stopping", stopping, MODES)
        stopping = MODES[stopping]
    check(
        isinstance(stopping, (Exact, Sequential)),
        "stopping",
        stopping,
        f"Exact(...), Sequential(...), or {' or '.join(MODES)}",
    )
    made: Exact | Sequential = stopping
    return made


def check_both_arms(rollouts: Rollouts) -> None:
    """Raise `SettingError` for rollouts whose attempts cannot be shared out."""
    if rollouts.arm is not None:
        raise SettingError(
            f"Adaptive attempts are shared between the two arms, and arm={rollouts.arm!r} asks one of them: leave it out."
        )
    if rollouts.attention:
        raise SettingError(
            "Adaptive attempts and attention do not go together: rap_ace of a row depends on all of its attempts. "
            "Leave attention out, or collect all attempts."
        )


def _collect(
    ds: datasets.Dataset, rollouts: Rollouts, stopping: Exact | Sequential, url: str, options: Mapping[str, Any]
) -> datasets.Dataset | None:
    with Run(ds, rollouts, url, **options) as run:
        rates = rates_of("collect_adaptive", run.ds) if getattr(stopping, "probe_prior", False) else None
        so_far = SoFar(run, most_attempts(stopping, rollouts.attempts))
        record = adapt(so_far, stopping, rollouts.attempts, rates)
        return None if run.rank else with_stopping(run.read(), record)


def most_attempts(stopping: Exact | Sequential, attempts: int) -> int:
    """Attempts per arm that no row gets more of."""
    return attempts if isinstance(stopping, Exact) else stopping.most


def adapt(so_far: SoFar, stopping: Exact | Sequential, attempts: int, rates: NDArray[np.float64] | None = None) -> str:
    """Make the attempts that the decisions of the rows need, and say in JSON by what.

    Args:
        so_far: the attempts that are there.
        stopping: when a row has enough.
        attempts: of the rollouts.
        rates: what is foretold of each row, (n_rows, 2), where the prior is by that.

    """
    run = so_far.run
    rounds = play(so_far, _planner(stopping, attempts, [row.id for row in run.rows], rates))
    record = {**stopping.as_dict(), "attempts": most_attempts(stopping, attempts), "rounds": rounds}
    if isinstance(stopping, Sequential):
        above = sequential.believe(so_far.state, stopping, rates)
        record["agreement_expected"] = round(sequential.expected_agreement(above), 3)
    return json.dumps(record, sort_keys=True)


def _planner(stopping: Exact | Sequential, attempts: int, ids: list[str], rates: NDArray[np.float64] | None) -> Planner:
    if isinstance(stopping, Exact):
        order = seeded_order(ids, stopping.seed)
        return lambda state, _made: exact.plan(state, stopping, order)
    budget = attempts if stopping.budget is None else stopping.budget
    return lambda state, made: sequential.plan(state, made, stopping, budget, rates)


def play(so_far: SoFar, plan: Planner) -> int:
    """Rounds of plan and attempts until the plan wants no more: how many there were."""
    rounds = 0
    while (wanted := plan(so_far.state, so_far.made)).any():
        so_far.ask(wanted)
        rounds += 1
    return rounds


class SoFar:
    """What the attempts say that were asked for; reads each part of the run once."""

    def __init__(self, run: Run, most: int) -> None:
        import numpy as np

        n_rows = len(run.rows)
        self.run = run
        _, self.equal = np.unique([row.key for row in run.rows], return_inverse=True)
        run.goals = np.zeros((n_rows, 2), dtype=np.int64)
        nothing = np.zeros((n_rows, 2), dtype=np.int64)
        self.state = State(nothing, nothing.copy(), nothing + most)
        self.made = nothing.copy()  # replies, judged or not
        self._most = most
        self._correct: float = run.collector.correct  # type: ignore[attr-defined]  # a `Rollouts`
        self._parts: dict[str, dict[str, list[Any]]] = {}

    def ask(self, wanted: NDArray[np.int64]) -> None:
        """Have so many more attempts made, (n_rows, 2)."""
        import numpy as np

        run = self.run
        assert run.goals is not None
        # Rows with the same content and id share their attempts: each gets as many as any of them.
        shared = np.zeros((int(self.equal.max()) + 1, 2), dtype=np.int64)
        np.maximum.at(shared, self.equal, run.goals + wanted)
        rows = np.flatnonzero((shared[self.equal] > run.goals).any(axis=1)).tolist()
        run.goals = shared[self.equal]
        run.fill(rows)
        run.finish()
        self.read(rows)

    def read(self, rows: Sequence[int]) -> None:
        """Bring these rows up to date."""
        for index in rows:
            for arm, (name, made) in enumerate(self.run.goal(index).items()):
                stretches = self.run.index.chosen(self.run.rows[index].key, made, arm=name)
                pieces = [self._piece(stretch) for stretch in stretches]
                rewards: list[float | None] = []
                for stretch, piece in zip(stretches, pieces, strict=True):
                    new = slice(len(rewards) - stretch.first, made - stretch.first)
                    rewards += (piece[_REWARDS[name]] or [None] * (stretch.stop - stretch.first))[new]
                values = [reward for reward in rewards if reward is not None]
                solved = sum(reward >= self._correct for reward in values)
                self.state.solved[index, arm], self.state.judged[index, arm] = solved, len(values)
                self.state.left[index, arm] = max(0, self._most - made)
                self.made[index, arm] = 0 if all(piece[_REWARDS[name]] is None for piece in pieces) else len(rewards)
                if any(piece[_REWARDS[name]] is None for piece in pieces):  # an arm that fails is not asked again
                    self.state.left[index, arm] = 0
                in_vain = bool(pieces) and self.state.left[index, arm] == 0 and not values
                if in_vain or any(code_of(piece[ERROR.name]) == "no_image" for piece in pieces):
                    self.state.left[index] = 0  # without one arm there is no cde
                    break

    def _piece(self, stretch: Stretch) -> dict[str, Any]:
        if stretch.part not in self._parts:
            part = self.run.index.part(stretch.part)
            self._parts[stretch.part] = part.select([*_REWARDS.values(), ERROR.name]).to_pydict()
        held = self._parts[stretch.part]
        return {name: values[stretch.place] for name, values in held.items()}


def with_stopping(evidence: datasets.Dataset, stopping: str) -> datasets.Dataset:
    """The column that says by what attempts were spared; null for rows that nothing was asked of."""
    import pyarrow as pa

    columns = evidence.select_columns([IMAGE_REWARDS.name, TEXT_REWARDS.name]).with_format("arrow")[:].to_pydict()
    texts = [
        None if image is None and text is None else stopping for image, text in zip(*columns.values(), strict=True)
    ]
    feature = features_of([ADAPTIVE])[ADAPTIVE.name]
    return evidence.add_column(ADAPTIVE.name, pa.array(texts, pa.string()), feature=feature)
