"""The pool of child processes: who may use it, what ends it, and that nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hf_rap.errors import SettingError
from hf_rap.verify import comparers, judge

pytestmark = pytest.mark.slow  # each starts processes

ROOT = Path(__file__).parents[2]
EQUAL = ("equal", r"2\sqrt{3}", r"\sqrt{12}")


def run(code: str, *options: str, **environment: str) -> subprocess.CompletedProcess:
    """A script of its own, without a `__main__` guard; warnings are errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    for _ in range(600):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def pool():
    """A pool with one child, already started."""
    made = comparers._Pool()
    while made.idle.qsize() > 1:
        made.idle.get()
    assert made.ask(EQUAL) is True
    yield made
    made.close()


def test_a_child_that_was_killed_is_replaced(pool, monkeypatch):
    """Whoever killed it: the next request is answered by another one."""
    monkeypatch.setattr(comparers, "_current", pool)
    (first,) = pool.all
    first.process.kill()
    assert comparers.ask(*EQUAL) is True
    (second,) = pool.all
    assert second.process.pid != first.process.pid


def test_children_are_used_again(pool):
    """One child for request after request."""
    (child,) = pool.all
    assert [pool.ask(EQUAL) for _ in range(20)] == [True] * 20
    assert pool.all == {child}


def test_time_is_processor_time_of_the_child(pool, tmp_path):
    """A child that waits longer than the limit goes on; one that works longer ends by SIGPROF, in one multiplication too."""
    code = (
        "import json, sys, time\nfrom hf_rap.verify import comparer\n"
        "def answer(request):\n"
        "    if request[1] == 'wait':\n        time.sleep(comparer.CPU_SECONDS + 1)\n"
        "    if request[1] == 'work':\n        10 ** 10 ** 9\n"
        "    return True\n"
        "comparer.answer_to = answer\ncomparer.MEMORY_BYTES = 4 * 2**30\ncomparer.main()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with child:
        assert child.stdout.readline() == '"ready"\n'
        print('["equal", "wait"]', file=child.stdin, flush=True)
        assert child.stdout.readline() == "true\n"
        print('["equal", "work"]', file=child.stdin, flush=True)
        assert child.stdout.readline() == ""
        assert child.wait() == -signal.SIGPROF


def test_a_request_that_kills_every_child_is_wrong(pool, monkeypatch):
    """After three children it was the request; the next request is answered."""
    monkeypatch.setattr(comparers, "_current", pool)
    pids = []
    original = comparers._Comparer.ask

    def ask(self, request):
        pids.append(self.process.pid)
        self.process.kill()
        return original(self, request)

    monkeypatch.setattr(comparers._Comparer, "ask", ask)
    assert comparers.ask(*EQUAL) == "comparison_crashed"
    assert len(set(pids)) == 3
    monkeypatch.setattr(comparers._Comparer, "ask", original)
    assert comparers.ask(*EQUAL) is True


def test_interrupting_a_caller_ends_its_child_only(pool):
    """An answer is on its way that nobody waits for: the child goes, the place in the pool stays."""
    (child,) = pool.all

    def interrupt(request):
        raise KeyboardInterrupt

    child.ask = interrupt
    with pytest.raises(KeyboardInterrupt):
        pool.ask(EQUAL)
    assert ends(child.process.pid)
    assert pool.ask(EQUAL) is True
    assert pool.idle.qsize() == 1


def test_eight_threads_share_two_children():
    """No more are started, whatever asks."""
    shared = comparers._Pool()
    with ThreadPoolExecutor(8) as threads:
        requests = [("equal", f"{n}\\sqrt{{3}}", f"\\sqrt{{{3 * n * n}}}") for n in range(2, 42)]
        assert list(threads.map(shared.ask, requests)) == [True] * 40
    assert 1 <= len(shared.all) <= 2
    shared.close()


def test_event_loops_judge():
    """Inside a coroutine, and from the threads of a loop."""

    async def verdicts():
        inside = judge("\\boxed{\\sqrt{4}}", "2").reward
        others = await asyncio.gather(*(asyncio.to_thread(judge, f"\\boxed{{\\sqrt{{{n}}}}}", "2") for n in (4, 9)))
        return [inside, *(judgement.reward for judgement in others)]

    assert asyncio.run(verdicts()) == [1.0, 1.0, 0.0]


def test_signals_are_left_alone():
    """Whoever uses SIGALRM or SIGCHLD goes on using them."""
    before = [signal.getsignal(name) for name in (signal.SIGALRM, signal.SIGCHLD, signal.SIGPROF, signal.SIGINT)]
    assert judge("\\boxed{\\sqrt{1764}}", "42").reward == 1.0
    assert [
        signal.getsignal(name) for name in (signal.SIGALRM, signal.SIGCHLD, signal.SIGPROF, signal.SIGINT)
    ] == before


def test_a_fork_starts_its_own_children():
    """Both processes judge; the inherited child keeps serving its parent, and no warning is given."""
    done = run(
        """
        import os, sys
        from hf_rap.verify import comparers, judge
        assert judge(r"\\boxed{\\sqrt{4}}", "2").reward == 1.0
        parent = comparers._current
        pid = os.fork()
        if pid == 0:
            assert comparers._current is None
            assert judge(r"\\boxed{\\sqrt{9}}", "3").reward == 1.0
            assert comparers._current is not parent
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert judge(r"\\boxed{\\sqrt{16}}", "4").reward == 1.0
        assert comparers._current is parent
        print("ok")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise SystemExit(3)", "os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_no_child_outlives_its_parent(ending):
    """However that ends; and an ordinary end gives no warning."""
    done = run(
        f"""
        import os, sys
        from hf_rap.verify import comparers, judge
        assert judge(r"\\boxed{{\\sqrt{{4}}}}", "2").reward == 1.0
        print(*(comparer.process.pid for comparer in comparers._current.all), flush=True)
        {ending}
        """
    )
    assert done.stderr == ""
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 1
    assert all(ends(pid) for pid in pids)


def test_a_daemon_thread_may_be_judging_at_the_end():
    """Without a word on stderr."""
    done = run(
        r"""
        import threading, time
        from hf_rap.verify import judge
        def work():
            number = 2
            while True:
                judge("\\boxed{\\sqrt{%d}}" % number, "2")
                number += 1
        threading.Thread(target=work, daemon=True).start()
        time.sleep(3)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_scripts_without_a_main_guard():
    """The script is not run again in the children, also where it lies in a folder with modules of its own."""
    done = run(
        r"""
        print("once")
        from hf_rap.verify import judge
        print(judge(r"\boxed{\sqrt{4}}", "2").reward)
        """,
    )
    assert (done.stdout, done.stderr) == ("once\n1.0\n", "")


def test_modules_of_the_working_folder_do_not_disturb(tmp_path, monkeypatch):
    """A file json.py where the user stands is none of the child's business."""
    (tmp_path / "json.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    assert comparers._Pool().ask(EQUAL) is True


@pytest.mark.parametrize("number", ["0", "two", "-1", "1.5"])
def test_the_number_of_children_is_checked(monkeypatch, number):
    """A number from 1 on."""
    monkeypatch.setenv("HF_RAP_COMPARERS", number)
    with pytest.raises(SettingError, match="takes a number of processes, 1 or more"):
        comparers._Pool()


def test_the_number_of_children_is_a_setting(monkeypatch):
    """Two unless told otherwise."""
    monkeypatch.delenv("HF_RAP_COMPARERS", raising=False)
    assert comparers._Pool().idle.qsize() == 2
    monkeypatch.setenv("HF_RAP_COMPARERS", "5")
    assert comparers._Pool().idle.qsize() == 5


def test_a_missing_library_is_said(monkeypatch):
    """What is not installed, and what to do."""
    done = run(
        r"""
        import os, sys
        folder = os.environ["BROKEN"]
        sys.path.insert(0, folder)
        from hf_rap.verify import judge
        judge(r"\boxed{\sqrt{4}}", "2")
        """,
        BROKEN=str(ROOT / "tests" / "verify" / "broken"),
    )
    assert 'Install "math-verify[antlr4_13_2]".' in done.stderr
    assert "SettingError: The process that compares mathematics did not start: no_math_verify" in done.stderr


def test_a_python_that_does_not_start_is_said(monkeypatch):
    """The command is named, so that one can run it."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(
        SettingError, match=r"No process can be started .*/nowhere/python -W ignore -m hf_rap\.verify\.comparer"
    ):
        comparers._Pool().ask(EQUAL)
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(SettingError, match=r"did not start: it ended at once\. Run `/bin/true"):
        comparers._Pool().ask(EQUAL)


def test_children_load_nothing_heavy():
    """Neither torch nor datasets nor numpy; under 100 MB."""
    code = (
        "import sys\nfrom hf_rap.verify import comparer\ncomparer.prepare()\ncomparer.answer_to(['equal', '2', '3'])\n"
        "print({'torch', 'datasets', 'numpy', 'pyarrow', 'transformers'} & {name.split('.')[0] for name in sys.modules})\n"
        "print(comparer._memory_bytes() < 100 * 2**20)"
    )
    assert run(code).stdout.split("\n")[:2] == ["set()", "True"]


def test_judging_in_map_with_processes():
    """As a user grades a dataset; its workers are daemons that may have no multiprocessing children."""
    datasets = pytest.importorskip("datasets")
    ds = datasets.Dataset.from_dict(
        {
            "reply": [f"\\boxed{{\\sqrt{{{n * n}}}}}" for n in range(2, 12)],
            "gold": [str(n - n % 2) for n in range(2, 12)],
        }
    )
    assert judge("\\boxed{\\sqrt{4}}", "2").reward == 1.0  # the parent has a child already
    graded = ds.map(
        lambda row: {"reward": judge(row["reply"], row["gold"]).reward}, num_proc=2, load_from_cache_file=False
    )
    assert graded["reward"] == [1.0, 0.0] * 5


def test_judging_in_a_worker_of_a_data_loader():
    """Whose processes are daemons as well."""
    data = pytest.importorskip("torch.utils.data")
    pairs = [(f"\\boxed{{\\sqrt{{{n * n}}}}}", str(n - n % 2)) for n in range(2, 8)]
    loader = data.DataLoader(pairs, num_workers=2, batch_size=None, collate_fn=lambda pair: judge(*pair).reward)
    assert list(loader) == [1.0, 0.0] * 3


@pytest.mark.exhaustive
def test_judging_in_a_ray_task():
    """And in an actor with threads."""
    ray = pytest.importorskip("ray")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
        log_to_driver=False,
    )
    try:

        @ray.remote
        def task(reply, gold):
            return judge(reply, gold).reward

        @ray.remote(max_concurrency=4)
        class Actor:
            def reward(self, reply, gold):
                return judge(reply, gold).reward

        pairs = [(f"\\boxed{{\\sqrt{{{n * n}}}}}", str(n - n % 2)) for n in range(2, 8)]
        assert ray.get([task.remote(*pair) for pair in pairs]) == [1.0, 0.0] * 3
        actor = Actor.remote()
        assert ray.get([actor.reward.remote(*pair) for pair in pairs]) == [1.0, 0.0] * 3
    finally:
        ray.shutdown()
