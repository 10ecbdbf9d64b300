"""The config `control`: as many rows as are kept, drawn from those that could have been."""

import pytest
from datasets import Dataset

from hf_rap.select import select_cognitive, select_difficulty, select_limr, select_longest, select_random, select_top
from hf_rap.versions.configs import Content

ROWS = 40


def dataset(**columns) -> Dataset:
    """Text rows, each named by its number."""
    ids = [f"row-{number}" for number in range(ROWS)]
    questions = {"problem": ["What is 1 + 1?"] * ROWS, "images": [[]] * ROWS, "answer": ["2"] * ROWS}
    return Dataset.from_dict({"rap_id": ids, **questions, **columns})


def drawn(selection) -> list[int]:
    """The numbers of the rows in `control`."""
    content = Content.of(selection, None, "unknown", random_control=True)
    return [int(row.removeprefix("row-")) for table in content.batches("control") for row in table["id"].to_pylist()]


def kept(selection) -> list[int]:
    """The numbers of the kept rows."""
    return [number for number, keep in enumerate(selection.scored["rap_keep"]) if keep]


def test_it_is_drawn_from_the_rows_with_a_score():
    """30 of 40 rows have a score and 12 pass; the 12 drawn are among the 30, and are not the 12."""
    scores = [None if number % 4 == 0 else number / ROWS for number in range(ROWS)]
    selection = select_cognitive(dataset(rap_cde=scores), min_cde=0.6, replace_easy=False)
    assert len(kept(selection)) == 12  # of 25 to 39 all but 28, 32 and 36
    rows = drawn(selection)
    assert len(rows) == 12
    assert [number for number in rows if number % 4 == 0] == []
    assert set(rows) != set(kept(selection))


def test_kept_rows_without_that_score_can_be_drawn():
    """Rows drawn by chance need no cde: where 36 of 40 are kept and 2 have one, the control has 36 all the same."""
    selection = select_random(dataset(rap_cde=[0.5, 0.1, *[None] * 38]), budget=36)
    assert len(kept(selection)) == 36
    assert len(drawn(selection)) == 36
    assert set(drawn(selection)) <= {*kept(selection), 0, 1}


def test_the_seed_decides_and_nothing_else():
    """The same rows again; others with another seed, and others than the tie order of the selection would give."""
    ds = dataset(rap_cde=[0.5] * ROWS)
    draws = [drawn(select_cognitive(ds, min_cde=0.2, budget=10, replace_easy=False, seed=seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert set(draws[0]) != set(kept(select_cognitive(ds, min_cde=0.2, budget=10, replace_easy=False, seed=0)))


@pytest.mark.parametrize("shared", ["stratify_by", "per"])
def test_each_stratum_is_drawn_as_often_as_it_is_kept(shared):
    """By the column that shared out the budget or had quotas: one row of each of ten topics."""
    ds = dataset(topic=[f"topic {number % 10}" for number in range(ROWS)], rap_cde=[n / ROWS for n in range(ROWS)])
    if shared == "per":
        selection = select_top(ds, by="rap_cde", ratio=0.25, per="topic")
    else:
        selection = select_cognitive(ds, min_cde=0.0, budget=10, stratify_by="topic", replace_easy=False)
    assert sorted(number % 10 for number in kept(selection)) == list(range(10))
    assert sorted(number % 10 for number in drawn(selection)) == list(range(10))
    assert drawn(selection) != kept(selection)


@pytest.mark.parametrize(
    ("column", "select"),
    [
        ("rap_bis", lambda ds: select_top(ds, ratio=0.5, per=None)),
        ("rap_difficulty", lambda ds: select_difficulty(ds, low=0.3, high=0.8)),
        ("rap_limr", lambda ds: select_limr(ds, min_limr=0.5)),
    ],
)
def test_the_score_is_the_one_that_decides(column, select):
    """Rows without it are not drawn, whatever other score they have; cde need not be there."""
    scores = [number / 20 if number < 20 else None for number in range(ROWS)]
    selection = select(dataset(**{column: scores}))
    assert 0 < len(kept(selection)) == len(drawn(selection))
    assert max(drawn(selection)) < 20
    with_cde = select(dataset(**{column: scores}, rap_cde=[0.9] * ROWS))
    assert drawn(with_cde) == drawn(selection)


def test_without_any_score_rows_with_an_error_are_not_drawn():
    """As no trainer could use them."""
    errors = ["no_image: no image" if number % 2 else None for number in range(ROWS)]
    lengths = [[number] for number in range(ROWS)]
    selection = select_longest(dataset(rap_image_tokens=lengths, rap_error=errors), budget=2)
    assert kept(selection) == [38, 39]
    draws = [
        drawn(select_longest(dataset(rap_image_tokens=lengths, rap_error=errors), budget=20, seed=seed))
        for seed in range(4)
    ]
    assert all(number % 2 == 0 or number >= 20 for rows in draws for number in rows)
    assert any(number < 20 for rows in draws for number in rows)
    assert len(drawn(select_random(dataset(), budget=7))) == 7
