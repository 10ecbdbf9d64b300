"""A model in memory: prompts in, sampled replies out, one prefill per prompt."""

from __future__ import annotations

import math
import os
import traceback
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import transformers
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from hf_rap.errors import EngineError, RowError, first_line, logger_of, warnings_stay_warnings

from . import compat
from .ahead import Ahead
from .answers import answering
from .batching import FIRST, Memory, Plan, memory_of
from .grouped_heads import grouped_modules, reads_grouped_keys_once
from .inputs import per_token
from .noise import GumbelNoise
from .overflow import FiniteSteps
from .roomy_cache import ROOM, make_room
from .text_layers import LastTokens, text_layers
from .texts import Texts, overflowed, too_long

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from transformers import LogitsProcessor

    from .base import Completion, Request, Sampling

logger = logger_of(__name__)

# A process forked from one that has computed (`Dataset.map(num_proc=2)`) inherits OpenMP's books but
# not its threads, and would wait for them for ever. One thread needs none. (Windows has no forks.)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Answers = TypeVar("Answers")

NOTHING: AbstractContextManager[Any] = nullcontext()
_HOPELESS = 8  # so many failed rows before the first answer end the run


class LoadedModel:
    """A model and its processor, ready to answer.

    Args:
        model: an image-text-to-text model of transformers, on its device.
        processor: the processor that belongs to it; needs a chat template.
        batch_size: rows that are generated together; None: as many as fit the memory of the GPU, 16 on a CPU.
        memory: what is measured to find out how many fit; None: that of the GPU that the model is on.
        random_weights: names of those that its checkpoint did not hold.
        quantization: how the checkpoint is quantised, as its config says; None where it is not.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        batch_size: int | None = 16,
        memory: Memory | None = None,
        random_weights: Sequence[str] = (),
        quantization: dict[str, Any] | None = None,
    ) -> None:
        self.texts = Texts(processor, model.generation_config.eos_token_id)
        self.model = model.eval()
        self.device = compat.input_device(model)
        self.processor = processor
        self.batch_size = batch_size
        self.memory = memory or memory_of(model)
        self._plans: dict[str, Plan] = {}
        self._plan = Plan()  # of the batch that runs
        self._rows = FIRST  # in that batch
        self._ahead = Ahead(self.processed)
        self._processor = Lock()  # tokenizers of transformers are not to be called from two threads at once
        self.random_weights = random_weights
        self.quantization = quantization
        self.context_tokens = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.answered = False
        self.checked: set[str] = set()  # by `self_check`
        # Layers that look at pictures by themselves keep them in the place of tokens.
        self.looks_across = bool(getattr(model.config.get_text_config(), "cross_attention_layers", None))
        self.shares_prefixes = not self.looks_across
        # Published generation configs carry penalties and a low temperature that would bend the
        # distribution that pass rates are about; only the end tokens are kept.
        model.generation_config = GenerationConfig(
            eos_token_id=sorted(self.texts.end_ids) or None, pad_token_id=self._pad_id()
        )

    def describe(self) -> dict[str, Any]:
        """JSON-able: what could change a completion, besides which model it is."""
        return {
            "architecture": type(self.model).__name__,
            "processor": type(self.processor).__name__,
            "image_processor": type(self.processor.image_processor).__name__,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attn_implementation": compat.attention_name(self.model.config),
            "device": self.device.type,
            **({"random_weights": list(self.random_weights)} if self.random_weights else {}),
            **({"quantization": self.quantization} if self.quantization else {}),
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        """`request.attempts` completions per request, or the error of that request alone.

        Rows that share a batch are of one kind, want equally many attempts and the same states, and are of similar length. While a batch is
        generated, the pictures of the next one go through the processor in a thread.
        """
        kinds = [(self.kind_of(request), request.attempts, request.depths) for request in requests]
        order = sorted(range(len(requests)), key=lambda index: (*kinds[index], *likeness(requests[index])))

        def tokens(index: int) -> float:
            return requests[index].attempts * (estimated_tokens(requests[index]) + sampling.max_new_tokens)

        def run(batch: list[int]) -> list[list[Completion] | RowError]:
            return self._complete_or_halve([requests[index] for index in batch], sampling)

        with self._ahead, answering(len(requests)) as answers:
            for _, group in groupby(order, key=lambda index: kinds[index]):
                for batch, answered in self.in_batches("replies", list(group), tokens, run, self._prepare(requests)):
                    answers.add(batch, answered)
                    self._stop_if_hopeless(list(answers.there.values()), len(requests))
            return answers.all()

    def _prepare(self, requests: Sequence[Request]) -> Callable[[list[int]], None]:
        """What is done for the batch that comes next."""
        return lambda batch: self._ahead.begin([requests[index] for index in batch])

    def in_batches(
        self,
        work: str,
        items: list[Item],
        tokens: Callable[[Item], float],
        run: Callable[[list[Item]], Answers],
        prepare: Callable[[list[Item]], None] | None = None,
    ) -> Iterator[tuple[list[Item], Answers]]:
        """Batches of items, in order, each with what `run` makes of it.

        Args:
            work: what is done; each kind of work learns how much of it fits.
            items: neighbours are alike.
            tokens: about how many an item takes.
            run: of one batch.
            prepare: called with the next batch before one is run.
        """
        plan = self._plans.setdefault(work, Plan(self.memory if self.batch_size is None else None))
        estimates = [tokens(item) for item in items]
        start, stop = 0, plan.take(estimates, self.batch_size)
        while start < len(items):
            end = stop + plan.take(estimates[stop:], self.batch_size)
            if prepare is not None and end > stop:
                prepare(items[stop:end])
            self._plan = plan
            self._rows = stop - start
            with plan.running(estimates[start:stop]):
                answers = run(items[start:stop])
            yield items[start:stop], answers
            if plan.overflowed:  # what was planned before is too much now
                end = stop + plan.take(estimates[stop:], self.batch_size)
            start, stop = stop, end

    @property
    def replies_at_once(self) -> int:
        """Replies that are read together behind prompts that are run."""
        return self.batch_size or max(FIRST, self._rows)

    def kind_of(self, request: Request) -> int:
        """What requests that share a batch have in common: images or none; in Mllama how many.

        There, text in front of a picture sees all pictures alike, and also those that fill up the rows with fewer.
        """
        return len(request.images) if self.looks_across else min(1, len(request.images))

    def _complete_or_halve(self, requests: list[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        return self.in_halves(requests, lambda part: self._complete_batch(part, sampling))

    def in_halves(
        self, requests: list[Item], run: Callable[[list[Item]], list[Answer | RowError]], *, again: bool = True
    ) -> list[Answer | RowError]:
        """Halves a batch that fails until the row at fault stands alone, and gives that row the error."""
        try:
            with warnings_stay_warnings():
                return run(requests)
        except EngineError:  # no row is at fault
            raise
        except Exception as error:  # noqa: BLE001 - whatever one row does to a model, the run goes on
            failure = error
        # The frames of the failed call would keep its tensors, and so the GPU's memory, while the halves run.
        traceback.clear_frames(failure.__traceback__)
        if again and isinstance(failure, Warning):
            # A thread outside has put filters of its own in the place of those that were there when this began.
            return self.in_halves(requests, run, again=False)
        out_of_memory = isinstance(failure, torch.cuda.OutOfMemoryError)
        if out_of_memory:
            torch.cuda.empty_cache()
        if len(requests) == 1:
            row_error = RowError("engine_failed", f"{type(failure).__name__}: {first_line(failure)}")
            row_error.__cause__ = failure
            return [row_error]
        middle = (len(requests) + 1) // 2
        if out_of_memory:
            logger.warning(
                "Out of GPU memory with %d rows in a batch; going on with %d, and with more again later.",
                len(requests),
                middle,
            )
            self._plan.overflow()
        halves = (requests[:middle], requests[middle:])
        answers = [answer for half in halves for answer in self.in_halves(half, run)]
        if not out_of_memory and not any(isinstance(answer, RowError) for answer in answers):
            logger.warning(
                "%d rows failed together (%s: %s) but not apart: results are right, batches are slow.",
                len(requests),
                type(failure).__name__,
                first_line(failure),
            )
        return answers

    def _stop_if_hopeless(self, answers: list[list[Completion] | RowError], count: int) -> None:
        """Nothing but failures from the start is the fault of the model, not of some row."""
        failures = [answer for answer in answers if isinstance(answer, RowError) and answer.code == "engine_failed"]
        if not self.answered and len(failures) == len(answers) >= min(_HOPELESS, count) > 1:
            first = failures[0]
            raise EngineError(
                f"The model failed on all of its first {len(failures)} rows; {first}"
            ) from first.__cause__

    def _complete_batch(self, requests: list[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        inputs = self._on_device(self._ahead.take(requests))
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        errors = [too_long(length, sampling.max_new_tokens, self.context_tokens) for length in lengths]
        if any(errors):
            fitting = [request for request, error in zip(requests, errors, strict=True) if error is None]
            answers = iter(self._complete_batch(fitting, sampling) if fitting else [])
            return [error or next(answers) for error in errors]
        width = inputs["input_ids"].shape[1]
        if self._plan.weigh(
            len(requests), inputs["input_ids"].shape[0] * requests[0].attempts * (width + sampling.max_new_tokens)
        ):
            middle = (len(requests) + 1) // 2
            return [
                answer
                for half in (requests[:middle], requests[middle:])
                for answer in self._complete_batch(half, sampling)
            ]
        attempts, depths = requests[0].attempts, requests[0].depths
        reading, finite = LastTokens(self.layers_at(depths)), FiniteSteps()
        replies = self.sample(inputs, requests, sampling, before=[finite], reading=reading)[:, width:].tolist()
        with self._processor:
            completions = [
                replace(
                    self.texts.completion(reply, sampling, requests[place // attempts].prefix),
                    prompt_tokens=lengths[place // attempts],
                )
                for place, reply in enumerate(replies)
            ]
        if depths:
            for row, states in enumerate(reading.of_rows(attempts)):
                completions[row * attempts] = replace(completions[row * attempts], states=states)
        spoilt = [
            steps < len(reply.token_ids or ()) for steps, reply in zip(finite.of_rows(), completions, strict=True)
        ]
        starts = range(0, len(completions), attempts)
        self.answered |= not all(spoilt)
        return [
            overflowed("logits") if any(spoilt[start : start + attempts]) else completions[start : start + attempts]
            for start in starts
        ]

    def layers_at(self, depths: Sequence[float]) -> list[Any]:
        """The text layers at these depths, 1 the last one; raises `EngineError` where there is no list of them."""
        layers = self._text_layers if depths else []
        return [layers[max(1, round(depth * len(layers))) - 1] for depth in depths]

    @cached_property
    def _text_layers(self) -> list[Any]:
        return text_layers(self.model, self.texts.reply_tokens("a")[-1])

    def encode(self, requests: list[Request]) -> dict[str, torch.Tensor]:
        """Token ids, mask and pictures of a left-padded batch of prompts, where the model is."""
        return self._on_device(self.processed(requests))

    def _on_device(self, processed: Any) -> dict[str, torch.Tensor]:
        return dict(processed.to(self.device, dtype=self.model.dtype))

    def processed(self, requests: list[Request]) -> Any:
        """What the processor makes of prompts and pictures, on the CPU."""
        with self._processor:
            return self._processed(requests)

    def _processed(self, requests: list[Request]) -> Any:
        texts = [self.texts.whole_prompt(request) for request in requests]
        images = [list(request.images) for request in requests]
        return self.processor(
            text=texts,
            images=images if any(images) else None,
            padding=True,
            padding_side="left",
            add_special_tokens=self.texts.adds_special_tokens(texts[0]),
            return_tensors="pt",
        )

    @torch.inference_mode()
    def sample(
        self,
        inputs: dict[str, torch.Tensor],
        requests: list[Request],
        sampling: Sampling,
        *,
        before: Sequence[LogitsProcessor] = (),
        reading: AbstractContextManager[Any] = NOTHING,
    ) -> torch.Tensor:
        """Token ids of shape (rows x attempts, prompt + reply), the attempts of a row side by side.

        Prefills all of a prompt but its last token once, repeats the cache per attempt, and lets
        `generate` go on from there: the last token is then the first step of every attempt. `before` sees the logits
        of every step first; `reading` is entered behind the prefill.
        """
        attempts = requests[0].attempts
        prompt = inputs["input_ids"]
        length = prompt.shape[1]
        repeated = {name: value.repeat_interleave(attempts, dim=0) for name, value in per_token(inputs).items()}
        with self.own_positions():
            prefilled = self._prefill(inputs, requests)
            rows = torch.arange(len(requests), device=prompt.device).repeat_interleave(attempts)
            # Not batch_repeat_interleave: the layers of hybrid models (Qwen3.5) do not have it.
            prefilled.reorder_cache(rows)
            make_room(prefilled, min(ROOM, sampling.max_new_tokens))
            compat.set_rope_offsets(compat.rope_offsets(self.model), rows)
            with reads_grouped_keys_once(self._grouped_modules), reading:
                return compat.go_on_from(
                    self.model,
                    prefilled,
                    **repeated,
                    max_new_tokens=sampling.max_new_tokens,
                    do_sample=False,
                    logits_processor=LogitsProcessorList([*before, *_logits_processors(requests, sampling, length)]),
                )

    def _prefill(self, inputs: dict[str, torch.Tensor], requests: list[Request]) -> Any:
        """The cache of all prompts but their last tokens, one row per request.

        Of prompts that continue one response from several of its steps only the longest is run; the
        others are cut out of its cache.
        """
        prompts = _unpadded(inputs)
        owners = _owners(prompts, requests) if self.shares_prefixes else list(range(len(requests)))
        chosen = sorted(set(owners))
        if len(chosen) == len(requests):
            return self.run_prompts(inputs)
        cache = self.run_prompts(self.encode([requests[owner] for owner in chosen]))
        if not self.keeps_all_tokens(cache):
            return self.run_prompts(inputs)
        device = inputs["input_ids"].device
        rows = torch.tensor([chosen.index(owner) for owner in owners], device=device)
        cache.reorder_cache(rows)
        compat.set_rope_offsets(compat.rope_offsets(self.model), rows)
        # Prompts end at the right edge: what is too much goes over it, to come out on the left, where the mask is 0.
        surplus = [len(prompts[owner]) - len(prompt) for owner, prompt in zip(owners, prompts, strict=True)]
        length = inputs["input_ids"].shape[1] - 1
        columns = (torch.arange(length, device=device) - torch.tensor(surplus, device=device)[:, None]) % length
        compat.reorder_tokens(cache, columns)
        return cache

    def run_prompts(self, inputs: dict[str, torch.Tensor]) -> Any:
        """The cache of all prompts but their last tokens."""
        shorter = {**inputs, **{name: value[:, :-1] for name, value in per_token(inputs).items()}}
        made = self.model.generate(
            **shorter, max_new_tokens=1, do_sample=False, use_cache=True, return_dict_in_generate=True
        )
        return compat.cache_of(made)

    @cached_property
    def _grouped_modules(self) -> list[Any]:
        """Those whose keys transformers would repeat at every step."""
        return grouped_modules(self.model) if compat.sdpa_repeats_keys() else []

    def keeps_all_tokens(self, cache: Any) -> bool:
        """Whether a part of the cache is the cache of a part; sliding windows and recurrent layers forget tokens."""
        self.shares_prefixes &= compat.keeps_all_tokens(cache)
        return self.shares_prefixes

    @contextmanager
    def own_positions(self) -> Iterator[None]:
        """Qwen-VL models keep each row's rotary offset between two calls: none goes in, and none is left behind.

        Within, the offsets have to be repeated with the cache. A later batch would run with the positions of this one.
        """
        compat.set_rope_offsets(compat.rope_offsets(self.model), None)
        try:
            yield
        finally:
            compat.set_rope_offsets(compat.rope_offsets(self.model), None)

    def _pad_id(self) -> int:
        tokenizer = self.processor.tokenizer
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return int(tokenizer.pad_token_id)


def _logits_processors(requests: list[Request], sampling: Sampling, prompt_length: int) -> LogitsProcessorList:
    """Temperature, top-k, top-p, then the noise whose argmax is the sample; nothing at temperature 0."""
    if sampling.temperature == 0:
        return LogitsProcessorList()
    keys = [key for request in requests for key in request.stream_keys(sampling.seed)]
    steps: list[Callable[..., torch.Tensor]] = []
    if sampling.temperature != 1:
        steps.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    return LogitsProcessorList([*steps, GumbelNoise(keys, prompt_length)])


def _unpadded(inputs: dict[str, torch.Tensor]) -> list[list[int]]:
    """The token ids of each prompt."""
    pairs = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in pairs]


def _owners(prompts: list[list[int]], requests: list[Request]) -> list[int]:
    """For each request the one whose cache holds its prompt: the longest of the same row that begins with it.

    The last token does not count: it is the first that `generate` is given.
    """
    owners = list(range(len(requests)))
    for place, request in enumerate(requests):
        same = [
            index
            for index, candidate in enumerate(requests)
            if candidate.row_id == request.row_id
            and request.prefix
            and len(candidate.images) == len(request.images)
            and all(image is own for image, own in zip(candidate.images, request.images, strict=True))
            and prompts[index][: len(prompts[place]) - 1] == prompts[place][:-1]
            and len(prompts[index]) >= len(prompts[place])
        ]
        owners[place] = max(same, key=lambda index: (len(prompts[index]), -index), default=place)
    return owners


def estimated_tokens(request: Request) -> float:
    """About how many tokens a prompt has: three letters each, and a patch of 28 x 28 pixels, as in Qwen-VL."""
    letters = sum(len(part.get("text", "")) for message in request.messages for part in message["content"])
    return (letters + len(request.prefix)) / 3 + sum(image.width * image.height for image in request.images) / 784


def likeness(request: Request) -> tuple[int, str]:
    """Sorts prompts so that neighbours need little padding and end at about the same step.

    First by length, in steps of a quarter; then by the words, since questions that begin alike
    tend to get replies of like length.
    """
    text = "".join(part.get("text", "") for message in request.messages for part in message["content"])
    length = len(text) + len(request.prefix) + sum(image.width * image.height // 256 for image in request.images)
    return round(math.log(length + 1, 1.25)), text
