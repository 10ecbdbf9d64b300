"""A run on a Ray cluster: rows stream to a pool of actors, and each actor writes its own parts.

Ray Data moves the rows and, by default without limit, does the work of a lost actor again on another; the run folder makes that
harmless, for a part that was written before its actor died is the same part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.engines.answers import judged_by_caller
from hf_rap.errors import RunError, SettingError, first_line, last_line
from hf_rap.options import check_number, check_whole
from hf_rap.rows.cells import columns_of
from hf_rap.rows.parquet import Embedder
from hf_rap.stats.settings import counted

from .fill import make_part, settings_of
from .folder import RunFolder, fingerprint_of
from .index import FAILURE, Row
from .lease import FOLDER
from .stopping import notes_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from hf_rap.evidence.collector import Collector

    from .fill import Run
    from .progress import Progress
    from .task import Task

_KEY, _ID = "__run_key", "__run_id"
_FIRST, _ATTEMPTS, _ARM = "__run_first", "__run_attempts", "__run_arm"
_STOPPING = "Finishing the parts in flight, then stopping. Once more stops at once and loses these."
_STOP = "stop"  # a file beside the leases: workers begin no more parts


class Writer:
    """An actor: loads the model once, answers blocks of rows and writes each as a part."""

    def __init__(self, collector: Collector, url: str, fingerprint: str, settings: dict[str, Any]) -> None:
        self.collector = collector
        self.folder = RunFolder(url)
        self.fingerprint = fingerprint
        here = settings_of(collector)  # loads the model
        if fingerprint_of(here) != fingerprint:
            raise RunError(
                f"A worker has other settings than the driver: {_difference(settings, here)}. Every node needs the same "
                "model and library classes."
            )

    def __call__(self, block: pa.Table) -> pa.Table:
        """One part; what comes back is a summary of it, which is empty when the run is to stop."""
        if _STOP in self.folder.names(FOLDER):
            return _summary([], None)
        rows = [Row(*pair) for pair in zip(block[_ID].to_pylist(), block[_KEY].to_pylist(), strict=True)]
        first, attempts = block[_FIRST][0].as_py(), block[_ATTEMPTS][0].as_py()
        arm = block[_ARM][0].as_py()
        batch = columns_of(block.drop_columns([_KEY, _ID, _FIRST, _ATTEMPTS, _ARM]))
        with judged_by_caller():  # the driver sees the failures of all blocks
            part, tokens = make_part(self.collector, batch, rows, first, attempts, arm=arm)
        self.folder.write_part(self.fingerprint, part, first=first, stop=first + attempts)
        return _summary(part[FAILURE].to_pylist(), tokens)


def _summary(failures: list[str | None], tokens: int | None) -> pa.Table:
    """What `Progress.count` wants to know of a part, as a table of one row."""
    import pyarrow as pa

    schema = pa.schema([("failures", pa.list_(pa.string())), ("tokens", pa.int64())])
    return pa.table({"failures": [failures], "tokens": [tokens]}, schema=schema)


def fill_on_ray(
    run: Run, address: str = "auto", *, workers: int | None = None, gpus_per_worker: float | None = None
) -> Progress:
    """Do the rows that the run lacks on a Ray cluster.

    Ctrl-C and SIGTERM let the workers finish their parts in flight and begin no others.

    Args:
        run: an open run, at a URL that every node reaches.
        address: of the cluster ("auto" finds the one of this machine, "local" starts one); ignored when
            this process is connected already.
        workers: actors, one model each; None: as many as there are GPUs, or CPUs where there are none.
        gpus_per_worker: None: as many as the engine takes (1, or those of tensor and data parallel) where the cluster
            has GPUs, else 0.

    Raises:
        RunError: Ray is not installed, the cluster cannot be reached, too many rows fail, or the process was asked
            to stop. What is written stays.
        SettingError: workers below 1.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RunError("--ray needs Ray Data: pip install 'hf-rap[ray]'.") from error
    check_whole("workers", workers, least=1, none=True)
    check_number("gpus_per_worker", gpus_per_worker, least=0, none=True)
    if run.continue_cut:
        raise SettingError(
            "Replies that were cut off go on without Ray: fill the run in one process, or with accelerate."
        )
    run.regrade(range(len(run.rows)), retry=run.retry_errors)  # here: it asks no model
    tasks = run.tasks(range(len(run.rows)), retry=run.retry_errors)
    progress = run.start_progress(tasks)
    if not tasks:
        return progress
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RunError(f"No Ray cluster at {address!r}: {first_line(error)}") from error
    have = ray.cluster_resources()
    per_engine = getattr(getattr(run.collector, "engine", None), "gpus", 1)
    gpus = gpus_per_worker if gpus_per_worker is not None else float(per_engine if have.get("GPU", 0) > 0 else 0)
    if workers is None:
        workers = max(1, int(have["GPU"] / gpus if gpus else have.get("CPU", 1)))
    run.folder.remove(f"{FOLDER}/{_STOP}")
    try:
        with notes_signals(_STOPPING) as stopped:
            _stream(run, tasks, progress, stopped, workers=min(workers, len(tasks)), gpus=gpus)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        raise RunError(
            f"The work on Ray has stopped: {type(cause).__name__}: {last_line(cause)} What is written "
            "stays; start the same command again when the cause is gone."
        ) from error
    finally:
        run.folder.remove(f"{FOLDER}/{_STOP}")
    run.index.refresh()
    if stopped and progress.done < progress.rows:
        raise run.stopped(progress)
    if progress.done < progress.rows and run.budget.rows(1, 0) == 0:
        run.say_spent(progress)
    return progress


