"""Processes that share a run by claiming its rows: killed, stopped, late, and with one name for two machines."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from stubs import Stub, make_rows, stub_rollouts

from hf_rap import Rollouts, collect_evidence, collect_in_run, list_runs
from hf_rap.errors import RunError
from hf_rap.runs import lease as leases
from hf_rap.runs.claims import Claims, work_id
from hf_rap.runs.fill import Run
from hf_rap.runs.folder import RunFolder
from hf_rap.runs.lease import Lease

ROWS_PER_PART = 5
PATIENCE = 1.5

PROCESS = f"""
import sys
sys.path.insert(0, sys.argv[1])
from stubs import *
from hf_rap.runs import fill, lease
from hf_rap.runs.fill import Run
lease.BEAT_SECONDS, lease.PATIENCE_SECONDS, fill._WAIT_SECONDS = 0.2, {PATIENCE}, 0.1
run, rows, rank, world, log, seconds = sys.argv[2], *map(int, sys.argv[3:6]), sys.argv[6], float(sys.argv[7])
rollouts = Rollouts(Stub(seconds=seconds, log=log), attempts=2)
with Run(make_rows(rows), rollouts, run, rank=rank, world=world, rows_per_part={ROWS_PER_PART}) as running:
    print("ready", flush=True)
    running.fill()
    print("filled", flush=True)
    if rank == 0:
        running.finish()
        print(len(running.read()), flush=True)
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "asked"


