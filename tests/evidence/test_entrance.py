"""Collectors in `map` with every option: all of them enter by `hf_rap.rows.batches`."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from hf_rap import CDEScore, Collector, Rollouts
from hf_rap.columns import Column, typed
from hf_rap.errors import SettingError

from .scripted import Scripted, png, rows


@dataclass(frozen=True)
class Ranked(Scripted):
    """Notes the ranks that it is asked for a device of."""

    ranks: list = field(default_factory=list, compare=False)

    def on_rank(self, rank):
        self.ranks.append(rank)
        return self


@pytest.fixture
def ds():
    return rows(([png()], "<image>How many?", "3"), ([png("blue")], "<image>How many?", "4"), ([], "How many?", "4"))


@pytest.fixture
def plain(ds):
    return ds.map(Rollouts(Scripted(), attempts=2), batched=True)


@pytest.mark.parametrize(
    "options", [{}, {"with_indices": True}, {"with_rank": True}, {"with_indices": True, "with_rank": True}]
)
@pytest.mark.parametrize("scores", [False, True])
def test_indices_are_no_rank(ds, plain, options, scores):
    """A device is asked for by a rank alone, which is None in a single process; the evidence is the same."""
    rollouts = Rollouts(Ranked(), attempts=2)
    mapped = ds.map(CDEScore(rollouts=rollouts) if scores else rollouts, batched=True, batch_size=2, **options)
    assert rollouts.engine.ranks == []
    drop = ["rap_cde", "images"] if scores else ["images"]
    assert mapped.remove_columns(drop).to_list() == plain.remove_columns("images").to_list()


def test_a_rank_reaches_the_engine(ds):
    """Behind indices or alone; of a scorer that collects as well."""
    rollouts = Rollouts(Ranked(), attempts=2)
    batch = ds.with_format("arrow")[:]
    for call in (rollouts, CDEScore(rollouts=rollouts)):
        call(batch, [0, 1, 2], 1)
        call(batch, 2)
    assert rollouts.engine.ranks == [1, 2, 1, 2]


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_tables_give_the_same(ds, plain, stream):
    """Their images are files, as they are stored."""
    given = (ds.to_iterable_dataset() if stream else ds).with_format("arrow")
    mapped = list(given.map(CDEScore(rollouts=Rollouts(Scripted(), attempts=2)), batched=True).with_format(None))
    for row, expected in zip(mapped, plain, strict=True):
        assert {name: row[name] for name in expected if name != "images"} == {
            name: value for name, value in expected.items() if name != "images"
        }
    assert [row["rap_cde"] for row in mapped] == [0.5, 0.0, None]


# datasets itself cannot make a polars frame of a table with images.
@pytest.mark.parametrize(
    ("format_", "stream"),
    [*((name, stream) for name in ("numpy", "torch", "pandas") for stream in (False, True)), ("polars", True)],
)
def test_formats_that_change_images_are_refused(ds, format_, stream):
    """In one line, before the engine is asked."""
    given = (ds.to_iterable_dataset() if stream else ds).with_format(format_)
    with pytest.raises(SettingError, match=r"^Rollouts takes images and texts as they are stored.*with_format\(None\)"):
        list(given.map(Rollouts(Scripted()), batched=True))


def test_one_row_and_columns_without_names_are_refused(ds):
    """With what to write."""
    rollouts = Rollouts(Scripted())
    with pytest.raises(SettingError, match=r"^Rollouts takes batches of rows, and this is a single row"):
        ds.map(rollouts)
    with pytest.raises(SettingError, match="without input_columns"):
        ds.map(rollouts, batched=True, input_columns=["problem", "images"])


def test_a_collector_of_a_user_enters_the_same_way(ds):
    """Whatever its own `__call__` takes."""
    words = Column("rap_words", "int64", "of the question")

    @dataclass(frozen=True)
    class Words(Collector):
        kind: ClassVar[str] = "words"
        engine: object = None
        layout: object = None
        writes = (words,)

        def __call__(self, batch):
            return typed({words: [len(problem.split()) for problem in batch["problem"]]})

    for options in ({"with_indices": True}, {"with_indices": True, "with_rank": True}):
        assert ds.map(Words(), batched=True, **options)["rap_words"][:] == [2, 2, 2]
    assert ds.with_format("arrow").map(Words(), batched=True).with_format(None)["rap_words"][:] == [2, 2, 2]
    with pytest.raises(SettingError, match=r"^Words takes images and texts as they are stored"):
        ds.with_format("numpy").map(Words(), batched=True)
