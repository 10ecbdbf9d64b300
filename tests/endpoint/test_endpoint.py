"""EndpointEngine against a server that misbehaves, and against `transformers serve`."""

import base64
import io
import json
import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import Dataset
from model_server import ModelServer
from PIL import Image
from server import FaultyServer, completion, completion_of, send
from stubs import make_rows

from hf_rap import EndpointEngine, Rollouts, StepRewards, collect_evidence, collect_in_run
from hf_rap.cli import cli
from hf_rap.demo import MODEL, demo_engine, make_planted
from hf_rap.demo.chains import split_chain
from hf_rap.engines.base import Request, Sampling
from hf_rap.engines.endpoint import data_url
from hf_rap.engines.endpoint_answer import OddError, text_of
from hf_rap.engines.endpoint_request import retry_after
from hf_rap.errors import EngineError, RowError, RunError, SettingError
from hf_rap.process import one_row_per_response
from hf_rap.rows.prompts import PromptTemplate

ROOT = Path(__file__).parents[2]
SECRET = "hf_this_is_the_secret_token"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits a hundred times shorter."""
    monkeypatch.setattr("hf_rap.engines.endpoint_client._FIRST_WAIT", 0.01)


def requests(count=1, attempts=2, *, image=None, file=None):
    """Prompts of one user turn, with an image if there is one."""
    blocks = [{"type": "image"}] if image else []
    return [
        Request(
            row_id=f"row {number}",
            arm="image" if image else "text",
            messages=[{"role": "user", "content": [*blocks, {"type": "text", "text": f"Question {number}"}]}],
            images=(image,) if image else (),
            attempts=attempts,
            files=(file,) if image else (),
        )
        for number in range(count)
    ]


def ask(server, asked, **options):
    """What the engine makes of the server."""
    sampling = options.pop("sampling", Sampling(max_new_tokens=16))
    return EndpointEngine(server.url, model="m", **options).complete(asked, sampling)


def test_every_attempt_has_a_seed_of_its_own():
    """Replies differ between attempts and rows, and are the same when asked again; the request says it all."""
    with FaultyServer() as server:
        first = ask(server, requests(3))
        again = ask(server, requests(3))
    assert first == again
    assert len({reply.text for replies in first for reply in replies}) == 6
    assert all(reply.tokens == 7 and not reply.truncated for replies in first for reply in replies)
    single = next(body for body in server.bodies if "n" not in body)
    assert {name: single[name] for name in ("model", "max_tokens", "temperature", "top_p")} == {
        "model": "m",
        "max_tokens": 16,
        "temperature": 1.0,
        "top_p": 1.0,
    }
    assert 0 <= single["seed"] < 2**31


def test_topping_up_asks_for_the_next_seeds():
    """Attempt 2 alone is the third of three."""
    (row,) = requests(1, 3)
    with FaultyServer() as server:
        (three,) = ask(server, [row])
        (last,) = ask(server, [Request(row.row_id, row.arm, row.messages, (), attempts=1, first=2)])
    assert last == three[2:]


@pytest.mark.parametrize(
    ("draws_n", "sent"), [("yes", [2, 5, 5]), ("refuses", [2, 2] + [None] * 10), ("same", [2] + [None] * 10)]
)
def test_n_is_found_out_once_by_asking(draws_n, sent):
    """Five attempts of two rows: two requests where n is honoured, ten where it is refused or gives copies.

    A refusal may be the row's: another one is tried, up to three.
    """
    with FaultyServer(draws_n=draws_n) as server:
        answers = ask(server, requests(2, 5))
    assert sorted([body.get("n") for body in server.bodies], key=str) == sorted(sent, key=str)
    assert [len({reply.text for reply in replies}) for replies in answers] == [5, 5]
    # With n the server counts the tokens of all replies together: those of one are unknown.
    assert {reply.tokens for replies in answers for reply in replies} == ({None} if draws_n == "yes" else {7})


def test_a_server_that_ignores_n_is_asked_one_by_one():
    """One choice came for two: the reply is not taken twice."""
    with FaultyServer(draws_n="ignores") as server:
        (replies,) = ask(server, requests(1, 3))
    assert len({reply.text for reply in replies}) == 3


def test_greedy_attempts_are_one_request():
    """At temperature 0 all attempts are equal."""
    with FaultyServer() as server:
        (replies,) = ask(server, requests(1, 4), sampling=Sampling(temperature=0, max_new_tokens=8))
    assert len(server.bodies) == 1
    assert len(replies) == 4


NEUTRAL = {
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_p": 1.0,
}


def sent(body):
    """What a request says of sampling, but for temperature and seed."""
    return {name: body[name] for name in NEUTRAL if name in body}


def test_every_request_says_how_it_is_sampled():
    """With values that do nothing: a server's own would bend replies, and the settings would say otherwise."""
    with FaultyServer() as server:
        ask(server, requests(2, 2))
        assert [sent(body) for body in server.bodies] == [NEUTRAL] * 6
        assert len(server.trials) == 4  # of which each has a seed of its own
        assert {body["seed"] for body in server.trials} == {0, 1, 2, 3}
        ask(server, requests(1, 2))
    assert len(server.trials) == 4


