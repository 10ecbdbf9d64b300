"""An engine from outside: what can be read of its answers is read, one bad row costs one row, the rest is told."""

import json
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from hf_rap import Attention, Completion, Likelihood, Rollouts, StepRewards, collect_evidence, collect_in_run
from hf_rap.demo import make_planted
from hf_rap.engines import asking
from hf_rap.engines.base import LogLikelihood, ReplyAttention
from hf_rap.errors import EngineError, RowError, SettingError

DS = make_planted(6)
REPLY = Completion(r"\boxed{4}", 3, False)


@dataclass(frozen=True)
class Own:
    """Its answers are what `gives` makes of the requests."""

    gives: object
    says: object = None

    def complete(self, requests, sampling):
        return self.gives(requests)

    def describe(self):
        return {"model": "own"} if self.says is None else self.says


@pytest.fixture(autouse=True)
def new(monkeypatch):
    """No engine has answered yet."""
    monkeypatch.setattr(asking, "_answered", set())


def rollouts(gives, says=None, attempts=2):
    return Rollouts(Own(gives, says), attempts=attempts)


def evidence(gives, **options):
    return collect_evidence(DS, rollouts(gives, **options))


def usual(requests):
    return [[REPLY] * request.attempts for request in requests]


USUAL = evidence(usual)
IDS = USUAL["rap_id"][:]


@pytest.mark.parametrize(
    "gives",
    [
        lambda requests: tuple(usual(requests)),
        lambda requests: ([REPLY] * request.attempts for request in requests),
        lambda requests: [(REPLY for _ in range(request.attempts)) for request in requests],
        lambda requests: [[Completion(REPLY.text, np.int64(3), np.False_)] * request.attempts for request in requests],
        lambda requests: np.array([[REPLY, REPLY] for _ in requests], dtype=object),
    ],
)
def test_what_can_be_read_is_read(gives):
    """Whatever gives one after the other, and numbers of numpy."""
    assert evidence(gives).to_list() == USUAL.to_list()


def test_one_attempt_needs_no_list():
    """Where one completion is asked for."""
    assert evidence(lambda requests: [REPLY for _ in requests], attempts=1)["rap_image_responses"][0] == [REPLY.text]


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        (ValueError("no such picture"), "engine_failed: ValueError: no such picture"),
        (RowError("too_long", "9,000 tokens"), "too_long: 9,000 tokens"),
    ],
)
@pytest.mark.parametrize("raises", [True, False])
def test_one_row_that_fails_costs_one_row(fails, says, raises):
    """Whether its error is raised, for a whole batch, or given back in its place."""

    def gives(requests):
        if raises and any(request.row_id == IDS[1] for request in requests):
            raise fails
        return [fails if request.row_id == IDS[1] else [REPLY] * 2 for request in requests]

    collected = evidence(gives)
    expected = USUAL["rap_error"][:]
    expected[1] = says
    assert collected["rap_error"][:] == expected
    assert collected["rap_image_rewards"][0] == USUAL["rap_image_rewards"][0]
    assert collected["rap_image_rewards"][1] is None


def test_an_engine_that_never_answers_is_stopped_at():
    """After a few requests, with what it raised; one that has answered before is not."""
    requests_seen = []

    def gives(requests):
        requests_seen.extend(requests)
        raise ConnectionError("no server at this address")

    with pytest.raises(EngineError) as error:
        evidence(gives)
    assert str(error.value) == (
        "Own failed on each of its first 8 requests; engine_failed: ConnectionError: no server at this address"
    )
    assert isinstance(error.value.__cause__, ConnectionError)
    assert len(requests_seen) == 10 + 8
    evidence(usual)
    assert {code.split(":")[0] for code in evidence(gives)["rap_error"]} <= {
        "engine_failed",
        "no_image",
        "gold_unreadable",
    }


