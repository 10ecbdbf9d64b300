"""Replies that a server reads again: what is sent, what is read of the answer, and servers that cannot."""

import pytest
from PIL import Image
from server import FaultyServer

from hf_rap import EndpointEngine
from hf_rap.engines.base import LogLikelihood, Reply, Request
from hf_rap.engines.endpoint_answer import OddError, read_likelihood
from hf_rap.errors import EngineError, RowError
from hf_rap.rows.prompts import PromptTemplate


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits a hundred times shorter."""
    monkeypatch.setattr("hf_rap.engines.endpoint_client._FIRST_WAIT", 0.01)


def reply(text, *, row="a", image=False, prefix=""):
    messages = PromptTemplate(suffix="").messages("<image>How many?", with_images=image)
    pictures = (Image.new("RGB", (8, 8), "red"),) if image else ()
    return Reply(Request(row, "image" if image else "text", messages, pictures, 1, prefix=prefix), text)


def test_a_reply_stands_as_the_last_message_and_is_read_token_by_token():
    """One request per reply, with its picture; one token is generated, since a server writes at least one."""
    with FaultyServer(reads=True) as server:
        engine = EndpointEngine(server.url, model="m", extra_body={"priority": 3})
        with_image, without = engine.log_likelihoods([reply("It is 3.", image=True), reply("It is 3.")])
        sent = server.bodies[-2:]
    assert with_image == LogLikelihood(-0.75, 3, (-0.25,) * 3, ("It", " is", " 3."))
    assert without.logprobs == (-1.5,) * 3
    for body in sent:
        assert body["messages"][-1] == {"role": "assistant", "content": "It is 3."}
        wanted = {"max_tokens": 1, "prompt_logprobs": 0, "continue_final_message": True, "add_generation_prompt": False}
        assert wanted.items() <= body.items()
        assert body["priority"] == 3
    assert sorted(len(body["messages"][0]["content"]) for body in sent) == [1, 2]


def test_the_tokens_behind_a_prefix_count():
    """Those that cover the text, as of the gold behind its lead; one that joins both is one of the text."""
    with FaultyServer(reads=True) as server:
        engine = EndpointEngine(server.url, model="m")
        apart, joined = engine.log_likelihoods([reply(" 3 }", prefix="So:"), reply("3}", prefix="So: {")])
    assert apart.texts == (" 3", " }")
    assert joined.texts == (" {3}",)


def test_a_reply_that_the_template_rewrites_is_an_error_of_its_own():
    """Templates of thinking models take thoughts away; a refusal is one too; the others get their numbers."""
    with FaultyServer(reads=True) as server:
        thought, fine = EndpointEngine(server.url, model="m").log_likelihoods(
            [reply("<think>so</think> 3"), reply("3", row="b")]
        )
    assert str(thought) == (
        "tokens_changed: by what the server tells, the prompt does not end with the tokens of the reply"
    )
    assert fine.texts == ("3",)
    with FaultyServer(reads=True) as server:
        engine = EndpointEngine(server.url, model="m")
        engine.log_likelihoods([reply("3")])  # what the server can do is known
        server.faults = ["400"]
        (refused,) = engine.log_likelihoods([reply("3")])
    assert isinstance(refused, RowError)
    assert str(refused).startswith("engine_failed: the server answered 400")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"does not tell the log-probabilities of a prompt's tokens \(prompt_logprobs\): vLLM does"),
        ({"continues": "ignores", "reads": True}, "cannot continue a reply that was started"),
        ({"refuses": {"prompt_logprobs"}}, "has refused all of the 8 rows that it was asked; .*prompt_logprobs"),
    ],
)
def test_a_server_that_cannot_is_refused_with_a_sentence(options, said):
    """It would tell of other tokens, or of none."""
    with FaultyServer(**options) as server, pytest.raises(EngineError, match=said):
        EndpointEngine(server.url, model="m").log_likelihoods([reply("3", row=str(row)) for row in range(8)])


@pytest.mark.parametrize(
    "entries", [["x"], [{}], [{"1": {"logprob": "x", "decoded_token": "3"}}], [{"1": {"logprob": -1.0}}]]
)
def test_an_answer_that_holds_something_else_is_odd(entries):
    """And asked for again, as every answer that cannot be read."""
    with pytest.raises(OddError, match="prompt_logprobs are no tokens"):
        read_likelihood({"prompt_logprobs": [None, *entries]}, "3")


def test_the_token_that_stands_there_comes_first():
    """Servers may tell likelier ones beside it; nothing is asked of no replies."""
    entry = {"7": {"logprob": -2.0, "decoded_token": "3"}, "8": {"logprob": -0.1, "decoded_token": "4"}}
    assert read_likelihood({"prompt_logprobs": [None, entry]}, "3") == LogLikelihood(-2.0, 1, (-2.0,), ("3",))
    assert EndpointEngine("http://127.0.0.1:9/v1", model="m").log_likelihoods([]) == []
