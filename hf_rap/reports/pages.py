"""Writes a page: one file, or a folder whose parts are scripts, since a page on disk may not fetch.

    report.html                      up to 50 MB: everything inside
    report/index.html                above: the page and what it draws at once,
           report.json               the same facts for programs,
           parts/details-00007.js    and the rest a hundred rows at a time, when somebody looks at them

Data and page are apart. The facts are `facts_of` a page, ready for JSON:

    hf_rap_report  1, the form of what follows; hf_rap: the release that wrote it
    title, sentence, remarks, source
    rows, kept     how many
    reason, was    {"names", "index"}: of each row; `was` in a page of two selections alone, null where a row is not there
    keep, kept_before   of each row, 0 or 1
    reasons        reason -> its meaning; steps: step of the funnel -> its words; came_in: reasons of rows that came in late
    funnel         [step, rows, came in of them]
    numbers, names the histograms: see `hf_rap.reports.numbers`
    decide         how the rows are decided anew: see `hf_rap.reports.rules`
    parts          rows in each part of texts, details, small and large pictures

A part is JSON, compressed by gzip and written in base64: nothing in it can end a script or begin a tag.
"""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import PublishError, SettingError
from hf_rap.system import is_free, whole_file, whole_folder

from .details import details
from .pictures import SIDES, SMALL, encoded, media_type, side_within

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    import datasets

    from hf_rap.rows.layouts import Layout

MAX_BYTES = 50_000_000  # of a page in one file
ROWS_PER_PART = 100
LARGE_PER_PART = 20  # rows with their large pictures: what is read to show one of them
_SAMPLE = 24  # rows that say how large the pictures may be
_FOR_PICTURES = 0.8  # of the room that texts leave
_QUESTION = 240  # characters in the grid
_FORM = 1
_FACTS = "facts"


