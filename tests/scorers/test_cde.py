"""The causal discrepancy by hand."""

import math

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.columns import CDE, IMAGE_REWARDS, TEXT_REWARDS, typed
from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.scorers import CDEScore, cde_score


def cde_of(image, text):
    return cde_score({"rap_image_rewards": [image], "rap_text_rewards": [text]})["rap_cde"][0]


@pytest.mark.parametrize(
    ("image", "text", "expected"),
    [
        ([1, 1, 1, 1, 0], [1, 1, 1, 0, 0], 0.2),  # 4/5 - 3/5, which is 0.20000000000000007 as floats
        ([1, 1, 1, 0, 0], [1, 1, 0, 0, 0], 0.2),  # 3/5 - 2/5, which is 0.19999999999999996 as floats
        ([1, 1, 1], [0, 0, 0, 0, 0], 1.0),
        ([0], [1, 1], -1.0),
        ([1, 0, 0], [1, 1, 0, 0], -1 / 6),  # 1/3 - 1/2
        ([1, None, 0, None], [0, None], 0.5),  # 1/2 - 0/1: what was not judged does not count
        ([1.0, 0.9, 0.9, 0.9, 0.9], [0.7] * 5, 0.2),  # 1/5 - 0/5: a part of a reward is no part of a solved attempt
        ([True, False], [False], 0.5),
    ],
)
def test_cde_is_the_difference_of_the_shares(image, text, expected):
    """The share solved with the image minus the share without, over judged attempts."""
    assert cde_of(image, text) == expected


@pytest.mark.parametrize("nothing", [None, [], [None, None]])
def test_an_arm_without_judged_attempts_gives_null(nothing):
    """Unknown stays unknown, in either arm."""
    assert cde_of(nothing, [1, 0]) is None
    assert cde_of([1, 0], nothing) is None


@pytest.mark.parametrize(
    ("numerator", "attempts"), [(c1 - c0, m) for m in range(1, 9) for c1 in range(m + 1) for c0 in (0, 1)]
)
def test_integer_rewards_give_the_double_nearest_to_the_fraction(numerator, attempts):
    """So a threshold such as 0.2 can be compared exactly."""
    c0 = 1 if numerator < 0 else 0
    c1 = numerator + c0
    image, text = [1] * c1 + [0] * (attempts - c1), [1] * c0 + [0] * (attempts - c0)
    assert cde_of(image, text) == numerator / attempts


def test_rewards_outside_of_the_range_are_refused_by_row_and_value():
    """All bad rows are told, the first five spelled out."""
    batch = {
        "rap_id": ["a", "b", "c", "d", "e", "f", "g"],
        "rap_image_rewards": [[1.0], [1.5], [0, math.nan], [-1], [2], [3], [4]],
        "rap_text_rewards": [[1.0]] * 7,
    }
    message = (
        r"CDEScore reads rewards in \[0, 1\] or null from 'rap_image_rewards', but "
        r"row 1 of the batch \(rap_id 'b'\) has 1.5, row 2 of the batch \(rap_id 'c'\) has nan, .* and 1 more rows\."
    )
    with pytest.raises(LayoutError, match=message):
        cde_score(batch)


def test_bad_rewards_are_refused_without_ids_too():
    """The position in the batch is told where there is no rap_id."""
    with pytest.raises(LayoutError, match=r"but row 0 of the batch has 7\. "):
        cde_of([7], [0])


def test_a_dataset_without_evidence_says_how_to_collect_it():
    """The hint names the Python call and the command."""
    with pytest.raises(MissingColumnError, match=r"Make it first: .*Rollouts.* or `hf-rap rollouts`\.$"):
        Dataset.from_dict({"question": ["?"]}).map(cde_score, batched=True)


def test_one_row_instead_of_a_batch_is_refused():
    """Forgetting batched=True would average over the wrong axis."""
    ds = Dataset.from_dict({"rap_image_rewards": [[1.0, 0.0]], "rap_text_rewards": [[0.0, 0.0]]})
    with pytest.raises(SettingError, match=r"CDEScore takes batches of rows, and this is a single row.*batched=True"):
        ds.map(cde_score)
    for row in ({"rap_image_rewards": None, "rap_text_rewards": None}, {**ds[0], "rap_id": "a"}):
        with pytest.raises(SettingError, match="CDEScore takes batches of rows, and this is a single row"):
            cde_score(row)
    with pytest.raises(LayoutError, match="reads a list of numbers per row from 'rap_image_rewards'"):
        cde_score(ds[0])


def test_a_numpy_formatted_dataset_works_until_a_null_becomes_nan():
    """NaN is refused with the way out."""
    features = Features({name: List(Value("float64")) for name in ("rap_image_rewards", "rap_text_rewards")})
    rewards = {"rap_image_rewards": [[1.0, 0.0]], "rap_text_rewards": [[0.0, 0.0]]}
    ds = Dataset.from_dict(rewards, features=features).with_format("numpy")
    assert ds.map(cde_score, batched=True).with_format(None)["rap_cde"][:] == [0.5]
    rewards["rap_text_rewards"] = [[0.0, None]]
    ds = Dataset.from_dict(rewards, features=features).with_format("numpy")
    with pytest.raises(LayoutError, match=r"has nan\. .*turn null into NaN"):
        ds.map(cde_score, batched=True)


class FakeRollouts:
    """Evidence without a model: right with the image when the question says so."""

    writes = (IMAGE_REWARDS, TEXT_REWARDS)

    def __call__(self, batch):
        image = [[1.0, 1.0] if question == "look" else None for question in batch["question"]]
        return typed({IMAGE_REWARDS: image, TEXT_REWARDS: [[0.0, 1.0] for _ in image]})


def test_rollouts_and_score_go_through_one_map():
    """Evidence and score are both written."""
    ds = Dataset.from_dict({"question": ["guess", "look"]})
    scorer = CDEScore(rollouts=FakeRollouts())
    scored = ds.map(scorer, batched=True, batch_size=1)
    assert scored[:] == {
        "question": ["guess", "look"],
        "rap_image_rewards": [None, [1.0, 1.0]],
        "rap_text_rewards": [[0.0, 1.0], [0.0, 1.0]],
        "rap_cde": [None, 0.5],
    }
    assert scored.features == Features({"question": Value("string"), **scorer.features})
    assert scorer.writes == (IMAGE_REWARDS, TEXT_REWARDS, CDE)
    assert scorer.reads == ()
