"""The released selection against a second, plain implementation of its definition, row for row.

Written from the definition, with loops and floats and no numpy, sharing no code with hf_rap.
"""

import random

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.errors import LayoutError, SettingError
from hf_rap.select import select_cognitive


def released_by_definition(image, text):
    """The positions of the core rows and of the drawn rows."""
    rates1 = [sum(reward == 1 for reward in rewards) / 5 for rewards in image]
    rates0 = [sum(reward == 1 for reward in rewards) / 5 for rewards in text]
    b1, b0 = sum(rates1) / len(rates1), sum(rates0) / len(rates0)
    core, pool = [], []
    for row, (a1, a0) in enumerate(zip(rates1, rates0, strict=True)):
        sim = 1 - (a1 - b1) ** 2 / (1 - b1) ** 2
        solved = sum(reward >= 0.9 for reward in image[row])
        if sim >= 0.6 and a1 - a0 > 0.2 and solved < 5:
            core.append(row)
        first = sim >= 0.85 and (a1 - a0 > b1 - b0 or a1 - a0 >= 0.2)
        if solved == 1 and (first or a1 - a0 >= 0.6):
            pool.append(row)
    drawn = random.Random(42).sample(pool, len(pool) // 10)
    return core, pool, drawn


def evidence(image, text, **others):
    rewards = List(Value("float64"))
    columns = {"rap_image_rewards": image, "rap_text_rewards": text, **others}
    types = {name: rewards if name.endswith("rewards") else Value("string") for name in columns}
    return Dataset.from_dict(columns, Features(types))


def random_rewards(seed, rows):
    rng = random.Random(seed)
    rates = [rng.random() for _ in range(rows)]

    def attempts(rate):
        return [rng.choice([0.9, 1.0]) if rng.random() < rate else rng.choice([0, 0.1]) for _ in range(5)]

    return [attempts(rate) for rate in rates], [attempts(rate * rng.random()) for rate in rates]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("skewed", [False, True])
def test_every_row_is_decided_as_the_definition_says(seed, skewed):
    """2,000 rows of rewards from {0, 0.1, 0.9, 1.0}: uniform ones, and ones that resemble a model's."""
    rng = random.Random(seed)
    uniform = [[[rng.choice([0, 0.1, 0.9, 1.0]) for _ in range(5)] for _ in range(2_000)] for _ in range(2)]
    image, text = random_rewards(seed, 2_000) if skewed else uniform
    core, pool, drawn = released_by_definition(image, text)
    expected = ["not_core"] * 2_000
    for reason, rows in (("not_sampled", pool), ("one_right_sampled", drawn), ("core", core)):
        for row in rows:
            expected[row] = reason
    selection = select_cognitive(evidence(image, text), method="rap-released")
    assert selection.scored["rap_reason"][:] == expected
    assert selection.kept_rows.tolist() == sorted({*core, *drawn})
    assert min(len(core), len(pool), len(drawn)) > 0, "a comparison of nothing proves nothing"


def test_differences_are_those_of_float64():
    """4/5 - 3/5 is above 0.2 and 3/5 - 2/5 is not, as in the script; rows 2 and 3 keep the mean in the middle."""
    image = [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    text = [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    selection = select_cognitive(evidence(image, text), method="rap-released")
    assert selection.scored["rap_reason"][:] == ["core", "not_core", "not_core", "not_core"]


def test_rows_without_five_judged_attempts_are_dropped_and_named():
    """A null is unknown, not solved; it counts in no mean either."""
    image = [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, None], [1, 1, 1], None]
    text = [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0] * 5, [0] * 5, None]
    selection = select_cognitive(
        evidence(image, text, rap_error=[None, None, None, None, "no_image: none"]), method="rap-released"
    )
    assert selection.scored["rap_reason"][:] == ["core", "not_core", "not_five_judged", "not_five_judged", "no_image"]
    assert dict(selection.funnel) == {"rows": 5, "five_judged": 2, "core": 1, "selected": 1}
    unexplained = select_cognitive(evidence(image, text), method="rap-released")
    assert unexplained.scored["rap_reason"][:] == ["core", "not_core", *["not_five_judged"] * 3]


def test_where_every_row_is_solved_nothing_is_core():
    """The similarity is 0 / 0 there."""
    assert select_cognitive(evidence([[1] * 5] * 3, [[0] * 5] * 3), method="rap-released").reasons == {"not_core": 3}


def test_bad_input_is_refused():
    """No row with five attempts; rewards that are no rewards; an option that the rule does not have."""
    with pytest.raises(SettingError, match=r"needs rows with 5 judged attempts in both arms, and none of the 1 rows"):
        select_cognitive(evidence([[1, 0]], [[0, 0]]), method="rap-released")
    with pytest.raises(LayoutError, match=r"1 rows have others, the first is row 1 with 2\.0"):
        select_cognitive(evidence([[1] * 5, [2] * 5], [[0] * 5] * 2), method="rap-released")
    with pytest.raises(SettingError, match=r"min_cde=0\.2 means nothing to method 'rap-released': it takes no options"):
        select_cognitive(evidence([[1] * 5], [[0] * 5]), method="rap-released", min_cde=0.2)
