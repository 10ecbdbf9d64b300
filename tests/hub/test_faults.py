"""Whatever goes wrong on the way: no tag on partial data, a clear error, and a rerun that succeeds."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from datasets import load_dataset
from three_rows import REPO, make

from hf_rap.errors import HubError, PublishError
from hf_rap.hub import publish
from hf_rap.hub.retries import MAX_RETRY_AFTER


def check_tags(hub):
    """Every tag stands for a commit whose manifest matches all of its files."""
    repo = hub.repos.get(("datasets", REPO))
    for tag, (commit, _) in repo.tags.items() if repo else ():
        files = repo.commits[commit].files
        manifest = json.loads(hub.content(files["rap.json"]))
        assert manifest["version"] == tag[1:]
        for path, entry in manifest["files"].items():
            assert files[path].size == entry["bytes"]
            assert files[path].sha256 in (None, entry["sha256"])


@pytest.fixture
def publish_second(hub, api):
    """Publishes 1.1.0 on top of 1.0.0: the way with the most requests."""

    def run():
        return publish(make(0.5), REPO, "1.1.0", api=api)

    publish(make(0.7), REPO, "1.0.0", api=api)
    hub.reset()
    return run


def restart(hub, cache):
    """As it was after 1.0.0, for a client that has not read anything yet."""
    shutil.rmtree(cache, ignore_errors=True)
    repo = hub.repo(REPO)
    head, _ = repo.tags["v1.0.0"]
    repo.branches["main"] = head
    repo.tags.pop("v1.1.0", None)
    for path in hub.folder.iterdir():
        if path.name not in {file.sha256 for file in repo.commits[head].files.values()}:
            path.unlink()
    hub.reset()


# What goes wrong -> how many of its requests are tried on an ordinary day: every thirteenth, or one in a while.
FAULTS = {"lost": 13, **dict.fromkeys([503, 403, 500, "html", 429, "drop", "truncate", 409, 412, 413], 43)}
# Those after which the same request is tried again, so that nobody sees them.
PASSING = {503, "lost", 500, "html", 429, "drop", "truncate", 409, 412}


@pytest.mark.parametrize(
    ("fault", "every"),
    [
        pytest.param(fault, every, marks=pytest.mark.exhaustive if every == 1 else ())
        for fault, seldom in FAULTS.items()
        for every in (seldom, 1)
    ],
)
def test_any_request_may_fail(hub, publish_second, no_waiting, tmp_path, fault, every):
    """For each request of a publish, or some of them, a run in which exactly this one goes wrong, and a rerun."""
    restart(hub, tmp_path / "cache")
    publish_second()
    requests = len(hub.log)
    assert requests > 25
    outcomes, said = Counter(), []
    for number in range(1, requests + 1, every):
        restart(hub, tmp_path / "cache")
        hub.fail(number, fault)
        try:
            release = publish_second()
            outcomes["published"] += 1
            assert release.commit == hub.repo(REPO).tags["v1.1.0"][0]
        except PublishError as error:
            outcomes["refused"] += 1
            said.append(str(error))
        faulted = next(seen for seen in hub.log if seen.number == number)
        check_tags(hub)
        if "v1.1.0" not in hub.repo(REPO).tags:
            hub.fault = lambda *_: None
            publish_second()
            check_tags(hub)
        twice = {sha: count for sha, count in Counter(hub.uploaded).items() if count > 1}
        # The client itself sends a file again when it does not hear that it has arrived.
        assert not twice or (fault == "lost" and faulted.method == "PUT"), (faulted, twice)
        commit, _ = hub.repo(REPO).tags["v1.1.0"]
        assert hub.repo(REPO).branches["main"] == commit
        assert hub.repo(REPO).commits[commit].parent == hub.repo(REPO).tags["v1.0.0"][0]
    steps = r"(Publishing to|Reading|Uploading|Committing|Checking|Counting|Tagging|Listing|Looking)"
    assert [message for message in said if not re.match(steps, message)] == []
    if fault in PASSING:
        assert outcomes["refused"] == 0, outcomes
    else:
        assert outcomes["refused"] > 20 / every


@pytest.mark.parametrize("fault", [500, 429, "html", "truncate", "lost", "drop"])
@pytest.mark.parametrize("at", ["/commit/main", "/tag/"])
def test_commit_and_tag_survive_any_fault(hub, publish_second, no_waiting, at, fault):
    """The client repeats neither; done with the answer lost, they are not done twice."""
    done = []

    def fail(_, __, path):
        if at in path and not done:
            done.append(path)
            return fault
        return None

    hub.fault = fail
    release = publish_second()
    assert done
    assert hub.repo(REPO).tags["v1.1.0"][0] == release.commit
    check_tags(hub)
    assert [commit.title for commit in hub.repo(REPO).commits.values()].count("Version 1.1.0: 2 of 3 rows") == 1


@pytest.mark.parametrize("fault", [503, "lost", "drop", "html"])
def test_making_the_repository_survives(hub, api, no_waiting, fault):
    """The first request of a new repository that goes wrong is done again."""
    done = []
    hub.fault = lambda _, __, path: done.append(path) or fault if "/repos/create" in path and not done else None
    publish(make(0.7), REPO, "1.0.0", api=api)
    assert done
    check_tags(hub)
    assert list(hub.repo(REPO).tags) == ["v1.0.0"]


def test_commit_that_landed_under_another_one_is_found(hub, publish_second, no_waiting, api):
    """The answer is lost, and before we look somebody commits on top: the tag goes on our commit."""
    done = []

    def fail(_, __, path):
        if "/commit/main" in path and not done:
            done.append(path)
            return "lost"
        if done and len(done) == 1:
            done.append(path)
            return lambda: hub.commit_as_somebody(REPO)
        return None

    hub.fault = fail
    release = publish_second()
    files = hub.repo(REPO).find("v1.1.0").files
    assert "notes.txt" not in files
    assert "notes.txt" in hub.repo(REPO).find("main").files
    assert hub.repo(REPO).tags["v1.1.0"][0] == release.commit


def test_dead_hub_is_given_up_with_advice(hub, publish_second, no_waiting):
    """After the last attempt; what was done before is used by the rerun."""
    hub.fault = lambda _, __, path: 500 if "/commit/main" in path else None
    with pytest.raises(HubError, match=r"Committing to user/data-rap: 500 .*Run the same command again"):
        publish_second()
    sent = set(hub.uploaded)
    hub.reset()
    publish_second()
    assert sent
    assert not sent & set(hub.uploaded)


def test_untagged_commit_is_tagged_by_the_rerun(hub, publish_second, no_waiting, api):
    """Killed between commit and tag: nothing is committed or sent again."""
    hub.fault = lambda _, __, path: 403 if "/tag/" in path else None
    with pytest.raises(HubError, match="Tagging"):
        publish_second()
    head = hub.repo(REPO).branches["main"]
    hub.commit_as_somebody(REPO)
    hub.reset()
    assert publish(make(0.5), REPO, "1.1.0", api=api, dry_run=True).commit is None
    assert list(hub.repo(REPO).tags) == ["v1.0.0"]
    assert publish_second().commit == hub.repo(REPO).tags["v1.1.0"][0] == head
    assert hub.uploaded == []


def test_broken_data_on_the_hub_gets_no_tag(hub, api, no_waiting):
    """What lies there is compared with what was sent before the tag is made."""
    publish(make(0.7), REPO, "1.0.0", api=api)
    hub.reset()
    broken = []

    def fail(_, __, path):
        repo = hub.repo(REPO)
        head = repo.commits[repo.branches["main"]]
        if head.title.startswith("Version 1.1.0") and not broken:
            name = next(name for name in head.files if name.startswith("selected/"))
            broken.append(name)
            head.files[name] = next(file for path, file in head.files.items() if path.startswith("scored/"))
        return

    hub.fault = fail
    with pytest.raises(HubError, match=r"selected/train.* has another checksum.* it builds a new one on top"):
        publish(make(0.5), REPO, "1.1.0", api=api)
    assert list(hub.repo(REPO).tags) == ["v1.0.0"]
    release = publish(make(0.5), REPO, "1.1.0", api=api)
    assert hub.repo(REPO).commits[release.commit].parent != hub.repo(REPO).tags["v1.0.0"][0]
    check_tags(hub)


def test_commit_without_its_manifest_gets_no_tag(hub, api, no_waiting):
    """Somebody takes it out of the commit before it is compared."""
    publish(make(0.7), REPO, "1.0.0", api=api)
    hub.reset()

    def fail(_, __, path):
        repo = hub.repo(REPO)
        head = repo.commits[repo.branches["main"]]
        if head.title.startswith("Version 1.1.0"):
            head.files.pop("rap.json", None)
        return

    hub.fault = fail
    with pytest.raises(HubError, match=r"rap\.json is missing"):
        publish(make(0.5), REPO, "1.1.0", api=api)
    assert list(hub.repo(REPO).tags) == ["v1.0.0"]


def test_readme_that_the_hub_finds_too_large_goes_without_types(hub, publish_second, no_waiting, api):
    """413, below the size that we take for too much: the commit is made again, and the card says so."""
    done = []
    hub.fault = lambda _, __, path: done.append(path) or 413 if "/commit/main" in path and not done else None
    release = publish_second()
    assert done
    check_tags(hub)
    assert "dataset_info" not in release.card
    assert "types of the columns are too many for the metadata above; the Parquet files have them" in release.card
    assert release.facts["types_left_out"]
    assert len(load_dataset(REPO, "scored", revision="v1.1.0", split="train", token=api.token)) == 3


def test_what_stays_too_large_is_said(hub, publish_second, no_waiting):
    """Nothing is committed, and no tag is made."""
    hub.fault = lambda _, __, path: 413 if "/commit/main" in path else None
    with pytest.raises(HubError, match=r"Committing to user/data-rap: 413 .* The Hub takes no request as large"):
        publish_second()
    assert list(hub.repo(REPO).tags) == ["v1.0.0"]
    assert hub.repo(REPO).branches["main"] == hub.repo(REPO).tags["v1.0.0"][0]


def test_another_commit_in_progress_is_waited_for(hub, publish_second, no_waiting):
    """The Hub answers 409 while it works on another one; the branch has not moved."""
    done = []
    hub.fault = lambda _, __, path: done.append(path) or 409 if "/commit/main" in path and len(done) < 3 else None
    publish_second()
    assert len(done) == 3
    check_tags(hub)


def test_lower_version_needs_a_flag(hub, api):
    """The branch would hold it."""
    publish(make(0.7), REPO, "2.0.0", api=api)
    with pytest.raises(PublishError, match=r"has version 2\.0\.0, and with 1\.9\.0 its branch would go back"):
        publish(make(0.5), REPO, "1.9.0", api=api)
    assert publish(make(0.5), REPO, "1.9.0", api=api, allow_lower=True).is_new
    assert not publish(make(0.7), REPO, "2.0.0", api=api).is_new
    assert publish(make(0.2), REPO, bump="minor", api=api).version == "2.1.0"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=12;t=55'}, 1),
        ({"RateLimit": '"api";r=3;t=9, "resolvers";r=0;t=41', "Retry-After": "2"}, 41),
        ({"Retry-After": "Fri, 27 Nov 2026 01:00:00 GMT"}, 1),
    ],
)
def test_limits_are_waited_for_as_long_as_they_last(hub, publish_second, no_waiting, monkeypatch, headers, seconds):
    """Both headers in which the Hub says it."""
    monkeypatch.setattr(sys.modules["fake_hub"], "LIMITS", headers)
    done = []
    hub.fault = lambda _, __, path: done.append(path) or 429 if "/tag/" in path and not done else None
    publish_second()
    assert no_waiting == [seconds]


def test_shards_of_killed_runs_are_removed(hub, publish_second, tmp_path, monkeypatch):
    """And those of runs that go on are not."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / "hf-rap-dead", tmp_path / "hf-rap-alive"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "lock").touch()
    script = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"
    )
    command = [sys.executable, "-c", script, str(alive / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        owner.stdout.readline()
        publish_second()
        assert sorted(path.name for path in tmp_path.glob("hf-rap-*")) == ["hf-rap-alive"]
        owner.stdin.close()


def test_retry_after_is_waited_for(hub, publish_second, no_waiting):
    """As long as the Hub says; when that is too long, it is said instead."""
    done = []
    hub.fault = lambda _, __, path: done.append(path) or 429 if "/tag/" in path and not done else None
    publish_second()
    assert done
    assert max(no_waiting) >= 1
    assert MAX_RETRY_AFTER == 300


def test_every_fault_leaves_the_first_version_alone(hub, publish_second, no_waiting, api):
    """It is the same bytes before and after."""
    before = hub.repo(REPO).find("v1.0.0").files
    hub.fault = lambda number, *_: 500 if number % 3 == 0 else None
    with contextlib.suppress(PublishError):
        publish_second()
    assert hub.repo(REPO).find("v1.0.0").files == before
    hub.reset()
    assert len(load_dataset(REPO, "scored", revision="v1.0.0", split="train", token=api.token)) == 3


class Victim:
    """A process that publishes in children of its own, to be killed."""

    def __init__(self, hub, token, home):
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": token,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
        }
        folder = Path(__file__).parent
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(folder.parents[1])])
        command = [sys.executable, str(folder / "killed.py")]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        self.child = 0

    def start(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.child = int(self.process.stdout.readline())

    def end(self) -> int:
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("when", ["before", "after"])
def test_kill_at_any_request(hub, publish_second, no_waiting, tokens, tmp_path, when, every):
    """Before it is done or after: no tag on partial data, and the next run ends where this one would have."""
    restart(hub, tmp_path / "cache")
    publish_second()
    requests = len(hub.log)
    victim = Victim(hub, tokens["writer"], tmp_path / "home")
    kills = 0
    try:
        for number in range(1, requests + 1, every):
            restart(hub, tmp_path / "cache")
            started = threading.Event()

            def kill(count, *_, number=number, started=started):
                if count != number:
                    return None
                started.wait(30)
                os.kill(victim.child, signal.SIGKILL)
                return "drop" if when == "before" else None

            hub.fault = kill
            victim.start()
            started.set()
            kills += victim.end() == signal.SIGKILL
            check_tags(hub)
            hub.fault = lambda *_: None
            publish_second()
            check_tags(hub)
            commit, _ = hub.repo(REPO).tags["v1.1.0"]
            assert hub.repo(REPO).branches["main"] == commit
            assert hub.repo(REPO).commits[commit].parent == hub.repo(REPO).tags["v1.0.0"][0]
    finally:
        victim.close()
    assert kills == len(range(1, requests + 1, every))
