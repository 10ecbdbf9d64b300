"""Several datasets as one, each read with its own layout; and rows that stand in a test set.

    mixture = mix_datasets({"geometry3k": geo, "chartqa": chart}, without={"mathvista": testmini})
    evidence = collect_evidence(mixture.ds, Rollouts(engine, layout=mixture.layout))

The columns of a mixture are those that every layout gives: id, images, problem, options, answer, source. Ids are hashes
of the content, so equal rows of two sources have the same, are asked once and kept once. A row that cannot be read stays,
with the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.errors import LayoutError, RowError, SettingError, SourceError, codes_of
from hf_rap.options import check

from .cells import columns_of
from .images import encoded_bytes, picture_digest
from .layouts import UNASKED
from .media import Named
from .prompts import IMAGE
from .questions import content_id, own_id, raw_rows, row_id, stored_question
from .recognition import MIXTURE
from .settling import settle
from .turns import each_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets

    from .layouts import Layout

IN_TEST_SET = "in_test_set"
_ROWS_AT_ONCE = 128
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Mixture:
    """Rows of several sources.

    Attributes:
        ds: the rows, source by source.
        layout: how they are read.
        rows: how many of each source.
        unreadable: of each source, how many cannot be read, by code.
        left_out: of each source, how many stand in a test set.
        duplicates: of each source, how many stand earlier, in it or in one before.
        remarks: what was decided by the rows of a source.

    """

    ds: datasets.Dataset
    layout: Layout
    rows: dict[str, int]
    unreadable: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def mix_datasets(
    sources: Mapping[str, datasets.Dataset],
    *,
    layouts: Mapping[str, Layout] | None = None,
    without: Mapping[str, datasets.Dataset] | None = None,
) -> Mixture:
    """Several datasets as one, in the order in which they are given.

    Args:
        sources: by name, which becomes the column `source`.
        layouts: of those whose layout is not recognised.
        without: test sets by name: rows with the same question and pictures as a row of one are not asked, with the
            reason `in_test_set`. The same means: equal words, in any case and punctuation, and equal pixels. Near
            duplicates are another matter, see docs/data/mixtures.md.

    Raises:
        SettingError: there is no source.
        LayoutError: the layout of a source or a test set is not recognised; it says which.
    """
    import datasets

    for name, value in (("sources", sources), ("layouts", layouts or {}), ("without", without or {})):
        check(isinstance(value, Mapping), name, value, "a dictionary by name")
    if not sources:
        raise SettingError("mix_datasets got no source.")
    parts, remarks = [], []
    for name, source in sources.items():
        if len(source) == 0:
            raise SourceError(f"{name} has no rows.")
        ds, layout, more = _settled(name, source, (layouts or {}).get(name))
        remarks += [f"{name}: {remark}" for remark in more]
        parts.append(
            ds.with_format(None).map(
                partial(_mixed, layout=layout, source=name),
                batched=True,
                batch_size=_ROWS_AT_ONCE,
                remove_columns=ds.column_names,
                features=mixed_features(),
                desc=name,
            )
        )
    mixed = datasets.concatenate_datasets(parts)
    marked, _ = mark_test_rows(mixed, MIXTURE, without) if without else (mixed, MIXTURE)
    return _counted(marked, dict(zip(sources, map(len, parts), strict=True)), tuple(remarks))


def mark_test_rows(
    ds: datasets.Dataset, layout: Layout | None, tests: Mapping[str, datasets.Dataset]
) -> tuple[datasets.Dataset, Layout]:
    """The rows with a column that says which of them stand in a test set, and the layout that reads it.

    Args:
        ds: the rows.
        layout: which column is what; None recognises it.
        tests: the test sets by name.

    Raises:
        LayoutError: a layout is not recognised; it says of which.
    """
    ds, layout, _ = _settled("the dataset", ds, layout)
    test_of: dict[bytes, str] = {}
    for name, test in tests.items():
        test_rows, test_layout, _ = _settled(name, test, None)
        for key in _keys(test_rows, test_layout):
            if key is not None:
                test_of.setdefault(key, name)
    faults = ds[layout.fault][:] if layout.fault else [None] * len(ds)
    marks = [
        fault if fault or key not in test_of else f"{IN_TEST_SET}: its question and pictures stand in {test_of[key]}"
        for fault, key in zip(faults, _keys(ds, layout), strict=True)
    ]
    rest = ds.with_format(None)
    rest = rest.remove_columns(UNASKED) if UNASKED in ds.column_names else rest
    return rest.add_column(UNASKED, marks), replace(layout, fault=UNASKED)


def mixed_features() -> datasets.Features:
    """The types of the columns of a mixture."""
    from datasets import Features, Image, List, Value

    text = Value("string")
    return Features(
        {
            "id": text,
            "images": List(Image()),
            "problem": text,
            "options": List(text),
            "answer": List(text),
            "source": text,
            "source_id": text,
            UNASKED: text,
        }
    )


def _settled(
    name: str, ds: datasets.Dataset, layout: Layout | None
) -> tuple[datasets.Dataset, Layout, tuple[str, ...]]:
    """The rows with their layout; errors say which source it is."""
    try:
        ds, layout = each_turn(ds, layout)
        settled, remarks = settle(layout, ds)
    except LayoutError as error:
        raise LayoutError(f"{name}: {error}") from error
    return ds, settled, remarks


def _mixed(batch: Mapping[str, Any], layout: Layout, source: str) -> dict[str, list[Any]]:
    rows = [_mixed_row(row, layout, source) for row in raw_rows(batch, layout)]
    return {name: [row[name] for row in rows] for name in mixed_features()}


def _mixed_row(row: Mapping[str, Any], layout: Layout, source: str) -> dict[str, Any]:
    own = own_id(row, layout)
    try:
        stored = stored_question(row, layout)
    except RowError as error:
        empty: dict[str, Any] = {"images": [], "problem": None, "options": [], "answer": []}
        return {
            "id": row_id(row, replace(layout, id=None)),
            **empty,
            "source": source,
            "source_id": own,
            UNASKED: str(error),
        }
    golds = stored.gold if isinstance(stored.gold, (list, tuple)) else [stored.gold]
    answers = [str(gold) for gold in golds if gold is not None]
    return {
        "id": content_id(stored.question, stored.images, answers[0] if len(answers) == 1 else answers, stored.options),
        "images": [_as_image(image) for image in stored.images],
        "problem": stored.question,
        "options": list(stored.options),
        "answer": answers,
        "source": source,
        "source_id": own,
        UNASKED: None,
    }


def _as_image(image: Any) -> Any:
    """What an Image column takes: the bytes of the file, or what there is where it has none."""
    content = encoded_bytes(image)
    if content is not None:
        return {"bytes": content, "path": None}
    if hasattr(image, "getpalette"):
        return image
    return {"bytes": None, "path": image.name if isinstance(image, Named) else str(image)}


def _keys(ds: datasets.Dataset, layout: Layout) -> Iterator[bytes | None]:
    """For each row a digest of its words and the pixels of its pictures; None where it cannot be read."""
    plain = ds.select_columns(layout.columns_in(ds.column_names)).with_format("arrow")
    for table in plain.iter(batch_size=_ROWS_AT_ONCE):
        for row in raw_rows(columns_of(table), layout):
            try:
                stored = stored_question(row, layout)
            except RowError:
                yield None
                continue
            words = _NO_WORD.sub(" ", stored.question.replace(IMAGE, " ").casefold()).strip()
            pictures = sorted(map(picture_digest, stored.images))
            yield blake2b(b"".join([words.encode(), b"\0", *pictures]), digest_size=16).digest()


def _counted(ds: datasets.Dataset, rows: dict[str, int], remarks: tuple[str, ...]) -> Mixture:
    codes = codes_of(ds.data.column(UNASKED).combine_chunks() if len(ds) else []).to_pylist()
    seen: set[str] = set()
    unreadable: dict[str, Counter[str]] = {name: Counter() for name in rows}
    left_out, duplicates = dict.fromkeys(rows, 0), dict.fromkeys(rows, 0)
    for name, identity, code in zip(ds["source"], ds["id"], codes, strict=True):
        duplicates[name] += identity in seen
        seen.add(identity)
        if code == IN_TEST_SET:
            left_out[name] += 1
        elif code is not None:
            unreadable[name][code] += 1
    return Mixture(
        ds,
        MIXTURE,
        rows,
        {name: dict(counts) for name, counts in unreadable.items()},
        left_out,
        duplicates,
        remarks,
    )
