"""A scorer from outside: a function with its columns beside it."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Value
from datasets.fingerprint import Hasher

import hf_rap
from hf_rap import FunctionScorer, add_scores, publish_to_folder, scorer, select_cognitive, select_top
from hf_rap.columns import Column
from hf_rap.errors import ColumnExistsError, MissingColumnError, SettingError

sys.path.insert(0, str(Path(__file__).parent))
from scores_of_a_user import longest

ROWS = {
    "problem": ["a?", "b?", "c?"],
    "answer": ["1", "2", "3"],
    "images": [[], [], []],
    "rap_cde": [0.8, 0.9, 0.1],
    "rap_image_tokens": [[3, 9], [], [4]],
}


def test_it_goes_through_map_and_add_scores():
    """The same numbers and types, also in two processes."""
    ds = Dataset.from_dict(ROWS)
    for scored in (
        ds.map(longest, batched=True),
        ds.map(longest, batched=True, batch_size=1, num_proc=2),
        add_scores(ds, longest),
    ):
        assert scored["rap_longest"][:] == [9, None, 4]
        assert scored.features["rap_longest"].dtype == "int32"


def test_it_pickles_and_its_code_is_part_of_the_cache_key():
    """Other code under the same name is another key."""
    assert pickle.loads(pickle.dumps(longest)) is longest

    def made(limit):
        @scorer(reads=["a"], writes=[Column("rap_b", "int32", "")])
        def same_name(batch):
            return {"rap_b": [value + 1 if limit else value + 2 for value in batch["a"]]}

        return same_name

    def other():
        @scorer(reads=["a"], writes=[Column("rap_b", "int32", "")])
        def same_name(batch):
            return {"rap_b": [value + 3 for value in batch["a"]]}

        return same_name

    assert Hasher.hash(made(1)) != Hasher.hash(other())


def test_it_ranks_and_stands_on_the_card(tmp_path):
    """By its own name, with its summary; no paper is cited for it."""
    ds = add_scores(Dataset.from_dict(ROWS), longest)
    selection = select_top(ds, by="rap_longest", count=1, per=None)
    assert selection.selected["problem"] == ["a?"]
    card = (publish_to_folder(selection, tmp_path / "v").path / "README.md").read_text()
    assert "the highest `rap_longest`." in card
    assert "| `rap_longest` | of 2 rows, unknown of 1: 4," in card
    assert "arXiv" not in card.split("## Citation")[1]
    assert json.loads((tmp_path / "v" / "rap.json").read_text())["facts"]["scores"]["rap_longest"]["max"] == 9


def test_it_is_on_the_card_of_any_selection(tmp_path):
    """Beside the score that decides."""
    ds = add_scores(Dataset.from_dict(ROWS), longest)
    card = publish_to_folder(select_cognitive(ds, replace_easy=False), tmp_path / "v").path / "README.md"
    assert "| `rap_longest` | of 2 rows, unknown of 1: " in card.read_text()


FLOAT = Column("rap_own", "float64", "of a test")


def own(gives, *, write=FLOAT, reads=("rap_cde",)):
    """The scorer of a function that gives this."""

    @scorer(reads=reads, writes=[write])
    def own(batch):
        return gives(batch)

    return own


def values(gives, **options):
    return own(gives, **options)({"rap_cde": [0.5, None, 1.0], "rap_id": ["a", "b", "c"]})["rap_own"]


@pytest.mark.parametrize(
    ("gives", "read"),
    [
        (lambda batch: {"rap_own": [1, 2.5, None]}, [1, 2.5, None]),
        (lambda batch: {"rap_own": (1.0, 2.0, 3.0)}, [1.0, 2.0, 3.0]),
        (lambda batch: {"rap_own": (cde or 0 for cde in batch["rap_cde"])}, [0.5, 0, 1.0]),
        (lambda batch: {"rap_own": map(float, "123")}, [1.0, 2.0, 3.0]),
        (lambda batch: {"rap_own": np.array([0.5, np.nan, 1.0])}, [0.5, None, 1.0]),
        (lambda batch: {"rap_own": [np.float32(0.5), float("nan"), np.int64(1)]}, [0.5, None, 1]),
        (lambda batch: {"rap_own": [True, np.True_, False]}, [1, 1, 0]),
        (lambda batch: {"rap_own": [Fraction(1, 2), 0, None]}, [0.5, 0, None]),
        (lambda batch: {"rap_own": pa.array([0.5, None, 1.0])}, [0.5, None, 1.0]),
        (lambda batch: {"rap_own": pd.Series([0.5, None, 1.0])}, [0.5, None, 1.0]),
        (lambda batch: MappingProxyType({"rap_own": range(3)}), [0, 1, 2]),
    ],
)
def test_what_can_be_read_is_read(gives, read):
    """Numbers of any library, flags, and whatever gives one value after the other; NaN is unknown."""
    assert values(gives) == read
    assert Dataset.from_dict({"rap_cde": [0.5, None, 1.0]}).map(own(gives), batched=True)["rap_own"][:] == read


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (lambda batch: {"rap_own": [1.0]}, "gives 1 values as 'rap_own' for a batch of 3 rows: it takes one value per row"),
        (lambda batch: {"rap_own": 0.5}, "gives 0.5 as 'rap_own': it takes one value per row, in a list."),
        (lambda batch: {"rap_own": "abc"}, "gives 'abc' as 'rap_own': it takes one value per row"),
        (lambda batch: {"rap_own": {"a": 1}}, "gives {'a': 1} as 'rap_own'"),
        (lambda batch: {"rap_own": None}, "gives None as 'rap_own'"),
        (lambda batch: [0.5] * 3, "gives [0.5, 0.5, 0.5], but writes=['rap_own'] was declared."),
        (lambda batch: None, "gives None, but writes=['rap_own'] was declared."),
        (lambda batch: {"rap_cde": [1] * 3}, "gives ['rap_cde'], but writes=['rap_own'] was declared."),
        (lambda batch: {"rap_own": [1] * 3, "more": [1] * 3}, "gives ['more', 'rap_own'], but writes"),
        (lambda batch: {"rap_own": [1, "high", 2]}, "gives 'high' as 'rap_own' on row 1 of a batch (id 'b'): that column is float64"),
        (lambda batch: {"rap_own": [1, 2, [3]]}, "gives [3] as 'rap_own' on row 2 of a batch (id 'c')"),
        (lambda batch: {"rap_own": [1, float("inf"), 2]}, "gives inf as 'rap_own' on row 1"),
        (lambda batch: {"rap_own": [1 / cde for cde in batch["rap_cde"]]}, "raised TypeError (unsupported operand"),
        (lambda batch: {"rap_own": [batch["rap_difficulty"]]}, "raised KeyError ('rap_difficulty') on row 0 of a batch"),
        (lambda batch: {"rap_own": [sum(batch["rap_cde"][:2])] * 3}, "raised TypeError"),
    ],
)  # fmt: skip
def test_what_cannot_is_told_with_its_row(gives, says):
    """What came, and what is taken."""
    with pytest.raises(SettingError) as error:
        values(gives)
    assert says in str(error.value)
    assert str(error.value).startswith("The scorer 'own' ")


def test_the_row_that_raises_is_named():
    """By its place and its id, though the function gets many at once; other errors stay as they are."""
    with pytest.raises(SettingError) as error:
        values(lambda batch: {"rap_own": [1 / cde for cde in batch["rap_cde"]]})
    assert str(error.value).endswith(" on row 1 of a batch (id 'b').")
    assert isinstance(error.value.__cause__, TypeError)
    with pytest.raises(SettingError, match=r"raised RuntimeError \(too many\) on a batch of 3 rows\."):
        values(
            lambda batch: {"rap_own": [0.0]} if len(batch["rap_cde"]) == 1 else raise_error(RuntimeError("too many"))
        )
    with pytest.raises(MissingColumnError, match="rap_x"):
        values(lambda batch: raise_error(MissingColumnError("own", "rap_x", ["a"])))


def raise_error(error):
    raise error


@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        ("int32", 3.0, True),
        ("int32", 0.5, False),
        ("int32", 2**40, False),
        ("int32", True, True),
        ("bool", np.True_, True),
        ("bool", 1, False),
        ("string", "a", True),
        ("string", 1, False),
        ("list<float64>", np.array([0.5]), True),
        ("list<float64>", 0.5, False),
        ("list<int32>", [1, 0.5], False),
    ],
)
def test_a_value_is_of_the_type_of_its_column(dtype, value, fits):
    """Nothing is cut to fit."""
    write = Column("rap_own", dtype, "")
    if fits:
        assert len(values(lambda batch: {"rap_own": [value, None, None]}, write=write)) == 3
    else:
        with pytest.raises(SettingError, match=rf"on row 0 of a batch \(id 'a'\): that column is {dtype}"):
            values(lambda batch: {"rap_own": [value, None, None]}, write=write)


async def later(batch):
    return {"rap_own": batch["rap_cde"]}


def one_by_one(batch):
    yield from batch["rap_cde"]


DECLARED = {"reads": ["rap_cde"], "writes": [FLOAT]}


@pytest.mark.parametrize(
    ("makes", "says"),
    [
        (lambda: scorer(later), "scorer is (<function later"),
        (lambda: scorer(reads="rap_cde", writes=[FLOAT]), "reads is 'rap_cde': it takes a list of names of columns."),
        (lambda: scorer(reads=[3], writes=[FLOAT]), "reads is [3]: it takes a list of names"),
        (lambda: scorer(reads=["rap_cde"]), "writes is (): it takes a list of hf_rap.Column(name, type, meaning)"),
        (lambda: scorer(reads=["rap_cde"], writes=["rap_own"]), "writes is ['rap_own']: it takes a list of hf_rap.Column"),
        (lambda: scorer(reads=["rap_cde"], writes=FLOAT), "writes is Column(name='rap_own'"),
        (lambda: scorer(reads=[], writes=[FLOAT, FLOAT]), "each name once."),
        (lambda: scorer(reads=[], writes=[Column("longest", "int32", "")]), "'longest': the names of scores begin with rap_."),
        (lambda: scorer(reads=[], writes=[Column("rap_cde", "float64", "")]), "'rap_cde', which is a column of hf_rap"),
        (lambda: scorer(reads=[], writes=[Column("rap_error", "string", "")]), "'rap_error', which is a column of hf_rap"),
        (lambda: scorer(reads=[], writes=[Column("rap_own", "float", "")]), "'float' is no type of a column: it takes bool, string"),
        (lambda: scorer(reads=[], writes=[Column("rap_own", "list<int>", "")]), "'int' is no type of a column"),
        (lambda: scorer(**DECLARED, bibtex=3), "bibtex is 3: it takes a text, or None."),
        (lambda: scorer(**DECLARED)(later), "The scorer 'later' is asynchronous: it takes a function that returns its columns."),
        (lambda: scorer(**DECLARED)(one_by_one), "The scorer 'one_by_one' yields: it takes a function that returns"),
        (lambda: scorer(**DECLARED)(partial(later)), "@scorer is for a function of a batch, not functools.partial("),
        (lambda: scorer(**DECLARED)(dict), "@scorer is for a function of a batch, not <class 'dict'>"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_told_where_it_is_made(makes, says):
    """When its module is imported, not in the middle of a dataset."""
    with pytest.raises(SettingError) as error:
        makes()
    assert says in str(error.value)


def test_columns_that_are_not_there_or_there_already_are_told():
    """Before any work, by the name of the scorer."""
    with pytest.raises(MissingColumnError, match=r"^longest reads column 'rap_image_tokens'"):
        longest({"a": [1]})
    scored = add_scores(Dataset.from_dict(ROWS), longest)
    with pytest.raises(ColumnExistsError, match=r"^longest would overwrite 'rap_longest'"):
        add_scores(scored, longest)


@dataclass(frozen=True)
class Above:
    """A scorer as a class, with an option."""

    limit: float = 0.5
    version: str = "1"
    reads: ClassVar[tuple[Column, ...]] = (Column("rap_cde", "float64", ""),)
    writes: ClassVar[tuple[Column, ...]] = (Column("rap_above", "int32", "cde is above the limit"),)

    @property
    def features(self):
        return Features({"rap_above": Value("int32")})

    def __call__(self, batch):
        return {"rap_above": np.array(batch["rap_cde"]) > self.limit}


def test_a_class_is_a_scorer():
    """With options, which are part of the cache key; what it gives is read like that of a function."""
    ds = Dataset.from_dict(ROWS)
    assert add_scores(ds, Above())["rap_above"][:] == [1, 1, 0]
    assert add_scores(ds, Above(0.85))["rap_above"][:] == [0, 1, 0]
    assert list(add_scores(ds.to_iterable_dataset(), Above(0.85)))[1]["rap_above"] == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Above, "scorers is <class "),
        (lambda batch: batch, "scorers is <function <lambda>"),
        (type("Own", (), {"writes": Above.writes, "__call__": len})(), "The scorer Own has no 'reads': see hf_rap.Scorer"),
        (
            type("Own", (), {"writes": ["rap_own"], "reads": (), "features": {}, "__call__": len})(),
            "Own.writes is ['rap_own']: it takes a list of hf_rap.Column",
        ),
        (type("Own", (Above,), {"__call__": lambda self, batch: {"rap_above": [1]}})(), "The scorer 'Own' gives 1 values"),
        (type("Own", (Above,), {"__call__": lambda self, batch: 1 / 0})(), "The scorer 'Own' raised ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_class_that_is_wrong_is_told(wrong, says):
    """What it lacks, or what it gave."""
    with pytest.raises(SettingError) as error:
        add_scores(Dataset.from_dict(ROWS), wrong)
    assert says in str(error.value)


@pytest.mark.slow
def test_the_cache_key_is_that_of_what_decides(tmp_path, monkeypatch):
    """The same in another process; another one when a constant or a helper of its module changes, or a default."""
    code = """