def test_what_the_user_says_wins():
    """top_k of the sampling, and anything in extra_body."""
    with FaultyServer() as server:
        ask(server, requests(1, 1), sampling=Sampling(top_k=40, max_new_tokens=16), extra_body={"min_p": 0.1})
    assert [sent(body) for body in server.bodies] == [{**NEUTRAL, "top_k": 40, "min_p": 0.1}]


@pytest.mark.parametrize(
    ("refuses", "left"),
    [
        (["min_p"], {"min_p"}),
        (["top_k", "min_p", "repetition_penalty"], {"top_k", "min_p", "repetition_penalty"}),  # OpenAI's own
        (["presence_penalty", "frequency_penalty"], {"presence_penalty", "frequency_penalty"}),
    ],
)
def test_what_a_server_does_not_take_is_left_out_and_said(refuses, left, caplog):
    """Asked once; every other setting still goes out."""
    with FaultyServer(refuses=refuses) as server, caplog.at_level(logging.WARNING):
        first, second = ask(server, requests(1, 2)), ask(server, requests(1, 2))
    assert not any(isinstance(answer, RowError) for answer in (*first, *second))
    expected = {name: value for name, value in NEUTRAL.items() if name not in left}
    assert [sent(body) for body in server.bodies] == [expected] * len(server.bodies)
    (message,) = [record.getMessage() for record in caplog.records if "does not take" in record.getMessage()]
    assert f"does not take {', '.join(sorted(left))}: if it has values of its own" in message


def test_a_server_that_calls_all_tokens_0_is_told_0():
    """A top_k of -1 is refused by some, and 0 by others."""

    class Other(FaultyServer):
        def answer(self, request, body, fault):
            if body.get("top_k", 0) < 0:
                fault = "400"
            super().answer(request, body, fault)

    with Other() as server:
        ask(server, requests(1, 1))
    assert [sent(body) for body in server.bodies] == [{**NEUTRAL, "top_k": 0}]


def test_a_top_k_of_the_servers_own_does_not_bend_what_is_drawn():
    """As vLLM has it from generation_config.json: what a request says goes before."""
    with FaultyServer(own={"top_k": 1}) as server:
        (replies,) = ask(server, requests(1, 5))
    assert len({reply.text for reply in replies}) == 5


def test_a_server_that_does_not_draw_is_refused():
    """It does not take top_k, and has one of 1: five samples would be one reply five times."""
    with FaultyServer(own={"top_k": 1}, refuses=["top_k"]) as server:
        with pytest.raises(
            EngineError, match=r"^The server at .* does not draw: at temperature 1 .* to 4 requests with"
        ):
            ask(server, requests(1, 5))
        assert server.bodies == []
        # Where one reply is wanted it is as good as any other.
        (replies,) = ask(server, requests(1, 2), sampling=Sampling(temperature=0, max_new_tokens=8))
    assert len(replies) == 2


def test_short_equal_replies_refuse_nobody():
    """A model that answers "42" to everything draws all the same."""

    class Short(FaultyServer):
        def reply(self, request, body, n):
            send(request, 200, completion_of(body, ["42"] * n, tokens=2))

    with Short() as server:
        assert not isinstance(ask(server, requests(1, 5))[0], RowError)


def started(count=1, attempts=1):
    """Requests with a reply that was begun."""
    return [replace(request, prefix="First, ") for request in requests(count, attempts)]


def test_a_reply_that_was_started_is_sent_as_the_last_message():
    """With what vLLM and SGLang want to hear; whether the server does it is asked once, by two short prompts."""
    with FaultyServer() as server:
        ask(server, started(2), extra_body={"min_p": 0.1})
        ask(server, started(1))
        bodies = server.bodies
    assert [body["max_tokens"] for body in bodies] == [1, 1, 16, 16, 1, 1, 16]  # extra_body makes another engine
    for body in bodies[2:4]:
        assert body["messages"][-1] == {"role": "assistant", "content": "First, "}
        assert (body["continue_final_message"], body["add_generation_prompt"], body["min_p"]) == (True, False, 0.1)
    # The two probes go out together, in either order.
    assert sorted("continue_final_message" in body for body in bodies[:2]) == [False, True]


