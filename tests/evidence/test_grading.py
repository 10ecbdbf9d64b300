"""Graders of the user's, as people bring them, over an engine that answers from a table."""

import asyncio
import functools
import json
import pickle
import time
from dataclasses import dataclass

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value
from scripted import Scripted, png, rows, scored

from hf_rap import Rollouts, grader
from hf_rap.errors import SettingError
from hf_rap.evidence.grading import Grade, Grading, Replies
from hf_rap.stats.settings import graded_by


def grades(verifier, *texts, gold="3", **options):
    """The grades of these replies to one question."""
    (found,) = Grading(verifier, **options).grade([Replies("How many?", gold, [(text, False) for text in texts])])
    return found


def length(reply, gold, question):
    """As many tenths as the reply has characters."""
    return len(reply) / 10


ROW = ([png()], "<image>How many?", "3")


def test_any_function_grades():
    """Its numbers are the rewards; its name stands in the settings, and that it has no version."""
    (row,) = scored(rows(ROW), verifier=length, engine=Scripted(with_image=("a", "ab"), without=("abc",)))
    assert row["rap_image_rewards"] == [0.1, 0.2]
    assert row["rap_text_rewards"] == [0.3, 0.3]
    settings = json.loads(row["rap_settings"])
    assert {name: settings[name] for name in ("verifier", "verifier_version", "correct", "cut")} == {
        "verifier": "length",
        "verifier_version": "unversioned",
        "correct": 1.0,
        "cut": "wrong",
    }


@pytest.mark.parametrize(
    ("value", "reward"),
    [
        (True, 1.0),
        (0, 0.0),
        (np.float32(0.5), 0.5),
        (np.bool_(True), 1.0),
        (np.array(0.25), 0.25),
        ((0.75, "close"), 0.75),
        (None, None),
    ],
)
def test_what_counts_as_a_number(value, reward):
    """Truth values and numbers of numpy, too."""
    (grade,) = grades(lambda reply, gold, question: value, "x")
    assert grade.reward == reward


def test_tensors_are_numbers():
    """What a reward model gives without `.item()`."""
    import torch

    assert grades(lambda *_: torch.tensor(0.5), "x")[0].reward == 0.5
    batched = grader(version="1", batched=True)(lambda replies, golds, questions: torch.tensor([0.0, 1.0]))
    assert [one.reward for one in grades(batched, "x", "y")] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "judge gave nan: "),
        (float("inf"), "judge gave inf: "),
        (1.7, "judge gave 1.7: a number in [0, 1], None or (None, reason) is a grade"),
        (-1, "judge gave -1: "),
        ("0.5", "judge gave '0.5': "),
        ({"score": 1.0}, "judge gave {'score': 1.0}: "),
        ([1.0], "judge gave [1.0]: "),
        ((None, "no answer"), "no answer"),
        (None, "judge did not say why"),
    ],
)
def test_what_is_no_grade_is_null_and_named(value, said):
    """The row says what came back, and the other reply keeps its grade."""

    def judge(reply, gold, question):
        return value if reply == "bad" else 1.0

    (row,) = scored(rows(ROW), verifier=judge, engine=Scripted(with_image=("bad", "good"), without=("good",)))
    assert row["rap_image_rewards"] == [None, 1.0]
    start = "not_judged: 1 of 2 replies of the image arm could not be graded: "
    assert row["rap_error"].startswith(start + said)


def explode(reply):
    if reply == "bad":
        raise ValueError("boom\nand more")
    return 1.0


def plain(reply, gold, question):
    return explode(reply)


async def asynchronous(reply, gold, question):
    return explode(reply)


@grader(version="1", batched=True)
def lists(replies, golds, questions):
    return [explode(reply) for reply in replies]


@grader(version="1", batched=True)
async def asynchronous_lists(replies, golds, questions):
    return [explode(reply) for reply in replies]


@grader(version="1", batched=True)
def one_by_one(replies, golds, questions):
    yield from map(explode, replies)


@grader(version="1")
def around(reply, gold, question):
    return asynchronous(reply, gold, question)


