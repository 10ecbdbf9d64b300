"""What changed between two versions of a dataset, or two files, or two folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hf_rap.errors import SourceError, first_line
from hf_rap.options import check_text
from hf_rap.rows.sources import parse_source
from hf_rap.versions.changes import Difference, changes_between
from hf_rap.versions.configs import SCORED

from .reading import decision_columns, find_version, group_of, open_repository, read_decisions

if TYPE_CHECKING:
    import pyarrow as pa
    from huggingface_hub import HfApi


def diff(old: str, new: str, *, group_by: str | None = None, api: HfApi | None = None) -> Difference:
    """The rows that came in and went out between two decisions, and what changed with them.

    Only ids, decisions and scores are read, no images.

    Args:
        old: `user/name@v1.0.0`, a folder of `publish_to_folder`, or a Parquet file of `hf-rap select`.
        new: the same, for the later decision.
        group_by: a column such as the source of the rows; None takes what the card of a version counts by.
        api: another client for the Hub.

    Raises:
        SourceError: one of the two is not there.
        MissingColumnError: one of them has no ids or no decisions.
        HubError: the Hub does not answer.

    """
    for name, value in (("old", old), ("new", new)):
        check_text(name, value, empty=False)
    check_text("group_by", group_by, none=True, empty=False)
    before, grouped_before = _decisions(old, group_by, api)
    after, grouped_after = _decisions(new, group_by, api)
    return changes_between(before, after, group_by=group_by or grouped_after or grouped_before)


def _decisions(source: str, group_by: str | None, api: HfApi | None) -> tuple[pa.Table, str | None]:
    """The decisions, and the column that they are best grouped by."""
    origin = parse_source(source)
    if origin.is_local:
        return _local(Path(origin.path).expanduser(), group_by), None
    if origin.revision is None:
        raise SourceError(f"{source}: say which version, as in {origin.path}@v1.0.0.")
    repository = open_repository(origin.path, api)
    commit, manifest = find_version(repository, origin.revision.removeprefix("v"), allow_withdrawn=True)
    return read_decisions(repository, commit, manifest, group_by), group_of(manifest)


def _local(path: Path, group_by: str | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((path / SCORED).glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise SourceError(f"{path}: there is neither a Parquet file nor a folder with {SCORED}/*.parquet.")
    wanted = decision_columns(group_by)
    tables = []
    for file in files:
        try:
            names = [name for name in pq.read_schema(file).names if name in wanted]
            # Threads of Arrow may abort a process that ends soon after, see `RunFolder.read_part`.
            tables.append(pq.read_table(file, columns=names, partitioning=None, use_threads=False, pre_buffer=False))
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{file} cannot be read: {first_line(error)}") from error
    return pa.concat_tables([table.replace_schema_metadata() for table in tables])