@pytest.mark.parametrize(
    ("continues", "said"),
    [
        ("refuses", "422: .*Unexpected fields in the request: {'continue_final_message'}"),
        ("ignores", "it counts 8 and 8 tokens in the same prompt, so it ignores that"),
        ("leaves out the new turn", "it counts 7 and 7 tokens in the same prompt, so it ignores that"),
        ("does not say", "it counts None and None tokens"),
    ],
)
def test_a_server_that_would_start_anew_is_refused(continues, said):
    """No wrong score without a word: the run stops before the first continuation."""
    rewards = {"problem": ["q"], "images": [[]], "answer": ["1"], "response": ["one\n\ntwo"]}
    with FaultyServer(continues=continues) as server:
        engine = EndpointEngine(server.url, model="m")
        with pytest.raises(EngineError, match=rf"cannot continue a reply that was started: .*{said}"):
            StepRewards(engine, continuations=2)(rewards)
    assert {body["max_tokens"] for body in server.bodies} == {1}


def test_a_bad_moment_is_not_taken_for_a_refusal():
    """After all retries it is said that the server could not be asked; with one hiccup it is asked again."""
    with (
        FaultyServer(always="503") as server,
        pytest.raises(EngineError, match=r"could not be asked whether it continues replies: .*503"),
    ):
        ask(server, started(1), retries=1)
    with FaultyServer(["503", "drop"]) as server:
        assert len(ask(server, started(1))) == 1


def test_step_scores_of_a_server_are_those_of_the_model_it_runs(tmp_path):
    """Greedy, so that both say the same: step by step equal, through a run folder."""
    rollouts = Rollouts(demo_engine(), attempts=1, max_new_tokens=48)
    ds = one_row_per_response(collect_evidence(make_planted(12), rollouts))
    options = {"continuations": 1, "temperature": 0, "max_new_tokens": 48, "split": split_chain}
    with ModelServer() as server:
        engine = EndpointEngine(server.url, model="m", concurrency=4)
        served = collect_in_run(ds, StepRewards(engine, **options), str(tmp_path / "run"))
    local = collect_evidence(ds, StepRewards(demo_engine(), **options))
    assert served["rap_error"][:] == local["rap_error"][:]
    assert served["steps_with_score"][:] == local["steps_with_score"][:]
    assert {0.0, 1.0} == {step["score"] for steps in served["steps_with_score"] for step in steps}


def test_the_prompt_is_sent_whole_and_its_arguments_by_name():
    """The system turn as text, and `chat_template_kwargs` beside those of `extra_body`."""
    prompt = PromptTemplate("Be brief.", "Q: ", " Box it.", {"enable_thinking": False})
    with FaultyServer() as server:
        engine = EndpointEngine(server.url, model="m", extra_body={"chat_template_kwargs": {"greeting": "hi"}})
        collect_evidence(make_planted(6).select([0]), Rollouts(engine, attempts=1, arm="text", prompt=prompt))
        (body,) = server.bodies
    assert body["chat_template_kwargs"] == {"greeting": "hi", "enable_thinking": False}
    system, user = body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    (part,) = user["content"]
    assert part["text"].startswith("Q: ")
    assert part["text"].endswith(" Box it.")


def test_two_values_for_one_argument_of_the_chat_template_are_refused():
    """Neither is taken in silence."""
    prompt = PromptTemplate(chat_template_kwargs={"enable_thinking": True})
    with FaultyServer() as server:
        body = {"chat_template_kwargs": {"enable_thinking": False}}
        engine = EndpointEngine(server.url, model="m", extra_body=body)
        with pytest.raises(EngineError, match="give different values of enable_thinking to the chat template"):
            collect_evidence(make_planted(6).select([0]), Rollouts(engine, attempts=1, prompt=prompt))
        assert server.bodies == []


BUDGETS = [
    json.loads(text) for text in re.findall(r"`--extra-body '(.*)'`", (ROOT / "docs" / "prompts.md").read_text())
]


def test_the_page_of_prompts_has_a_budget_for_each_server():
    """vLLM, SGLang and llama.cpp."""
    assert [list(budget) for budget in BUDGETS] == [
        ["thinking_token_budget"],
        ["custom_params"],
        ["thinking_budget_tokens"],
    ]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_a_thinking_budget_is_passed_and_tells_runs_apart(budget, tmp_path):
    """As the page on prompts has it for each server, on the command line; without it the replies are asked anew."""
    make_planted(6).select([0]).to_parquet(tmp_path / "rows.parquet")
    seen = []
    for body in (budget, budget, {}):
        with FaultyServer() as server:
            done = CliRunner().invoke(
                cli,
                [
                    *("rollouts", str(tmp_path / "rows.parquet"), "--endpoint", server.url, "--model", "m"),
                    *("--extra-body", json.dumps(body), "--attempts", "1", "--run", str(tmp_path / "run")),
                    *("--out", str(tmp_path / "evidence.parquet"), "--overwrite"),
                ],
                catch_exceptions=False,
            )
            assert done.exit_code == 0, done.output
            seen.append([{name: sent.get(name) for name in budget} for sent in server.bodies])
        evidence = Dataset.from_parquet(str(tmp_path / "evidence.parquet"), cache_dir=str(tmp_path / str(len(seen))))
        assert json.loads(evidence["rap_settings"][0])["extra_body"] == body
    assert seen == [[budget, budget], [], [dict.fromkeys(budget)] * 2]  # both arms


def test_token_ids_are_those_that_the_server_tells():
    """Asked as vLLM is; a server that tells none is refused with the first rows, and not asked for them otherwise."""
    with FaultyServer() as server:
        tells = EndpointEngine(server.url, model="m", extra_body={"return_token_ids": True})
        ds = collect_evidence(make_planted(6), Rollouts(tells, attempts=2, keep_ids=True))
        for texts, ids in zip(ds["rap_text_responses"], ds["rap_text_token_ids"], strict=True):
            assert ["".join(map(chr, one)) for one in ids or []] == (texts or [])
        silent = Rollouts(EndpointEngine(server.url, model="m"), attempts=2, keep_ids=True)
        with pytest.raises(EngineError, match=r"keep_ids=True asks for the tokens.* EndpointEngine tells none.*vLLM"):
            silent(make_planted(6)[:])


def test_thoughts_that_a_server_splits_off_go_on_where_they_were():
    """A chain of thought that the prefix has begun is not begun a second time."""
    message = {"reasoning_content": "so 3", "content": " \\boxed{3}"}
    assert text_of(message, "<think> red ,") == "so 3</think> \\boxed{3}"
    assert text_of(message, "") == "<think>so 3</think> \\boxed{3}"
    assert text_of({"content": " \\boxed{3}"}, "<think> 3 </think>") == " \\boxed{3}"


def test_a_thought_that_was_cut_off_is_not_closed():
    """It would look finished, and nothing could go on from it; one that was cut off behind the thought is."""
    message = {"reasoning_content": "so 3", "content": None}
    assert text_of(message, "", cut=True) == "<think>so 3"
    assert text_of(message, "<think> red ,", cut=True) == "so 3"
    assert text_of(message, "") == "<think>so 3</think>"
    assert text_of({**message, "content": "It is"}, "", cut=True) == "<think>so 3</think>It is"


def test_content_in_parts_is_joined():
    """As Mistral's servers send it, thinking in a part of its own; a part of another kind is no reply."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "so 3"}]},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "3."},
    ]
    assert text_of({"content": parts[1:]}, "") == "It is 3."
    assert text_of({"content": parts}, "") == "<think>so 3</think>It is 3."
    with pytest.raises(OddError, match="neither text nor thinking"):
        text_of({"content": [{"type": "image_url"}]}, "")


FAULTS = ["500", "502", "503", "408", "429", "drop", "half", "not json", "wrong json", "no choices"]


def test_a_storm_of_faults_costs_nothing_but_time():
    """Each fault twice, and a storm of 429: the answers are those of a healthy server."""
    with FaultyServer() as server:
        healthy = ask(server, requests(12, 1))
    with FaultyServer(FAULTS * 2 + ["429 0"] * 20) as server:
        assert ask(server, requests(12, 1), concurrency=6, retries=20) == healthy
    assert len(server.bodies) == 12 + 2 * len(FAULTS) + 20


def test_offline_mode_is_about_the_hub(monkeypatch):
    """A server of one's own is asked also under HF_HUB_OFFLINE."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with FaultyServer() as server:
        assert len(ask(server, requests(1, 1))[0]) == 1


def test_a_hanging_request_is_sent_again():
    """After `timeout` seconds the request counts as lost."""
    with FaultyServer(["hang"]) as server:
        started = time.monotonic()
        (replies,) = ask(server, requests(1, 1), timeout=0.5)
        assert time.monotonic() - started < 4
    assert len(replies) == 1


def test_retry_after_is_honoured():
    """The next try comes after the seconds that the server asked for, in numbers or as a date."""
    with FaultyServer(["429 1"]) as server:
        started = time.monotonic()
        ask(server, requests(1, 1))
        assert time.monotonic() - started >= 1
    assert retry_after("7") == 7
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Wed, 21 Oct 2015 07:28:00") == 0  # no zone
    assert retry_after("soon") is None
    assert retry_after("nan") is None


@pytest.mark.parametrize(
    ("status", "what"),
    [("401", "refuses the token"), ("403", "refuses access"), ("404", "does not know this address or model")],
)
def test_a_refusal_ends_the_run_with_what_the_server_said(status, what, monkeypatch):
    """At once, without a retry, and without the token that the server repeats."""
    monkeypatch.setenv("MY_TOKEN", SECRET)
    with (
        FaultyServer(always=status) as server,
        pytest.raises(EngineError, match=rf"{what}; the server answered {status}: .*says {status}") as caught,
    ):
        ask(server, requests(1, 1), token_env="MY_TOKEN")
    assert len(server.bodies) <= 4  # those that were in flight together
    assert SECRET not in str(caught.value)


def test_a_bad_request_is_an_error_of_its_row():
    """400 is not retried; the other rows are answered."""
    with FaultyServer(["400"]) as server:
        answers = ask(server, requests(3, 1), concurrency=1)
    assert isinstance(answers[0], RowError)
    assert str(answers[0]).startswith("engine_failed: the server answered 400: ")
    assert "the server says 400" in str(answers[0])
    assert [len(replies) for replies in answers[1:]] == [1, 1]


def test_rows_that_are_all_refused_are_not_at_fault():
    """Outside a run eight rows are enough to say so; fewer may all be bad."""
    said = "has refused all of the 8 rows that it was asked; the server answered 400"
    with FaultyServer(always="400") as server:
        with pytest.raises(EngineError, match=said):
            ask(server, requests(8, 3))
        answers = ask(server, requests(7, 3))
    assert [answer.code for answer in answers] == ["engine_failed"] * 7


class Picky(FaultyServer):
    """Refuses questions of these numbers at once, and takes its time for the others."""

    bad = ()

    def answer(self, request, body, fault):
        text = json.dumps(body["messages"])
        if any(f"({number})" in text or f'Question {number}"' in text for number in self.bad):
            send(request, 400, {"error": {"message": "the image is too large"}})
            return
        time.sleep(0.05)
        super().answer(request, body, fault)


def test_refusals_that_come_before_the_first_answer_are_errors_of_their_rows():
    """Ten requests of one row and five of another are two rows; the others get their answers."""
    with Picky() as server:
        server.bad = (0, 1)
        answers = ask(server, requests(6, 10), concurrency=32)
    assert [isinstance(answer, RowError) for answer in answers] == [True, True, False, False, False, False]
    assert "the image is too large" in str(answers[0])


def test_n_is_found_out_although_the_first_row_is_refused():
    """Two rows are refused with n and without, the third tells that the server knows it."""
    with Picky(draws_n="yes") as server:
        server.bad = (0, 1)
        answers = ask(server, requests(4, 5), concurrency=1)
    assert [isinstance(answer, RowError) for answer in answers] == [True, True, False, False]
    assert [body.get("n") for body in server.bodies if "n" in body] == [2, 2, 2, 5, 5]


def test_refused_rows_stop_a_run_by_their_share_of_all_rows(tmp_path):
    """Not by the order of answers: 12 of 60 are refused at once, also when they alone are asked again."""
    ds = make_rows(60)
    with Picky(draws_n="yes") as server:
        server.bad = range(0, 60, 5)
        rollouts = Rollouts(EndpointEngine(server.url, model="m"), attempts=2)
        for again in (False, True):
            evidence = collect_in_run(ds, rollouts, str(tmp_path / "run"), retry_errors=again, max_errors=0.5)
            refused = [row for row, error in enumerate(evidence["rap_error"]) if "too large" in str(error)]
            assert refused == [row for row in range(0, 60, 5) if row % 7 != 6]  # those have no gold
        with pytest.raises(RunError, match=r"^\d+ of 60 rows failed, more than max_errors=0.1 allows"):
            collect_in_run(ds, rollouts, str(tmp_path / "other"), max_errors=0.1)


@pytest.mark.parametrize("reason", ["abort", "error", "content_filter"])
def test_a_reply_that_the_server_ended_is_no_reply(reason, tmp_path):
    """Its row says so and is not graded; --retry-errors asks it again."""

    class Ends(FaultyServer):
        healthy = False

        def reply(self, request, body, n):
            answer = completion_of(body, ["\\boxed{1}"] * n)
            if "(3)" in json.dumps(body["messages"]) and not self.healthy:
                answer["choices"][0]["finish_reason"] = reason
            send(request, 200, answer)

    ds = make_rows(6)
    with Ends(draws_n="yes") as server:
        rollouts = Rollouts(EndpointEngine(server.url, model="m"), attempts=2)
        evidence = collect_in_run(ds, rollouts, str(tmp_path / "run"))
        assert evidence["rap_text_rewards"][3] is None
        assert f"finish_reason {reason!r}, which is no reply" in evidence["rap_error"][3]
        assert evidence["rap_error"][2] is None
        server.healthy = True
        again = collect_in_run(ds, rollouts, str(tmp_path / "run"), retry_errors=True)
    assert (again["rap_error"][3], len(again["rap_text_rewards"][3])) == (None, 2)


@pytest.mark.parametrize(
    ("text", "reason", "is_one"),
    [
        ("!" * 64, "length", False),
        ("!" * 64, "stop", True),
        ("!" * 8, "length", True),
        ("Yes" + "!" * 64, "length", True),
    ],
)
def test_a_reply_of_nothing_but_exclamation_marks_is_no_reply(text, reason, is_one):
    """As of Qwen-VL in float16, whose logits are NaN on some pictures; what a model says in delight is one."""

    class Overflows(FaultyServer):
        def reply(self, request, body, n):
            answer = completion_of(body, ["\\boxed{1}"] * n)
            if "(3)" in json.dumps(body["messages"]):
                answer["choices"][-1] |= {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
            send(request, 200, answer)

    with Overflows(draws_n="yes") as server:
        evidence = collect_evidence(make_rows(6), Rollouts(EndpointEngine(server.url, model="m"), attempts=2))
    assert [error is None for error in evidence["rap_error"]] == [True, True, True, is_one, True, True]
    assert is_one or "nothing but '!' up to the limit" in evidence["rap_error"][3]


def test_an_error_with_status_200_shows_the_servers_words():
    """As routers send it; a code in it counts as the status."""

    class Router(FaultyServer):
        def reply(self, request, body, n):
            said = self.said if "Question 0" in json.dumps(body["messages"]) else None
            send(request, 200, {"error": said} if said else completion(body, n))

    with Router() as server:
        server.said = {"message": "no provider is free", "code": "busy"}
        (busy, fine) = ask(server, requests(2, 1), retries=1, concurrency=1)
        server.said = {"message": "prompt too long", "code": 400}
        (refused, _) = ask(server, requests(2, 1), concurrency=1)
        server.said = {"message": "no credit", "code": 403}
        with pytest.raises(EngineError, match="refuses access; the server answered 403: no credit"):
            ask(server, requests(2, 1), concurrency=1)
    assert str(busy) == "engine_failed: the server answered with an error: no provider is free, 2 times"
    assert str(refused) == "engine_failed: the server answered 400: prompt too long"
    assert not isinstance(fine, RowError)


def test_a_server_that_is_not_there_is_found_by_one_connection():
    """In five seconds at most, before a request is sent or sent again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        engine = EndpointEngine(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", model="m")
        started = time.perf_counter()
        with pytest.raises(EngineError, match=r"There is no server at http://127\.0\.0\.1:\d+/v1 \(.*\): start it"):
            engine.complete(requests(20, 1), Sampling())
        assert time.perf_counter() - started < 6


def test_a_server_that_dies_ends_the_run():
    """Not one row after the other: eight that are given up are enough."""
    with FaultyServer() as server:
        engine = EndpointEngine(server.url, model="m", retries=1)
        engine.complete(requests(1, 1), Sampling())
    with pytest.raises(EngineError, match=r"is gone: the connection failed .*, 2 times, 8 rows one after the other"):
        engine.complete(requests(20, 1), Sampling())


def test_the_token_is_nowhere(monkeypatch, caplog, tmp_path, capfd):
    """Sent to the server, and in no repr, pickle, setting, log line, part or manifest."""
    monkeypatch.setenv("MY_TOKEN", SECRET)
    caplog.set_level(logging.DEBUG)
    faults = ["500", "400", "drop", "wrong json"]
    with FaultyServer(faults) as server:
        engine = EndpointEngine(server.url, model="m", token_env="MY_TOKEN", concurrency=1)
        rollouts = Rollouts(engine, attempts=1, max_new_tokens=8)
        evidence = collect_in_run(make_planted(6), rollouts, str(tmp_path / "run"))
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    shown = (
        json.dumps(evidence.remove_columns("images").to_list())
        + repr(engine)
        + caplog.text
        + "".join(capfd.readouterr())
    )
    assert "the server says 400 to Bearer ***" in shown
    assert SECRET not in shown
    assert SECRET.encode() not in written + pickle.dumps(rollouts)


def test_the_token_of_the_hub_is_not_sent_to_other_servers(monkeypatch):
    """Without token_env no token is sent, whoever is logged in."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with FaultyServer() as server:
        ask(server, requests(1, 1))
    assert "authorization" not in server.headers[0]


def test_a_missing_token_is_said_before_anything_is_sent():
    """With the name of the variable."""
    with FaultyServer() as server, pytest.raises(EngineError, match=r"variable NO_SUCH_TOKEN .* is not set"):
        ask(server, requests(1, 1), token_env="NO_SUCH_TOKEN")
    assert server.bodies == []


def test_requests_in_flight_are_bounded_and_keep_the_server_full():
    """Never more than asked for, and that many most of the time."""
    with FaultyServer(delay=0.2) as server:
        ask(server, requests(48, 1), concurrency=24)
    assert server.most_in_flight == 24


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def test_images_are_sent_as_they_are_stored():
    """The very bytes of a JPEG and a PNG."""
    picture = Image.linear_gradient("L").convert("RGB")
    for form in ("JPEG", "PNG"):
        file = encoded(picture, format=form)
        with FaultyServer() as server:
            ask(server, requests(1, 1, image=picture, file=file))
        sent, text = server.bodies[0]["messages"][0]["content"]
        assert sent == {
            "type": "image_url",
            "image_url": {"url": f"data:image/{form.lower()};base64,{base64.b64encode(file).decode()}"},
        }
        assert text == {"type": "text", "text": "Question 0"}


def test_images_that_servers_read_differently_are_sent_as_what_was_opened():
    """Transparency, palettes, rotation by EXIF and rare formats become the PNG of the upright RGB picture."""
    picture = Image.linear_gradient("L").convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    odd = [
        encoded(picture.convert("RGBA"), format="PNG"),
        encoded(picture.convert("P"), format="PNG"),
        encoded(picture, format="JPEG", exif=exif),
        encoded(picture, format="BMP"),
        None,
    ]
    for file in odd:
        head, _, body = data_url(picture, file).partition(",")
        assert head == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(body))).tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "host:8000"}, "it takes an http or https URL"),
        ({"url": "http://me:secret@host/v1"}, "must not hold a password"),
        ({"concurrency": 0}, "concurrency is 0: it takes a whole number of 1 or more"),
    ],
)
def test_impossible_options_are_refused_at_once(options, message):
    """Before any request; a password in a URL is not repeated."""
    with pytest.raises(SettingError, match=message) as caught:
        EndpointEngine(**{"url": "http://host/v1", "model": "m", **options})
    assert "secret" not in str(caught.value)