@pytest.fixture
def hasty(monkeypatch):
    """Beats and patience of tests, also in this process."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(leases, "PATIENCE_SECONDS", PATIENCE)
    monkeypatch.setattr("hf_rap.runs.fill._WAIT_SECONDS", 0.1)


@pytest.fixture
def start(run, log):
    """Starts a process that fills the run; what is left at the end is killed."""
    started = []

    def start(rows, rank=0, world=1, seconds=0.02):
        here = str(Path(__file__).parent)
        arguments = [here, run, str(rows), str(rank), str(world), str(log), str(seconds)]
        child = subprocess.Popen(
            [sys.executable, "-c", PROCESS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def times_asked(log):
    """How often each row was asked, both arms being one."""
    return Counter(line.split()[0] for line in log.read_text().splitlines() if line.split()[1] == "text")


def asked_again(log):
    """How many rows too many."""
    return sum(count - 1 for count in times_asked(log).values())


def wait_for(true, seconds=90):
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def parts(run):
    return len(list(Path(run).glob("*/*.parquet")))


def ended_well(child):
    out, told = child.communicate(timeout=120)
    assert child.returncode == 0, told
    return out.split()


def same_as_one_go(run, rows):
    """The evidence of the run, for which nobody is asked, is that of one go."""
    ds = make_rows(rows)
    evidence = collect_in_run(ds, stub_rollouts(2, fails_on="How"), run)  # would fail if it asked
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(2)).to_list()


@pytest.mark.parametrize("world", [3, *(pytest.param(world, marks=pytest.mark.exhaustive) for world in (1, 2, 4, 8))])
def test_any_number_of_ranks_gives_the_same(start, run, log, world):
    """Each row is asked once, whoever claims it, and nothing of claims or leases is left."""
    children = [start(100, rank, world) for rank in range(world)]
    filled = [ended_well(child) for child in children]
    assert filled[0] == ["ready", "filled", "100"]
    assert set(times_asked(log).values()) == {1}
    (held,) = list_runs(run)
    assert (held.rows, held.unusable) == (100, ())
    assert [path.name for folder in ("writers", "claims") for path in Path(run, folder).glob("*")] == []
    same_as_one_go(run, 100)


def test_a_rank_does_not_wait_for_the_slowest(start, run, log):
    """A fast and a slow process: the fast one does nearly all, and only the one that merges stays for the last part."""
    slow = start(120, 1, 2, seconds=0.4)
    fast = start(120, 0, 2, seconds=0.01)
    assert ended_well(fast)[-1] == "120"
    assert slow.wait(timeout=5) == 0  # it had no part in work any more
    assert set(times_asked(log).values()) == {1}
    same_as_one_go(run, 120)


def test_ranks_that_are_killed_cost_a_part_each(start, run, log):
    """kill -9 of two of three ranks: the rest does their rows, and asks again what was in flight."""
    children = [start(120, rank, 3, seconds=0.05) for rank in range(3)]
    wait_for(lambda: parts(run) >= 4)
    for child in children[1:]:
        child.kill()
    assert ended_well(children[0])[-1] == "120"
    assert asked_again(log) <= 2 * ROWS_PER_PART
    same_as_one_go(run, 120)


@pytest.mark.exhaustive
def test_one_that_comes_late_gets_a_share(start, run, log):
    """A second process, started by hand on the same folder, claims what is not claimed; both end with all rows."""
    first = start(150, seconds=0.05)
    wait_for(lambda: parts(run) >= 3)
    second = start(150, seconds=0.05)
    assert [ended_well(child)[-1] for child in (first, second)] == ["150", "150"]
    assert set(times_asked(log).values()) == {1}
    same_as_one_go(run, 150)


@pytest.mark.exhaustive
def test_one_that_is_stopped_loses_its_part_and_drops_it(start, run, log):
    """SIGSTOP for longer than a process may be silent: its part is done once more, and it throws its own away."""
    children = [start(120, rank, 2, seconds=0.05) for rank in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    wait_for(lambda: parts(run) >= 4)
    children[1].send_signal(signal.SIGSTOP)
    assert ended_well(children[0])[-1] == "120"
    children[1].send_signal(signal.SIGCONT)
    _, told = children[1].communicate(timeout=60)
    assert children[1].returncode == 0, told
    assert asked_again(log) <= ROWS_PER_PART
    assert ("rows are dropped: this process was silent" in told) == (asked_again(log) > 0)
    (held,) = list_runs(run)
    assert held.parts == 120 / ROWS_PER_PART
    same_as_one_go(run, 120)


@pytest.mark.exhaustive
def test_one_that_was_stopped_for_a_moment_loses_nothing(start, run, log):
    """Shorter than the patience of the others: nobody takes over, and whoever was stopped takes nobody for dead."""
    children = [start(150, rank, 2, seconds=0.05) for rank in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in itertools.islice(itertools.cycle(children), 6):
        child.send_signal(signal.SIGSTOP)
        time.sleep(PATIENCE / 3)
        child.send_signal(signal.SIGCONT)
        time.sleep(0.3)
    assert ended_well(children[0])[-1] == "150"
    assert set(times_asked(log).values()) == {1}


@pytest.mark.exhaustive
@pytest.mark.parametrize(("world", "rounds"), [(3, 4), (4, 20), (8, 20)])
def test_whatever_happens_to_ranks_the_evidence_is_the_same(start, run, log, world, rounds):
    """Ranks die, are stopped and go on, and come back, at random; each of that costs at most a part."""
    rng = random.Random(os.urandom(8))
    rows = 60 * world + 40 * rounds
    children = {rank: start(rows, rank, world, seconds=0.03) for rank in range(world)}
    wait_for(lambda: parts(run) >= 2)
    for _ in range(rounds):
        rank = rng.randrange(1, world)
        what = rng.choice(["kill", "stop", "come back"])
        child = children[rank]
        if what == "come back" or child.poll() is not None:
            child.kill()
            child.wait()
            children[rank] = start(rows, rank, world, seconds=0.03)
        elif what == "kill":
            child.kill()
        else:
            child.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(0.1, 2 * PATIENCE))
            child.send_signal(signal.SIGCONT)
        time.sleep(rng.uniform(0.05, 0.5))
    assert ended_well(children[0])[-1] == str(rows)
    for child in children.values():
        child.kill()
        child.wait()
    assert asked_again(log) <= rounds * ROWS_PER_PART
    same_as_one_go(run, rows)


def test_two_machines_of_one_name_are_two(run, hasty):
    """Two containers have one host name and the same process ids: a claim is known by a token, and a pid says nothing there."""
    folder = RunFolder(run, create=True)
    here, there = Lease(folder), Lease(folder)
    with here, there:
        assert Claims(folder, "w", there).take(0) is not None
        assert Claims(folder, "w", here).take(0) is None
        claims = Claims(folder, "w", here)
        beat = folder.read(f"writers/{there.name}").replace(leases._machine().encode(), b"another container")
        folder.write(f"writers/{there.name}", beat.replace(str(os.getpid()).encode(), b"999999"))
        assert claims.take(0) is None  # no process 999999 is here, and none need be
        time.sleep(0.5)
        assert not here.is_gone(there.token)


def test_a_block_is_for_one_of_many(run):
    """32 threads want the same ten blocks: each block goes to one."""
    folder = RunFolder(run, create=True)
    with Lease(folder) as lease:
        taken = []
        others = [Lease(RunFolder(run)) for _ in range(32)]
        for other in others:
            leases._OURS.add(other.token)
            other._write()

        def take(other):
            claims = Claims(RunFolder(run), "w", other)
            taken.extend(block for block in range(10) if claims.take(block) is not None)

        threads = [threading.Thread(target=take, args=[other]) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == list(range(10))
        assert Claims(folder, "w", lease).take(3) is None


def test_a_claim_of_one_that_is_gone_is_taken_over_once(run, hasty):
    """Two see that it is gone; one of them gets the block, and the one that wakes sees that it has lost it."""
    folder = RunFolder(run, create=True)
    gone = Lease(folder)
    gone._write()
    leases._OURS.add(gone.token)
    lost = Claims(folder, "w", gone).take(0)
    with Lease(folder) as here, Lease(folder) as there:
        wait_for(lambda: here.is_gone(gone.token) and there.is_gone(gone.token))
        claims = [Claims(folder, "w", lease).take(0) for lease in (here, there)]
        assert [claim is not None for claim in claims] == [True, False]
        assert (lost.is_lost, claims[0].is_lost) == (True, False)
        assert claims[0].number == 1


def test_a_claim_without_a_word_is_waited_for_and_taken_over(run, hasty):
    """Its process was killed between making the file and writing into it."""
    folder = RunFolder(run, create=True)
    with Lease(folder) as lease:
        claims = Claims(folder, "w", lease)
        folder.create(claims.path(0, 0), b"")
        assert claims.take(0) is None
        wait_for(lambda: claims.take(0) is not None)


class Slow(RunFolder):
    """Lets others do something before it removes a folder, and says so."""

    def __init__(self, url, meanwhile):
        super().__init__(url)
        self.meanwhile = meanwhile

    def remove_folder(self, folder):
        self.meanwhile()
        super().remove_folder(folder)


def test_what_is_claimed_while_a_closed_turn_is_cleared_away_stays(run):
    """Another process has closed the turn and is slow to remove its claims: those of the next turn are not among them."""
    folder = RunFolder(run, create=True)
    with Lease(folder) as first, Lease(folder) as late, Lease(folder) as third:
        fast, other = Claims(folder, "w", late), Claims(folder, "w", third)
        taken = []

        def meanwhile():
            if not taken:
                assert fast.was_cleared()
                taken.append(fast.take(0))

        slow = Claims(Slow(run, meanwhile), "w", first)
        assert slow.take(0) is not None
        slow.clear()
        assert not taken[0].is_lost
        assert other.was_cleared()
        assert other.take(0) is None
        slow.clear()  # of its own turn, once more
        assert not taken[0].is_lost


def test_who_comes_waits_until_all_is_cleared_away(run):
    """One believes itself alone and clears away; another that starts at this moment does not claim before that is over."""
    folder = RunFolder(run, create=True)
    order = []

    def come():
        with Lease(folder) as late:
            late.stand_aside(lambda: None)
            order.append("the other begins")

    other = threading.Thread(target=come)

    def clear():
        other.start()
        wait_for(lambda: len(folder.names("writers")) == 2)
        time.sleep(0.2)
        order.append("cleared away")

    with Lease(folder) as alone:
        alone.stand_aside(clear)
        other.join()
    assert order == ["cleared away", "the other begins"]


@pytest.mark.parametrize("for_good", [False, True])
def test_nothing_is_cleared_away_while_somebody_works(run, for_good):
    """At the start and at the end of a process; two that both stand aside have nothing to lose."""
    folder = RunFolder(run, create=True)
    with Lease(folder) as working, Lease(folder) as other:
        cleared = []
        other.stand_aside(lambda: cleared.append(1), for_good=for_good)
        assert cleared == []
        working.stand_aside(lambda: cleared.append(2), for_good=True)
        assert cleared == ([2] if for_good else [])


def test_what_is_made_in_the_place_of_a_folder_that_is_being_removed_stays(run, monkeypatch):
    """Whoever clears away was stopped in the middle, was taken for gone, and others claim: their claims are not cleared."""
    folder = RunFolder(run, create=True)
    for number in range(20):
        assert folder.create(f"claims/old/{number}", b"x")
    remove = shutil.rmtree

    def slowly(path, **options):
        assert folder.create("claims/old/0", b"y")
        remove(path, **options)

    monkeypatch.setattr("shutil.rmtree", slowly)
    folder.remove_folder("claims")
    assert {str(path.relative_to(run)) for path in Path(run).rglob("*")} == {
        "run.json",
        "claims",
        "claims/old",
        "claims/old/0",
    }
    assert folder.read("claims/old/0") == b"y"


def test_a_start_sweeps_while_others_clear_away(run):
    """Leftovers, those of a killed process that was clearing away among them, go while folders of claims come and go."""
    folder = RunFolder(run, create=True)
    ended = threading.Event()

    def come_and_go():
        while not ended.is_set():
            for number in range(30):
                folder.create(f"claims/{number}/0", b"x")
            folder.remove_folder("claims")

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for number in range(30):
            left = Path(run, f"claims.{number}.partial")
            (left / "work").mkdir(parents=True)
            (left / "work" / "0").write_bytes(b"x")
            folder.remove_leftovers()
            assert not left.exists()
    finally:
        ended.set()
        other.join()


def test_a_file_is_made_while_its_folder_is_removed(run):
    """Eight threads make files in a folder that a ninth removes again and again: each of them is made, or is there."""
    folder = RunFolder(run, create=True)
    made, ended = [], threading.Event()

    def remove():
        while not ended.is_set():
            folder.remove_folder("claims")
            time.sleep(0.005)

    def make(thread):
        for number in range(50):
            made.append(folder.create(f"claims/w/{thread}-{number}", b"x"))
            folder.write(f"claims/w/{thread}", b"y")

    remover = threading.Thread(target=remove)
    threads = [threading.Thread(target=make, args=[number]) for number in range(8)]
    for thread in (remover, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    remover.join()
    assert made == [True] * 400


AT_ONE_MOMENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from stubs import *
from hf_rap.runs import fill
from hf_rap.runs.fill import Run
fill._WAIT_SECONDS = 0.05
ds = make_rows(40)
Rollouts(Stub(), attempts=2)(ds[:2])
print("ready", flush=True)
for line in sys.stdin:
    run, at = line.split()
    time.sleep(max(0.0, float(at) - time.monotonic()))
    with Run(ds, Rollouts(Stub(seconds=0.001, log=run + ".log"), attempts=2), run, rows_per_part=5) as running:
        running.fill()
        running.finish()
        rows = len(running.read())
    print(rows, flush=True)
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("world", [2, 4])
def test_processes_that_start_at_one_moment_lose_nothing_to_each_other(tmp_path, world):
    """60 rounds, within 20 ms; every other one finds claims of the dead, which are cleared away: each row is asked once."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONE_MOMENT, str(Path(__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(world)
    ]
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for number in range(60):
            run = str(tmp_path / str(number))
            folder = RunFolder(run, create=True)
            for block in range(200 * (number % 2)):
                folder.create(f"claims/{block // 10}/{block % 10}.0", b"0" * 32)
            at = time.monotonic() + 0.05
            for child in children:
                child.stdin.write(f"{run} {at + random.uniform(0, 0.02)}\n")
                child.stdin.flush()
            assert [child.stdout.readline() for child in children] == ["40\n"] * world
            assert set(times_asked(Path(f"{run}.log")).values()) == {1}
            assert not Path(run, "claims").exists()
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_one_that_is_late_sees_that_all_was_cleared_away(run):
    """Its view is old: behind its claim it finds out, and looks again at what is missing."""
    folder = RunFolder(run, create=True)
    with Lease(folder) as first, Lease(folder) as late:
        done, old = Claims(folder, "w", first), Claims(folder, "w", late)
        assert done.take(0) is not None
        assert old.take(0) is None
        done.clear()
        claim = old.take(0)
        assert old.was_cleared()
        assert claim.is_lost
        assert not old.take(0).is_lost
        assert not old.was_cleared()