async def later(requests, sampling):
    return usual(requests)


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (lambda requests: None, "Own.complete gives None: it takes one list of completions, or a RowError, per request."),
        (lambda requests: "yes", "Own.complete gives 'yes': it takes one list"),
        (lambda requests: {"a": 1}, "Own.complete gives {'a': 1}"),
        (lambda requests: usual(requests)[:-1], "Own.complete gives 9 answers to 10 requests: it takes one list"),
        (lambda requests: [REPLY] * 2 * len(requests), "Own.complete gives 20 answers to 10 requests"),
        (lambda requests: [REPLY for _ in requests], "to a request: it takes 2 Completion(text, tokens, truncated) in a list"),
        (lambda requests: [None for _ in requests], "Own.complete gives None to a request: it takes 2 Completion"),
        (lambda requests: [[REPLY] for _ in requests], "Own.complete gives 1 completions to a request: it takes 2 Completion"),
        (lambda requests: [[REPLY] * 3 for _ in requests], "Own.complete gives 3 completions to a request"),
        (lambda requests: [["4", "4"] for _ in requests], "Own.complete gives '4': it takes a Completion(text, tokens, truncated)."),
        (lambda requests: [[{"text": "4"}] * 2 for _ in requests], "Own.complete gives {'text': '4'}: it takes a Completion"),
        (lambda requests: [[Completion(4, 3, False)] * 2 for _ in requests], "it takes a Completion whose text is a text"),
        (lambda requests: [[Completion(b"4", 3, False)] * 2 for _ in requests], "it takes a Completion whose text is a text"),
        (lambda requests: [[Completion("4", 3.5, False)] * 2 for _ in requests], "whose tokens and prompt_tokens are whole numbers"),
        (lambda requests: [[Completion("4", 3, None)] * 2 for _ in requests], "whose truncated is True or False."),
    ],
)  # fmt: skip
def test_answers_that_are_none_are_told(gives, says, tmp_path):
    """At once, and no evidence is written from them."""
    with pytest.raises(EngineError) as error:
        evidence(gives)
    assert says in str(error.value)
    with pytest.raises(EngineError):
        collect_in_run(DS, rollouts(gives), str(tmp_path / "run"))
    assert list(tmp_path.rglob("*.parquet")) == []


def test_an_asynchronous_engine_is_told():
    """Its coroutine is not waited for."""
    engine = type("Later", (Own,), {"complete": later})(None)
    with pytest.raises(
        EngineError, match=r"^Later\.complete is asynchronous: it takes a function that returns its answers"
    ):
        collect_evidence(DS, Rollouts(engine))


def test_what_it_says_about_itself_is_kept():
    """Numbers of numpy as those of Python."""
    says = {"model": "own", "bits": np.int64(4), "scale": np.float32(0.5), "layers": (1, 2)}
    settings = json.loads(evidence(usual, says=says)["rap_settings"][0])
    assert {name: settings[name] for name in says} == {"model": "own", "bits": 4, "scale": 0.5, "layers": [1, 2]}


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("own", "Own.describe gives 'own': it takes a dictionary of names and what JSON can hold."),
        ({"model": "own", "stops": {"a"}}, "Own.describe gives stops={'a'}, which JSON cannot hold."),
        ({"model": "own", "scale": float("nan")}, "Own.describe gives scale=nan, which JSON cannot hold."),
    ],
)
def test_what_cannot_be_kept_is_told(says, told, tmp_path):
    """By name, in a run before anything is asked."""
    with pytest.raises(SettingError) as error:
        evidence(usual, says=says)
    assert str(error.value) == told
    with pytest.raises(SettingError) as error:
        collect_in_run(DS, rollouts(lambda requests: pytest.fail("asked"), says), str(tmp_path / "run"))
    assert str(error.value) == told


