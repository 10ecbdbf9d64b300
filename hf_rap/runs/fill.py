"""Fill a run with what is missing, part by part, and read its evidence back."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RunError, SettingError, SourceError

from .before import fingerprint_before
from .folder import RunFolder, fingerprint_of
from .index import ARM, ATTEMPTS, FAILURE, FIRST, ID, KEY, Index, Row, batches, columns_read, part_schema, read_rows
from .lease import Lease
from .merge import merge
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import datasets
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from typing_extensions import Self

    from hf_rap.evidence.collector import Collector
    from hf_rap.rows.layouts import Layout

logger = logging.getLogger(__name__)

MAX_ERRORS = 0.5  # share of failed rows above which something else than the rows is broken
_ROWS_TO_JUDGE = 32  # a share of fewer rows says little
_WAIT_SECONDS = 2.0  # between two looks at what other ranks have written


@dataclass(frozen=True)
class Task:
    """Rows that lack the same attempts, of one arm or of every arm, for one part."""

    indices: list[int]
    rows: list[Row]
    first: int
    attempts: int
    arm: str | None = None


def collect_in_run(ds: datasets.Dataset, collector: Collector, url: str, **options: Any) -> datasets.Dataset:
    """The dataset with its evidence, by way of a run folder; computes only what the run does not hold.

    The same as `collect_evidence(ds, collector)`, however often it was interrupted. Options and errors
    are those of `Run`.
    """
    with Run(ds, collector, url, **options) as run:
        run.fill()
        return run.read()


class Run:
    """A dataset and a collector (`Rollouts`, `Attention`, `StepRewards`) on their way through a run folder.

    `with Run(ds, rollouts, "s3://bucket/run") as run: run.fill(); evidence = run.read()`

    A row is known by its content and id, so rows may be added, dropped and reordered between two
    calls; for `Attention` its stored replies belong to the content, for `StepRewards` the response. More
    attempts than before add to those that are there. Another model, prompt or sampling setting has
    another fingerprint, and never mixes with this one. One folder holds any number of fingerprints: the
    rollouts of a server, say, and the attention of a local model.

    Args:
        ds: the rows.
        collector: what is collected, with model, prompt and sampling.
        url: a folder, or any URL that fsspec opens; new, empty, or a run.
        rows_per_part: rows per file: what a kill can cost. None: 64, or as many as keep a server busy; 16 for
            `StepRewards`.
        retry_errors: do rows again that failed in an earlier call.
        max_errors: stop when more than this share of the rows fails, in [0, 1].
        rank: number of this process among `world`; each does its own rows.
        world: how many processes share the work.
        progress: where lines about the progress go; None: stderr.
        log: called with the numbers of each such line, for example `trackio.log`.

    Raises:
        RunError: the folder cannot be used or another process is writing into it; it was written before models had
            an identity, and nothing tells which this one's was; too many rows fail; or the process was asked to stop
            (Ctrl-C, SIGTERM). What is written stays.
        SourceError, LayoutError, EngineError: as `collect_evidence`.
    """

    def __init__(
        self,
        ds: datasets.Dataset,
        collector: Collector,
        url: str,
        *,
        rows_per_part: int | None = None,
        retry_errors: bool = False,
        max_errors: float = MAX_ERRORS,
        rank: int = 0,
        world: int = 1,
        progress: Any = None,
        log: Callable[[dict[str, float]], object] | None = None,
    ) -> None:
        if rows_per_part is None:
            rows_per_part = collector.rows_at_once
        if rows_per_part < 1:
            raise SettingError(f"rows_per_part must be at least 1, got {rows_per_part}.")
        if not 0 <= max_errors <= 1:
            raise SettingError(f"max_errors is a share in [0, 1], got {max_errors}.")
        if getattr(collector, "first_attempt", 0):
            raise SettingError("A run counts attempts from 0 itself: leave first_attempt out.")
        if len(ds) == 0:
            raise SourceError("The dataset has no rows.")
        self.ds = ds
        self.layout: Layout = collector.check(ds.features)
        self.columns = columns_read(ds, collector, self.layout)
        # A batch has these columns alone, which might be recognised as another layout.
        self.collector = replace(collector.over(ds), layout=self.layout)  # type: ignore[type-var]  # all are dataclasses
        self.rows_per_part = rows_per_part
        self.retry_errors = retry_errors
        self.max_errors = max_errors
        self.rank = rank
        self.world = world
        self.out = progress
        self.log = log
        # Attempts that each row is to have per arm of the collector, (n_rows, n_arms), where that is not the same for all.
        self.goals: NDArray[np.int64] | None = None
        self.folder = RunFolder(url, create=True)
        self.lease = Lease(self.folder, rank, world)

    def __enter__(self) -> Self:
        self.lease.__enter__()
        try:
            self.collector.identify()
            settings = settings_of(self.collector)  # loads the model
            self.fingerprint = fingerprint_of(settings)
            if self.fingerprint not in self.folder.fingerprints():
                before = fingerprint_before(self.folder, self.collector, settings)
                self.fingerprint = before or self.fingerprint
            told = {"kind": self.collector.kind, "tops_up": self.collector.tops_up, "settings": settings}
            self.folder.write_manifest(self.fingerprint, told)
            if self.world == 1:
                self.folder.remove_leftovers(self.fingerprint)
            self.index = Index(self.folder, self.fingerprint, part_schema(self.collector.writes))
            for file in self.index.unusable:
                logger.warning("%s is not used, its rows are done again: %s", file.path, file.why)
            self.rows: list[Row] = read_rows(self.ds, self.collector, self.layout)
            changed = self.index.changed(self.rows)
            if changed:
                logger.warning(
                    "%d rows went through this run with other content and are done again, the first is %r.",
                    len(changed),
                    changed[0].id,
                )
        except BaseException:
            self.lease.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.lease.__exit__(None, None, None)

    def fill(self, indices: Sequence[int] | None = None) -> Progress:
        """Do the rows of this rank that the run lacks, or those among `indices`."""
        of_all = range(len(self.rows)) if indices is None else indices
        mine = [index for index in of_all if index % self.world == self.rank]
        return self._do(self.tasks(mine, retry=self.retry_errors))

    def finish(self) -> None:
        """Wait for the other ranks, and do the rows of those that have died."""
        while self.tasks(range(len(self.rows))):
            alive = self.lease.ranks_alive()
            self.index.refresh()  # after the look at who lives: what the dead have written is all there
            of_the_dead = [index for index in range(len(self.rows)) if index % self.world not in alive]
            if tasks := self.tasks(of_the_dead):
                self._do(tasks)
            elif self.tasks(range(len(self.rows))):
                time.sleep(_WAIT_SECONDS)

    def read(self) -> datasets.Dataset:
        """The dataset with its evidence.

        Raises:
            RunError: something is missing; `fill` first.
        """
        import datasets

        missing = sum(len(task.indices) for task in self.tasks(range(len(self.rows))))
        if missing:
            raise RunError(f"{missing:,} of {len(self.rows):,} rows are not in the run {self.folder.url!r} yet.")
        evidence = merge(self.index, self.rows, self.collector, [self.goal(index) for index in range(len(self.rows))])
        return datasets.concatenate_datasets([self.ds.with_format(None), evidence], axis=1)

    def tasks(self, indices: Sequence[int], *, retry: bool = False) -> list[Task]:
        """What is missing among these rows, in their order; equal rows count once."""
        waiting: dict[tuple[int, int, str | None], dict[str, int]] = {}
        for index in indices:
            key = self.rows[index].key
            lacks = {
                arm: self.index.missing(key, attempts, arm=arm, trust_failures=not retry)
                for arm, attempts in self.goal(index).items()
            }
            if len(set(lacks.values())) == 1:  # all arms at once: the row is read once
                lacks = {None: next(iter(lacks.values()))}
            for arm, stretch in lacks.items():
                if stretch is not None:
                    waiting.setdefault((*stretch, arm), {}).setdefault(key, index)
        tasks = []
        for (first, attempts, arm), rows in sorted(waiting.items(), key=lambda one: (*one[0][:2], one[0][2] or "")):
            places = list(rows.values())
            for start in range(0, len(places), self.rows_per_part):
                part = places[start : start + self.rows_per_part]
                tasks.append(Task(part, [self.rows[index] for index in part], first, attempts, arm))
        return tasks

    def goal(self, index: int) -> dict[str | None, int]:
        """Attempts that a row is to have, per arm."""
        arms = self.collector.separate_arms
        if self.goals is None:
            return dict.fromkeys(arms, self.collector.goal)
        return dict(zip(arms, self.goals[index].tolist(), strict=True))

    def check_errors(self, progress: Progress) -> None:
        """Stop a run that is broken as a whole."""
        if progress.done >= _ROWS_TO_JUDGE and progress.failed > self.max_errors * progress.done:
            raise RunError(
                f"{progress.failed:,} of {progress.done:,} rows failed, more than max_errors={self.max_errors} allows. "
                f"The first: {'; '.join(progress.errors)}. They are in the run; when the cause is gone, go on with "
                "--retry-errors (retry_errors=True)."
            )

    def say_stopped(self, progress: Progress) -> None:
        """End a call that was asked to stop, unless it has just done the last row."""
        if progress.done < progress.rows:
            raise RunError(
                f"Stopped as asked: {progress.done:,} of {progress.rows:,} rows of this call are in the run "
                f"{self.folder.url!r}. Start the same command again to go on."
            )

    def start_progress(self, tasks: Sequence[Task]) -> Progress:
        """The counter of these tasks."""
        kind = self.collector.kind
        label = kind if self.world == 1 else f"{kind}, process {self.rank} of {self.world}"
        return Progress(sum(len(task.indices) for task in tasks), label, self.out, self.log)

    def _do(self, tasks: list[Task]) -> Progress:
        progress = self.start_progress(tasks)
        with stop_after_part() as stopped:
            for task in tasks:
                (batch,) = batches(self.ds, self.columns, task.indices, len(task.indices))
                part, tokens = make_part(self.collector, batch, task.rows, task.first, task.attempts, arm=task.arm)
                name = self.folder.write_part(self.fingerprint, part, first=task.first, stop=task.first + task.attempts)
                self.index.add(name, part)
                progress.count(part[FAILURE].to_pylist(), tokens)
                if stopped:
                    self.say_stopped(progress)
                self.check_errors(progress)
        return progress


def settings_of(collector: Collector) -> dict[str, Any]:
    """What the parts of this collector depend on, their columns included."""
    return {**collector.settings(), "writes": [column.name for column in collector.writes]}


def make_part(
    collector: Collector,
    batch: dict[str, list[Any]],
    rows: Sequence[Row],
    first: int,
    attempts: int,
    *,
    arm: str | None = None,
) -> tuple[pa.Table, int | None]:
    """The part for a batch of rows, as a table, and the tokens it took."""
    import pyarrow as pa

    evidence = collector.only(first, attempts, arm)(batch)
    run = {
        KEY: [row.key for row in rows],
        ID: [row.id for row in rows],
        FAILURE: collector.failures(evidence),
        FIRST: [first] * len(rows),
        ATTEMPTS: [attempts] * len(rows),
        ARM: [arm] * len(rows),
    }
    return pa.table({**run, **evidence}, schema=part_schema(collector.writes)), collector.tokens(evidence)


def rank_and_world() -> tuple[int, int]:
    """Which of how many processes this is, as `accelerate launch` and `torchrun` say."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def stop_after_part() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM (pre-emption) only fill the list, once; the second time they interrupt at once."""
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def note(number: int, _frame: object) -> None:
        stopped.append(number)
        logger.warning("Finishing the part in flight, then stopping. Once more stops at once and loses that part.")
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