def test_other_work_has_other_claims():
    """By everything that it depends on, and by where one text ends and the next begins."""
    assert work_id(["a", "bc"]) == work_id(["a", "bc"])
    assert len({work_id(parts) for parts in (["a", "bc"], ["ab", "c"], ["a", "b", "c"], [])}) == 4


def test_whoever_watches_was_asleep_itself(run, hasty, monkeypatch):
    """A process that was stopped for an hour takes nobody for gone because of that hour."""
    folder = RunFolder(run, create=True)
    with Lease(folder) as other:
        here = Lease(folder)
        here._look()
        there = time.monotonic
        monkeypatch.setattr(leases.time, "monotonic", lambda: there() + 3600)
        assert not here.is_gone(other.token)


class Looks(MemoryFileSystem):
    """Cannot create a file for one process alone, like hf://."""

    protocol = "looks"
    store = {}  # noqa: RUF012 - as fsspec has it
    pseudo_dirs = [""]  # noqa: RUF012


@pytest.fixture
def looks():
    import fsspec

    fsspec.register_implementation("looks", Looks, clobber=True)
    Looks.store.clear()
    return "looks://run"


def test_where_nothing_can_be_claimed_each_rank_has_its_share(looks, caplog, log):
    """It is said in a line; and the last one does what the others have left."""
    ds = make_rows(41)
    rollouts = Rollouts(Stub(log=str(log)), attempts=2)
    with Run(ds, rollouts, looks, rank=1, world=2, rows_per_part=5) as second:
        assert second.fill().done == 20
    assert "so rows cannot be claimed: each process does its own share" in caplog.text
    with Run(ds, rollouts, looks, rank=0, world=3, rows_per_part=5) as first:
        first.fill()
        first.finish()
        assert first.read().to_list() == collect_evidence(ds, stub_rollouts(2)).to_list()
    assert set(times_asked(log).values()) == {1}


