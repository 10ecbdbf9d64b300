"""A collector from outside: little is needed, what can be read is read, and the rest is told with the row."""

import io
from dataclasses import dataclass, field

import numpy as np
import pytest

from hf_rap import Collector, Column, Layout, collect_evidence, collect_in_run, estimate
from hf_rap.columns import typed
from hf_rap.demo import make_planted
from hf_rap.errors import ColumnExistsError, RunError, SettingError

DS = make_planted(6)
OWN = Column("rap_own", "int64", "of a test")


class Own(Collector):
    """No dataclass, no layout, no engine, no failures."""

    kind = "own"
    writes = (OWN,)

    def settings(self):
        return {"version": "1"}

    def __call__(self, batch):
        return {"rap_own": [len(question) for question in batch["problem"]]}


EXPECTED = [len(question) for question in DS["problem"]]


def in_run(collector, folder):
    return collect_in_run(DS, collector, str(folder / "run"), progress=io.StringIO())


BOTH = pytest.mark.parametrize(
    "collected", [lambda collector, _: collect_evidence(DS, collector), in_run], ids=["evidence", "run"]
)


@BOTH
def test_little_is_needed(collected, tmp_path):
    """A kind, columns, settings and what it does with a batch; in a run it goes on."""
    assert collected(Own(), tmp_path)["rap_own"][:] == EXPECTED
    assert collected(Own(), tmp_path)["rap_own"][:] == EXPECTED
    assert estimate(DS, Own(), rows=2).rows_measured == 2


def test_a_stream_is_read_the_same_way():
    """Row after row, and what is wrong is told when it is read."""
    assert [row["rap_own"] for row in collect_evidence(DS.to_iterable_dataset(), Own())] == EXPECTED
    other = type("Other", (Own,), {"__call__": lambda self, batch: {"rap_own": [1]}})
    with pytest.raises(SettingError, match=r"^The collector 'Other' gives 1 values as 'rap_own' for a batch of 6 rows"):
        list(collect_evidence(DS.to_iterable_dataset(), other()))


@dataclass(frozen=True)
class Frozen(Own):
    """With a layout that the user gave, and a field that is made from others."""

    layout: Layout | None = None
    made: int = field(init=False, default=3)


@BOTH
def test_a_frozen_one_keeps_its_layout(collected, tmp_path):
    """Also in a run, which fixes the layout that it has found."""
    assert collected(Frozen(), tmp_path)["rap_own"][:] == EXPECTED
    assert collected(Frozen(Layout("problem", "images", "answer")), tmp_path)["rap_own"][:] == EXPECTED


@BOTH
@pytest.mark.parametrize(
    "gives",
    [
        lambda batch: typed({OWN: map(len, batch["problem"])}),
        lambda batch: {"rap_own": (len(question) for question in batch["problem"])},
        lambda batch: {"rap_own": np.array([len(question) for question in batch["problem"]])},
        lambda batch: {"rap_own": [float(len(question)) for question in batch["problem"]]},
    ],
)
def test_what_can_be_read_is_read(collected, gives, tmp_path):
    """Generators, arrays, whole numbers of any type."""
    own = type("Own", (Own,), {"__call__": lambda self, batch: gives(batch)})
    assert collected(own(), tmp_path)["rap_own"][:] == EXPECTED


def third(gives):
    """Values of which the third is another."""
    return {
        "__call__": lambda self, batch: {
            "rap_own": [gives(q) if q == DS[2]["problem"] else 1 for q in batch["problem"]]
        }
    }


@BOTH
@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"__call__": lambda self, batch: {"rap_own": [1]}}, "The collector 'Other' gives 1 values as 'rap_own' for a batch of 6 rows"),
        ({"__call__": lambda self, batch: {}}, "The collector 'Other' gives [], but writes=['rap_own'] was declared."),
        ({"__call__": lambda self, batch: None}, "The collector 'Other' gives None, but writes"),
        ({"__call__": lambda self, batch: {**Own()(batch), "more": []}}, "gives ['more', 'rap_own'], but writes"),
        (third(lambda question: "much"), "gives 'much' as 'rap_own' on row 2 of a batch (id 'planted-0-00002'): that column is int64"),
        (third(lambda question: 0.5), "gives 0.5 as 'rap_own' on row 2 of a batch (id 'planted-0-00002')"),
        (third(lambda question: 1 / 0), "raised ZeroDivisionError (division by zero) on row 2 of a batch (id 'planted-0-00002')."),
        ({"kind": None}, "The collector 'Other' has no `kind`: see hf_rap.Collector for what one has."),
        ({"writes": Collector.writes}, "The collector 'Other' has no `writes`"),
        ({"__call__": Collector.__call__}, "The collector 'Other' has no `__call__`"),
        ({"writes": ("rap_own",)}, "Other.writes is ('rap_own',): it takes a list of hf_rap.Column"),
        ({"writes": ()}, "Other.writes is (): it takes a list of hf_rap.Column"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(collected, parts, says, tmp_path):
    """By its name, and the row's."""
    with pytest.raises(SettingError) as error:
        collected(type("Other", (Own,), parts)(), tmp_path)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"settings": Collector.settings}, "The collector 'Other' has no `settings`: see hf_rap.Collector for what one has."),
        ({"settings": lambda self: None}, "Other.settings gives None: it takes a dictionary of names"),
        ({"settings": lambda self: {"stops": {1}}}, "Other.settings gives stops={1}, which JSON cannot hold."),
        ({"failures": lambda self, evidence: [None]}, "Other.failures gives [None] for 6 rows: it takes a list with a text, or None, per row."),
        ({"failures": lambda self, evidence: [3] * 6}, "Other.failures gives [3, 3, 3, 3, 3, 3] for 6 rows"),
        ({"failures": lambda self, evidence: None}, "Other.failures gives None for 6 rows"),
    ],
)  # fmt: skip
def test_what_a_run_cannot_keep_is_told(parts, says, tmp_path):
    """What it knows the evidence by, and which rows failed."""
    with pytest.raises(SettingError) as error:
        in_run(type("Other", (Own,), parts)(), tmp_path)
    assert says in str(error.value)
    assert list((tmp_path / "run").rglob("*.parquet")) == []


def test_a_failure_without_a_code_counts(tmp_path):
    """As the collector says it."""
    own = type("Other", (Own,), {"failures": lambda self, evidence: ["too dark"] * len(evidence["rap_own"])})
    ds = make_planted(40)
    with pytest.raises(RunError, match="too dark"):
        collect_in_run(ds, own(), str(tmp_path / "run"), progress=io.StringIO())


def test_a_column_that_is_there_is_not_written_over():
    """Told before anything is collected."""
    own = type("Other", (Own,), {"writes": (Column("problem", "string", ""),)})
    with pytest.raises(ColumnExistsError, match=r"^Other would overwrite 'problem'"):
        collect_evidence(DS, own())


def test_what_does_not_inherit_is_told():
    """A function, or a class that only looks like one."""
    for wrong in (len, type("Other", (), {"writes": (OWN,), "__call__": len})()):
        with pytest.raises(
            SettingError, match=r"^collector is .+: it takes Rollouts\(engine\), Attention\(engine\) or another"
        ):
            collect_evidence(DS, wrong)
