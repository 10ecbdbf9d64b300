"""Controls, step scores and replies that go on are in the same stream to a server as rollouts."""

import json
import random
import re
import time

import pytest
from killing import kill_as_it_writes
from server import FaultyServer, completion, send
from stubs import make_rows

from hf_rap import Controls, EndpointEngine, Rollouts, StepRewards, collect_evidence, collect_in_run, list_runs
from hf_rap.engines.server_sampling import TRIAL
from hf_rap.errors import EngineError


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits a hundred times shorter."""
    monkeypatch.setattr("hf_rap.engines.endpoint_client._FIRST_WAIT", 0.01)


def number_in(body):
    """Of the row that a request asks about."""
    return int(re.search(r"\((\d+)\)", json.dumps(body["messages"]))[1])


class Server(FaultyServer):
    """Replies follow from the seed; `slow` gives seconds by the number of a row, `dies_after` so many answers it is gone."""

    def __init__(self, slow=None, dies_after=None, cuts=False):
        super().__init__(draws_n="yes")
        self.slow = slow or (lambda number: 0.0)
        self.dies_after = dies_after
        self.cuts = cuts
        self.answered = []

    def answer(self, request, body, fault):
        if body["messages"][-1]["content"] == TRIAL or "Count to ten" in json.dumps(body["messages"]):
            super().answer(request, body, fault)
            return
        number = number_in(body)
        time.sleep(self.slow(number))
        with self.lock:
            if self.dies_after is not None and len(self.answered) >= self.dies_after:
                request.close_connection = True
                request.connection.close()
                return
            self.answered.append(number)
        super().answer(request, body, fault)

    def reply(self, request, body, n):
        draw = random.Random(body["seed"])
        answer = completion(body, n)
        answer["usage"]["prompt_tokens"] = self.prompt_tokens(body)
        for choice in answer["choices"]:
            choice["message"]["content"] = f"so {draw.random()} \\boxed{{{draw.randint(1, 4)}}}"
            if self.cuts and body["max_tokens"] == 16 and draw.random() < 0.5:
                choice["finish_reason"] = "length"
                choice["message"]["content"] = f"so {draw.random()}"
        send(request, 200, answer)


def engine(server, **options):
    return EndpointEngine(server.url, model="m", **{"concurrency": 8, "retries": 1, **options})


def sentences(text):
    """Each up to its full stop."""
    return [part + "." for part in text.split(".") if part]


def rolled_out(count):
    """Rows with replies to their own pictures."""
    with Server() as server:
        return collect_evidence(make_rows(count), Rollouts(engine(server), attempts=3, max_new_tokens=16))


def with_responses(count):
    """Rows with a response of three steps."""
    ds = make_rows(count)
    return ds.add_column("response", ["One. Two. Three."] * count)


KINDS = {
    "controls": (rolled_out, lambda server: Controls(engine(server))),
    "steps": (with_responses, lambda server: StepRewards(engine(server), continuations=3, split=sentences)),
    "steps that stop early": (
        with_responses,
        lambda server: StepRewards(engine(server), continuations=3, split=sentences, early_stop=True),
    ),
}


def plain(ds):
    return ds.remove_columns("images").to_list()


@pytest.mark.parametrize("kind", KINDS)
def test_the_evidence_is_that_of_one_go(tmp_path, kind):
    """Whatever the order of answers."""
    rows, collector = KINDS[kind]
    ds = rows(40)
    with Server(slow=lambda _: random.uniform(0, 0.02)) as server:
        streamed = collect_in_run(ds, collector(server), str(tmp_path / "run"), rows_per_part=8)
        asked = len(server.answered)
        in_one_go = collect_evidence(ds, collector(server))
        assert len(server.answered) - asked == asked - 1  # whether the server draws together was found out before
    assert streamed.features == in_one_go.features
    assert plain(streamed) == plain(in_one_go)
    (held,) = list_runs(str(tmp_path / "run"))
    assert (held.rows, held.parts) == (40, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_takes_long_keeps_no_other_waiting(tmp_path, kind):
    """The second row is answered when all others are: parts fill, and are written, without it."""
    rows, collector = KINDS[kind]
    ds, run, parts = rows(33), tmp_path / "run", []

    def slow(number):
        give_up = time.monotonic() + 30
        while number == 1 and len(list(run.glob("*/*.parquet"))) < 4 and time.monotonic() < give_up:
            time.sleep(0.01)
        if number == 1:
            parts.append(len(list(run.glob("*/*.parquet"))))
        return 0.0

    with Server(slow=slow) as server:
        collect_in_run(ds, collector(server), str(run), rows_per_part=8)
    assert min(parts) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_server_that_dies_for_good_everything_is_kept(tmp_path, kind):
    """The next start asks the other rows."""
    rows, collector = KINDS[kind]
    ds, run = rows(40), str(tmp_path / "run")
    with Server(dies_after=30) as server:
        with pytest.raises(EngineError, match="is gone"):
            collect_in_run(ds, collector(server), run)
        (held,) = list_runs(run)
        assert 0 < held.rows < 40
        server.dies_after = None
        evidence = collect_in_run(ds, collector(server), run)
        assert plain(evidence) == plain(collect_evidence(ds, collector(server)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kills", [pytest.param(20, marks=pytest.mark.exhaustive)])
def test_kills_in_the_stream_change_nothing(tmp_path, kind, kills):
    """Evidence is that of one go."""
    rows, collector = KINDS[kind]
    ds, run = rows(20 + 20 * kills), tmp_path / "run"
    with Server(slow=lambda _: random.uniform(0, 0.05)) as server:
        kill_as_it_writes(
            lambda: collect_in_run(ds, collector(server), str(run), rows_per_part=4), run, kills, seconds=0.1
        )
        evidence = collect_in_run(ds, collector(server), str(run), rows_per_part=4)
        assert plain(evidence) == plain(collect_evidence(ds, collector(server)))


def test_replies_that_were_cut_off_go_on_in_the_stream(tmp_path):
    """Each begins with what was there, in whatever order they come; the others are not asked."""
    ds, run = make_rows(40), str(tmp_path / "run")
    with Server(slow=lambda _: random.uniform(0, 0.02), cuts=True) as server:
        rollouts = Rollouts(engine(server), attempts=3, max_new_tokens=16)
        before = collect_in_run(ds, rollouts, run, rows_per_part=8)
        asked = len(server.answered)
        longer = Rollouts(engine(server), attempts=3, max_new_tokens=64)
        after = collect_in_run(ds, longer, run, rows_per_part=8, continue_cut=True)
        cut = 0
        for old, new in zip(before, after, strict=True):
            for arm in ("image", "text"):
                flags = old[f"rap_{arm}_truncated"] or []
                for place, flag in enumerate(flags):
                    cut += flag
                    text, longer_text = (row[f"rap_{arm}_responses"][place] for row in (old, new))
                    assert longer_text.startswith(text) if flag else longer_text == text
                    assert new[f"rap_{arm}_truncated"][place] is False
        assert cut > 20
        assert len(server.answered) - asked == cut
        again = collect_in_run(ds, longer, run, continue_cut=True)
        assert len(server.answered) - asked == cut
        assert plain(again) == plain(after)