@grader(version="1", batched=True)
def around_lists(replies, golds, questions):
    return asynchronous_lists(replies, golds, questions)


FORMS = [plain, asynchronous, lists, asynchronous_lists, one_by_one, around, around_lists]


@pytest.mark.parametrize("verifier", FORMS, ids=lambda verifier: verifier.__name__)
def test_a_grader_that_raises_costs_one_grade(verifier):
    """In every form, with what it said in one line."""
    found = grades(verifier, "good", "bad", "fine")
    assert [one.reward for one in found] == [1.0, None, 1.0]
    assert found[1].reason == f"{verifier.__name__} raised ValueError: boom"


@pytest.mark.parametrize("value", [0.5, [0.5] * 7, None, "many"])
def test_lists_of_another_length_are_no_grades(value):
    """They are not spread over the replies by guessing."""
    found = grades(grader(version="1", batched=True)(lambda *_: value), "x", "y")
    assert [one.reward for one in found] == [None, None]
    assert "for a list of one reply: one grade per reply, in a list, is right" in found[0].reason


def test_a_batched_grader_gets_all_replies_of_a_batch_at_once():
    """Both arms of all rows; equal replies to one question once."""
    seen = []

    @grader(version="1", batched=True)
    def judge(replies, golds, questions):
        seen.append((replies, golds, questions))
        return np.ones(len(replies))

    ds = rows(ROW, ([png("blue")], "<image>Which?", "5"))
    found = scored(ds, verifier=judge, engine=Scripted(with_image=("a", "a"), without=("b", "c")))
    questions = ["<image>How many?"] * 3 + ["<image>Which?"] * 3
    assert seen == [(["a", "b", "c", "a", "b", "c"], ["3"] * 3 + ["5"] * 3, questions)]
    assert found[1]["rap_image_rewards"] == [1.0, 1.0]


def test_an_asynchronous_client_lives_through_all_batches():
    """It is bound to the loop of its first call, which must not be closed after it; calls are in flight together."""

    class Client:
        version = "3"

        def __init__(self):
            self.lock = None
            self.at_once = self.most = 0

        async def __call__(self, reply, gold, question):
            if self.lock is None:
                self.lock = asyncio.Semaphore(100)
                self.loop = asyncio.get_running_loop()
            assert self.loop is asyncio.get_running_loop()
            async with self.lock:
                self.at_once += 1
                self.most = max(self.most, self.at_once)
                await asyncio.sleep(0.01)
                self.at_once -= 1
            return 1.0

    client = Client()
    started = time.monotonic()
    texts = [f"reply {number}" for number in range(60)]
    assert grades(client, *texts) == grades(client, *texts) == [Grade(1.0)] * 60
    assert client.most == 32
    assert time.monotonic() - started < 1
    assert Grading(client).settings()["verifier_version"] == "3"


def test_it_works_where_a_loop_is_running():
    """As in a notebook."""

    async def cell():
        return grades(asynchronous, "good")

    assert asyncio.run(cell()) == [Grade(1.0)]


@dataclass(frozen=True)
class Threshold:
    """A grader with a setting."""

    least: int = 2
    version: str = "7"

    def __call__(self, reply, gold, question):
        return len(reply) >= self.least

    def method(self, reply, gold, question):
        return 0.5


def with_option(reply, gold, question, *, scale=1.0):
    return scale * len(reply) / 10


@pytest.mark.parametrize(
    ("verifier", "name", "version", "reward"),
    [
        (Threshold(), "Threshold", "7", 0.0),
        (Threshold().method, "method", "unversioned", 0.5),
        (functools.partial(with_option, scale=0.5), "with_option", "unversioned", 0.05),
        (lambda *_: 1, "<lambda>", "unversioned", 1.0),
    ],
)
def test_names_and_versions(verifier, name, version, reward):
    """Of objects, methods, partial functions and lambdas."""
    assert (Grading(verifier).name, Grading(verifier).version) == (name, version)
    assert grades(verifier, "x")[0].reward == reward


def verl_score(data_source, solution_str, ground_truth, extra_info):
    return 1.0


