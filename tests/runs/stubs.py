"""An engine without a model: its replies depend on the row, the arm and the number of the attempt alone.

In a file of its own, since child processes and Ray workers import it.
"""

from __future__ import annotations

import io
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import Completion, Engine, Rollouts
from hf_rap.engines.answers import answering
from hf_rap.engines.base import ReplyAttention
from hf_rap.errors import RowError


@dataclass(frozen=True)
class Stub:
    """Answers "1" to "4" at random; `log` counts every row it was asked, `fails_on` is a word in questions."""

    continues = True
    template_arguments = True
    name: str = "stub"
    seconds: float = 0.0
    log: str | None = None
    fails_on: str = "nothing"
    stop_file: str | None = None

    def complete(self, requests, sampling):
        if self.seconds:
            time.sleep(self.seconds * len(requests))
        if self.log:
            with Path(self.log).open("a") as file:
                file.writelines(
                    f"{request.row_id} {request.arm} {request.first} {request.attempts}\n" for request in requests
                )
        return [self._answer(request, sampling) for request in requests]

    def attend(self, replies, *, window):
        return [self._read(reply) for reply in replies]

    def _read(self, reply):
        if self._fails(reply.request):
            return RowError("engine_failed", "ValueError: scripted")
        tokens = reply.text.split(" ")
        numbers = [Random(f"{reply.text} {place}").random() for place in range(len(tokens))]
        heads = {"max": [-number for number in numbers], "mean": [-number for number in numbers]}
        return ReplyAttention(tokens, heads, heads, numbers, numbers)

    def _fails(self, request):
        text = " ".join(part.get("text", "") for part in request.messages[0]["content"])
        return self.fails_on in text and not (self.stop_file and Path(self.stop_file).exists())

    def _answer(self, request, sampling):
        if self._fails(request):
            return RowError("engine_failed", "ValueError: scripted")
        draws = [Random(key) for key in request.stream_keys(sampling.seed)]
        return [
            Completion(f"<think>{draw.random()}</think> \\boxed{{{draw.randint(1, 4)}}}", draw.randint(5, 50), False)
            for draw in draws
        ]

    def describe(self):
        return {"engine": "stub", "model": self.name, "torch": "never mind"}


@dataclass(frozen=True)
class OneByOne(Stub):
    """The same, which has its answers one after the other; `interrupted_at` is a request in a call that never comes back."""

    interrupted_at: int | None = None

    def complete(self, requests, sampling):
        return self._each(requests, lambda request: super(OneByOne, self).complete([request], sampling))

    def attend(self, replies, *, window):
        return self._each(replies, lambda reply: super(OneByOne, self).attend([reply], window=window))

    def _each(self, items, answer):
        with answering(len(items)) as answers:
            for place, item in enumerate(items):
                if place == self.interrupted_at:
                    signal.raise_signal(signal.SIGINT)
                answers.add([place], answer(item))
            return answers.all()


@dataclass(frozen=True)
class Logged:
    """Another engine, slowed down, that writes down every prompt it is asked."""

    continues = True

    engine: Engine
    log: str
    seconds: float = 0.0

    def complete(self, requests, sampling):
        with Path(self.log).open("a") as file:
            file.writelines(f"{request.row_id} {request.arm}\n" for request in requests)
        time.sleep(self.seconds)
        return self.engine.complete(requests, sampling)

    def attend(self, replies, *, window):
        with Path(self.log).open("a") as file:
            file.writelines(f"{reply.request.row_id} {reply.text}\n" for reply in replies)
        time.sleep(self.seconds)
        return self.engine.attend(replies, window=window)

    def log_likelihoods(self, replies):
        with Path(self.log).open("a") as file:
            file.writelines(f"{reply.request.row_id} {reply.request.arm} {reply.text}\n" for reply in replies)
        time.sleep(self.seconds)
        return self.engine.log_likelihoods(replies)

    def describe(self):
        return self.engine.describe()


FEATURES = Features(
    {"id": Value("string"), "images": List(Image()), "problem": Value("string"), "answer": Value("string")}
)


def png(number):
    """A picture that differs from row to row."""
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), (number % 256, number // 256 % 256, 7)).save(file, format="PNG")
    return file.getvalue()


def lines(log):
    """What the stub was asked, one line per row and arm."""
    return Path(log).read_text().splitlines() if Path(log).exists() else []


def make_rows(count, *, start=0, ids=True, question="How many?"):
    """`count` rows; every seventh has a gold answer that cannot be read, every eleventh no image."""
    made = [
        {
            "id": f"row-{number:05d}" if ids else None,
            "images": [] if number % 11 == 10 else [{"bytes": png(number), "path": None}],
            "problem": f"{question} ({number})" if number % 11 == 10 else f"<image>{question} ({number})",
            "answer": None if number % 7 == 6 else str(number % 4 + 1),
        }
        for number in range(start, start + count)
    ]
    return Dataset.from_list(made, features=FEATURES)


def stub_rollouts(attempts=3, **options):
    """Rollouts over the stub."""
    return Rollouts(Stub(**options), attempts=attempts)


def evidence_rows(ds):
    """The evidence as plain rows by id, without the images."""
    return {row["id"]: row for row in ds.remove_columns("images").to_list()}
