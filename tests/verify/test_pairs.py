"""Pairs of a reply and a gold answer, each with the verdict that a careful reader would give."""

import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hf_rap.verify import Judgement, judge

pytestmark = pytest.mark.slow  # thousands of pairs

DATA = Path(__file__).parents[1] / "data"


def pairs_of(name: str) -> list[dict]:
    """A pair has reply, gold and expected; question or options for a multiple choice; `ours` where we differ."""
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


# First ours, then those that follow public reports of wrong verdicts, then those that were written before it was known
# which of them are judged right (83 to 98 % of a batch at first sight).
FILES = {name: pairs_of(name) for name in ("answers.jsonl", "answers_reported.jsonl", "answers_held_out.jsonl")}
PAIRS = [pair for pairs in FILES.values() for pair in pairs]


def judged(pair: dict) -> Judgement:
    return judge(pair["reply"], pair["gold"], question=pair.get("question", ""), options=pair.get("options"))


@pytest.mark.parametrize(
    ("name", "kind"), sorted({(name, pair.get("kind", "")) for name, pairs in FILES.items() for pair in pairs})
)
def test_pairs_get_the_expected_verdict(name, kind):
    """Every pair gets the verdict that stands beside it, or ours where the two are disputed."""
    pairs = [pair for pair in FILES[name] if pair.get("kind", "") == kind]
    assert [pair for pair in pairs if judged(pair).verdict.value != pair.get("ours", pair["expected"])] == []


def test_few_verdicts_are_disputed():
    """Of the reported pairs at least 97 % get the expected verdict as it stands there."""
    reported = FILES["answers_reported.jsonl"]
    assert len(reported) == 426
    assert sum(pair.get("ours", pair["expected"]) == pair["expected"] for pair in reported) >= 0.97 * len(reported)
    assert not any("ours" in pair for pair in FILES["answers_held_out.jsonl"])


@pytest.mark.parametrize("name", FILES)
def test_pairs_hold_every_verdict_many_times(name):
    """No table is one-sided: a verifier that always says the same fails a large part of it."""
    verdicts = Counter(pair["expected"] for pair in FILES[name])
    assert verdicts.total() >= 200
    assert min(verdicts["correct"], verdicts["wrong"]) > verdicts.total() / 4
    assert verdicts["unreadable"] >= 5


@pytest.mark.exhaustive
def test_verdicts_are_the_same_in_threads_and_in_any_order():
    """Eight threads, another order: each pair gets the very judgement that it gets in the main thread."""
    expected = {number: judged(pair) for number, pair in enumerate(PAIRS)}
    order = list(expected)
    random.Random(0).shuffle(order)
    with ThreadPoolExecutor(8) as pool:
        in_threads = dict(zip(order, pool.map(lambda number: judged(PAIRS[number]), order), strict=True))
    assert threading.current_thread() is threading.main_thread()
    assert {number: in_threads[number] for number in expected} == expected


def test_truncated_replies_are_wrong_and_missing_ones_unknown():
    """Whatever the pair."""
    for pair in PAIRS[::20]:
        if pair["expected"] != "unreadable":
            assert judge(pair["reply"], pair["gold"], truncated=True).reward == 0.0
        assert judge(None, pair["gold"]).reward is None
