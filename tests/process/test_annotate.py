"""Step scores from the built-in model."""

import json
import re
from functools import partial

import pytest
from datasets import Dataset

from hf_rap import Rollouts, StepRewards, add_scores, annotate_steps, bis_score, collect_evidence
from hf_rap.demo import demo_engine, make_planted
from hf_rap.demo.chains import split_chain
from hf_rap.engines.base import Completion
from hf_rap.errors import ColumnExistsError, EngineError, MissingColumnError, RowError, SettingError
from hf_rap.process import one_row_per_response, split_steps

ENGINE = demo_engine()
REWARDS = StepRewards(ENGINE, continuations=4, split=split_chain, max_new_tokens=48)


@pytest.fixture(scope="module")
def responses():
    return one_row_per_response(collect_evidence(make_planted(14), Rollouts(ENGINE, attempts=2, max_new_tokens=48)))


@pytest.fixture(scope="module")
def annotated(responses):
    return annotate_steps(responses, REWARDS)


def test_every_response_has_its_steps(responses, annotated):
    """The parts of the response in order; scores are right over judged continuations."""
    assert annotated["rap_error"][:] == [None] * len(responses)
    for response, steps in zip(responses["response"], annotated["steps_with_score"], strict=True):
        assert [step["step"] for step in steps] == split_chain(response)
        assert all(step["score"] == step["num_mc_correct"] / step["num_mc_total"] for step in steps)
        assert all(step["num_mc_total"] == 4 for step in steps)
    scores = {step["score"] for steps in annotated["steps_with_score"] for step in steps}
    assert {0.0, 1.0} < scores
    assert len(set(annotated["rap_id"])) == len(set(zip(responses["id"], responses["response"], strict=True)))


def test_what_is_annotated_can_be_scored(annotated):
    """By the same column that is read from files."""
    assert all(score > 0 for score in add_scores(annotated, bis_score)["rap_bis"])


@pytest.mark.slow
def test_batches_and_order_do_not_matter(responses, annotated):
    """A plain map over reversed rows in small batches gives every row the same."""
    backward = responses.select(range(len(responses))[::-1]).map(REWARDS, batched=True, batch_size=3)
    assert backward["steps_with_score"][::-1] == annotated["steps_with_score"][:]


def test_settings_say_what_could_change_the_scores(annotated):
    """Model, sampling, number of continuations and the way of splitting."""
    settings = json.loads(annotated["rap_settings"][0])
    assert {"model", "seed", "temperature", "max_new_tokens"} <= set(settings)
    assert (settings["continuations"], settings["split"], settings["early_stop"]) == (4, "split_chain", False)


class Scripted:
    """An engine that answers 1 where the prefix does not say "wrong", and remembers what it was asked."""

    continues = True

    def __init__(self):
        self.asked = []

    def complete(self, requests, sampling):
        self.asked.append([(request.row_id.split("-")[0], request.prefix) for request in requests])
        return [self.answer(request) for request in requests]

    def answer(self, request):
        if "fails" in request.prefix:
            return RowError("engine_failed", "no memory")
        text = " it is 2" if "wrong" in request.prefix else " it is \\boxed{1}"
        return [Completion(text, 3, truncated=False)] * (request.attempts - 1) + [
            Completion(" so 2", 3, truncated=False)
        ]

    def describe(self):
        return {"engine": "scripted"}


def rows(*responses, answer="1"):
    count = len(responses)
    return Dataset.from_dict(
        {
            "id": [f"r{n}" for n in range(count)],
            "problem": ["q"] * count,
            "images": [[]] * count,
            "answer": [answer] * count,
        }
    ).add_column("response", list(responses))


def test_steps_by_hand():
    """Three of four right until the wrong step, none from there on; the prefix is the response up to the step."""
    engine = Scripted()
    scored = StepRewards(engine, continuations=4)(rows("one\n\nwrong\n\nthree ")[:])
    assert engine.asked == [[("r0", "one"), ("r0", "one\n\nwrong"), ("r0", "one\n\nwrong\n\nthree")]]
    assert scored["steps_with_score"] == [
        [
            {"step": "one", "score": 0.75, "num_mc_correct": 3, "num_mc_total": 4},
            {"step": "wrong", "score": 0.0, "num_mc_correct": 0, "num_mc_total": 4},
            {"step": "three", "score": 0.0, "num_mc_correct": 0, "num_mc_total": 4},
        ]
    ]


