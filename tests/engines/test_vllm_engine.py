"""`VLLMEngine` where there is no vLLM: what is said, what it is known by, and what pickles. With vLLM: tests/vllm."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from datasets.fingerprint import Hasher
from safetensors.torch import load_file

from hf_rap import Likelihood, Rollouts, VLLMEngine
from hf_rap.demo import MODEL, make_planted
from hf_rap.engines import vllm_start
from hf_rap.engines.guardian import Guardian
from hf_rap.engines.loading import AutoModelForImageTextToText
from hf_rap.engines.vllm_names import readable, rename
from hf_rap.errors import EngineError, SettingError
from hf_rap.runs.fill import settings_of
from hf_rap.runs.folder import fingerprint_of

WITHOUT = pytest.mark.skipif(vllm_start.vllm_version() is not None, reason="vLLM is installed here")


@WITHOUT
def test_missing_vllm_is_said_with_what_to_install():
    """When it is first asked, not when it is made."""
    with pytest.raises(
        EngineError, match=r"needs vLLM, which is not installed: pip install vllm hf-rap, in an environment"
    ):
        VLLMEngine(str(MODEL)).load()


@WITHOUT
@pytest.mark.exhaustive
def test_missing_vllm_ends_a_command_before_a_row_is_asked(tmp_path):
    """In one line on stderr."""
    make_planted(6).to_parquet(tmp_path / "rows.parquet")
    words = ["rollouts", "rows.parquet", "--engine", "vllm", "--model", "demo", "--out", "evidence.parquet"]
    done = subprocess.run(
        [sys.executable, "-m", "hf_rap", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("hf-rap: VLLMEngine needs vLLM, which is not installed")


def test_too_old_vllm_is_said(monkeypatch):
    """With both versions."""
    monkeypatch.setattr(vllm_start, "vllm_version", lambda: "0.9.1+cpu")
    monkeypatch.setattr(vllm_start, "find_spec", lambda _: object())
    with pytest.raises(EngineError, match=r"needs vLLM 0\.32 or later, and this is 0\.9\.1\+cpu: pip install -U"):
        vllm_start.check_installed()


def test_several_processes_are_refused(monkeypatch):
    """Each would start vLLM on the same GPUs."""
    monkeypatch.setattr(vllm_start, "check_installed", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(EngineError, match="Start one process, with --data-parallel N"):
        VLLMEngine(str(MODEL)).load()


def test_start_that_fails_is_not_tried_again_by_those_who_waited_for_it(monkeypatch):
    """Parts of a run ask for it together, and all get its error; who asks later tries anew."""
    starts, waiting = [], threading.Barrier(4)

    def fails(engine, identity):
        starts.append(engine)
        time.sleep(0.3)
        raise EngineError("vLLM cannot load 'm': no room.")

    monkeypatch.setattr(vllm_start, "_start", fails)
    engine = VLLMEngine(str(MODEL))
    errors = []

    def part():
        waiting.wait()
        with pytest.raises(EngineError, match=r"no room\.") as told:
            engine.load()
        errors.append(told.value)

    parts = [threading.Thread(target=part) for _ in range(4)]
    for each in parts:
        each.start()
    for each in parts:
        each.join()
    assert (len(errors), len(starts)) == (4, 1)
    with pytest.raises(EngineError, match="no room"):
        engine.load()
    assert len(starts) == 2


class Dead:
    """A vLLM that is no more."""

    alive = False

    def __init__(self, ended):
        self.ended = ended


def test_one_that_has_ended_by_itself_is_started_by_what_begins_next_alone(monkeypatch):
    """A part that was being prepared meanwhile gets its sentence; so does whoever comes later in the same run."""
    starts = []
    monkeypatch.setattr(vllm_start, "_start", lambda engine, identity: starts.append(engine) or Dead(None))
    monkeypatch.setattr(vllm_start, "_running", {})
    engine = VLLMEngine(str(MODEL))
    dead = Dead(EngineError("vLLM has stopped while it ran 'm'."))
    vllm_start._running[f"{engine!r} {engine.identity}"] = dead
    for _ in range(2):
        with pytest.raises(EngineError, match="vLLM has stopped while it ran"):
            engine.load()
    assert starts == []
    Rollouts(engine).identify()  # as every run and every map does first
    assert engine.load() is not dead
    assert starts == [engine]


def test_cache_that_no_machine_has_is_refused_at_once(monkeypatch):
    """vLLM would say so in a process of its own, and wait for another one for ever; what fits is its own affair."""
    monkeypatch.setattr(vllm_start, "memory_bytes", lambda: 24 * 2**30)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "100000")
    with pytest.raises(
        EngineError,
        match=r"VLLM_CPU_KVCACHE_SPACE=100000 gives vLLM 100,000 GiB for keys and values, and this machine has 24\.0 GiB of memory",
    ):
        vllm_start.check_cache()
    for fine in ("24", "", "many"):
        monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", fine)
        vllm_start.check_cache()


def test_engine_pickles_in_full():
    """Nothing runs yet, and what it stands for goes along."""
    engine = VLLMEngine(str(MODEL), dtype="bfloat16", options={"quantization": "fp8"})
    identity = engine.identity
    copy = pickle.loads(pickle.dumps(engine))
    assert copy == engine
    assert copy.identity == identity
    assert len(pickle.dumps(engine)) < 2000


def test_where_it_runs_is_no_part_of_a_run():
    """Copies, GPUs and memory change nothing but rounding; options of vLLM count, whatever they change."""

    def known_by(**options):
        rollouts = Rollouts(VLLMEngine(str(MODEL), **options))
        return Hasher.hash(rollouts), fingerprint_of(settings_of(rollouts))

    plain = known_by()
    moved = known_by(
        data_parallel_size=8,
        tensor_parallel_size=2,
        gpu_memory_utilization=0.5,
        enforce_eager=True,
        max_num_seqs=64,
        start_timeout=60,
    )
    assert moved == plain
    for other in ({"options": {"kv_cache_dtype": "fp8"}}, {"dtype": "bfloat16"}, {"use_generation_config": True}):
        assert not set(known_by(**other)) & set(plain)


def test_precision_is_the_saved_one():
    """vLLM itself would take half of what float32 weights hold."""
    assert VLLMEngine(str(MODEL)).describe()["dtype"] == "float32"
    assert VLLMEngine(str(MODEL), dtype="bfloat16").describe()["dtype"] == "bfloat16"


def test_option_that_a_field_says_is_refused():
    """Two values for one thing."""
    with pytest.raises(SettingError, match="options holds max_model_len: VLLMEngine has a field"):
        VLLMEngine("m", options={"max_model_len": 5, "quantization": "fp8"})


def test_copies_without_seeds_are_refused():
    """They draw from equal generators, and could give one reply twice."""
    with pytest.raises(SettingError, match="could give the same reply twice"):
        VLLMEngine("m", seeded=False, data_parallel_size=2)


def test_attention_is_for_another_engine():
    """It is read later, from the same replies."""
    with pytest.raises(
        SettingError, match=r"VLLMEngine cannot tell its attention\. Collect replies with it, then read"
    ):
        Rollouts(VLLMEngine("m"), attention=True)
    Likelihood(VLLMEngine("m"))


def test_renamed_weights_are_the_same_model(tmp_path):
    """Under the names that vLLM reads transformers finds every weight, with the same bits."""
    rename(MODEL, tmp_path / "copy")
    assert "vision_tower.vision_model.pre_layrnorm.weight" in load_file(tmp_path / "copy" / "model.safetensors")
    ours, copy = (AutoModelForImageTextToText.from_pretrained(each).state_dict() for each in (MODEL, tmp_path / "copy"))
    assert ours.keys() == copy.keys()
    assert all(ours[name].equal(copy[name]) for name in ours)


def test_only_names_that_vllm_does_not_read_are_copied(tmp_path):
    """Once renamed a folder is taken as it is, as is one of another kind."""
    rename(MODEL, tmp_path / "copy")
    config = {"model_type": "llava"}
    assert readable(str(tmp_path / "copy"), config) == str(tmp_path / "copy")
    assert readable(str(MODEL), {"model_type": "qwen2_vl"}) == str(MODEL)
    made = readable(str(MODEL), config)
    assert made != str(MODEL)
    shutil.rmtree(made)


PARENT = """
import os, subprocess, sys, time
from hf_rap.engines.guardian import Guardian
before = subprocess.Popen(["sleep", "60"])
guardian = Guardian()
with guardian:
    child = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    forked = os.fork()  # holds the pipes of its parent open
    if not forked:
        time.sleep(60)
        os._exit(0)
    print(before.pid, child.pid, child.stdout.readline().strip(), forked, guardian._process.pid, flush=True)
    time.sleep(1)