def test_settings_name_the_model_and_not_the_address():
    """The same model on another port goes on with the same run; a folder of the server is not told."""
    one, two = (EndpointEngine(f"http://host:{port}/v1", model="org/model").describe() for port in (1, 2))
    assert one == two
    local = EndpointEngine("http://host/v1", model="/home/me/models/mine").describe()
    assert local["model"] == "mine"
    assert "/home" not in json.dumps(local)


TOKEN = "hf_SECRETtoken"
VLLM = {
    "/v1/models": {
        "object": "list",
        "data": [
            {"id": "other", "root": "somebody/else"},
            {
                "id": "m",
                "object": "model",
                "created": 1767225600,
                "owned_by": "vllm",
                "root": "/home/me/models/Qwen2.5-VL-3B",
                "parent": None,
                "max_model_len": 4096,
                "permission": [{"id": "modelperm-1", "created": 1767225600}],
            },
        ],
    },
    "/version": {"version": "0.11.0"},
}


def told_by(server, **options):
    """What stands in the settings after one request."""
    engine = EndpointEngine(server.url, model="m", **options)
    engine.complete(requests(1, 1), Sampling())
    settings = engine.describe()
    assert {"server", "identity"} <= set(settings["not_counted"])
    assert json.loads(json.dumps(settings)) == settings
    return settings["server"]


