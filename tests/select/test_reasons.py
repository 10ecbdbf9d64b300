"""Every reason that a method gives is true of the row that it is given to."""

import random
from collections import Counter
from functools import cache

import pytest
from datasets import Dataset, Features, List, Value

from hf_rap.errors import SettingError
from hf_rap.scorers import add_limr_score, bis_score, cde_score, difficulty_score
from hf_rap.scorers.base import add_scores
from hf_rap.select import METHODS, Selection, select_cognitive, select_difficulty, select_top, split_stages
from hf_rap.select.again import select_again
from hf_rap.select.predicates import holds, untrue_reasons
from hf_rap.select.rap import NOT_ABOVE
from hf_rap.select.top import TOP


@cache
def simulated(rows: int = 10_000, attempts: int = 5) -> Dataset:
    """Rows whose pass rates are drawn from all over the square; some attempts and some rows are unknown."""
    draw = random.Random(5)
    image, text, error = [], [], []
    for row in range(rows):
        rates = draw.choice([0, 0, 1, 1, draw.random()]), draw.choice([0, 1, draw.random()])
        arms = [[float(draw.random() < rate) for _ in range(attempts)] for rate in rates]
        if row % 17 == 0:
            arms[0][0] = None
        image.append(None if row % 23 == 0 else arms[0])
        text.append(None if row % 23 == 0 else arms[1])
        error.append("gold_unreadable: 'a picture' is no answer" if row % 46 == 0 else None)
    values = {
        "rap_id": [f"row-{row}" for row in range(rows)],
        "topic": [f"topic {row % 3}" for row in range(rows)],
        "rap_image_rewards": image,
        "rap_text_rewards": text,
        "rap_image_tokens": [None if arm is None else [draw.randrange(5, 90) for _ in arm] for arm in image],
        "rap_epoch_rewards": [None if arm is None else [draw.random(), draw.random()] for arm in image],
        "rap_ace": [None if draw.random() < 0.1 else draw.random() for _ in range(rows)],
        "rap_image_responses": [None if arm is None else [f"it is {reward}" for reward in arm] for arm in image],
        "rap_visual_dependence": [None if arm is None else draw.random() for arm in image],
        "rap_ace_settings": ['{"form": "windowed"}'] * rows,
        "rap_error": error,
    }
    types = {
        "rap_image_rewards": List(Value("float64")),
        "rap_text_rewards": List(Value("float64")),
        "rap_image_tokens": List(Value("int32")),
        "rap_epoch_rewards": List(Value("float64")),
    }
    types |= {"rap_image_responses": List(Value("string")), "rap_visual_dependence": Value("float64")}
    features = Features({name: types.get(name, Value("string")) for name in values} | {"rap_ace": Value("float32")})
    return add_limr_score(add_scores(Dataset.from_dict(values, features), cde_score, difficulty_score))


@cache
def rollouts(rows: int = 500) -> Dataset:
    """Responses of a few steps; some were not judged, some have no steps."""
    draw = random.Random(6)
    steps = []
    for row in range(rows):
        counts = [draw.choice([0, 0, draw.randrange(17)]) for _ in range(row % 5)]
        total = 0 if row % 31 == 0 else 16
        steps.append(
            [{"step": "so", "score": n / 16, "num_mc_correct": n, "num_mc_total": total} for n in counts if n <= total]
        )
    ids = [f"row-{row}" for row in range(rows)]
    return add_scores(Dataset.from_dict({"rap_id": ids, "steps_with_score": steps}), bis_score)