time.sleep(60)
"""


def is_there(pid):
    """A process that runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_guardian_ends_what_was_started_and_nothing_else():
    """After kill -9: children, also a forked one, and their children; not a process from before, and then itself."""
    pytest.importorskip("psutil", reason="comes with vLLM")
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    before, child, grandchild, forked, guardian = (int(word) for word in parent.stdout.readline().split())
    time.sleep(0.6)
    assert all(is_there(pid) for pid in (before, child, grandchild, forked, guardian))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    ended = {"child": child, "grandchild": grandchild, "forked": forked, "guardian": guardian}
    while any(map(is_there, ended.values())) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [name for name, pid in ended.items() if is_there(pid)]
    assert (left, is_there(before)) == ([], True)
    os.kill(before, signal.SIGKILL)


DEAF = """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells which signals wait")
def test_guardian_ends_who_does_not_hear_that_it_is_to_end():
    """Within a start that fails, vLLM waits for a process of its own that has our mask of signals."""
    guardian = Guardian()
    try:
        with guardian:
            deaf, other = (
                subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True) for _ in range(2)
            )
            assert [child.stdout.readline() for child in (deaf, other)] == ["ready\n", "ready\n"]
            deaf.terminate()
            assert deaf.wait(timeout=20) == -signal.SIGKILL
            assert other.poll() is None
    finally:
        guardian.end()
        assert other.wait(timeout=20) == -signal.SIGKILL


def test_guardian_that_has_nothing_to_do_ends():
    """When it is told so."""
    pytest.importorskip("psutil", reason="comes with vLLM")
    guardian = Guardian()
    with guardian:
        pass
    guardian.end()
    assert guardian._process.returncode == 0
