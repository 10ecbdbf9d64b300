"""A library that warns in the middle of a model fails no row, also where warnings are errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers

from hf_rap.demo import demo_engine
from hf_rap.engines.base import LogLikelihood, Reply, ReplyAttention, Request, Sampling
from hf_rap.engines.likelihood import log_likelihoods
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.teacher_forcing import attend
from hf_rap.errors import RowError

from .tiny_models import ask, build, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
SAMPLING = Sampling(max_new_tokens=4, seed=3)


@pytest.fixture
def raised() -> Iterator[None]:
    """As under `python -W error`, for the time of a test; what is shown all the same goes nowhere."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        warnings.showwarning = lambda *_: None
        yield


def warning_before(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same, deprecated."""

    def warn_and_call(*args: Any, **options: Any) -> Any:
        warnings.warn("this will be gone in the next release", FutureWarning, stacklevel=2)
        return call(*args, **options)

    return warn_and_call


@pytest.fixture
def deprecated(monkeypatch: pytest.MonkeyPatch) -> None:
    """`generate`, the tokenizer, and what every forward pass goes through warn each time."""
    tokenizer = type(build("llava_llama")[1].tokenizer)
    monkeypatch.setattr(tokenizer, "__call__", warning_before(tokenizer.__call__))
    monkeypatch.setattr(
        transformers.LlavaForConditionalGeneration,
        "generate",
        warning_before(transformers.LlavaForConditionalGeneration.generate),
    )
    monkeypatch.setattr(torch.nn.Embedding, "forward", warning_before(torch.nn.Embedding.forward))


def rows(count: int = 3) -> list[Request]:
    return [ask(f"row {n}", f"<image>Question {n}?", picture(12 + n, 20, n)) for n in range(count)]


def replies() -> list[Reply]:
    return [Reply(request, text) for request, text in zip(rows(), ("It is 3.", "red", "two of them"), strict=True)]


def tiny(**options: Any) -> LoadedModel:
    return LoadedModel(*build("llava_llama"), **options)


def readable(answers: list[Any]) -> list[Any]:
    """Whatever an engine answers, as what can be compared."""
    assert not [answer for answer in answers if isinstance(answer, RowError)]
    return [vars(answer) if isinstance(answer, (ReplyAttention, LogLikelihood)) else answer for answer in answers]


READERS: dict[str, Callable[[], list[Any]]] = {
    "complete": lambda: tiny().complete(rows(), SAMPLING),
    "attend": lambda: attend(tiny(), replies(), window=4),
    "log_likelihoods": lambda: log_likelihoods(tiny(), replies()),
}


@pytest.mark.parametrize("name", READERS)
def test_no_row_fails_because_a_library_warns(name: str, request: pytest.FixtureRequest) -> None:
    """Rollouts, attention and likelihood are the same numbers as without any warning."""
    expected = readable(READERS[name]())
    for fixture in ("deprecated", "raised"):
        request.getfixturevalue(fixture)
    assert readable(READERS[name]()) == expected


def test_a_model_is_loaded_while_a_library_warns(raised: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first batch would otherwise be the end of the run."""
    usual = transformers.AutoConfig.from_pretrained
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", warning_before(usual))
    engine = demo_engine(batch_size=3)  # another than other tests have loaded
    assert engine.load() is engine.load()


def test_a_row_that_fails_still_fails(raised: None) -> None:
    """Only warnings of others are let pass, and an error is the one that it was."""

    def fail(_: list[Request]) -> list[Any]:
        warnings.warn("from a library", UserWarning, stacklevel=1)
        raise ValueError("mine")

    (answer,) = tiny().in_halves(rows(1), fail)
    assert str(answer) == "engine_failed: ValueError: mine"


def test_filters_that_come_in_between_fail_no_row(raised: None) -> None:
    """Another thread leaves `catch_warnings` while a row is alone in its batch; the filters it puts back raise again."""
    model = tiny(batch_size=1)
    expected = tiny().complete(rows(), SAMPLING)
    calls: list[int] = []
    usual = model._complete_batch

    def interrupted(batch: list[Request], sampling: Sampling) -> Any:
        calls.append(len(batch))
        if len(calls) == 2:
            warnings.filters[:] = [("error", None, Warning, None, 0)]  # type: ignore[index]
        warnings.warn(f"from a library, call {len(calls)}", UserWarning, stacklevel=1)
        return usual(batch, sampling)

    model._complete_batch = interrupted  # type: ignore[method-assign]
    assert model.complete(rows(), SAMPLING) == expected
    assert calls == [1, 1, 1, 1]  # the second row was run twice


def test_threads_answer_at_the_same_time(raised: None, deprecated: None) -> None:
    """Four engines in one process, each in a thread that starts and ends on its own; afterwards warnings raise again."""
    expected = tiny().complete(rows(2), SAMPLING)
    barrier = threading.Barrier(4)

    def run(number: int) -> list[Any]:
        model = tiny(batch_size=1 + number % 2)
        barrier.wait()
        for _ in range(number):
            model.complete(rows(1), SAMPLING)
        return model.complete(rows(2), SAMPLING)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [expected] * 4
    with pytest.raises(UserWarning, match="raised"):
        warnings.warn("raised", UserWarning, stacklevel=1)


SCRIPT = """
import json, warnings
import transformers
from hf_rap import Likelihood, Rollouts
from hf_rap.demo import demo_engine, make_planted

def generate(self, *args, usual=transformers.GenerationMixin.generate, **options):
    warnings.warn("generate is deprecated", FutureWarning, stacklevel=2)
    return usual(self, *args, **options)

transformers.GenerationMixin.generate = generate
rows = make_planted(8)
rows = rows.map(Rollouts(demo_engine(), attempts=2, max_new_tokens=32, attention=True), batched=True, batch_size=4, num_proc=2)
rows = rows.map(Likelihood(demo_engine()), batched=True)
print(json.dumps(rows.select_columns([name for name in rows.column_names if name.startswith("rap_")]).to_list()))
"""


@pytest.mark.exhaustive
def test_evidence_under_w_error_is_the_evidence(tmp_path: Path) -> None:
    """Plain Python and `python -W error`, a model whose `generate` warns, two processes of `map`: the same columns."""
    plain, strict = (evidence_of(tmp_path / str(len(options)), *options) for options in ((), ("-W", "error")))
    assert strict == plain
    assert len(plain) == 8
    assert not [row for row in plain if (row["rap_error"] or "").startswith("engine_failed")]
    assert sum(row["rap_image_rewards"] is not None for row in plain) >= 6


def evidence_of(cache: Path, *options: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, *options, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "HF_DATASETS_CACHE": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    assert "FutureWarning: generate is deprecated" in done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows
