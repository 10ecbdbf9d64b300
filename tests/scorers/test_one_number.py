"""A score is one number wherever it is read: `> 0.2` keeps the same rows in a table, a stream, a file and the selector."""

from fractions import Fraction

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value, load_dataset

from hf_rap import CDEScore, add_scores, cde_score, difficulty_score, select_cognitive, select_difficulty
from hf_rap.select.arrays import scores_of
from hf_rap.stats.counts import read_counts
from hf_rap.stats.thresholds import Quantile

REWARDS = Features({name: List(Value("float64")) for name in ("rap_image_rewards", "rap_text_rewards")})
THRESHOLDS = (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9, -0.2, 1 / 3, 2 / 3)


def solved(count, attempts):
    return [1.0] * count + [0.0] * (attempts - count)


# Every k/n up to n = 32 beside a text that never succeeds, and every pair of arms of up to 8 attempts.
ALONE = [(count, attempts, 0, 1) for attempts in range(1, 33) for count in range(attempts + 1)]
PAIRS = [
    (count, attempts, count0, attempts0)
    for attempts in range(1, 9)
    for count in range(attempts + 1)
    for attempts0 in range(1, 9)
    for count0 in range(attempts0 + 1)
]
ROWS = ALONE + PAIRS
CDE = [Fraction(s1, n1) - Fraction(s0, n0) for s1, n1, s0, n0 in ROWS]


def evidence():
    """The rewards of ROWS."""
    rewards = {
        "rap_image_rewards": [solved(s1, n1) for s1, n1, _, _ in ROWS],
        "rap_text_rewards": [solved(s0, n0) for _, _, s0, n0 in ROWS],
    }
    return Dataset.from_dict(rewards, features=REWARDS)


@pytest.fixture(scope="module")
def scored():
    return add_scores(evidence(), cde_score, difficulty_score)


@pytest.fixture(scope="module")
def parquet(scored, tmp_path_factory):
    path = tmp_path_factory.mktemp("numbers") / "scored.parquet"
    scored.to_parquet(path)
    return path


def above(limit):
    """Rows that are above the limit as it is written: a fifth is not above 0.2, whatever both are as doubles."""
    return [value > Fraction(limit).limit_denominator(1000) for value in CDE]


def test_scores_are_the_doubles_nearest_to_the_quotients(scored):
    """One division of integers: no other double is nearer."""
    assert scored.features["rap_cde"] == scored.features["rap_difficulty"] == Value("float64")
    assert scored["rap_cde"][:] == [float(value) for value in CDE]
    assert scored["rap_difficulty"][:] == [(n1 - s1) / n1 for s1, n1, _, _ in ROWS]


def test_a_stream_has_the_same_numbers(scored):
    """Bit by bit."""
    streamed = list(evidence().to_iterable_dataset().map(cde_score, batched=True).map(difficulty_score, batched=True))
    assert [row["rap_cde"] for row in streamed] == scored["rap_cde"][:]
    assert [row["rap_difficulty"] for row in streamed] == scored["rap_difficulty"][:]


def test_the_selector_has_the_same_numbers_from_counts(scored):
    """As it decides again when the model answers anew."""
    cde, difficulty = scores_of(*read_counts("test", scored))
    assert cde.tolist() == scored["rap_cde"][:]
    assert difficulty.tolist() == scored["rap_difficulty"][:]


def by_filter(scored, parquet, limit):
    numbered = scored.add_column("row", range(len(scored)))
    kept = set(numbered.filter(lambda row: row["rap_cde"] > limit)["row"])
    return [row in kept for row in range(len(scored))]


def by_stream(scored, parquet, limit):
    stream = load_dataset("parquet", data_files=str(parquet), split="train", streaming=True)
    return [row["rap_cde"] > limit for row in stream]


def by_format(name):
    def decide(scored, parquet, limit):
        column = scored.with_format(name)[:]["rap_cde"]
        return np.asarray(column > limit).tolist()

    return decide


def by_arrow(scored, parquet, limit):
    import pyarrow.compute as pc

    return pc.greater(scored.with_format("arrow")[:]["rap_cde"], limit).to_pylist()


def by_polars(scored, parquet, limit):
    pytest.importorskip("polars", reason="in the dev group")
    return (scored.with_format("polars")[:]["rap_cde"] > limit).to_list()


def by_pandas(scored, parquet, limit):
    import pandas as pd

    return (pd.read_parquet(parquet)["rap_cde"] > limit).tolist()


def by_duckdb(scored, parquet, limit):
    duckdb = pytest.importorskip("duckdb", reason="in the dev group")
    return [kept for (kept,) in duckdb.sql(f"SELECT rap_cde > {limit!r} FROM '{parquet}'").fetchall()]


def by_selector(scored, parquet, limit):
    return select_cognitive(scored, min_cde=limit, replace_easy=False).scored["rap_keep"][:]


def by_selector_from_a_file(scored, parquet, limit):
    return by_selector(load_dataset("parquet", data_files=str(parquet), split="train"), parquet, limit)


WAYS = {
    "filter": by_filter,
    "stream of a Parquet file": by_stream,
    "arrow": by_arrow,
    "numpy": by_format("numpy"),
    "torch": by_format("torch"),
    "pandas": by_format("pandas"),
    "polars": by_polars,
    "pandas from Parquet": by_pandas,
    "DuckDB": by_duckdb,
    "selector": by_selector,
    "selector from Parquet": by_selector_from_a_file,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_of_asking_agrees(way, scored, parquet):
    """For thresholds that rows lie on, and each keeps what is above it as fractions."""
    for limit in THRESHOLDS:
        assert way(scored, parquet, limit) == above(limit), limit


@pytest.mark.parametrize("q", [0.1, 0.5, 0.75, 0.9])
def test_a_quantile_is_a_score_and_keeps_what_is_above_it(scored, q):
    """The threshold that the rule tells gives the same rows when it is given as a number, and to `filter`."""
    selection = select_cognitive(scored, min_cde=Quantile(q), replace_easy=False)
    limit = selection.rule["min_cde"]
    assert limit in scored["rap_cde"][:]
    assert selection.scored["rap_keep"][:] == by_selector(scored, None, limit) == by_filter(scored, None, limit)


def test_bounds_of_the_pass_rate_agree_with_filter(scored):
    """0.3 <= pass rate <= 0.7 has the rows with exactly three or seven of ten."""
    kept = select_difficulty(scored, 0.3, 0.7).scored["rap_keep"][:]
    assert kept == [Fraction(3, 10) <= Fraction(s1, n1) <= Fraction(7, 10) for s1, n1, _, _ in ROWS]


def test_single_precision_of_earlier_releases_decides_and_is_written_as_what_it_stands_for(scored, tmp_path):
    """The float32 nearest to 1/5 does not pass 0.2, that to 1/3 does not pass 1/3, and what is selected is in doubles."""
    single = Features({**scored.features, "rap_cde": Value("float32"), "rap_difficulty": Value("float32")})
    scored.cast(single).to_parquet(tmp_path / "old.parquet")
    old = load_dataset("parquet", data_files=str(tmp_path / "old.parquet"), split="train")
    assert old.features == single
    for limit in THRESHOLDS:
        selection = select_cognitive(old, min_cde=limit, replace_easy=False)
        assert selection.scored["rap_keep"][:] == above(limit), limit
    assert selection.scored.column_names[: len(single)] == list(single)
    assert selection.scored.remove_columns(["rap_keep", "rap_reason"]).to_list() == scored.to_list()
    assert selection.scored.features["rap_cde"] == Value("float64")
    for replace_easy in (True, False):
        new, again = (select_cognitive(ds, min_cde=0.2, replace_easy=replace_easy) for ds in (scored, old))
        assert new.scored["rap_reason"][:] == again.scored["rap_reason"][:]


def test_a_control_has_the_same_numbers():
    """`CDEScore(control="blank")` divides as well."""
    batch = {"rap_image_rewards": [[1, 1, 1, 0, 0]], "rap_blank_rewards": [[1, 1, 0, 0, 0]]}
    assert CDEScore(control="blank")(batch)["rap_cde"] == [0.2]