def test_early_stop_samples_nothing_after_the_first_failure():
    """The steps after it count 0 of 0; other rows go on."""
    engine = Scripted()
    scored = StepRewards(engine, continuations=4, early_stop=True)(rows("one\n\nwrong\n\nthree", "one\n\ntwo")[:])
    assert engine.asked == [
        [("r0", "one"), ("r1", "one")],
        [("r0", "one\n\nwrong"), ("r1", "one\n\ntwo")],
    ]
    assert scored["steps_with_score"][0][2] == {"step": "three", "score": 0.0, "num_mc_correct": 0, "num_mc_total": 0}
    assert [step["score"] for step in scored["steps_with_score"][1]] == [0.75, 0.75]


def test_rows_that_cannot_be_used_say_why():
    """No response, a failing model, a gold answer nobody can read; their steps are null."""
    engine = Scripted()
    ds = rows("one", "", "fails", None)
    scored = StepRewards(engine, continuations=4)(ds[:])
    codes = [error and error.split(":")[0] for error in scored["rap_error"]]
    assert codes == [None, "steps_missing", "engine_failed", "steps_missing"]
    assert [steps is None for steps in scored["steps_with_score"]] == [False, True, True, True]
    unreadable = StepRewards(engine, continuations=4)(rows("one", answer="n/a")[:])
    assert unreadable["rap_error"][0].startswith("gold_unreadable")
    assert len(engine.asked) == 1


def test_ways_to_split_are_told_apart():
    """By module and name; of lambdas and what is made by calling, by what they do."""

    def settings_of(split):
        settings = StepRewards(demo_engine(), split=split).settings()
        return settings["split"], settings["split_from"]

    assert settings_of(split_chain) == ("split_chain", "hf_rap.demo.chains")
    assert settings_of(split_steps) == ("split_steps", "hf_rap.process.steps")
    ways = [
        lambda text: text.split("."),
        lambda text: text.split(";"),
        partial(re.split, r"\n"),
        partial(re.split, r"\s"),
    ]
    assert len({settings_of(way) for way in ways}) == len(ways)
    assert settings_of(partial(re.split, r"\n")) == settings_of(ways[2])


def test_a_split_that_is_not_in_the_response_is_told():
    """Instead of continuing from somewhere else."""
    scored = StepRewards(Scripted(), split=lambda response: [response.upper()])(rows("one")[:])
    assert scored["rap_error"] == ["steps_missing: step 1 of 1 is empty or not in the response: 'ONE'"]


def test_wrong_settings_are_refused():
    """Before the model is loaded."""

    class Anew:
        def complete(self, requests, sampling): ...

    with pytest.raises(SettingError, match="continuations is 0: it takes a whole number of 1 or more"):
        StepRewards(ENGINE, continuations=0)
    with pytest.raises(EngineError, match="Anew cannot continue a reply"):
        StepRewards(Anew())
    with pytest.raises(MissingColumnError, match="'response'"):
        annotate_steps(rows("one").remove_columns("response"), REWARDS)
    with pytest.raises(ColumnExistsError, match="'steps_with_score'"):
        annotate_steps(rows("one").add_column("steps_with_score", [None]), REWARDS)


SPLITS = [
    ("one", ["one"]),
    ("", []),
    ("a\n\nb\n \nc", ["a", "b", "c"]),
    ("Step 1: a\n\nstill a\nStep 2: b", ["Step 1: a\n\nstill a", "Step 2: b"]),
    ("Intro.\n**Step 1** a\n**Step 2** b", ["Intro.", "**Step 1** a", "**Step 2** b"]),
    ("### step 1. a\n### step 2. b", ["### step 1. a", "### step 2. b"]),
    ("Step 1: only one\nmore", ["Step 1: only one\nmore"]),
    ("1. a\n2. b", ["1. a", "2. b"]),
    ("(1) a\n(2) b", ["(1) a", "(2) b"]),
    ("1. a\n2. b\n\nSo c", ["1. a\n2. b", "So c"]),
    ("it is 1.5 or\n2.5 long", ["it is 1.5 or\n2.5 long"]),
]


@pytest.mark.parametrize(("response", "steps"), SPLITS)
def test_splitting(response, steps):
    """Step markers, then blank lines, then numbers."""
    assert split_steps(response) == steps