def test_where_nothing_can_be_claimed_a_second_process_is_refused(looks, hasty):
    """Another launch would do the same rows a second time."""
    with (
        Lease(RunFolder(looks, create=True)),
        pytest.raises(RunError, match=rf"is taken: process {os.getpid()} on .* is writing into it"),
    ):
        collect_in_run(make_rows(10), stub_rollouts(), looks)
    folder = RunFolder(looks)
    folder.write(
        "writers/0-of-1-x.json", b'{"host": "elsewhere", "pid": 1, "token": "x", "beat": 3, "world": 1, "rank": 0}'
    )
    collect_in_run(make_rows(10), stub_rollouts(), looks)  # it does not beat


def test_what_a_killed_process_left_is_cleared_away_by_the_next(run, hasty):
    """Its claims and its beat."""
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); from stubs import *; from hf_rap.runs.fill import Run\n"
        "running = Run(make_rows(20), stub_rollouts(2), sys.argv[2], rows_per_part=5).__enter__()\n"
        "running._complete(range(10))\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), run], check=False, capture_output=True)
    assert len(list(Path(run, "writers").iterdir())) == 1
    assert len(list(Path(run, "claims").rglob("*.0"))) == 2
    same = collect_in_run(make_rows(20), stub_rollouts(2), run, rows_per_part=5)
    assert same.to_list() == collect_evidence(make_rows(20), stub_rollouts(2)).to_list()
    assert [path.name for folder in ("writers", "claims") for path in Path(run, folder).glob("*")] == []