def test_step_scores_read_answers_the_same_way():
    """Other evidence asks through the same door."""
    continues = type("Goes", (Own,), {"continues": True})
    ds = USUAL.add_column("response", ["One. Two.\n\nThree."] * len(USUAL))
    ds = ds.remove_columns([name for name in ds.column_names if name.startswith("rap_")])
    with pytest.raises(EngineError, match=r"^Goes\.complete gives 1 completions to a request"):
        collect_evidence(ds, StepRewards(continues(lambda requests: [[REPLY] for _ in requests]), continuations=2))


class Client:
    """Holds what no other process can use."""

    def __init__(self):
        self.lock = threading.Lock()
        self.model = "own"

    complete = Own.complete
    describe = Own.describe
    gives = staticmethod(usual)
    says = None


def test_an_engine_with_a_client_works_in_several_processes():
    """Locks and the like are made anew there."""
    for options in ({}, {"num_proc": 2}):
        rows = DS.map(Rollouts(Client(), attempts=2), batched=True, **options)
        assert rows["rap_image_responses"][0] == [REPLY.text] * 2
    assert collect_evidence(DS, Rollouts(Client(), attempts=2))["rap_image_responses"][0] == [REPLY.text] * 2


@dataclass(frozen=True)
class Reads(Own):
    """It reads replies, too, and `gives` is for those."""

    def complete(self, requests, sampling):
        return usual(requests)

    def attend(self, replies, *, window):
        return self.gives(replies)

    def log_likelihoods(self, replies):
        return self.gives(replies)


def looked(tokens=2, values=2):
    products = {f"{heads}{rows}": [-1.0] * values for heads in ("max", "mean") for rows in ("", "_reply")}
    return ReplyAttention(["a"] * tokens, products, products, [0.5] * tokens, [0.5] * tokens)


def attended(gives):
    return collect_evidence(USUAL, Attention(Reads(gives)))["rap_attention"][:]


def likely(gives):
    return collect_evidence(DS, Likelihood(Reads(gives)))


def test_a_reply_that_cannot_be_read_costs_that_reply():
    """Whether its error is raised for all of them, or given back in its place; the others are read."""

    def gives(answer, raises):
        def give(replies):
            bad = [reply.request.row_id == IDS[1] for reply in replies]
            if raises and any(bad):
                raise ValueError("no such picture")
            return (ValueError("no such picture") if wrong else answer for wrong in bad)

        return give

    for raises in (True, False):
        cells = attended(gives(looked(), raises))
        assert [entry["error"] for entry in cells[1]] == ["engine_failed: ValueError: no such picture"] * 2
        assert cells[0][0]["tokens"] == ["a", "a"]
        collected = likely(gives(LogLikelihood(np.float32(-1.5), np.int64(2)), raises))
        assert collected["rap_likelihood_error"][1] == "engine_failed: ValueError: no such picture"
        assert collected["rap_image_gold_logprobs"][0][0] == -1.5


@pytest.mark.parametrize(
    ("collect", "gives", "says"),
    [
        (attended, lambda replies: None, "Reads.attend gives None: it takes one ReplyAttention, or a RowError, per request."),
        (attended, lambda replies: [looked()], "Reads.attend gives 1 answers to "),
        (attended, lambda replies: [0.5 for _ in replies], "Reads.attend gives 0.5 to a reply: it takes a ReplyAttention"),
        (attended, lambda replies: [looked(2, 3) for _ in replies], "with 2 tokens and 3 products['max']: it takes one per token."),
        (likely, lambda replies: [-0.5 for _ in replies], "Reads.log_likelihoods gives -0.5 to a reply: it takes a LogLikelihood(logprob, tokens)"),
        (likely, lambda replies: [LogLikelihood(float("nan"), 2) for _ in replies], "whose logprob is a number of nats"),
        (likely, lambda replies: [LogLikelihood(-0.5, None) for _ in replies], "whose tokens is a whole number."),
    ],
)  # fmt: skip
def test_readings_that_are_none_are_told(collect, gives, says):
    """At once, as completions are."""
    with pytest.raises(EngineError) as error:
        collect(gives)
    assert says in str(error.value)