def trl_reward(completions, *, solution):
    return [1.0]


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        (verl_score, r"verl_score cannot be called with \(reply, gold, question\): missing .*'extra_info'"),
        (trl_reward, r"trl_reward cannot be called with \(reply, gold, question\)"),
        (Threshold, r"of which this is the class"),
        ("my_module:judge", r"verifier is 'my_module:judge': it takes a callable"),
    ],
)
def test_a_verifier_that_cannot_be_called_is_refused_at_once(verifier, message):
    """Before a model is loaded."""
    with pytest.raises(SettingError, match=message):
        Rollouts(Scripted(), verifier=verifier)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"correct": 0}, "correct is 0: "),
        ({"correct": 1.5}, "correct is 1.5: "),
        ({"cut": "right"}, "cut is 'right': "),
    ],
)
def test_impossible_options_are_refused(option, message):
    """With what they may be."""
    with pytest.raises(SettingError, match=message):
        Rollouts(Scripted(), **option)


@pytest.mark.parametrize(
    "gold", [None, [10.0, 20.0, 30.0, 40.0], "A long caption. Of two sentences, which no verifier reads."]
)
def test_golds_go_to_the_grader_as_they_are(gold):
    """No gold, a box and a caption: no short final answer that the built-in verifier could compare with."""
    types = {list: List(Value("float64"))}.get(type(gold), Value("string"))
    features = Features({"images": List(Image()), "problem": Value("string"), "answer": types})
    ds = Dataset.from_list(
        [{"images": [{"bytes": png(), "path": None}], "problem": "<image>Where?", "answer": gold}], features
    )
    seen = []

    def judge(reply, gold, question):
        seen.append((gold, question))
        return 1.0

    (row,) = scored(ds, verifier=judge)
    assert row["rap_image_rewards"] == [1.0, 1.0]
    assert row["rap_error"] is None
    assert seen[0] == (gold, "<image>Where?")


def test_cut_replies_are_wrong_unknown_or_graded():
    """Only in the last case does the grader see them; unknown is no failure of the row."""
    engine, seen = Scripted(with_image=("x",), without=("y",), truncated=True), []

    def judge(reply, gold, question):
        seen.append(reply)
        return 1.0

    found = {cut: scored(rows(ROW), engine=engine, verifier=judge, cut=cut)[0] for cut in ("wrong", "unknown")}
    assert seen == []
    assert found["wrong"]["rap_image_rewards"] == [0.0, 0.0]
    assert found["wrong"]["rap_error"] is None
    assert found["unknown"]["rap_image_rewards"] == [None, None]
    assert found["unknown"]["rap_error"] == (
        "cut_off: 2 of 2 replies of the image arm could not be graded: the reply was cut off at the token limit"
    )
    assert Rollouts(engine).failures({"rap_error": [found["unknown"]["rap_error"]]}) == [None]
    assert scored(rows(ROW), engine=engine, verifier=judge, cut="graded")[0]["rap_image_rewards"] == [1.0, 1.0]
    assert sorted(set(seen)) == ["x", "y"]


def test_the_built_in_verifier_grades_cut_replies_on_request():
    """As trainers do: what is there counts."""
    engine = Scripted(with_image=(r"\boxed{3} and then",), truncated=True)
    assert scored(rows(ROW), engine=engine, cut="graded")[0]["rap_image_rewards"] == [1.0, 1.0]


def test_what_changes_a_grade_is_in_its_key():
    """Name, version and what cut replies count as; not the threshold, which changes no reward."""
    assert Grading(length).key == Grading(length, correct=0.5).key
    keys = {Grading(one, cut).key for one in (None, length, Threshold()) for cut in ("wrong", "unknown")}
    assert len(keys) == 6
    assert graded_by({"verifier": "1"}) == graded_by({"verifier": "hf_rap", "verifier_version": "1", "cut": "wrong"})
    assert graded_by({"engine": "stub"}) is None


def test_rollouts_with_a_grader_pickle():
    """As processes and clusters need it."""
    rollouts = Rollouts(Scripted(), verifier=Threshold(), correct=0.5)
    assert pickle.loads(pickle.dumps(rollouts)) == rollouts
