"""JSON lines and a folder of images, for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_rap.columns import PREFIX

from .base import Accepts, Given
from .writing import write_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target


_ACCEPTS = Accepts("none", several_golds=True, template_arguments=None)


@dataclass(frozen=True)
class JsonLines:
    """Paths of images are relative to the file."""

    name: str = "jsonl"
    title: str = "any reader of JSON lines"
    reads: str = "`id`, `messages` and the bare `problem` with `<image>`, `images` (relative paths), `answer`, `accepted`, `data_source`, scores"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.jsonl` and `images/`."""
        names = (
            "id",
            "messages",
            "problem",
            "answer",
            "data_source",
            *(name for name in features if name.startswith(PREFIX)),
        )
        write_json_lines(
            rows,
            target,
            lambda row, paths: (
                {name: row[name] for name in names}
                | {"images": [path.as_posix() for path in paths], "accepted": row["extra_info"]["accepted"]}
            ),
        )

    def snippet(self, given: Given) -> str:
        """How to read it."""
        return f"datasets.load_dataset('json', data_files={str(given.folder / 'train.jsonl')!r}, split='train')"
