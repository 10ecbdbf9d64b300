"""A run on a Ray cluster: a pool of actors fetches rows, and each actor writes its own parts.

An actor beside the driver reads the rows of a part when a worker asks for them, so that a few parts are in Ray's memory, however
large the dataset is. Ray Data hands out the parts and, by default without limit, does the work of a lost actor again on another; the run folder makes that
harmless, for a part that was written before its actor died is the same part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.engines.answers import judged_by_caller
from hf_rap.errors import RunError, SettingError, first_line, last_line
from hf_rap.options import check_number, check_whole
from hf_rap.rows.cells import columns_of
from hf_rap.rows.media import own_folders
from hf_rap.rows.parquet import Embedder
from hf_rap.stats.settings import counted
from hf_rap.system import release_mapped_files

from .contents import FAILURE
from .fill import make_part, settings_of
from .folder import RunFolder, fingerprint_of
from .lease import FOLDER
from .stopping import notes_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import datasets
    import pyarrow as pa

    from hf_rap.evidence.collector import Collector

    from .fill import Run
    from .progress import Progress
    from .task import Task

_NUMBER = "number"
_READERS = 4  # threads that read rows for workers
_STOPPING = "Finishing the parts in flight, then stopping. Once more stops at once and loses these."
_NO_CLIENT = (
    "A connection by ray:// comes from outside of the cluster, whose workers could not be handed the rows that lie on this machine: "
    "start the command on a node of the cluster, with --ray auto (`ray job submit` does so)."
)
_STOP = "stop"  # a file beside the leases: workers begin no more parts


class Feeder:
    """An actor on the machine of the driver: the rows of a task, the files of their images inside.

    Other machines do not see our disk.
    """

    def __init__(self, rows: datasets.Dataset, roots: tuple[str, ...], tasks: Sequence[Task]) -> None:
        self._rows = rows.with_format("arrow")
        self._embedder = Embedder(rows.features, roots)
        self._tasks = tasks

    def part(self, number: int) -> tuple[Task, pa.Table]:
        """What is to be done, and the rows of the dataset that it is about."""
        task = self._tasks[number]
        table = self._embedder.embed(self._rows[task.indices]).replace_schema_metadata(None)
        release_mapped_files()
        return task, table


class Writer:
    """An actor: loads the model once, answers blocks of rows and writes each as a part."""

    def __init__(
        self, collector: Collector, url: str, fingerprint: str, settings: dict[str, Any], *, feeder: Any, before: int
    ) -> None:
        self.collector = collector
        self.folder = RunFolder(url)
        self.fingerprint = fingerprint
        self.feeder = feeder
        self.before = before
        here = settings_of(collector)  # loads the model
        if fingerprint_of(here) != fingerprint:
            raise RunError(
                f"A worker has other settings than the driver: {_difference(settings, here)}. Every node needs the same "
                "model and library classes."
            )

    def __call__(self, block: pa.Table) -> pa.Table:
        """One part; what comes back is a summary of it, which is empty when the run is to stop."""
        import ray

        if _STOP in self.folder.names(FOLDER):
            return _summary([], None)
        number = block[_NUMBER][0].as_py()
        task, table = ray.get(self.feeder.part.remote(number))
        batch = columns_of(table)
        with judged_by_caller():  # the driver sees the failures of all blocks
            part, tokens = make_part(self.collector, batch, task.rows, task.first, task.attempts, arm=task.arm)
        stop = task.first + task.attempts
        self.folder.write_part(self.fingerprint, part, first=task.first, stop=stop, before=self.before + number)
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
        address: of the cluster, of which this machine is a node ("auto" finds it, "local" starts one); ignored when
            this process is connected already.
        workers: actors, one model each; None: as many as there are GPUs, or CPUs where there are none.
        gpus_per_worker: None: as many as the engine takes (1, or those of tensor and data parallel) where the cluster
            has GPUs, else 0.

    Raises:
        RunError: Ray is not installed, the cluster cannot be reached, too many rows fail, or the process was asked
            to stop. What is written stays.
        SettingError: workers below 1, or a connection by ray://.
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
    run.lease.check_alone()
    run.regrade(range(len(run.rows)), retry=run.retry_errors)  # here: it asks no model
    tasks = run.tasks(range(len(run.rows)), retry=run.retry_errors)
    progress = run.start_progress(sum(len(task.indices) for task in tasks))
    if not tasks:
        return progress
    _connect(address)
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


def _connect(address: str) -> None:
    import ray
    from ray.util.client import ray as client

    if address.startswith("ray://"):
        raise SettingError(_NO_CLIENT)
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RunError(f"No Ray cluster at {address!r}: {first_line(error)}") from error
    if client.is_connected():  # by RAY_ADDRESS, or by the caller
        raise SettingError(_NO_CLIENT)


def _stream(
    run: Run, tasks: Sequence[Task], progress: Progress, stopped: Sequence[int], *, workers: int, gpus: float
) -> None:
    """Hand the tasks to a pool of workers, and count what they have done."""
    import pyarrow as pa
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_arrow_refs
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    DataContext.get_current().enable_progress_bars = False
    rows = run.ds.select_columns(run.columns)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    beside = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "max_concurrency": _READERS}
    feeder = (
        ray.remote(Feeder)
        .options(scheduling_strategy=here, **beside)
        .remote(rows, (*own_folders(run.ds), *run.layout.media_roots), tasks)
    )
    numbers = [ray.put(pa.table({_NUMBER: [number]})) for number in range(len(tasks))]
    done = from_arrow_refs(numbers).map_batches(
        Writer,
        batch_size=None,  # a block is a part
        batch_format="pyarrow",
        fn_constructor_args=(run.collector, run.folder.url, run.fingerprint, settings_of(run.collector)),
        fn_constructor_kwargs={"feeder": feeder, "before": run.index.parts},
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


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    ours, theirs = counted(ours), counted(theirs)
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name} is {theirs.get(name)!r} there and {ours.get(name)!r} here" for name in names)
