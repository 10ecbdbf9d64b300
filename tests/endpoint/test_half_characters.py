"""Half characters: what no file can hold costs neither a run nor a row."""

import json

import pytest
from server import FaultyServer, completion_of, send
from stubs import Stub, make_rows

from hf_rap import Completion, EndpointEngine, Rollouts, collect_evidence, collect_in_run
from hf_rap.engines.endpoint_request import retry_after
from hf_rap.errors import RowError


class Halves(FaultyServer):
    """Cuts an emoji in two, as servers do at the token limit."""

    def reply(self, request, body, n):
        answer = completion_of(body, ["\\boxed{1} \ud83d"])
        assert "\\ud83d" in json.dumps(answer)
        send(request, 200, answer)


def test_a_reply_of_a_server(tmp_path):
    """The half is shown as what it is, the rest is graded, and the request is sent once."""
    with Halves() as server:
        engine = EndpointEngine(server.url, model="m", retries=0)
        evidence = collect_in_run(make_rows(5), Rollouts(engine, attempts=1), str(tmp_path / "run"))
        assert len(server.bodies) == 10
    assert evidence["rap_image_responses"][0] == ["\\boxed{1} \ufffd"]
    assert evidence["rap_image_rewards"][0] == [1.0]


def test_replies_and_errors_of_an_engine_of_ones_own(tmp_path):
    """Whatever it gives."""

    class Odd(Stub):
        def complete(self, requests, sampling):
            return [
                RowError("engine_failed", "half \ud83d")
                if "(1)" in str(request.messages)
                else [Completion("\\boxed{1} \ud83d", 3, False)] * request.attempts
                for request in requests
            ]

    rollouts = Rollouts(Odd(), attempts=2)
    for evidence in (
        collect_evidence(make_rows(3), rollouts),
        collect_in_run(make_rows(3), rollouts, str(tmp_path / "run")),
    ):
        assert evidence["rap_image_responses"][0] == ["\\boxed{1} \ufffd"] * 2
        assert evidence["rap_error"][1] == "engine_failed: half \\ud83d"


@pytest.mark.parametrize(
    "value", ["Wed, 21 Oct 2015 07:28:00", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28 -0000"]
)
def test_a_date_to_wait_for_may_have_no_zone(value):
    """It is of the past: no wait, and no error."""
    assert retry_after(value) == 0.0
