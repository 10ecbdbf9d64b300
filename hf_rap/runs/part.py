"""Evidence of rows as the table of a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import SettingError
from hf_rap.evidence.attempts import of_grades
from hf_rap.options import shown

from .contents import ARM, ATTEMPTS, FAILURE, FIRST, GRADER, ID, KEY, LIMIT
from .index import part_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from hf_rap.evidence.collector import Collector

    from .task import Task


def as_part(
    collector: Collector,
    evidence: Mapping[str, Sequence[Any]],
    task: Task,
    limits: Sequence[int | None] | None = None,
) -> pa.Table:
    """The table of a part for the rows of a task; `limits` are tokens that their replies could have, None: those of now."""
    import pyarrow as pa

    grading = collector.grading
    run = {
        KEY: [row.key for row in task.rows],
        ID: [row.id for row in task.rows],
        FAILURE: _failures(collector, evidence, len(task.rows)),
        FIRST: [task.first] * len(task.rows),
        ATTEMPTS: [task.attempts] * len(task.rows),
        ARM: [task.arm] * len(task.rows),
        GRADER: [None if grading is None else grading.key] * len(task.rows),
        LIMIT: [collector.reply_tokens] * len(task.rows) if limits is None else limits,
    }
    kept = {column.name: evidence[column.name] for column in collector.stored}
    return pa.table({**run, **kept}, schema=part_schema(collector.stored))


def ungraded(part: pa.Table) -> pa.Table:
    """The same with no grader, so that its replies are graded when the run goes on; that grades are missing is no failure."""
    import pyarrow as pa

    failures = [None if of_grades(failure) else failure for failure in part[FAILURE].to_pylist()]
    for name, values in ((FAILURE, failures), (GRADER, [None] * len(part))):
        place = part.schema.get_field_index(name)
        part = part.set_column(place, part.schema.field(place), pa.array(values, part.schema.field(place).type))
    return part


def _failures(collector: Collector, evidence: Mapping[str, Sequence[Any]], rows: int) -> Sequence[str | None]:
    failures = collector.failures(evidence)
    fine = isinstance(failures, (list, tuple)) and all(
        failure is None or isinstance(failure, str) for failure in failures
    )
    if not fine or len(failures) != rows:
        raise SettingError(
            f"{type(collector).__name__}.failures gives {shown(failures)} for {rows} rows: it takes a list with a text, or "
            "None, per row."
        )
    return failures