def _stream(
    run: Run, tasks: Sequence[Task], progress: Progress, stopped: Sequence[int], *, workers: int, gpus: float
) -> None:
    """Hand the tasks to a pool of workers, and count what they have done."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_arrow_refs

    DataContext.get_current().enable_progress_bars = False
    blocks = [ray.put(_block(run, task)) for task in tasks]  # Ray spills to disk what does not fit into its memory
    done = from_arrow_refs(blocks).map_batches(
        Writer,
        batch_size=None,  # a block is a part
        batch_format="pyarrow",
        fn_constructor_args=(run.collector, run.folder.url, run.fingerprint, settings_of(run.collector)),
        compute=ActorPoolStrategy(min_size=1, max_size=workers),
        num_gpus=gpus or None,
        num_cpus=None if gpus else 1,
    )
    for summary in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for part in summary.to_pylist():
            progress.count(part["failures"], part["tokens"])
            run.budget.spend(part["tokens"])
        if stopped or run.budget.rows(1, 0) == 0:
            run.folder.write(f"{FOLDER}/{_STOP}", b"")
        else:
            run.check_errors(progress)


def _block(run: Run, task: Task) -> pa.Table:
    """The rows of a task with the files of their images inside: other machines do not see our disk."""
    import pyarrow as pa

    rows = run.ds.select_columns(run.columns)
    table = Embedder.of(rows, run.layout.media_roots).embed(rows.with_format("arrow")[task.indices])
    return (
        table.append_column(_KEY, pa.array([row.key for row in task.rows]))
        .append_column(_ID, pa.array([row.id for row in task.rows]))
        .append_column(_FIRST, pa.array([task.first] * len(task.rows), pa.int32()))
        .append_column(_ATTEMPTS, pa.array([task.attempts] * len(task.rows), pa.int32()))
        .append_column(_ARM, pa.array([task.arm] * len(task.rows), pa.string()))
        .replace_schema_metadata(None)
    )


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    ours, theirs = counted(ours), counted(theirs)
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name} is {theirs.get(name)!r} there and {ours.get(name)!r} here" for name in names)
