"""The draw of s1: what was not solved at first, any domain as likely as another, longer replies more likely."""

from collections import Counter

import pytest
from datasets import Dataset

from hf_rap import select_cognitive
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.select import select_s1


def rows(count, *, domain=lambda _: "a", first=lambda _: 0.0):
    """Rows whose replies are as long as their number."""
    numbers = range(count)
    return Dataset.from_dict(
        {
            "rap_id": [f"r{number}" for number in numbers],
            "domain": [domain(number) for number in numbers],
            "rap_image_rewards": [[first(number), 1.0] for number in numbers],
            "rap_image_tokens": [[number, number] for number in numbers],
        }
    )


def test_what_the_first_attempt_solves_is_out():
    """Later attempts do not count; a row without a first verdict is not known."""
    ds = rows(4, first=lambda number: [0.0, 1.0, None, 0.0][number])
    assert select_s1(ds, budget=1).scored["rap_reason"][1:3] == ["solved_at_first", "not_scored"]
    selection = select_s1(ds, budget=2)
    assert selection.selected["rap_id"][:] == ["r0", "r3"]
    assert [step.rows for step in selection.funnel] == [4, 3, 2, 2]
    with pytest.raises(
        SettingError, match="budget asks for 3 rows, but only 2 of 4 are not solved by their first attempt"
    ):
        select_s1(ds, budget=3)


@pytest.mark.exhaustive
def test_the_longest_is_twice_as_likely_as_the_next():
    """Of 3 rows 4/7, 2/7 and 1/7: of 700 draws about 400, 200 and 100, within four standard errors (52, 48, 37)."""
    ds = rows(3)
    drawn = Counter(select_s1(ds, budget=1, seed=seed).selected["rap_id"][0] for seed in range(700))
    assert abs(drawn["r2"] - 400) < 52
    assert abs(drawn["r1"] - 200) < 48
    assert abs(drawn["r0"] - 100) < 37


def test_a_small_domain_is_as_likely_as_a_large_one():
    """Two rows of a hundred are both taken by the twentieth draw, as long as they are: of ten draws five are of each on average."""
    ds = rows(100, domain=lambda number: "small" if number < 10 else "large")
    selection = select_s1(ds, budget=18, stratify_by="domain")
    kept = Counter(selection.selected["domain"])
    assert 4 <= kept["small"] <= 10
    assert kept.total() == 18
    assert select_s1(ds, budget=100, stratify_by="domain").selected["rap_id"][:] == ds["rap_id"][:]


def test_it_is_a_method_like_others():
    """The same draw by its name, again from its rule, and with its paper."""
    ds = rows(20)
    selection = select_cognitive(ds, method="s1", budget=0.25, seed=3)
    assert selection.selected["rap_id"][:] == select_s1(ds, budget=5, seed=3).selected["rap_id"][:]
    assert selection.rule["asked"] == {"budget": 0.25}
    with pytest.raises(MissingColumnError, match="rap_image_tokens"):
        select_s1(ds.remove_columns("rap_image_tokens"), budget=1)
