"""A run over a server: one stream of requests, in whatever order they are answered, whatever happens to the server."""

import base64
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import Dataset, Features, Image, Value
from killing import kill_as_it_writes
from PIL import Image as PILImage
from server import FaultyServer, completion, send
from stubs import make_rows

from hf_rap import EndpointEngine, Rollouts, collect_evidence, collect_in_run, list_runs
from hf_rap.cli import cli
from hf_rap.engines.server_sampling import TRIAL
from hf_rap.errors import EngineError, RunError
from hf_rap.runs.fill import Run


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits a hundred times shorter."""
    monkeypatch.setattr("hf_rap.engines.endpoint_client._FIRST_WAIT", 0.01)


def number_in(body):
    """Of the row that a request asks about."""
    return int(json.dumps(body["messages"]).rpartition("(")[2].partition(")")[0])


class Server(FaultyServer):
    """Draws several replies for one prompt, of a text that follows from the seed, and notes which rows it has answered.

    `slow` gives seconds by the number of a row, `bad` rows are refused at once, `dies_after` so many answers it is gone.
    """

    def __init__(self, *, slow=None, bad=(), dies_after=None, **options):
        super().__init__(draws_n="yes", **options)
        self.slow = slow or (lambda number: 0.0)
        self.bad = set(bad)
        self.dies_after = dies_after
        self.answered = []

    def answer(self, request, body, fault):
        if body["messages"][-1]["content"] == TRIAL:
            super().answer(request, body, fault)
            return
        number = number_in(body)
        if number in self.bad:
            send(request, 400, {"error": {"message": "too large"}})
            return
        time.sleep(self.slow(number))
        with self.lock:
            if self.dies_after is not None and len(self.answered) >= self.dies_after:
                request.close_connection = True
                request.connection.close()
                return
            self.answered.append((number, "image" if "image_url" in json.dumps(body) else "text"))
        super().answer(request, body, fault)

    def reply(self, request, body, n):
        draw = random.Random(body["seed"])
        answer = completion(body, n)
        for choice in answer["choices"]:
            choice["message"]["content"] = f"<think>{draw.random()}</think> \\boxed{{{draw.randint(1, 4)}}}"
        send(request, 200, answer)


def rollouts(server, **options):
    attempts = options.pop("attempts", 2)
    engine = EndpointEngine(server.url, model="m", **{"concurrency": 8, "retries": 1, **options})
    return Rollouts(engine, attempts=attempts, max_new_tokens=16)


def plain(ds):
    return ds.remove_columns("images").to_list()


def test_the_evidence_is_that_of_one_go(tmp_path):
    """Answers come in a random order, some rows are refused, some ask nothing; values, order and types are the same."""
    ds = make_rows(120)
    with Server(slow=lambda _: random.uniform(0, 0.05), bad=range(5, 120, 10)) as server:
        streamed = collect_in_run(ds, rollouts(server), str(tmp_path / "run"), rows_per_part=16)
        in_one_go = collect_evidence(ds, rollouts(server))
    assert streamed.features == in_one_go.features
    assert plain(streamed) == plain(in_one_go)
    (held,) = list_runs(str(tmp_path / "run"))
    assert (held.rows, held.parts) == (120, 8)  # seven whole ones and the rest


def test_a_row_that_takes_long_keeps_no_other_waiting(tmp_path):
    """The second row is answered when all others are: parts fill, and are written, without it."""
    ds, run = make_rows(60), tmp_path / "run"
    parts = []

    def slow(number):
        give_up = time.monotonic() + 30
        while number == 1 and len({row for row, _ in server.answered}) < 51 and time.monotonic() < give_up:
            time.sleep(0.01)
        if number == 1:
            time.sleep(0.5)
            parts.append(len(list(run.glob("*/*.parquet"))))
        return 0.0

    with Server(slow=slow) as server:
        evidence = collect_in_run(ds, rollouts(server, concurrency=4), str(run), rows_per_part=10)
    assert min(parts) == 5  # 59 rows are done
    assert evidence["rap_error"][1] is None


def test_of_a_server_that_dies_for_good_everything_is_kept(tmp_path):
    """At the half: every row that is answered is in the run, none counts as failed, and the next start asks the others."""
    ds, run = make_rows(80), str(tmp_path / "run")
    with Server(slow=lambda _: 0.01, dies_after=70) as server:
        with pytest.raises(
            EngineError, match=r"is gone: the connection failed .*, 2 times, \d+ rows one after the other"
        ):
            collect_in_run(ds, rollouts(server), run, rows_per_part=16)
        answered = {
            row for row in range(80) if sum(number == row for number, _ in server.answered) == 1 + (row % 11 != 10)
        }
        with Run(ds, rollouts(server), run) as opened:
            held = {number for number, row in enumerate(opened.rows) if opened.index.chosen(row.key, 2, arm="text")}
            assert opened.index.counts()[1] == sum(number % 7 == 6 for number in held)  # those without a gold
        assert answered <= held
        server.dies_after = None
        server.answered.clear()
        evidence = collect_in_run(ds, rollouts(server), run)
        assert {number for number, _ in server.answered} == {row for row in range(80) if row % 7 != 6} - held
        assert plain(evidence) == plain(collect_evidence(ds, rollouts(server)))


def test_a_server_that_is_away_is_waited_for(tmp_path, caplog):
    """It goes in the middle and comes back at its address: nothing failed, and both moments are said."""
    ds = make_rows(40)
    server = Server(slow=lambda _: 0.02)
    port = server.http.server_port

    def restart():
        while len(server.answered) < 20:
            time.sleep(0.01)
        server.dies_after = 0
        server.http.shutdown()
        server.http.server_close()
        time.sleep(1.0)
        again.__enter__()

    with server:
        again = Server(port=port, later=True)
        keeper = threading.Thread(target=restart)
        keeper.start()
        evidence = collect_in_run(ds, rollouts(server, wait_for_server=30, retries=3), str(tmp_path / "run"))
        keeper.join()
        healthy = collect_evidence(ds, rollouts(again))
    again.__exit__()
    assert plain(evidence.remove_columns("rap_settings")) == plain(healthy.remove_columns("rap_settings"))
    assert "is away (the connection failed" in caplog.text
    assert "It is waited for, 30 s at most." in caplog.text
    assert "is back after" in caplog.text


def test_a_server_that_stays_away_is_waited_for_only_so_long(tmp_path):
    """Then the run ends, and says what is kept."""
    server = Server()
    server.http.server_close()
    with pytest.raises(EngineError, match=r"has been away for 0\.5 s: the connection failed"):
        collect_in_run(make_rows(20), rollouts(server, wait_for_server=0.5), str(tmp_path / "run"))


def test_a_server_that_is_waited_for_from_the_start_has_told_what_it_is(tmp_path):
    """What is written down is what it tells once it is there, not that it was away."""
    away = Server()
    away.http.server_close()
    again = Server(port=away.http.server_port, later=True, told={"/version": {"version": "0.32.0"}})
    starter = threading.Timer(1.0, again.__enter__)
    starter.start()
    evidence = collect_in_run(make_rows(4), rollouts(away, wait_for_server=30), str(tmp_path / "run"))
    starter.join()
    again.__exit__()
    assert {json.loads(text)["server"]["version"] for text in evidence["rap_settings"] if text} == {"0.32.0"}


def test_a_server_that_died_a_while_ago_is_not_said_to_have_answered_nothing(tmp_path, monkeypatch):
    """What was found out about it is forgotten by then; that rows were answered is not."""
    monkeypatch.setattr("hf_rap.engines.endpoint_memory._SECONDS", 0.0)
    with Server(slow=lambda _: 0.01) as server:
        closed = threading.Thread(target=close_after, args=(server, 40))
        closed.start()
        with pytest.raises(EngineError, match=r"is gone.* What was answered before is kept") as caught:
            collect_in_run(make_rows(200), rollouts(server), str(tmp_path / "run"), rows_per_part=16)
        closed.join()
    assert "Nothing was asked" not in str(caught.value)


def close_after(server, answers):
    """Nothing listens there any more once so many requests are answered."""
    while len(server.answered) < answers:
        time.sleep(0.001)
    server.http.shutdown()
    server.http.server_close()


def test_a_late_answer_gets_more_time(tmp_path):
    """A row that needs twice the time-out is answered at the second try."""

    with Server(slow=lambda number: 3.0 if number == 3 else 0.0) as server:
        evidence = collect_in_run(make_rows(5), rollouts(server, timeout=2.0), str(tmp_path / "run"))
    assert set(evidence["rap_error"]) == {None}


def test_a_run_of_which_most_rows_are_refused_stops_early(tmp_path):
    """Not before 200 rows are answered, for refusals come first; and long before the last."""
    ds = make_rows(900)
    with Server(slow=lambda _: 0.02, bad=range(900)) as server:
        server.bad.difference_update(range(0, 900, 3))
        with pytest.raises(RunError, match=r"rows failed, more than max_errors=0\.5 allows"):
            collect_in_run(ds, rollouts(server), str(tmp_path / "run"))
    (held,) = list_runs(str(tmp_path / "run"))
    assert 200 <= held.rows < 700


def test_a_budget_holds_in_a_stream(tmp_path):
    """Never passed, whatever is in flight; call by call the evidence becomes whole."""
    ds, run = make_rows(30), str(tmp_path / "run")
    with Server() as server:
        spent = []
        for _ in range(20):
            try:
                evidence = collect_in_run(ds, rollouts(server), run, max_total_tokens=400)
                break
            except RunError as error:
                spent.append(int(str(error).split("tokens ")[1].split(" ")[0]))
        assert spent
        assert all(0 < tokens <= 400 for tokens in spent)
        assert plain(evidence) == plain(collect_evidence(ds, rollouts(server)))


def test_progress_counts_requests(tmp_path, capsys):
    """A part may take long; what is answered moves."""
    numbers = []
    with Server() as server, Run(make_rows(12), rollouts(server), str(tmp_path / "run"), log=numbers.append) as run:
        run.fill()
    assert "12 of 12 rows, 1 failed, " in capsys.readouterr().err
    assert numbers[-1]["rows_done"] == 12


@pytest.mark.exhaustive
@pytest.mark.parametrize("kills", [2, 20])
def test_kills_in_the_stream_change_nothing(tmp_path, kills):
    """Evidence is that of one go; a kill repeats at most what is in flight and parts that are not full."""
    ds, run = make_rows(60 + 60 * kills), tmp_path / "run"
    with Server(slow=lambda _: random.uniform(0, 0.1)) as server:
        kill_as_it_writes(
            lambda: collect_in_run(ds, rollouts(server), str(run), rows_per_part=8), run, kills, seconds=0.2
        )
        (held,) = list_runs(str(run))
        assert held.rows < len(ds)
        assert held.unusable == ()
        evidence = collect_in_run(ds, rollouts(server), str(run), rows_per_part=8)
        needed = sum(2 if row % 11 != 10 else 1 for row in range(len(ds)) if row % 7 != 6)
        # In flight and read ahead 8 requests each, and 8 rows in a part that is not full.
        assert len(server.answered) - needed <= kills * (8 + 8 * 2)
        assert plain(evidence) == plain(collect_evidence(ds, rollouts(server)))


def test_sigterm_writes_what_is_done_within_ten_seconds(tmp_path):
    """Rows whose part is not full, too; what is in flight is given up."""
    ds, run = make_rows(200), str(tmp_path / "run")
    with Server(slow=lambda number: 60.0 if number >= 100 else 0.01) as server:

        def stop():
            while len(server.answered) < 155:
                time.sleep(0.01)
            time.sleep(1.0)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

        sent = []
        thread = threading.Thread(target=stop)
        thread.start()
        with pytest.raises(RunError, match="Stopped as asked"):
            collect_in_run(ds, rollouts(server), run, rows_per_part=1000)
        assert time.monotonic() - sent[0] < 10
        thread.join()
    (held,) = list_runs(run)
    assert held.rows >= 90


def test_twelve_megapixels_are_sent_as_they_are_stored(tmp_path):
    """The bytes of the file, and no picture is held decoded while it waits for its turn."""
    file = io.BytesIO()
    PILImage.effect_noise((400, 300), 90).convert("RGB").save(file, "JPEG")
    features = Features(
        {"id": Value("string"), "image": Image(), "question": Value("string"), "answer": Value("string")}
    )
    rows = [
        {"id": str(row), "image": {"bytes": file.getvalue(), "path": None}, "question": f"Q ({row})", "answer": "3"}
        for row in range(4)
    ]
    with Server() as server:
        run = Run(Dataset.from_list(rows, features=features), rollouts(server), str(tmp_path / "run"))
        with run:
            (asked, *_) = run.collector.begin(run.ds.select_columns(run.columns).with_format("arrow")[:1].to_pydict())
            run.fill()
    assert asked.question.files == (file.getvalue(),)
    assert asked.question.images[0].format == "JPEG"  # as a file has it: what was decoded has none
    sent = [
        part["image_url"]["url"]
        for body in server.bodies
        for part in body["messages"][0]["content"]
        if "image_url" in part
    ]
    assert {url.partition(",")[2] for url in sent} == {base64.b64encode(file.getvalue()).decode()}


def test_the_stream_goes_through_the_command(tmp_path):
    """--timeout, --retries and --wait-for-server reach the engine."""
    make_rows(12).to_parquet(tmp_path / "rows.parquet")
    with Server() as server:
        command = [
            "rollouts",
            str(tmp_path / "rows.parquet"),
            "--endpoint",
            server.url,
            "--model",
            "m",
            "--attempts",
            "2",
        ]
        command += ["--timeout", "5m", "--retries", "2", "--run", str(tmp_path / "run"), "--wait-for-server"]
        done = CliRunner().invoke(cli, [*command, "30m"], catch_exceptions=False)
        refused = CliRunner().invoke(cli, [*command, "soon"])
    assert done.exit_code == 0
    manifest = json.loads(next((tmp_path / "run").glob("*/manifest.json")).read_text())
    assert {name: manifest["settings"][name] for name in ("timeout", "retries")} == {"timeout": 300.0, "retries": 2}
    assert refused.exit_code == 2
    assert "'soon' is no duration" in refused.stderr


def test_slow_answers_beside_instant_refusals(tmp_path):
    """A fifth of the rows is refused at once and all others take long: the errors are those rows', in whatever order."""
    ds = make_rows(300, question="How large?")
    bad = set(range(0, 300, 5))
    with Server(slow=lambda _: random.uniform(0.02, 0.2), bad=bad) as server:
        evidence = collect_in_run(ds, rollouts(server, concurrency=64), str(tmp_path / "run"), max_errors=0.4)
    refused = {row for row, error in enumerate(evidence["rap_error"]) if "too large" in (error or "")}
    assert refused == {row for row in bad if row % 7 != 6}  # a gold that cannot be read is not asked


@pytest.mark.exhaustive
def test_pictures_of_twelve_megapixels_stay_under_a_gigabyte_and_a_half():
    """256 of them with 32 in flight, in a process of its own, peak of everything."""
    benchmark = Path(__file__).parents[2] / "benchmarks" / "runs.py"
    told = subprocess.run(
        [sys.executable, str(benchmark), "pictures"], capture_output=True, text=True, check=True
    ).stdout
    peak = float(re.search(r"peak ([\d.]+) GB in all", told)[1])
    assert "256 rows of 12 megapixels" in told
    assert peak < 1.5, told