SELECTIONS = {
    "rap": cache(lambda: select_cognitive(simulated(), min_cde=0.25)),
    "rap without attention": cache(lambda: select_cognitive(simulated(), min_cde=0.25, max_ace=None)),
    "rap with another floor": cache(lambda: select_cognitive(simulated(), min_cde=0.5, min_replacement_cde=0.25)),
    "rap without a floor": cache(
        lambda: select_cognitive(simulated(), min_cde=0.25, min_replacement_cde=None, replacements=0.5)
    ),
    "rap above a negative limit": cache(lambda: select_cognitive(simulated(), min_cde=-0.2, max_ace=None)),
    "rap without difficulty": cache(
        lambda: select_cognitive(simulated().remove_columns("rap_difficulty"), replace_easy=False)
    ),
    "rap-paper": cache(lambda: select_cognitive(simulated(), method="rap-paper", replacements=20)),
    "rap within a budget": cache(lambda: select_cognitive(simulated(), min_cde=0.25, budget=300)),
    "rap filled to a budget": cache(lambda: select_cognitive(simulated(), min_cde=0.5, max_ace=0.125, budget=100)),
    "rap by probability": cache(lambda: select_cognitive(simulated(), min_cde=0.25, min_probability=0.9, max_ace=None)),
    "rap-released": cache(lambda: select_cognitive(simulated(), method="rap-released")),
    "difficulty": cache(lambda: select_cognitive(simulated(), method="difficulty")),
    "difficulty with bounds": cache(lambda: select_difficulty(simulated(), 0.3, 0.7)),
    "difficulty by probability": cache(lambda: select_difficulty(simulated(), min_probability=0.8)),
    "stage one": cache(lambda: split_stages(simulated()).one),
    "stage two": cache(lambda: split_stages(simulated()).two),
    "random": cache(lambda: select_cognitive(simulated(), method="random", budget=50)),
    "hardest": cache(lambda: select_cognitive(simulated(), method="hardest", budget=50)),
    "longest": cache(lambda: select_cognitive(simulated(), method="longest", budget=50)),
    "s1": cache(lambda: select_cognitive(simulated(), method="s1", budget=50, stratify_by="topic")),
    "limr": cache(lambda: select_cognitive(simulated(), method="limr")),
    "learnability": cache(lambda: select_cognitive(simulated(), method="learnability", budget=0.1)),
    "pass-gap": cache(lambda: select_cognitive(simulated(), method="pass-gap", budget=50, stratify_by="topic")),
    "any-right": cache(lambda: select_cognitive(simulated(), method="any-right")),
    "hardest-tenth": cache(lambda: select_cognitive(simulated(), method="hardest-tenth")),
    "variance-promotion": cache(lambda: select_cognitive(simulated(), method="variance-promotion", budget=50)),
    "visual-dependence": cache(lambda: select_cognitive(simulated(), method="visual-dependence", budget=50)),
    "bis": cache(lambda: select_cognitive(rollouts(), method="bis", budget=50)),
    "bis-posterior": cache(lambda: select_cognitive(rollouts(), method="bis-posterior", budget=50)),
    "top": cache(lambda: select_top(simulated(), by="rap_difficulty", ratio=0.2, per="topic")),
}


@pytest.mark.slow
def test_every_method_is_here():
    """A new one has to join."""
    assert {*METHODS, TOP.name} == {make().rule["method"] for make in SELECTIONS.values()}


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_reason_holds_for_its_row(name):
    """And kept rows have the reasons of kept rows."""
    selection = SELECTIONS[name]()
    method = {**METHODS, TOP.name: TOP}[selection.rule["method"]]
    assert untrue_reasons(selection, method) == []
    assert len({reason.name for reason in method.reasons} & set(selection.reasons)) > 1


@pytest.mark.slow
def test_a_wrong_reason_is_noticed():
    """The test above can fail: with each other reason that says anything of its rows, rows are untrue."""
    selection = SELECTIONS["rap without attention"]()
    rows = selection.scored
    for reason in METHODS["rap"].reasons:
        told = [reason.name if why == "image_needed" else why for why in rows["rap_reason"]]
        changed = Selection(
            rows.remove_columns("rap_reason").add_column("rap_reason", told), selection.rule, selection.funnel, {}
        )
        wrong = untrue_reasons(changed, METHODS["rap"])
        assert len(wrong) == (0 if reason.name == "image_needed" else selection.reasons["image_needed"]), reason


def test_rows_that_are_not_above_the_threshold_have_one_reason_each():
    """By their two pass rates: five kinds, which exclude each other and leave nothing out."""
    rule = {"min_cde": 0.25}
    reasons = [reason for reason in METHODS["rap"].reasons if reason.name in NOT_ABOVE]
    seen = Counter()
    for right in range(6):
        for without in range(6):
            row = {"rap_cde": (right - without) / 5, "rap_difficulty": (5 - right) / 5}
            true = [reason.name for reason in reasons if holds(reason.when, row, rule)]
            assert len(true) == (right - without <= 1), (right, without)
            seen.update(true)
    assert seen == {"never_solved": 1, "image_misleads": 15, "solved_without_image": 5, "image_helps_little": 5}
    assert not any(holds(reason.when, {"rap_cde": None, "rap_difficulty": None}, rule) for reason in reasons)


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_is_made_again_from_its_rule(name):
    """With the options that it had, those of its own function included."""
    selection = SELECTIONS[name]()
    again = select_again(selection.scored, selection.rule)
    assert again.rule == selection.rule
    assert again.scored["rap_reason"][:] == selection.scored["rap_reason"][:]


def test_an_option_can_be_changed_and_another_method_taken():
    """What a method does not know is refused; another method starts from its own defaults."""
    rule = select_difficulty(simulated(), 0.3, 0.7).rule
    assert select_again(simulated(), rule, {"low": 0.5}).rule == {**rule, "low": 0.5}
    assert select_again(simulated(), rule, {"method": "random", "budget": 5}).rule["budget"] == 5
    with pytest.raises(SettingError, match=r"min_cde=0\.2 means nothing to select_difficulty"):
        select_again(simulated(), rule, {"min_cde": 0.2})