from hf_rap.columns import Column
from hf_rap.scorers import scorer
FACTOR = {factor}
def helper(value):
    return {helper}
@scorer(reads=["rap_cde"], writes=[Column("rap_own", "float64", "")])
def own(batch, more={more}):
    return {{"rap_own": [helper(value) * FACTOR + more for value in batch["rap_cde"]]}}
"""
    usual = {"factor": 2, "helper": "value + 1", "more": 0}
    changed = [usual, usual, {**usual, "factor": 3}, {**usual, "helper": "value + 2"}, {**usual, "more": 1}]
    keys = []
    for number, parts in enumerate(changed):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "own_cached.py").write_text(code.format(**parts))
        words = "from datasets.fingerprint import Hasher\nfrom own_cached import own\nprint(Hasher.hash(own))"
        env = os.environ | {"PYTHONPATH": f"{Path(hf_rap.__file__).parents[1]}{os.pathsep}{folder}"}
        keys.append(
            subprocess.run([sys.executable, "-c", words], env=env, capture_output=True, text=True, check=True).stdout
        )
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


BIBTEX = "@misc{roe2026range,\n  title={Ranges},\n  year={2026}\n}"


def test_its_paper_is_cited(tmp_path):
    """On the card of rows that it ranks, with what it measures; by itself, or by its column once it is a plugin."""

    @scorer(
        reads=["rap_image_tokens"],
        writes=[Column("rap_longest", "int32", "tokens of the longest reply")],
        bibtex=BIBTEX,
    )
    def cited(batch):
        return longest(batch)

    ds = add_scores(Dataset.from_dict(ROWS), cited)
    selection = select_top(ds, by=cited, count=1, per=None)
    assert selection.rule["by"] == "rap_longest"
    card = (publish_to_folder(selection, tmp_path / "v").path / "README.md").read_text()
    assert "to reason: the highest `rap_longest` (tokens of the longest reply)." in card
    assert BIBTEX in card
    unknown = select_top(ds, by="rap_longest", count=1, per=None)
    assert unknown.method["citations"] == []
    two = FunctionScorer(cited.function, cited.reads, (*cited.writes, FLOAT), "")
    with pytest.raises(SettingError, match="it takes one column: name one of rap_longest, rap_own"):
        select_top(ds, by=two, count=1, per=None)


def test_a_lambda_and_a_closure_are_scorers(tmp_path):
    """Also in several processes, which get them by value; with another closed-over value the cache has another key."""

    def above(limit):
        return scorer(reads=["rap_cde"], writes=[FLOAT])(
            lambda batch: {"rap_own": [cde > limit for cde in batch["rap_cde"]]}
        )

    ds = Dataset.from_dict(ROWS)
    assert ds.map(above(0.5), batched=True, batch_size=1, num_proc=2)["rap_own"][:] == [1, 1, 0]
    assert Hasher.hash(above(0.5)) != Hasher.hash(above(0.85))
