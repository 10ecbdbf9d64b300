"""The released selection against a second, plain implementation of its definition, row for row.

Written from the definition, with loops and floats and no numpy, sharing no code with hf_rap.
"""

import random

import pytest
from datasets import Dataset, Features, List, Value, concatenate_datasets

from hf_rap import Completion, Rollouts, collect_evidence
from hf_rap.demo import make_planted
from hf_rap.errors import LayoutError, SettingError
from hf_rap.select import select_cognitive
from hf_rap.select.stability import describe_stability
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts


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
    assert {step.name: step.rows for step in selection.funnel} == {
        "rows": 5,
        "five_judged": 2,
        "core": 1,
        "selected": 1,
    }
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


REPLIES = {
    # (right, has the format that was asked for): a reply
    (True, True): "<think>{gold} it is</think> so \\boxed{{{gold}}}.",
    (True, False): "I think it is {gold}, so \\boxed{{{gold}}}.",
    (False, True): "< think > hm < / think >\n\\boxed{{nothing}}",
    (False, False): "\\boxed{{nothing}}",
}


class Replying:
    """An engine whose replies are right as often as the row and the arm say, and lack the format in one of five."""

    def __init__(self, golds):
        self.golds = golds  # by id

    def complete(self, requests, sampling):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        rate = random.Random(request.row_id).random()
        rate *= 1 if request.images else random.Random(f"{request.row_id} text").random()
        rng = random.Random(f"{request.row_id} {request.arm}")
        drawn = [(rng.random() < rate, rng.random() >= 0.2) for _ in range(request.attempts)]
        return [Completion(REPLIES[one].format(gold=self.golds[request.row_id]), 9, False) for one in drawn]

    def describe(self):
        return {"engine": "replying", "model": "planted"}


def script_on_replies(rows):
    """What the authors' reward and script say of replies, ids and golds: from {"onlyid", "image": [...], "text": [...], "gold"}.

    Reward: 0.9 if the last box holds the gold, and 0.1 if there is a thought in tags, and a box behind it.
    """

    def reward(reply, gold):
        for tag in ("<", ">", "/"):
            reply = tag.join(part.strip() for part in reply.split(tag))
        box = reply.rpartition("\\boxed{")[2].partition("}")[0]
        thought, closed, rest = reply.partition("</think>")
        formatted = thought.startswith("<think>") and closed and "\\boxed{" in rest and "}" in rest
        return 0.9 * (box == gold) + 0.1 * bool(formatted)

    rewards = [[[reward(reply, row["gold"]) for reply in row[arm]] for row in rows] for arm in ("image", "text")]
    core, _, drawn = released_by_definition(*rewards)
    return sorted(rows[place]["onlyid"] for place in {*core, *drawn}), rewards


def test_the_selection_is_that_of_the_script_on_replies():
    """400 planted rows, five replies per arm, one of five without the format: same rows, and other ones without that evidence."""
    planted = make_planted(400, seed=3)
    engine = Replying(dict(zip(planted["id"], planted["answer"], strict=True)))
    evidence = collect_evidence(planted, Rollouts(engine))
    formatted = [flag for row in evidence["rap_image_formatted"] for flag in row or ()]
    assert 0.75 < sum(formatted) / len(formatted) < 0.85
    asked = [row for row in evidence.remove_columns("images").to_list() if row["rap_image_responses"]]
    assert len(asked) == 380  # the gold answers of the others cannot be read
    told = [
        {
            "onlyid": row["id"],
            "image": row["rap_image_responses"],
            "text": row["rap_text_responses"],
            "gold": row["answer"],
        }
        for row in asked
    ]
    chosen, rewards = script_on_replies(told)
    assert {one for of_row in rewards[0] for one in of_row} == {0.0, 0.1, 0.9, 1.0}
    selection = select_cognitive(evidence, method="rap-released")
    assert sorted(selection.selected["id"]) == chosen
    assert selection.reasons["core"] > 20
    assert selection.reasons["one_right_sampled"] > 0
    assert selection.rule == {
        "method": "rap-released",
        "method_version": "1",
        "min_gain": 0.2,
        "reward": "0.9 accuracy + 0.1 format",
    }
    before = evidence.remove_columns(["rap_image_formatted", "rap_text_formatted"])
    without = select_cognitive(before, method="rap-released")
    assert without.rule["reward"] == "as stored, no format evidence"
    shared = set(without.selected["id"]) & set(chosen)
    assert len(shared) / len({*without.selected["id"], *chosen}) < 0.8


def test_a_format_nobody_asked_for_costs_nothing():
    """To a prompt without an instruction rewards stay as they are, in some rows or in all; and stability knows the rule."""
    planted = make_planted(60, seed=3)
    engine = Replying(dict(zip(planted["id"], planted["answer"], strict=True)))
    bare = collect_evidence(planted, Rollouts(engine, prompt="bare"))
    assert bare["rap_image_formatted"][:] == [None] * 60
    plain = bare.remove_columns(["rap_image_formatted", "rap_text_formatted"])
    one, other = (select_cognitive(ds, method="rap-released") for ds in (bare, plain))
    assert one.scored["rap_reason"][:] == other.scored["rap_reason"][:]
    assert one.rule["reward"] == other.rule["reward"] == "as stored, no format evidence"
    some = concatenate_datasets(
        [collect_evidence(planted.select(range(30)), Rollouts(engine)), bare.select(range(30, 60))]
    )
    mixed = select_cognitive(some, method="rap-released")
    assert mixed.rule["reward"] == "0.9 accuracy + 0.1 format in 29 of 57 rows, as stored in the others"
    assert describe_stability(mixed)["kept"] == len(mixed.kept_rows)


def test_the_card_of_a_released_selection_says_what_was_counted():
    """In the rule, and not as an option of the call that repeats it."""
    image, text = random_rewards(0, 40)
    selection = select_cognitive(evidence(image, text), method="rap-released")
    card = render_card(collect_facts(selection, name="x", version="1.0.0"))
    assert "| `reward` | `as stored, no format evidence` | what a reply is worth to the rule |" in card
    assert "    reward=" not in card
