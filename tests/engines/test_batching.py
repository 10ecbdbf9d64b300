"""As many rows go together as fit; one huge picture costs its own batch and no other."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from hf_rap.engines.ahead import Ahead
from hf_rap.engines.base import Completion, Request, Sampling
from hf_rap.engines.batching import FIRST, Plan
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.errors import RowError

from .tiny_models import ask, build, picture

SAMPLING = Sampling(max_new_tokens=2, seed=1)


class Card(LoadedModel):
    """A model on a card on which so many tokens fit: rows x attempts x (prompt + reply)."""

    def __init__(self, family: str, tokens: float, **options: Any) -> None:
        super().__init__(*build(family), memory=Meter(self), **options)
        self.room = tokens
        self.taken = 0.0
        self.sizes: list[int] = []  # of the batches that fitted

    def sample(self, inputs: Any, requests: list[Request], sampling: Sampling, **more: Any) -> torch.Tensor:
        tokens = len(requests) * requests[0].attempts * (inputs["input_ids"].shape[1] + sampling.max_new_tokens)
        self.taken = max(self.taken, tokens)
        if tokens > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        self.sizes.append(len(requests))
        return super().sample(inputs, requests, sampling, **more)


class Meter:
    """The memory of a card."""

    def __init__(self, card: Any) -> None:
        self.card = card

    def begin(self) -> None:
        self.card.taken = 0.0

    def share(self) -> float:
        return float(self.card.taken / self.card.room)


def rows(count: int, start: int = 0) -> list[Request]:
    return [
        ask(f"row {n}", f"<image>Question {n}?", picture(16, 16, n), attempts=2) for n in range(start, start + count)
    ]


def tokens_of(row: Request, family: str = "qwen2_vl") -> int:
    """What one such row takes."""
    loaded = LoadedModel(*build(family))
    return row.attempts * (loaded.encode([row])["input_ids"].shape[1] + SAMPLING.max_new_tokens)


def test_batches_grow_until_the_card_is_full() -> None:
    """From 16 rows on, twice as many each time, up to 85 % of what fits; the replies are those of any batch."""
    each = tokens_of(rows(1)[0])
    card = Card("qwen2_vl", each * 100, batch_size=None)
    asked = rows(500)
    answers = card.complete(asked, SAMPLING)
    assert card.sizes[0] == FIRST
    # Planned one batch ahead, since the next one is made ready while one runs.
    assert card.sizes[:2] == [16, 16]
    assert 70 <= max(card.sizes) <= 85
    assert sum(card.sizes) == 500
    assert answers[:40] == LoadedModel(*build("qwen2_vl")).complete(asked[:40], SAMPLING)


def test_batches_shrink_when_something_else_takes_memory() -> None:
    """Another process on the same card, say."""
    each = tokens_of(rows(1)[0])
    card = Card("qwen2_vl", each * 100, batch_size=None)
    card.complete(rows(400), SAMPLING)
    card.room = each * 30
    card.sizes.clear()
    assert not any(isinstance(answer, RowError) for answer in card.complete(rows(200), SAMPLING))
    assert max(card.sizes[-4:-1]) <= 30


@pytest.mark.parametrize("batch_size", [16, None])
def test_a_picture_that_never_fits_costs_its_own_batch(batch_size: int | None) -> None:
    """It gets an error; the rows beside it their replies; and batches are as large as before after a few of them."""
    each = tokens_of(rows(1)[0])
    card = Card("qwen2_vl", each * 40, batch_size=batch_size)
    huge = ask("huge", "<image>" + "many words " * 35, picture(16, 16), attempts=10)
    assert tokens_of(huge) > each * 40
    before = rows(160)
    card.complete(before, SAMPLING)
    usual = max(card.sizes)
    card.sizes.clear()
    answers = card.complete([*rows(1), huge], SAMPLING)
    assert isinstance(answers[1], RowError)
    assert "OutOfMemoryError" in str(answers[1])
    card.sizes.clear()
    card.complete(before, SAMPLING)
    assert max(card.sizes[2:]) >= 0.75 * usual


def test_a_huge_picture_beside_others_leaves_them_their_replies() -> None:
    """In one batch with three ordinary rows: these are asked in parts, and none is lost."""
    ordinary = rows(3)
    huge = ask("huge", "<image>" + "many words " * 35, picture(16, 16), attempts=2)
    room = 5 * tokens_of(ordinary[0])
    assert tokens_of(huge) > room
    card = Card("qwen2_vl", room, batch_size=4)
    answers = card.complete([*ordinary, huge], SAMPLING)
    assert isinstance(answers[-1], RowError)
    assert answers[:-1] == LoadedModel(*build("qwen2_vl")).complete(ordinary, SAMPLING)
    card.sizes.clear()
    card.complete(rows(16), SAMPLING)
    assert card.sizes == [4] * 4  # their tokens are far below what was too much


@pytest.mark.slow
def test_a_batch_size_that_is_a_little_too_large_fails_now_and_then() -> None:
    """It is tried again when what was too much is long past, not in every batch."""
    each = tokens_of(rows(1)[0])
    card = Card("qwen2_vl", each * 12.5, batch_size=16)
    failed = 0
    usual = card.in_halves

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal failed
        before = card.taken
        answers = usual(*args, **options)
        failed += card.taken > card.room and before != card.taken
        return answers

    card.in_halves = counted  # type: ignore[method-assign]
    card.complete(rows(400), SAMPLING)
    assert sum(card.sizes) == 400
    assert len(card.sizes) <= 48  # 32 of 12.5 rows each, had it been known from the start
    assert failed <= 6


def test_an_estimate_that_was_far_off_parts_the_batch_before_it_fails() -> None:
    """Rows that look short and are long: their tokens are counted before the model runs."""
    plan = Plan()
    with plan.running([10.0] * 8):
        plan.overflow()
    assert plan.limit == 40
    with plan.running([10.0] * 4):
        assert plan.weigh(4, 90.0)
        assert not plan.weigh(2, 45.0)
        assert not plan.weigh(1, 90.0)
    assert plan.take([10.0] * 8, 8) == 1  # a row has nine tokens for each that was estimated, or 90


def test_rows_are_counted_by_the_longest() -> None:
    """They are padded to it."""
    plan = Plan()
    with plan.running([100.0]):
        plan.overflow()
    assert plan.limit == 50
    assert plan.take([10, 10, 10, 10, 10, 10], None) == 5
    assert plan.take([10, 25, 10, 10], None) == 2
    assert plan.take([60, 10], None) == 1
    assert plan.take([10, 10, 10], 2) == 2


def test_last_rows_of_a_group_teach_nothing() -> None:
    """A batch of one row takes a large share for its tokens: weights of the moment, not of the row."""

    class Fixed:
        share_now = 0.4

        def begin(self) -> None:
            pass

        def share(self) -> float:
            return self.share_now

    memory = Fixed()
    plan = Plan(memory)
    with plan.running([10.0] * 16):
        plan.weigh(16, 160.0)
    assert plan.limit == pytest.approx(0.85 * 160 / 0.4 if 0.85 / 0.4 < 2 else 320)
    memory.share_now = 0.9
    with plan.running([10.0]):
        plan.weigh(1, 10.0)
    assert plan.limit == pytest.approx(320)


@pytest.mark.parametrize(
    ("options", "rows_per_part"),
    [({}, 64), ({"batch_size": 16}, 64), ({"batch_size": 300}, 300), ({"device": "cuda"}, 192)],
)
def test_a_part_holds_what_may_be_generated_together(options: dict[str, Any], rows_per_part: int) -> None:
    """A batch size above 64 does what it says."""
    assert TransformersEngine("m", **{"device": "cpu", **options}).rows_per_part == rows_per_part


def test_the_next_batch_is_made_ready_while_one_runs() -> None:
    """By a thread; the one that runs waits for nothing."""
    begun = threading.Event()

    def make(batch: list[int]) -> list[int]:
        if batch == [2]:
            begun.set()
        return [10 * item for item in batch]

    with Ahead(make) as ahead:
        first, second = [1], [2]
        ahead.begin(second)
        assert begun.wait(10)
        assert ahead.take(first) == [10]
        assert ahead.take(second) == [20]


def test_an_error_of_a_batch_that_was_made_ready_comes_when_it_is_taken() -> None:
    """And is the error of that batch."""

    def make(batch: list[str]) -> str:
        return {"good": "fine"}[batch[0]]

    with Ahead(make) as ahead:
        batch = ["bad"]
        ahead.begin(batch)
        assert ahead.take(["good"]) == "fine"
        with pytest.raises(KeyError, match="bad"):
            ahead.take(batch)


def test_pictures_of_the_next_batch_are_processed_by_another_thread() -> None:
    """The first batch by the thread that asks, all others ahead of time."""
    loaded = LoadedModel(*build("llava_llama"), batch_size=2)
    threads: list[str] = []
    usual = loaded._processed

    def noted(requests: list[Request]) -> Any:
        threads.append(threading.current_thread().name)
        return usual(requests)

    loaded._processed = noted  # type: ignore[method-assign]
    answers = loaded.complete(rows(6), SAMPLING)
    assert sorted(name == threading.current_thread().name for name in threads) == [False, False, True]
    assert all(isinstance(reply, Completion) for replies in answers for reply in replies)  # type: ignore[union-attr]
