"""Fill a run with what is missing, part by part, and read its evidence back."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap.engines.answers import judged_by_caller, shown_by
from hf_rap.engines.options import ONLY_IN_MAP, marked
from hf_rap.errors import RunError, SettingError, SourceError, logger_of
from hf_rap.evidence.collector import (
    ROWS_AT_ONCE,
    check_collector,
    counts_tokens,
    evidence_of,
    prepared,
    say_before,
)
from hf_rap.evidence.collector import settings_of as own_settings
from hf_rap.evidence.going_on import check_goes_on
from hf_rap.evidence.grading import grades_later
from hf_rap.options import check, check_flags, check_number, check_whole
from hf_rap.rows.media import allowed, checked_roots
from hf_rap.stats.secrets import masked
from hf_rap.stats.settings import noted, set_apart
from hf_rap.system import give_back_memory
from hf_rap.tables import whole_dataset

from .before import GOES_ON_FROM, folders_before
from .beside import starts_anew
from .budget import Budget
from .claims import FOLDER as CLAIMS
from .contents import FAILURE, ID, KEY
from .flight import Flight
from .folder import MANIFEST, RunFolder, check_url, fingerprint_of
from .index import Index, batches, columns_read, part_schema
from .keys import rows_of_run
from .lease import Lease
from .limits import fewer_tokens, limit_remarks
from .merge import merge
from .part import as_part, ungraded
from .progress import Progress
from .row_table import Row, Rows
from .sharing import Sharing
from .stopping import ASKING, Noting, notes_signals
from .stream import Streaming
from .task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self

    import datasets
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from hf_rap.evidence.collector import Collector
    from hf_rap.rows.layouts import Layout

    from .stretches import Stretch

logger = logger_of(__name__)

MAX_ERRORS = 0.5  # share of failed rows above which something else than the rows is broken
_ROWS_TO_JUDGE = 32  # a share of fewer rows says little
_ROWS_TO_JUDGE_IN_FLIGHT = 200  # what is refused comes back before what is answered
_STOPPING = "Stopping. What is answered is kept; once more loses the answers of the part in flight."
_PARTS_TO_KEEP = 16  # fewer are read as fast as it is looked up what they hold
_PARTS_TO_READ = 128  # at most by a start after a kill
_LAUNCHED = (
    " When one process of a launch on one machine dies, the launcher stops them all, and that costs nothing else."
)
_SETTLE_SECONDS = 2.0  # that parts in flight have to give what they know
_IN_VAIN = 3  # times that rows are done again which are not found in the run afterwards
_MOST_WAIT_SECONDS = 300.0  # for other processes, after which it is looked up what they have left undone
_WAIT_SECONDS = 2.0  # between two looks at what other ranks have written


class Made(NamedTuple):
    """A part, what `Progress` is to count of its rows, and the tokens it took."""

    part: pa.Table
    failures: Sequence[str | None]
    tokens: int | None


class PartInFlight(NamedTuple):
    """A part that is being made: what it is of, what the engine has said, and tokens that are set aside for it."""

    task: Task
    batch: dict[str, list[Any]]
    notes: Noting
    reserved: int


class Run:
    """A dataset and a collector (`Rollouts`, `Attention`, `StepRewards`) on their way through a run folder.

    `with Run(ds, rollouts, "s3://bucket/run") as run: run.fill(); evidence = run.read()`

    A reply is evidence, its grade is derived: replies that another verifier has graded, or another version of it, or
    that were cut off and count as something else now, are graded again when the run is filled. No model is asked for
    that. Another `max_new_tokens` is no other run either: rows that are there stay as they are.

    A row is known by its content and id, so rows may be added, dropped and reordered between two
    calls; for `Attention` its stored replies belong to the content, for `StepRewards` the response. More
    attempts than before add to those that are there. Another model, prompt or sampling setting has
    another fingerprint, and never mixes with this one. One folder holds any number of fingerprints: the
    rollouts of a server, say, and the attention of a local model.

    Args:
        ds: the rows.
        collector: what is collected, with model, prompt and sampling.
        url: a folder, or any URL that fsspec opens; new, empty, or a run.
        rows_per_part: rows per file: what a kill can cost, beside what is in flight to a server. None: 64; 16 for
            `StepRewards`.
        retry_errors: do rows again that failed in an earlier call; where only grades failed, only grades.
        continue_cut: go on with replies that were cut off at fewer tokens than `max_new_tokens`, and with no others. A row
            of which one cannot go on stays as it was.
        max_errors: stop when more than this share of the rows fails, in [0, 1]: of all rows that the run holds, and not before
            32 of this call are done; 200 while others are in flight to a server.
        max_total_tokens: stop before more tokens than this are generated, by all processes together; what is done is in
            the run, and the same call goes on with a budget of its own. A part is made smaller where it might pass it:
            for rollouts a row can take attempts x max_new_tokens in each arm. Other evidence stops behind the part that
            passes it. None: no limit.
        rank: number of this process among `world`. Processes claim rows, a part at a time, also those of several calls with
            `world` 1; where the file system of the run cannot create a file for one process alone, each does its own share.
        world: how many processes were started together.
        progress: where lines about the progress go; None: stderr, unless `datasets.disable_progress_bars` was called.
        log: called with the numbers of each such line, for example `trackio.log`.
        media_roots: folders beside the dataset's own whose files rows may name, see `hf_rap.rows.media`.

    Raises:
        RunError: the folder cannot be used; another process is writing into it, where rows cannot be claimed; it was written before models had
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
        continue_cut: bool = False,
        max_errors: float = MAX_ERRORS,
        max_total_tokens: int | None = None,
        rank: int = 0,
        world: int = 1,
        progress: Any = None,
        log: Callable[[dict[str, float]], object] | None = None,
        media_roots: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        ds = whole_dataset("Run", ds)
        check_collector(collector)
        check_url(url)
        check_whole("rows_per_part", rows_per_part, least=1, none=True)
        media_roots = checked_roots(media_roots)
        check_flags(retry_errors=retry_errors, continue_cut=continue_cut)
        check_number("max_errors", max_errors, least=0, most=1)
        check_whole("max_total_tokens", max_total_tokens, least=1, none=True)
        check_whole("world", world, least=1)
        check_whole("rank", rank, least=0, most=world - 1)
        check(progress is None or hasattr(progress, "write"), "progress", progress, "an open text file, or None")
        check(log is None or callable(log), "log", log, "a function of a dictionary of numbers, or None")
        if max_total_tokens is not None and not counts_tokens(collector):
            raise SettingError(f"max_total_tokens counts tokens that a model generates, and {collector.kind} has none.")
        if getattr(collector, "first_attempt", 0):
            raise SettingError("A run counts attempts from 0 itself: leave first_attempt out.")
        if len(ds) == 0:
            raise SourceError("The dataset has no rows.")
        if continue_cut and collector.reply_tokens is None:
            raise SettingError(f"continue_cut goes on with the replies of rollouts, not with {collector.kind}.")
        if continue_cut:
            check_goes_on(collector.engine)
        collector.check(ds.features)
        with allowed(media_roots):
            self.ds, settled = prepared(collector, ds)
        self.layout: Layout = settled.check(self.ds.features)
        self.columns = columns_read(self.ds, settled, self.layout)
        # A batch has these columns alone, which might be recognised as another layout.
        self.collector: Collector = settled.with_layout(self.layout)
        self.streams = self.collector.streams
        at_once = collector.rows_at_once
        self.rows_per_part = rows_per_part or (min(at_once, ROWS_AT_ONCE) if self.streams else at_once)
        self.retry_errors = retry_errors
        self.continue_cut = continue_cut
        self._stays: set[Stretch] = set()  # could not go on
        self.about: str | None = None  # which of all rows are asked for, in lines about the progress
        self._starts: Sequence[int] | None = None
        self.max_errors = max_errors
        self.budget = Budget(None if max_total_tokens is None else max_total_tokens // world)
        self.rank = rank
        self.world = world
        self.out = progress
        self.log = log
        # Attempts that each row is to have per arm of the collector, (n_rows, n_arms), where that is not the same for all.
        self.goals: NDArray[np.int64] | None = None
        self.folder = RunFolder(url, create=True)
        self.lease = Lease(self.folder, rank, world)
        self._claims = False  # rows can be claimed here
        self._sharings: list[Sharing] = []
        self._filled: Sequence[int] = range(len(self.ds))

    def __enter__(self) -> Self:
        self.lease.__enter__()
        try:
            if self.folder.promises_creation:
                self.lease.stand_aside(self._clear_claims)
            self._claims = self.folder.creates_for_one()
            if not self._claims:
                self.lease.check_alone(but_other_ranks=True)
                if self.world > 1:
                    logger.warning(
                        "At %s no file can be created for one process alone, so rows cannot be claimed: each process does its "
                        "own share (row number %% processes), and none is taken over before the end.",
                        self.folder.url,
                    )
            self.collector.identify()
            settings = settings_of(self.collector)  # loads the model
            self.fingerprint = fingerprint_of(settings)
            if not self.rank:
                say_before(self.collector, len(self.ds))
            before = folders_before(self.folder, self.collector, settings)
            folders = [*self.folder.same(self.fingerprint, self.collector.kind), *before]
            begun = len(folders) > 1 or MANIFEST in self.folder.names(self.fingerprint)
            remark = None if begun else starts_anew(self.folder, self.collector.kind, settings)
            if remark is not None:
                logger.warning(remark)
            describe = getattr(getattr(self.collector, "engine", None), "describe", dict)
            self.engine_now = masked(noted(describe())) if before else None
            manifest = {"kind": self.collector.kind, "tops_up": self.collector.tops_up, "settings": settings}
            manifest |= {GOES_ON_FROM: before} if before else {}
            self.folder.write_manifest(self.fingerprint, manifest)
            self.folder.remove_leftovers()
            for file in self.folder.unreadable_manifests():
                logger.warning("%s: %s.", file.path, file.why)
            grading = self.collector.grading
            self.index = Index(
                self.folder,
                folders,
                part_schema(self.collector.stored),
                grader=None if grading is None else grading.key,
                limit=self.collector.reply_tokens,
            )
            for file in self.index.unusable:
                logger.warning("%s is not used, its rows are done again: %s", file.path, file.why)
            self.index.keep(least=_PARTS_TO_KEEP, join=True)
            lease = self.lease if self._claims else None
            rows = rows_of_run(self.folder, self.fingerprint, self.ds, self.collector, self.layout, lease=lease)
            self.turn_to(self.ds, rows)
            give_back_memory()
        except BaseException:
            self.lease.__exit__(None, None, None)
            raise
        return self

    def turn_to(
        self,
        ds: datasets.Dataset,
        rows: Sequence[Row],
        *,
        about: str | None = None,
        starts: Sequence[int] | None = None,
    ) -> None:
        """Go on with these rows, which have the columns of those before: whoever has many more than a disk holds, in pieces.

        Args:
            ds: the rows.
            rows: what they are known by.
            about: stands in lines about the progress.
            starts: of the blocks that are claimed: the same in every process, whatever else its piece holds. None: these are
                all rows.
        """
        self.ds, self.rows, self.about, self._starts = ds, Rows.of(rows), about, starts
        old = self.index.under_old_ids(self.rows)
        if old:
            raise RunError(
                f"{len(old):,} of these rows are in the run {self.folder.url!r} under ids that an earlier release made of "
                f"the files of their pictures (the first is {old[0].old_id!r}), and replies are drawn by id, so they "
                "cannot be added to: start a new run, or give the rows their ids of then as a column `id`, the "
                "`rap_id` of the evidence collected then."
            )
        self.index.rename(self.rows.with_("older"))
        changed = self.index.changed(self.rows)
        if changed:
            logger.warning(
                "%d rows went through this run with other content and are done again, the first is %r.",
                len(changed),
                changed[0].id,
            )

    def __exit__(self, *error: object) -> None:
        self.index.keep(least=_PARTS_TO_KEEP)
        if self._claims:
            self.lease.stand_aside(self._clear_claims, for_good=True)
        self.lease.__exit__(None, None, None)

    def _clear_claims(self) -> None:
        self.folder.remove_folder(CLAIMS)

    def fill(self, indices: Sequence[int] | None = None) -> Progress:
        """Do what the run lacks of these rows, or of all; what other processes do or have done is left to them."""
        self._filled = range(len(self.rows)) if indices is None else indices
        mine = self._filled
        if not self._claims:
            mine = [index for index in mine if index % self.world == self.rank]
        return self._complete(mine, retry=self.retry_errors)

    def fill_each(self, turns: Iterator[object], begun: Callable[[Sharing], object]) -> Progress:
        """As `fill`, of the rows of one turn after the other (`turn_to`) and without a pause between them.

        Args:
            turns: turns the run to other rows each time that it is asked, maybe in another thread than this one. Nothing that is
                stored of them is to be graded anew, or to go on (`has_to_redo`).
            begun: is told of the blocks of each turn, before they are asked.
        """
        progress = self.start_progress(0)

        def tasks() -> Iterator[Task]:
            for _ in turns:
                mine = range(len(self.rows)) if self._claims else range(self.rank, len(self.rows), self.world)
                sharing = self._share(*self._asking(retry=self.retry_errors), mine)
                progress.label = self._label()
                progress.rows += sharing.rows
                begun(sharing)
                yield from sharing.tasks(progress)

        each = tasks()
        first = next(each, None)
        if first is not None:
            self._ask(chain([first], each), progress)
            progress.show()
        return progress

    def has_to_redo(self) -> bool:
        """Something that is stored of these rows is to be graded anew, or to go on."""

        def wanted(stretch: Stretch) -> bool:
            ungraded = self.retry_errors and self.index.lacks_grades(stretch)
            return ungraded or self._is_old(stretch) or self._goes_on(stretch)

        return bool(self._redo(range(len(self.rows)), wanted))

    def wait_for(self, rows: Sequence[Row]) -> None:
        """Until the run holds all of these rows, nobody else is at work, or nothing has come for some minutes."""
        parts, since = self.index.parts, time.monotonic()
        with notes_signals(_STOPPING, interrupts=True):
            while self.lacks_of(rows) and self.lease.others() and time.monotonic() - since < _MOST_WAIT_SECONDS:
                time.sleep(_WAIT_SECONDS)
                self.index.refresh()
                if self.index.parts > parts:
                    parts, since = self.index.parts, time.monotonic()
        self.index.refresh()

    def finish(self) -> None:
        """Wait for what other processes have in work, and do what they leave undone."""
        if not self._claims:
            self._wait_for_others()
        self._complete(self._filled, waits=True)
        for sharing in self._sharings:
            sharing.clear()
        self._sharings = []

    def _wait_for_others(self) -> None:
        """Until the run holds all rows, or nobody else is at work: where none can be claimed."""
        with notes_signals(_STOPPING, interrupts=True):
            while self.lacks(self._filled) and self.lease.others():
                time.sleep(_WAIT_SECONDS)
                self.index.refresh()
        self.index.refresh()  # after the look at who is there: what the dead have written is all in it

    def lacking(self) -> list[int]:
        """The numbers of the rows of which the run does not hold all, as it stands."""
        keys = {row.key for task in self.tasks(range(len(self.rows))) for row in task.rows}
        return [number for number, key in enumerate(self.rows.keys()) if key in keys] if keys else []

    def read(self, *, partial: bool = False, without: Iterable[int] = ()) -> datasets.Dataset:
        """The dataset with its evidence.

        Args:
            partial: of an unfinished run: without the rows that are `lacking`.
            without: numbers of rows whose evidence is all null.

        Raises:
            RunError: something is missing; `fill` first. Or all is.
        """
        import datasets

        missing = self.lacking()
        if missing and (not partial or len(missing) == len(self.rows)):
            raise RunError(f"{len(missing):,} of {len(self.rows):,} rows are not in the run {self.folder.url!r} yet.")
        lacking = frozenset(missing)
        null = lacking.union(without)
        evidence = merge(self.index, self.rows, self.collector, self.goal, engine=self.engine_now, lacking=null)
        kept = limit_remarks(self.index, self.rows, self.goal, continued=self.continue_cut)
        for remark in (*kept, *self.collector.remarks(evidence)):
            logger.warning(remark)
        whole = datasets.concatenate_datasets([self.ds.with_format(None), evidence], axis=1)
        # Chosen at the end: nothing is written a second time, pictures and all.
        return whole.select([number for number in range(len(whole)) if number not in lacking]) if lacking else whole

    def regrade(self, indices: Sequence[int], *, retry: bool = False) -> None:
        """Grade stored replies of these rows that another grader has graded, and with `retry` those that none could; asks no model.

        Until all are, whoever does it: a row without a grade of now would be asked again.
        """
        wanted = {"": self._is_old, **({"retry": self.index.lacks_grades} if retry else {})}
        for which, wants in wanted.items():
            self._shared(
                ["grading", str(self.index.grader), which],
                self._in_order_of_parts(indices, wants),
                partial(self._redo, wanted=wants),
                lambda tasks, progress: self._do(tasks, self._regraded, progress, generates=False),
                label="grading",
                waits=not which,
            )

    def continue_replies(self, indices: Sequence[int], *, waits: bool = False) -> Progress:
        """Go on with the replies of these rows that were cut off at fewer tokens than they may have."""
        return self._shared(
            ["going on", str(self.collector.reply_tokens)],
            self._in_order_of_parts(indices, self._was_cut),
            lambda rows: self._redo(rows, self._goes_on),
            self._stream if self.streams else lambda tasks, progress: self._do(tasks, self._continued, progress),
            label="going on",
            waits=waits,
            once=True,
        )

    def tasks(self, indices: Sequence[int], *, retry: bool = False) -> list[Task]:
        """What is missing among these rows, in their order; equal rows count once."""
        waiting: dict[tuple[int, int, str | None], dict[str, int]] = {}
        for index in indices:
            key = self.rows.key(index)
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
        for (first, attempts, arm), rows in sorted(waiting.items(), key=lambda item: (*item[0][:2], item[0][2] or "")):
            places = list(rows.values())
            for start in range(0, len(places), self.rows_per_part):
                part = places[start : start + self.rows_per_part]
                tasks.append(Task(part, [self.rows[index] for index in part], first, attempts, arm))
        return tasks

    def goal(self, index: int) -> dict[str | None, int]:
        """Attempts that a row is to have, per arm."""
        arms = self.collector.separate_arms
        if self.goals is None:
            return {arm: self.collector.attempts_in(arm) for arm in arms}
        return dict(zip(arms, self.goals[index].tolist(), strict=True))

    def check_errors(self, progress: Progress, *, in_flight: bool = False) -> None:
        """Stop a run that is broken as a whole: by the share of failed rows among all that it holds, of this call and earlier.

        `in_flight`: other rows have been asked and are not answered yet.
        """
        enough = _ROWS_TO_JUDGE_IN_FLIGHT if in_flight else _ROWS_TO_JUDGE
        if progress.done < enough or progress.failed <= self.max_errors * progress.done:
            return
        self.index.refresh()  # what other processes have written
        rows, failed = self.index.counts(done=True)
        if failed > self.max_errors * rows:
            raise RunError(
                f"{failed:,} of {rows:,} rows failed, more than max_errors={self.max_errors} allows. "
                f"The first: {'; '.join(progress.errors)}. They are in the run; when the cause is gone, go on with "
                "--retry-errors (retry_errors=True)."
            )

    def stopped(self, progress: Progress) -> RunError:
        """What ends a call that was asked to stop."""
        return RunError(
            f"Stopped as asked: {progress.done:,} of {progress.rows:,} rows of this call are in the run "
            f"{self.folder.url!r}. Start the same command again to go on." + (_LAUNCHED if self.world > 1 else "")
        )

    def say_spent(self, progress: Progress) -> None:
        """End a call whose budget is spent."""
        assert self.budget.limit is not None
        shared = "" if self.world == 1 else f", the share of one of {self.world} processes,"
        raise RunError(
            f"Stopped at the budget: of {self.budget.limit:,} tokens{shared} {self.budget.spent:,} are generated, and the next row "
            f"might need more than are left. {progress.done:,} of {progress.rows:,} rows of this call are in the run "
            f"{self.folder.url!r}. Start the same command again to go on, with a budget of its own."
        )

    def start_progress(self, rows: int, kind: str | None = None) -> Progress:
        """The counter of so many rows."""
        return Progress(rows, self._label(kind), self.out, self.log)

    def _label(self, kind: str | None = None) -> str:
        kind = kind or self.collector.kind
        label = kind if self.world == 1 else f"{kind}, process {self.rank} of {self.world}"
        return label if self.about is None else f"{label}, {self.about}"

    def lacks_of(self, rows: Iterable[Row], *, retry: bool = False) -> bool:
        """Something is to be done for some of these rows, which need not be those of now; asks no more of them than their keys."""
        self.index.rename(rows := list(rows))
        for row in rows:
            for arm in self.collector.separate_arms:
                goal = self.collector.attempts_in(arm)
                if self.index.missing(row.key, goal, arm=arm, trust_failures=not retry) is not None:
                    return True
                held = self.index.chosen(row.key, goal, arm=arm, any_grader=True)
                if any(self._is_old(stretch) or self._goes_on(stretch) for stretch in held):
                    return True
        return False

    def lacks(self, indices: Sequence[int]) -> bool:
        """Some of these rows are to be asked, graded anew, or to go on."""
        stored = self._redo(indices, lambda stretch: self._is_old(stretch) or self._goes_on(stretch))
        return bool(stored or self.tasks(indices))

    def _is_old(self, stretch: Stretch) -> bool:
        return not self.index.is_current(stretch)

    def _was_cut(self, stretch: Stretch) -> bool:
        return stretch.cut and fewer_tokens(stretch, self.collector.reply_tokens)

    def _goes_on(self, stretch: Stretch) -> bool:
        return self.continue_cut and self._was_cut(stretch) and stretch not in self._stays

    def _complete(self, indices: Sequence[int], *, retry: bool = False, waits: bool = False) -> Progress:
        self.regrade(indices, retry=retry)
        if self.continue_cut:
            self.continue_replies(indices, waits=waits)
        work, find = self._asking(retry=retry)
        return self._shared(work, indices, find, self._ask, waits=waits and not retry)

    def _asking(self, *, retry: bool) -> tuple[list[str], Callable[[Sequence[int]], list[Task]]]:
        """What is done when rows are asked, and what of some rows is missing."""
        return [self.collector.kind, "retry" if retry else ""], partial(self.tasks, retry=retry)

    def _ask(self, tasks: Iterator[Task], progress: Progress) -> None:
        if self.streams:
            self._stream(tasks, progress)
        else:
            self._do(tasks, self._asked, progress)

    def _share(
        self,
        work: list[str],
        find: Callable[[Sequence[int]], list[Task]],
        indices: Sequence[int],
        *,
        once: bool = False,
    ) -> Sharing:
        """These rows in blocks, for whoever does the same work."""
        goals = str(self.collector.goal) if self.goals is None else self.goals.tobytes().hex()
        return Sharing(
            *(self.folder, self.lease, self.index),
            work=[self.fingerprint, *work, goals],
            rows=self.rows,
            indices=indices,
            find=find,
            rows_per_part=self.rows_per_part,
            starts=self._starts if len(indices) == len(self.rows) else None,
            claims=self._claims,
            once=once,
        )

    def _shared(
        self,
        work: list[str],
        indices: Sequence[int],
        find: Callable[[Sequence[int]], list[Task]],
        do: Callable[[Iterator[Task], Progress], object],
        *,
        label: str | None = None,
        waits: bool,
        once: bool = False,
    ) -> Progress:
        """Do what is missing of these rows and in no other process's hands; `waits` for these, and does what is left undone."""
        sharing = self._share(work, find, indices, once=once)
        progress = self.start_progress(sharing.rows, label)
        if not sharing.rows:
            return progress
        self._sharings.append(sharing)
        in_vain = 0
        while True:
            before, lacking = progress.done, sharing.rows
            tasks = sharing.tasks(progress)
            first = next(tasks, None)
            if first is not None:
                do(chain([first], tasks), progress)
                progress.show()  # the last rows may be in other hands
            sharing.through()
            if not waits or not sharing.look_again():
                return progress
            in_vain = in_vain + 1 if first is not None and sharing.rows >= lacking else 0
            if in_vain == _IN_VAIN:
                raise RunError(
                    f"{sharing.rows:,} rows were written into the run {self.folder.url!r} and are not found in it, {in_vain} times: "
                    "does something else change or remove its parts?"
                )
            progress.elsewhere = progress.rows - progress.done - sharing.rows
            if progress.done == before:
                self._wait(progress)

    def _wait(self, progress: Progress) -> None:
        """A moment, for what other processes do."""
        progress.waiting = "waiting for other processes"
        with notes_signals(_STOPPING) as stopped:
            progress.show()
            time.sleep(_WAIT_SECONDS)
        progress.waiting = None
        if stopped:
            raise self.stopped(progress)

    def _in_order_of_parts(self, indices: Sequence[int], wanted: Callable[[Stretch], bool]) -> Sequence[int]:
        """Those of which there is something to do, as the parts that hold it follow each other: so a part is read once, or twice at its ends.

        What is `wanted` stays so when it is done: every process has the same rows in this order, however much others have done.
        """
        if self._starts is not None:
            return indices
        places = {index: self.index.place_of(self.rows.key(index), wanted) for index in indices}
        there = {index: place for index, place in places.items() if place is not None}
        return sorted(there, key=there.__getitem__)

    def _stream(self, tasks: Iterator[Task], progress: Progress) -> None:
        """Ask a server for all of it in one stream."""
        streaming = Streaming(self, tasks, progress)
        with notes_signals(_STOPPING, interrupts=True) as stopped, shown_by(None):
            try:
                streaming.go()
            except KeyboardInterrupt:
                if not stopped:  # not by us
                    raise
                raise self.stopped(progress) from None
        if streaming.is_spent:
            self.say_spent(progress)
        self.check_errors(progress)

    def _redo(self, indices: Sequence[int], wanted: Callable[[Stretch], bool]) -> list[Task]:
        """Stored stretches of these rows that are to be made anew, grouped like what is missing; equal rows count once."""
        index_of: dict[Stretch, int] = {}
        for index in indices:
            for arm, attempts in self.goal(index).items():
                for stretch in self.index.chosen(self.rows.key(index), attempts, arm=arm, any_grader=True):
                    if wanted(stretch):
                        index_of.setdefault(stretch, index)
        waiting: dict[tuple[int, int, str | None], list[Stretch]] = {}
        # a part is read once, or twice at its ends
        for stretch in sorted(index_of, key=lambda stretch: (stretch.part, stretch.place)):
            waiting.setdefault((stretch.first, stretch.stop, stretch.arm), []).append(stretch)
        tasks = []
        for (first, stop, arm), stretches in sorted(waiting.items(), key=lambda item: (*item[0][:2], item[0][2] or "")):
            for start in range(0, len(stretches), self.rows_per_part):
                part = tuple(stretches[start : start + self.rows_per_part])
                indices = [index_of[stretch] for stretch in part]
                tasks.append(Task(indices, [self.rows[index] for index in indices], first, stop - first, arm, part))
        return tasks

    def _do(
        self,
        tasks: Iterator[Task],
        make: Callable[[Task, dict[str, list[Any]], Collector], Made],
        progress: Progress,
        *,
        generates: bool = True,
    ) -> None:
        waiting: list[Task] = []  # what did not fit into the budget
        flight: Flight[PartInFlight, Made] = Flight(self._parts_at_once if generates else 1)
        with notes_signals(_STOPPING, interrupts=True) as stopped, shown_by(None), judged_by_caller():
            try:
                while True:
                    self._begin(tasks, waiting, flight, make, generates=generates)
                    if not flight:
                        if waiting:
                            self.say_spent(progress)
                        return
                    part, made = flight.oldest()
                    self.budget.spend((made.tokens or 0) - part.reserved)
                    self.write(part.task, made.part)
                    flight.drop()
                    progress.count(made.failures, made.tokens)
                    self.check_errors(progress)
            except KeyboardInterrupt:
                self._keep_all(flight, make, progress)
                if not stopped:  # not by us
                    raise
                raise self.stopped(progress) from None

    def _begin(
        self,
        tasks: Iterator[Task],
        waiting: list[Task],
        flight: Flight[PartInFlight, Made],
        make: Callable[[Task, dict[str, list[Any]], Collector], Made],
        *,
        generates: bool,
    ) -> None:
        """Begin the next tasks, as many as fit into flight and budget; of one that does not fit the rest waits."""
        while not flight.is_full:
            task = waiting.pop() if waiting else next(tasks, None)
            if task is None:
                return
            reserved = 0
            if generates:
                most = self.most_tokens(task)
                fits = self.budget.rows(len(task.rows), most)
                if fits < len(task.rows):
                    waiting.append(task.at(range(fits, len(task.rows))))
                    task = task.at(range(fits))
                if fits == 0:
                    return
                reserved = fits * most
                self.budget.spend(reserved)  # until it is known what the part takes
            flight.begin(*self._begun(task, make, reserved))

    @property
    def _parts_at_once(self) -> int:
        """Parts that are asked for together: more than one where the engine would else wait for the last reply of each."""
        return int(getattr(getattr(self.collector, "engine", None), "parts_at_once", 1))

    def _begun(
        self, task: Task, make: Callable[[Task, dict[str, list[Any]], Collector], Made], reserved: int
    ) -> tuple[PartInFlight, Callable[[], Made]]:
        """What is noted of a part while it is made, and what makes it."""
        engine = getattr(self.collector, "engine", None)
        notes = Noting(engine)
        asks = any(hasattr(engine, name) for name in ASKING)
        collector = self.collector.with_engine(notes) if asks else self.collector
        (batch,) = batches(self.ds, self.columns, task.indices, len(task.indices))
        return PartInFlight(task, batch, notes, reserved), partial(make, task, batch, collector)

    def _keep_all(
        self,
        flight: Flight[PartInFlight, Made],
        make: Callable[[Task, dict[str, list[Any]], Collector], Made],
        progress: Progress,
    ) -> None:
        """Write as much of the parts in flight as is answered."""
        interrupted = getattr(getattr(self.collector, "engine", None), "interrupted", nullcontext)
        if flight.most > 1:
            with interrupted():
                flight.settle(_SETTLE_SECONDS)
        for part in flight:
            if part.notes.calls:
                self._keep(part.task, part.batch, part.notes, make, progress)

    def most_tokens(self, task: Task) -> int:
        """What a row of the task can take; 0 where that is not known."""
        arms = len(self.collector.separate_arms) if task.arm is None else 1
        return (self.collector.reply_tokens or 0) * task.attempts * arms

    def write(self, task: Task, part: pa.Table) -> None:
        """A part for the attempts of a task goes into the run, unless it is empty; without rows that were taken over."""
        import pyarrow as pa
        import pyarrow.compute as pc

        lost = {claim for claim in set(task.claims) if claim.is_lost}
        if lost:
            gone = {row.key for row, claim in zip(task.rows, task.claims, strict=True) if claim in lost}
            part = part.filter(pc.invert(pc.is_in(part[KEY], pa.array(sorted(gone)))))
            logger.warning(
                "%d rows are dropped: this process was silent for so long that another one has taken them over.",
                len(gone),
            )
        if len(part):
            attempts = {"first": task.first, "stop": task.first + task.attempts}
            name = self.folder.write_part(self.fingerprint, part, **attempts, before=self.index.parts)
            self.index.add(f"{self.fingerprint}/{name}", part)
            self.index.keep(least=_PARTS_TO_READ)

    def _keep(
        self,
        task: Task,
        batch: dict[str, list[Any]],
        notes: Noting,
        make: Callable[[Task, dict[str, list[Any]], Collector], Made],
        progress: Progress,
    ) -> None:
        """Write the rows of a part that have all of their answers. Who grades them may take long, and does it another time."""
        import pyarrow as pa

        whole = notes.tell_again()
        places = [place for place, row in enumerate(task.rows) if row.id in whole]
        if not places:
            return
        rows = {name: [values[place] for place in places] for name, values in batch.items()}
        with grades_later():
            made = make(task.at(places), rows, self.collector.with_engine(notes))
        answered = [row not in notes.unanswered for row in made.part[ID].to_pylist()]
        part = made.part.filter(pa.array(answered, pa.bool_()))
        if self.collector.grading is not None:
            part = ungraded(part)
        self.write(task, part)
        progress.count([None] * len(part), made.tokens)

    def _asked(self, task: Task, batch: dict[str, list[Any]], collector: Collector) -> Made:
        """The part for rows that the model is asked."""
        part, tokens = make_part(collector, batch, task.rows, task.first, task.attempts, arm=task.arm)
        return Made(part, part[FAILURE].to_pylist(), tokens)

    def _regraded(self, task: Task, batch: dict[str, list[Any]], collector: Collector) -> Made:
        """The part for rows whose stored replies are graded again."""
        evidence = collector.regrade(batch, self.held(task.stored))
        part = as_part(collector, evidence, task, [stretch.limit for stretch in task.stored])
        return Made(part, part[FAILURE].to_pylist(), None)

    def _continued(self, task: Task, batch: dict[str, list[Any]], collector: Collector) -> Made:
        """The part for rows whose cut replies have gone on; without those that could not."""
        import pyarrow as pa

        held = self.held(task.stored)
        places = [(stretch.first, stretch.limit or 0) for stretch in task.stored]
        evidence, failures = collector.go_on(batch, held, places)
        part = as_part(collector, evidence, task)
        self.stays(stretch for stretch, failure in zip(task.stored, failures, strict=True) if failure is not None)
        went_on = part.filter(pa.array([failure is None for failure in failures], pa.bool_()))
        spent = (self.collector.tokens(evidence) or 0) - (self.collector.tokens(held) or 0)
        return Made(went_on, failures, spent)

    def stays(self, stretches: Iterable[Stretch]) -> None:
        """Replies of these could not go on, and are as they were."""
        self._stays.update(stretches)

    def held(self, stretches: Sequence[Stretch]) -> dict[str, list[Any]]:
        """The stored evidence of these stretches, one row each."""
        names = [column.name for column in self.collector.stored]
        tables: dict[str, pa.Table] = {}
        for path in dict.fromkeys(stretch.part for stretch in stretches):
            tables[path] = self.index.part(path).select(names)
        rows = [tables[stretch.part].slice(stretch.place, 1).to_pylist()[0] for stretch in stretches]
        return {name: [row[name] for row in rows] for name in names}


def settings_of(collector: Collector) -> dict[str, Any]:
    """What the parts of this collector depend on, their columns included; what is kept row by row is set apart."""
    settings = {**own_settings(collector), "writes": [column.name for column in collector.stored]}
    return set_apart(settings, *marked(collector, ONLY_IN_MAP))


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
    evidence = evidence_of(collector.only(first, attempts, arm), batch)
    task = Task([], list(rows), first, attempts, arm)
    return as_part(collector, evidence, task), collector.tokens(evidence)


def rank_and_world() -> tuple[int, int]:
    """Which of how many processes this is, as `accelerate launch` and `torchrun` say."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