def test_what_the_server_tells_is_written_down(monkeypatch):
    """The entry of the model and the version, asked for once, with the token; no folder of the server."""
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    with FaultyServer(told=VLLM) as server:
        expected = {"owned_by": "vllm", "root": "Qwen2.5-VL-3B", "max_model_len": 4096, "version": "0.11.0"}
        assert told_by(server, token_env="MY_TOKEN") == expected
        assert told_by(server, token_env="MY_TOKEN") == expected
    assert server.got == [(path, f"Bearer {TOKEN}") for path in ("/v1/models", "/version")]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, {"models": "the server answered 404"}),
        ({"/v1/models": {"data": [{"id": "n"}]}}, {"models": "does not list this model"}),
        ({"/v1/models": ["no", "list"]}, {"models": "does not list this model"}),
        ({"/v1/models": {"data": [None, 3]}, "/version": {"version": 3}}, {"models": "does not list this model"}),
    ],
)
def test_server_that_tells_nothing_is_no_error(told, expected):
    """Why nothing is known is written down instead."""
    with FaultyServer(told=told) as server:
        assert told_by(server) == expected


def test_token_does_not_follow_a_redirection(monkeypatch):
    """Another address must not see it."""
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    with FaultyServer() as thief:
        with FaultyServer(told={"/v1/models": thief.url + "/models"}) as server:
            assert told_by(server, token_env="MY_TOKEN") == {"models": "the server answered 307"}
        assert thief.got == []


def test_settings_before_the_server_was_asked():
    """A run that has everything needs no server, and a server that is away does not keep it from being read."""
    assert EndpointEngine("http://127.0.0.1:9/v1", model="m").describe()["server"] == "not asked yet"


def test_a_running_event_loop_is_no_obstacle():
    """Notebooks have one."""
    import asyncio

    async def cell():
        return EndpointEngine(server.url, model="m").complete(requests(1, 1), Sampling())

    with FaultyServer() as server:
        assert len(asyncio.run(cell())[0]) == 1


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory):
    """`transformers serve` with the built-in model; its address."""
    for name in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(name, reason="`transformers serve` is not installed: pip install 'transformers[serving]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(MODEL), "--device", "cpu"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


@pytest.mark.exhaustive
def test_transformers_serve_answers_picture_questions(transformers_serve, tmp_path):
    """A real server and a real model: pictures are seen, both arms are graded, a run is resumed over it."""
    planted = make_planted(60)
    planted = planted.filter(lambda kind: kind == "needs_image", input_columns="kind")
    engine = EndpointEngine(transformers_serve, model=str(MODEL), concurrency=4)
    rollouts = Rollouts(engine, attempts=2, max_new_tokens=48)
    half = collect_in_run(planted.select(range(len(planted) // 2)), rollouts, str(tmp_path / "run"))
    evidence = collect_in_run(planted, rollouts, str(tmp_path / "run"))
    assert half["rap_image_responses"][:] == evidence["rap_image_responses"][: len(half)]
    assert set(evidence["rap_error"]) == {None}
    image, text = (
        [reward for rewards in evidence[f"rap_{arm}_rewards"] for reward in rewards] for arm in ("image", "text")
    )
    assert len(image) == len(text) == 2 * len(planted)
    # The model is trained on such pictures: with them it is mostly right, without it can only guess.
    assert sum(image) / len(image) > 0.5 > sum(text) / len(text)
    assert all(0 < tokens <= 48 for counts in evidence["rap_image_tokens"] for tokens in counts)


@pytest.mark.exhaustive
def test_transformers_serve_says_why_it_refuses(transformers_serve):
    """A model that the server does not have is an error with the server's words."""
    engine = EndpointEngine(transformers_serve, model="nobody/nothing", concurrency=2, retries=0)
    with pytest.raises(EngineError, match=r"the server answered \d{3}: .+"):
        collect_evidence(make_planted(12), Rollouts(engine, attempts=1, max_new_tokens=8))


@pytest.mark.exhaustive
def test_transformers_serve_is_refused_for_step_scores(transformers_serve):
    """It answers 422 to continue_final_message, and always opens a new turn."""
    engine = EndpointEngine(transformers_serve, model=str(MODEL))
    with pytest.raises(
        EngineError,
        match=r"cannot continue a reply that was started: .*the server answered 422: .*continue_final_message",
    ):
        engine.complete(started(1), Sampling(max_new_tokens=8))
