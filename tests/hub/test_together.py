"""Two who publish at the same moment: whatever order their looks, commits and tags come in, branch and tag tell the same."""

import itertools
import json
import threading

import pytest
from huggingface_hub import HfApi
from three_rows import REPO, make

from hf_rap.errors import PublishError
from hf_rap.hub import publish
from hf_rap.hub.reading import load

# Each of the two looks, commits and tags: every order of these six steps that keeps the order of each.
ORDERS = [
    "".join("B" if place in places else "A" for place in range(6)) for places in itertools.combinations(range(6), 3)
]
SHORT = ["AABBAB", "ABABAB", "ABABBA"]


class Turns:
    """Lets one of several threads go on at a time, in a given order."""

    def __init__(self, order: str) -> None:
        self.order, self.changed = list(order), threading.Condition()

    def wait(self, name: str) -> None:
        """Give the turn away, and go on when it comes back."""
        with self.changed:
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.order or self.order[0] == name, timeout=60)

    def take(self, name: str) -> None:
        with self.changed:
            if self.order and self.order[0] == name:
                self.order.pop(0)

    def leave(self, name: str) -> None:
        with self.changed:
            self.order = [other for other in self.order if other != name]
            self.changed.notify_all()


class Paced(HfApi):
    """A client whose first look, commit and tag wait for their turn."""

    def __init__(self, name: str, turns: Turns, **options) -> None:
        super().__init__(**options)
        self.name, self.turns, self.steps = name, turns, {"look", "commit", "tag"}

    def _at(self, step: str) -> None:
        if step in self.steps:
            self.steps.discard(step)
            if step != "look":
                self.turns.take(self.name)
            self.turns.wait(self.name)

    def list_repo_refs(self, *args, **options):
        self._at("look")
        return super().list_repo_refs(*args, **options)

    def create_commit(self, *args, **options):
        self._at("commit")
        return super().create_commit(*args, **options)

    def create_tag(self, *args, **options):
        self._at("tag")
        return super().create_tag(*args, **options)


@pytest.mark.parametrize("same", [False, True], ids=["other rows", "the same rows"])
@pytest.mark.parametrize(
    "order", [pytest.param(order, marks=() if order in SHORT else pytest.mark.exhaustive) for order in ORDERS]
)
def test_branch_and_tag_tell_the_same(hub, api, tokens, no_waiting, order, same):
    """One of the two has published at least; the other has, too, or says why not."""
    publish(make(0.8), REPO, "1.0.0", api=api)
    turns, outcomes = Turns(order), {}

    def run(name: str, min_cde: float) -> None:
        client = Paced(name, turns, endpoint=hub.url, token=tokens["writer"])
        try:
            outcomes[name] = publish(make(min_cde), REPO, "1.1.0", api=client)
        except PublishError as error:
            outcomes[name] = error
        finally:
            turns.leave(name)

    threads = [
        threading.Thread(target=run, args=("A", 0.5)),
        threading.Thread(target=run, args=("B", 0.5 if same else 0.0)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    repo = hub.repo(REPO)
    tagged, head = (repo.find(name).files for name in ("v1.1.0", "main"))
    assert head == tagged, outcomes
    manifest = json.loads(hub.content(tagged["rap.json"]))
    assert {path: entry["bytes"] for path, entry in manifest["files"].items()} == {
        path: tagged[path].size for path in manifest["files"]
    }
    winners = [name for name, outcome in outcomes.items() if not isinstance(outcome, Exception)]
    assert winners
    for name in winners:
        assert outcomes[name].facts["rule"]["min_cde"] == manifest["facts"]["rule"]["min_cde"]
        assert outcomes[name].commit == repo.tags["v1.1.0"][0]
    assert len(load(REPO, version="1.1.0", api=api)) == manifest["facts"]["rows"]["kept"]


def test_orders_are_all_there_are():
    """Six steps, three of each: twenty."""
    assert len(set(ORDERS)) == 20
    assert set(SHORT) <= set(ORDERS)