@dataclass
class Rows:
    """The rows of a page, of one dataset after the other."""

    parts: list[tuple[datasets.Dataset, Layout]]

    def __len__(self) -> int:
        return sum(len(ds) for ds, _ in self.parts)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], tuple[Any, ...]]]:
        for ds, layout in self.parts:
            yield from details(ds, layout)

    def sample(self, count: int) -> list[tuple[dict[str, Any], tuple[Any, ...]]]:
        """Some of them, evenly spread."""
        shown: list[tuple[dict[str, Any], tuple[Any, ...]]] = []
        step = max(1, len(self) // count)
        start = 0
        for ds, layout in self.parts:
            places = [place - start for place in range(0, len(self), step) if start <= place < start + len(ds)]
            shown += list(details(ds.select(places), layout)) if places else []
            start += len(ds)
        return shown


@dataclass
class _Part:
    """Rows that wait until a part of their kind is full."""

    kind: str
    size: int
    write: Callable[[str, str], None]
    rows: list[Any] = field(default_factory=list)
    written: int = 0

    def add(self, row: Any) -> None:
        self.rows.append(row)
        if len(self.rows) == self.size:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.write(f"{self.kind}-{self.written:05d}", packed(self.rows))
            self.rows = []
            self.written += 1


def packed(value: Any) -> str:
    """JSON, compressed, in base64; the same value gives the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", "surrogatepass"), 6, mtime=0)).decode()


def write_page(path: str | os.PathLike[str], facts: dict[str, Any], rows: Rows) -> Path:
    """Write the page; it appears when it is whole.

    Args:
        path: a name that ends in .html, or a folder that is new or empty.
        facts: all that is drawn at once.
        rows: what is shown of each.

    Raises:
        SettingError: one file would be larger than 50 MB.
        PublishError: there is something else where the folder is to be.

    """
    target = Path(path).absolute()
    single = target.suffix.lower() in (".html", ".htm")
    if not single and not is_free(target):
        raise PublishError(
            f"There is something at {path}: give a folder that does not exist yet, or is empty, or a name that ends in .html."
        )
    side = _side(rows, len(packed(facts))) if single else SIDES[0]
    facts = {
        **facts,
        "hf_rap_report": _FORM,
        "media_type": media_type(),
        "parts": {"texts": ROWS_PER_PART, "details": ROWS_PER_PART, "small": ROWS_PER_PART, "large": LARGE_PER_PART},
        "has_large": side > SMALL,
    }
    with ExitStack() as opened:
        if single:
            partial = opened.enter_context(whole_file(target))
            file = opened.enter_context(partial.open("w", encoding="utf-8", newline="\n"))
            write: Callable[[str, str], None] = _OneFile(file.write, len(rows))
        else:
            folder = opened.enter_context(whole_folder(target))
            (folder / "parts").mkdir()
            file = opened.enter_context((folder / "index.html").open("w", encoding="utf-8", newline="\n"))
            with (folder / "report.json").open("w", encoding="utf-8") as own:
                json.dump(facts, own, ensure_ascii=False, allow_nan=False)
            write = _Scripts(file.write, folder / "parts")
        page = _page()
        head, tail = page.split("<!-- data -->")
        file.write(head)
        write(_FACTS, packed(facts))
        _write_rows(rows, side, write)
        file.write(tail)
    return target


def _write_rows(rows: Rows, side: int, write: Callable[[str, str], None]) -> None:
    kinds = {
        kind: _Part(kind, size, write)
        for kind, size in (
            ("texts", ROWS_PER_PART),
            ("small", ROWS_PER_PART),
            ("details", ROWS_PER_PART),
            ("large", LARGE_PER_PART),
        )
    }
    for detail, pictures in rows:
        question = detail["question"] or ""
        kinds["texts"].add([detail["id"], question[:_QUESTION], detail["gold"], question[_QUESTION:] or 0])
        kinds["details"].add(detail)
        kinds["small"].add(_base64(pictures[0], SMALL) if pictures else None)
        if side > SMALL:
            kinds["large"].add([_base64(picture, side) for picture in pictures])
    for kind in kinds.values():
        kind.flush()


def _side(rows: Rows, taken: int) -> int:
    """How large the pictures of a row may be in one file of which so much is taken, by a few rows."""
    sample = rows.sample(_SAMPLE)
    if not sample:
        return SMALL
    pictures = [picture for _, several in sample for picture in several]
    texts = len(packed([detail for detail, _ in sample])) * len(rows) / len(sample)
    small = sum(4 * len(encoded(several[0], SMALL)) / 3 for _, several in sample if several) * len(rows) / len(sample)
    room = _FOR_PICTURES * 0.75 * (MAX_BYTES - taken - texts - small)
    return side_within(pictures, round(len(pictures) * len(rows) / len(sample)), max(0, int(room)))


def _base64(picture: Any, side: int) -> str:
    return base64.b64encode(encoded(picture, side)).decode()


@dataclass
class _OneFile:
    """Parts of a page as elements of it."""

    write: Callable[[str], Any]
    rows: int
    size: int = 0

    def __call__(self, name: str, content: str) -> None:
        self.size += len(content)
        if self.size > MAX_BYTES:
            raise SettingError(
                f"A page in one file has up to {MAX_BYTES / 1e6:.0f} MB, and {self.rows:,} rows take more: give a folder, whose "
                "parts are read when they are looked at (--out report/), or fewer rows."
            )
        _element(self.write, name, content)


@dataclass
class _Scripts:
    """Parts of a page as files beside it, but for what is drawn at once."""

    write: Callable[[str], Any]
    folder: Path

    def __call__(self, name: str, content: str) -> None:
        if name == _FACTS:
            _element(self.write, name, content)
            return
        (self.folder / f"{name}.js").write_text(f'part("{name}","{content}")\n', encoding="utf-8")


def _element(write: Callable[[str], Any], name: str, content: str) -> None:
    write(f'<script type="text/plain" id="{name}">{content}</script>\n')


def _page() -> str:
    """The page without its data."""
    folder = files(__package__) / "page"
    page = (folder / "page.html").read_text(encoding="utf-8")
    for name in ("page.css", "rule.js", "page.js"):
        page = page.replace(f"<!-- {name} -->", (folder / name).read_text(encoding="utf-8"))
    return page


def coded(values: Iterable[str | None]) -> dict[str, Any]:
    """Texts as {"names", "index"}, null as null."""
    names: dict[str, int] = {}
    index = [None if value is None else names.setdefault(value, len(names)) for value in values]
    return {"names": list(names), "index": index}
