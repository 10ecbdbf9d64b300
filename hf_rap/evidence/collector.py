"""What every maker of evidence tells of itself, so that runs and clusters need not know which one it is, and how it goes over a dataset."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, overload

from hf_rap.columns import ERROR, TypedList, features_of, refuse_existing, typed
from hf_rap.engines.answers import shown_by
from hf_rap.engines.base import Request
from hf_rap.engines.options import ROUNDING, marked
from hf_rap.errors import SettingError, SourceError, code_of, logger_of
from hf_rap.options import as_settings, check, check_number, check_whole, is_ours
from hf_rap.rows.batches import Batch, batched
from hf_rap.rows.cells import columns_of
from hf_rap.rows.compat import engine_bar, fingerprint_after
from hf_rap.rows.crowding import CrowdedError, held_together
from hf_rap.rows.layouts import Layout, check_given, check_unread
from hf_rap.rows.media import allowed, checked_roots
from hf_rap.rows.outside import outside_remark
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.rows.questions import Question, own_id, raw_rows, row_id, stored_digest, system_turn
from hf_rap.rows.recognition import layout_of
from hf_rap.rows.settling import settle, settle_batch, undecoded
from hf_rap.rows.turns import each_turn
from hf_rap.stats.secrets import masked
from hf_rap.stats.settings import noted
from hf_rap.tables import whole_dataset, whole_or_stream
from hf_rap.tables.notebook import html_page, html_table

from .results import Results, check_columns

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
    from typing import Self

    import datasets

    from hf_rap.columns import Column
    from hf_rap.engines.base import Engine

    from .grading import Grading

logger = logger_of(__name__)

_ROWS_COMPARED = 256  # in memory at once, to find equal ones
ROWS_AT_ONCE = 64  # the engine batches on its own
_WARM_UP = 16  # rows before those that are timed: the first batches of a model are slow
# No failures: the row is what it is.
NO_FAULT = ("no_image", "cut_off", "in_test_set")


class Collector:
    """Makes evidence for batches of rows: `Rollouts`, `Attention`, `Likelihood`, `Controls` or `StepRewards`.

    The way of one row:

        layout = collector.check(ds.features)              # do the columns fit? before a model is loaded
        collector = collector.over(ds)                     # for those that look at other rows, too
        # all that the evidence depends on, with `settings`
        names = layout.columns_in(ds.column_names), collector.reads(ds.features)
        row_id = collector.row_id(row, layout)             # what people know the row by
        first, attempts = what it has not yet, of collector.goal
        evidence = collector.only(first, attempts, arm)(batch)  # the columns of collector.writes; None: every arm
        collector.failures(evidence), collector.tokens(evidence)
        collector.join({arm: [(range, evidence), ...]}, {arm: attempts})  # one row from what was collected at several times

    Only rollouts have attempts to add to: `goal` is 1 and `only` and `join` do nothing elsewhere.
    """

    kind: ClassVar[str]
    """What it makes, for people."""
    tops_up: ClassVar[bool] = False
    """A row that has some attempts can get more."""
    separate_arms: ClassVar[tuple[str | None, ...]] = (None,)
    """What has attempts of its own, which can be collected one by one; (None,) for evidence that is made as a whole."""

    engine: Engine
    layout: Layout | None

    def attempts_in(self, arm: str | None) -> int:  # noqa: ARG002 - for those that leave an arm out
        """Attempts that a row is to have in one of `separate_arms`."""
        return self.goal

    def __init_subclass__(cls) -> None:
        # One entrance for ours and yours: all that `map` can pass goes in, see `hf_rap.rows.batches`.
        if cls.__dict__.get("__call__", Collector.__call__) is not Collector.__call__:
            cls.__call__ = batched(_of_stored_rows(cls.__call__))  # type: ignore[method-assign]

    @property
    def given_layout(self) -> Layout | None:
        """`layout`; None for a collector of your own that has none."""
        return getattr(self, "layout", None)

    def with_layout(self, layout: Layout | None) -> Self:
        """The same with this layout."""
        return self._with("layout", layout)

    def with_engine(self, engine: Any) -> Self:
        """The same that asks this engine."""
        return self._with("engine", engine)

    def _with(self, name: str, value: Any) -> Self:
        made = copy.copy(self)
        object.__setattr__(made, name, value)  # most are frozen
        return made

    def check_given(self) -> None:
        """Raise `SettingError` for an engine or a layout that is none, such as the name of a model."""
        some = any(hasattr(self.engine, can) for can in ("complete", "attend", "log_likelihoods", "prompt_states"))
        check(some, "engine", self.engine, "an engine such as TransformersEngine('Qwen/Qwen2.5-VL-3B-Instruct')")
        check_given(self.layout)

    def check_prompt(self, prompt: PromptTemplate) -> PromptTemplate:
        """The prompt; raises `SettingError` where the engine would leave a part of it out."""
        if prompt.chat_template_kwargs and not getattr(self.engine, "template_arguments", False):
            raise SettingError(
                f"{type(self.engine).__name__} takes no arguments of the chat template (template_arguments = True), and the "
                f"prompt has {', '.join(prompt.chat_template_kwargs)}: leave them out, or have the engine pass on "
                "Request.chat_template_kwargs."
            )
        return prompt

    @property
    def writes(self) -> tuple[Column, ...]:
        """The columns that are added."""
        raise NotImplementedError

    @property
    def stored(self) -> tuple[Column, ...]:
        """Those of `writes` that a run keeps; `join` makes the others from them."""
        return self.writes

    @property
    def features(self) -> datasets.Features:
        """The types of the columns that are added."""
        return features_of(self.writes)

    @property
    def grading(self) -> Grading | None:
        """How replies are graded; None where nothing is. Grades are made again by `regrade`, replies stay."""
        return None

    @property
    def reply_tokens(self) -> int | None:
        """Tokens that a reply may have; None where none is kept. `go_on` goes on with those that had fewer."""
        return None

    @property
    def goal(self) -> int:
        """Attempts that a row is to have."""
        return 1

    @property
    def rows_at_once(self) -> int:
        """Rows to hand over together: enough to keep the engine busy, few enough to lose."""
        return getattr(getattr(self, "engine", None), "rows_per_part", ROWS_AT_ONCE)

    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that could change the evidence of a row, and what is only written down beside it.

        `hf_rap.stats.settings.counted` tells the two apart. Loads the model.
        """
        raise NotImplementedError

    def noted(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """These settings as they are written down, with the names of those that are not counted."""
        return noted(settings, *marked(self, ROUNDING))

    @property
    def streams(self) -> bool:
        """Rows can be begun, asked and ended one by one, and the engine takes one stream of requests for all of them.

        begin(batch) -> a state per row; requests(state) -> what to ask of it next, each with its sampling, and nothing
        once there is no more; state.take(which, answer); end(states) -> evidence. Together they do what a call does.
        """
        return False

    def _can_stream(self) -> bool:
        engine = getattr(self, "engine", None)
        return hasattr(engine, "stream") and is_ours(self) and is_ours(engine)

    def stream(self, questions: Iterator[Any]) -> Generator[Any, None, None]:
        """The answers as they come, see `EndpointEngine.stream`."""
        answers: Generator[Any, None, None] = self.engine.stream(questions)  # type: ignore[attr-defined]
        return answers

    def identify(self) -> None:
        """Find out which model it is, before anything is asked or looked up: a folder is read again.

        Raises:
            EngineError: it cannot be found.
        """
        identify = getattr(getattr(self, "engine", None), "identify", None)
        if identify is not None:
            identify()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Evidence for the rows of `batch`, as new columns."""
        raise NotImplementedError

    def on_rank(self, rank: int) -> Self:
        """The same for worker `rank` of `map(num_proc=..., with_rank=True)`: engines that can then take a GPU each."""
        on_rank = getattr(getattr(self, "engine", None), "on_rank", None)
        return self if on_rank is None else replace(self, engine=on_rank(rank))  # type: ignore[type-var]

    def reads(self, available: Iterable[str]) -> tuple[str, ...]:
        """The columns that are read beside those of the layout.

        Raises:
            MissingColumnError: one that has to be there is not `available`.
        """
        del available
        return ()

    def depends_on(self, read: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the evidence of a row depends on, of the values of `reads`: with other ones it is made again."""
        return read

    def keeps_system(self, read: Mapping[str, Any]) -> bool:
        """Whether the evidence of a row with these values of `reads` depends on its own system turn as well."""
        del read
        return False

    def check(self, available: Iterable[str]) -> Layout:
        """The layout of a dataset with these columns.

        Args:
            available: `ds.features`, or just the names.

        Raises:
            LayoutError: the layout is not recognised, a column is missing, or one that looks like options or pictures
                would not be read.
            ColumnExistsError: a column that would be written is there already.
        """
        self.reads(available)
        refuse_existing(type(self).__name__, available, self.writes)
        layout = layout_of(self.given_layout, available)
        if isinstance(available, Mapping):
            check_unread(layout, available)
        return layout

    def check_batch(self, batch: Mapping[str, Any]) -> Layout:
        """The layout of a batch: the one that `over` has settled for all rows, or what the batch alone can tell."""
        self.check(batch)
        return settle_batch(self.given_layout, batch)

    def row_id(self, row: Mapping[str, Any], layout: Layout) -> str:
        """What people know the row by; `row` has the columns of the layout and of `reads`."""
        return row_id(row, layout)

    def over(self, ds: datasets.Dataset) -> Self:
        """The same, once it knows all the rows that it will get: its layout is settled (`hf_rap.rows.settling`)."""
        rows = whole_or_stream(type(self).__name__, ds)
        layout, remarks = settle(self.given_layout, rows)
        for remark in (*remarks, outside_remark(rows, layout)):
            if remark:
                logger.warning(remark)
        return self.with_layout(layout)

    def only(self, first: int, attempts: int, arm: str | None = None) -> Self:
        """The same for these attempts alone, of one arm or of all."""
        del first, attempts, arm
        return self

    def join(
        self, pieces: Mapping[str | None, Sequence[tuple[range, Mapping[str, Any]]]], attempts: Mapping[str | None, int]
    ) -> dict[str, Any]:
        """One row of evidence from those of its attempts, which follow each other, with so many attempts per arm."""
        del attempts
        ((_, row),) = pieces[None]
        return dict(row)

    def regrade(self, batch: Mapping[str, Any], evidence: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The stored evidence of the rows of `batch` with new grades; only where there is a `grading`."""
        raise NotImplementedError

    def go_on(
        self, batch: Mapping[str, Any], evidence: Mapping[str, Sequence[Any]], places: Sequence[tuple[int, int]]
    ) -> tuple[dict[str, Any], list[str | None]]:
        """The stored evidence of the rows of `batch`, where replies that were cut off have gone on to `reply_tokens`.

        Args:
            batch: the rows.
            evidence: what is stored of them.
            places: of each row the number of its first stored attempt, and the token limit of its replies.

        Returns:
            the evidence, and of each row why its replies could not go on, in which case it is to stay as it was.
        """
        raise NotImplementedError

    def remark_before(self, rows: int) -> str | None:
        """What a person should know before the evidence of so many rows is made."""
        del rows
        return None

    def remarks(self, ds: datasets.Dataset) -> list[str]:
        """What a person should know about the evidence in a dataset."""
        del ds
        return []

    def failures(self, evidence: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Per row an error that another try could change, or that a person should look at; none without `rap_error`."""
        if ERROR.name not in evidence:
            return [None] * len(next(iter(evidence.values())))
        return [first_fault([error], NO_FAULT) for error in evidence[ERROR.name]]

    def tokens(self, evidence: Mapping[str, Sequence[Any]]) -> int | None:
        """Tokens that the model wrote or read for these rows; None where that is not counted."""
        del evidence
        return None


class PromptedCollector(Collector):
    """One that asks with a prompt of its own, which is given as a template, by the name of a preset, or as a file."""

    prompt: PromptTemplate | str

    def take_prompt(self, prompt: PromptTemplate) -> None:
        """Puts the template in the place of what was given for it; raises as `check_prompt`."""
        object.__setattr__(self, "prompt", self.check_prompt(prompt))

    @property
    def _prompt(self) -> PromptTemplate:
        assert isinstance(self.prompt, PromptTemplate)  # a name has become one
        return self.prompt

    def request_of(self, row_id: str, question: Question, arm: str, *, with_images: bool, **more: Any) -> Request:
        """A row's prompt with or without its images; `more`: what else the request says."""
        return Request(
            row_id=row_id,
            arm=arm,
            messages=self._prompt.messages(question.text, with_images=with_images, system=question.system),
            images=question.images if with_images else (),
            files=question.files if with_images else (),
            chat_template_kwargs=self._prompt.chat_template_kwargs,
            **more,
        )

    def keeps_system(self, read: Mapping[str, Any]) -> bool:
        """The row's own system turn is sent."""
        del read
        return self._prompt.keep_system


def prepared(collector: Collector, rows: Any) -> tuple[Any, Collector]:
    """The rows of a dataset or a stream, each of which asks one question, and the collector with its layout settled by them."""
    rows, layout = each_turn(rows, collector.given_layout)
    return rows, collector.with_layout(layout).over(rows)


def _of_stored_rows(call: Any) -> Any:
    """The call for batches whose images and texts are as they are stored, with a bar that moves with every answer.

    `Dataset.map` has a bar of its own, which stands still for as long as a batch takes.
    """

    @wraps(call)
    def checked(self: Collector, batch: Batch) -> Any:
        batch.check_undecoded()
        with shown_by(partial(engine_bar, str(getattr(self, "kind", "evidence")))):
            return _in_parts(call, self, batch)

    return checked


def _in_parts(call: Any, collector: Collector, batch: Batch) -> Any:
    """What a call makes of a batch; in halves where its pictures are more than go together."""
    rows = batch.row_count
    try:
        with held_together(one_row=rows < 2):
            return call(collector, batch)
    except CrowdedError as error:
        traceback.clear_frames(error.__traceback__)  # or they keep what was opened
    settled = collector.with_layout(collector.check_batch(batch))  # by all of its rows
    first, second = (
        _in_parts(call, settled, batch.part(*part)) for part in ((0, (rows + 1) // 2), ((rows + 1) // 2, rows))
    )
    return {name: _joined(values, second[name]) for name, values in first.items()}


def _joined(first: Any, second: Any) -> Any:
    if hasattr(first, "type"):  # of Arrow
        import pyarrow as pa

        return pa.concat_arrays([pa.array(first), pa.array(second)])
    return type(first)([*first, *second], first.dtype) if isinstance(first, TypedList) else [*first, *second]


def say_before(collector: Collector, rows: int) -> None:
    """Says what a person should know before a long run begins."""
    remark = collector.remark_before(rows)
    if remark is not None:
        logger.warning(remark)


def counts_tokens(collector: Collector) -> bool:
    """Whether it says how many tokens its evidence takes."""
    return type(collector).tokens is not Collector.tokens


def check_collector(collector: Collector) -> None:
    """Raise `SettingError` for what collects nothing, such as a bare engine."""
    fine = isinstance(collector, Collector)
    check(fine, "collector", collector, "Rollouts(engine), Attention(engine) or another collector")
    kind, name = type(collector), type(collector).__name__
    lacking = [part for part in ("writes", "__call__") if getattr(kind, part) is getattr(Collector, part)]
    lacking += [] if isinstance(getattr(collector, "kind", None), str) else ["kind"]
    if lacking:
        raise _lacks(name, lacking[0])
    if not is_ours(collector):
        check_columns(f"{name}.writes", collector.writes)


def evidence_of(collector: Collector, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns of a collector for a batch; those of one from outside are read value by value.

    Raises:
        SettingError: one from outside raised, or gave something else than a value of its type per row and column. The row
            is named.

    """
    if is_ours(collector):
        return collector(batch)
    layout = layout_of(collector.given_layout, batch)
    raws = raw_rows(batch, layout)
    beside = [name for name in collector.reads(batch) if name not in raws[0]]

    def alone(row: int) -> dict[str, list[Any]]:
        return {
            **{name: [value] for name, value in raws[row].items()},
            **{name: batch[name][row : row + 1] for name in beside},
        }

    name = f"The collector {type(collector).__name__!r}"
    results = Results(name, collector, batch, len(raws), alone, lambda row: collector.row_id(raws[row], layout))
    return typed(results.read(collector.writes))


def settings_of(collector: Collector) -> dict[str, Any]:
    """Those of a collector, ready for JSON and without secrets: a run knows its evidence by them.

    Raises:
        SettingError: it has none, or one that JSON cannot hold.

    """
    if type(collector).settings is Collector.settings:
        raise _lacks(type(collector).__name__, "settings")
    settings: dict[str, Any] = masked(as_settings(f"{type(collector).__name__}.settings", collector.settings()))
    return settings


def _in_map(collector: Collector) -> Any:
    """What `map` calls: one from outside by way of what reads its values."""
    return collector if is_ours(collector) else partial(evidence_of, collector)


def _lacks(name: str, part: str) -> SettingError:
    return SettingError(f"The collector {name!r} has no `{part}`: see hf_rap.Collector for what one has.")


def first_fault(errors: Iterable[str | None], no_fault: Collection[str]) -> str | None:
    """The first of these errors whose code is not one that says what the row is."""
    return next((error for error in errors if error is not None and code_of(error) not in no_fault), None)


@overload
def collect_evidence(
    ds: datasets.IterableDataset,
    collector: Collector,
    *,
    rows_per_step: int | None = None,
    media_roots: Iterable[str | os.PathLike[str]] = (),
) -> datasets.IterableDataset: ...
@overload  # datasets has no types for mypy, to which this is the same as the one above
def collect_evidence(  # type: ignore[overload-cannot-match]
    ds: Any,
    collector: Collector,
    *,
    rows_per_step: int | None = None,
    media_roots: Iterable[str | os.PathLike[str]] = (),
) -> datasets.Dataset: ...
def collect_evidence(
    ds: Any,
    collector: Collector,
    *,
    rows_per_step: int | None = None,
    media_roots: Iterable[str | os.PathLike[str]] = (),
) -> Any:
    """The dataset with the columns of `collector` added: `Rollouts`, `Attention`, `Likelihood`, `Controls`, ...

    The same as `ds.map(collector, batched=True)`, but columns are checked before the model is
    loaded, equal rows are asked once, the images are not written a second time, and the progress bar moves every
    `rows_per_step` rows (None: `collector.rows_at_once`).

    What only the rows can tell about the layout is told by the first 200 of a stream. `stream.map(collector, batched=True)`
    would decode images first, and end at a broken one; here it costs its own row.

    Args:
        ds: a `Dataset`, the only split of a `DatasetDict`, or a stream, whose rows get their evidence when they are read
            and whose images stay files: `.decode(True)` behind it opens them.
        collector: what collects.
        rows_per_step: rows that are handed over together.
        media_roots: folders beside the dataset's own whose files rows may name, see `hf_rap.rows.media`.

    Raises:
        SettingError: `ds` is none of these.
        SourceError: the dataset has no rows.
        LayoutError, MissingColumnError, ColumnExistsError: the columns do not fit.
        EngineError: the model cannot be loaded, or fails on all of its first rows.

    Examples:
        >>> collect_evidence(ds, Rollouts(engine))  # doctest: +SKIP

    """
    import datasets

    rows = whole_or_stream("collect_evidence", ds)
    check_collector(collector)
    check_whole("rows_per_step", rows_per_step, least=1, none=True)
    media_roots = checked_roots(media_roots)
    size = rows_per_step or collector.rows_at_once
    if isinstance(rows, datasets.IterableDataset):
        with allowed(media_roots):
            return _collect_from_stream(rows, collector, size)
    if len(rows) == 0:
        raise SourceError("The dataset has no rows.")
    collector.check(rows.features)
    collector.identify()
    with allowed(media_roots):
        rows, collector = prepared(collector, rows)
    say_before(collector, len(rows))
    distinct, place = _distinct_rows(rows, collector)
    plain = rows.with_format(None)
    differing = plain if distinct is None else plain.select(distinct)
    evidence = differing.map(
        _in_map(collector),
        batched=True,
        batch_size=size,
        remove_columns=plain.column_names,
        features=collector.features,
        new_fingerprint=fingerprint_after(differing, collector),
        desc=collector.kind,
    )
    if distinct is not None:
        evidence = evidence.select(place)
    for remark in collector.remarks(evidence):
        logger.warning(remark)
    return datasets.concatenate_datasets([plain, evidence], axis=1)


def _distinct_rows(ds: datasets.Dataset, collector: Collector) -> tuple[list[int] | None, list[int]]:
    """The first of equal rows, and for each row its place among them; None where all differ, or more than rows is read."""
    layout = collector.given_layout
    if collector.reads(ds.features) or layout is None:
        return None, []
    first: dict[tuple[str | None, ...], int] = {}
    keeps_system = collector.keeps_system({})
    place: list[int] = []
    read = ds.select_columns(layout.columns_in(ds.column_names)).with_format("arrow")
    for table in read.iter(batch_size=_ROWS_COMPARED):
        keys = (
            (own_id(raw, layout), stored_digest(raw, layout), system_turn(raw, layout) if keeps_system else None)
            for raw in raw_rows(columns_of(table), layout)
        )
        place += [first.setdefault(key, len(first)) for key in keys]
    if len(first) == len(ds):
        return None, []
    distinct: list[int] = []
    for row, of_row in enumerate(place):
        if of_row == len(distinct):
            distinct.append(row)
    return distinct, place


def _collect_from_stream(stream: datasets.IterableDataset, collector: Collector, size: int) -> datasets.IterableDataset:
    """The stream with evidence. Where its columns are known they are checked now, and images stay as they are stored.

    Decoded, one broken file would end the stream in its middle. What only rows tell about the layout its first ones do.
    """
    if stream.features is not None:
        collector.check(stream.features)
    collector.identify()
    stream, collector = prepared(collector, stream)
    if stream.features is None:
        return stream.map(_in_map(collector), batched=True, batch_size=size)
    features = type(stream.features)({**stream.features, **collector.features})
    return undecoded(stream).map(_in_map(collector), batched=True, batch_size=size, features=features)


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a run over all rows would take, from a measured sample of them; printed as people say it."""

    rows_measured: int
    seconds_measured: float
    rows: int
    rows_per_second: float
    tokens_per_second: float | None
    hours: float
    price: float | None = None
    """Hours times the price of one, in its currency; None where no price was given."""
    at_most: bool = False
    """Fewer rows were measured than are handed over together, so a long run is faster than this."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @property
    def time(self) -> str:
        """For all rows, as people say it."""
        return f"{'at most' if self.at_most else 'about'} {duration(self.hours * 3600)}"

    def __repr__(self) -> str:
        tokens = "" if self.tokens_per_second is None else f", {self.tokens_per_second:,.0f} tokens/s"
        price = "" if self.price is None else f", {self.price:,.2f} at the price that was given"
        measured = f"{self.rows_measured:,} rows measured in {duration(self.seconds_measured)}"
        return f"Estimate: {self.time} for {self.rows:,} rows{price} ({measured}: {self.rows_per_second:,.3g} rows/s{tokens})"

    def _repr_html_(self) -> str:
        facts = {
            "rows": self.rows,
            "price": self.price,
            "measured": f"{self.rows_measured:,} rows in {duration(self.seconds_measured)}",
            "rows per second": self.rows_per_second,
            "tokens per second": self.tokens_per_second,
        }
        title = f"Estimate: {self.time} for {self.rows:,} rows"
        return html_page(title, html_table((name, value) for name, value in facts.items() if value is not None))


def duration(seconds: float) -> str:
    """A length of time as people say it.

    Examples:
        >>> duration(0.04), duration(68.3), duration(3000), duration(36000)
        ('0.04 s', '68 s', '50 min', '10.0 h')

    """
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 or not seconds else f"{seconds:.1g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def estimate(
    ds: Any, collector: Collector, *, rows: int | None = None, gpu_hour_price: float | None = None
) -> Estimate:
    """Times `collector` on some rows, spread evenly over the dataset, after others: neither the loading of the model nor its first batch counts.

    Args:
        ds: a `Dataset`, or the only split of a `DatasetDict`.
        collector: what would collect.
        rows: to measure. None: as many as are handed over together (`collector.rows_at_once`). With fewer, which keep
            an engine less busy, the time is said to be at most that.
        gpu_hour_price: of an hour of the GPU, in any currency.

    Raises:
        SettingError: rows below 1, or `ds` is no dataset.
        SourceError: the dataset has no rows.
        LayoutError, MissingColumnError, ColumnExistsError: the columns do not fit.
    """
    ds = whole_dataset("estimate", ds)
    check_collector(collector)
    check_whole("rows", rows, least=1, none=True)
    check_number("gpu_hour_price", gpu_hour_price, least=0, none=True)
    if len(ds) == 0:
        raise SourceError("The dataset has no rows.")
    collector.check(ds.features)
    ds, collector = prepared(collector, ds)
    size = collector.rows_at_once
    rows = min(size if rows is None else rows, len(ds))
    measured = [index * len(ds) // rows for index in range(rows)]
    # Others, as far as there are: a server remembers the prompts that it has read.
    between = {(2 * place + 1) * len(ds) // (2 * _WARM_UP) for place in range(_WARM_UP)}
    first = sorted(between - set(measured)) or measured[:_WARM_UP]

    def answer(places: list[int]) -> datasets.Dataset:
        return (
            ds.select(places)
            .with_format(None)
            .map(
                _in_map(collector),
                batched=True,
                batch_size=size,
                remove_columns=ds.column_names,
                features=collector.features,
                load_from_cache_file=False,
                desc="estimate",
            )
        )

    answer(first)
    started = time.perf_counter()
    evidence = answer(measured)
    seconds = time.perf_counter() - started
    tokens = collector.tokens(evidence)
    hours = len(ds) / rows * seconds / 3600
    price = None if gpu_hour_price is None else hours * gpu_hour_price
    rate = None if tokens is None else tokens / seconds
    at_most = rows < min(size, len(ds))
    return Estimate(rows, seconds, len(ds), rows / seconds, rate, hours, price, at_most)
