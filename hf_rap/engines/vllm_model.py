"""vLLM running in this process: requests in, sampled replies out. Imports vLLM."""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from vllm import AsyncEngineArgs, AsyncLLMEngine, SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.exceptions import EngineDeadError

from hf_rap.errors import EngineError, RowError, first_line

from .answers import answering
from .base import LogLikelihood, stream_key
from .guardian import Guardian
from .texts import not_finite, other_prompt, too_long

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from .base import Completion, Reply, Request, Sampling
    from .texts import Texts

_SEED_BITS = (1 << 31) - 1
_HOPELESS = 8  # so many failed rows before the first answer end the run
_SUSPICIOUS = 8  # times that a reply ends in the same token, at its limit
_LOOKS_UP = 0.2  # seconds after which who waits looks whether to stop
_LONGEST_END = 20.0  # seconds that vLLM has to end by itself


class VLLMModel:
    """An engine of vLLM in an event loop of its own, in a thread: callers of several threads share it.

    Args:
        where: the model, for people.
        arguments: of `AsyncEngineArgs`.
        texts: prompts and replies of its processor.
        lora: folder and rank of an adapter.
        penalties: added to what requests say.
        seeded: a seed for each reply, where the platform takes one.
        timeout: seconds that the start may take.

    Attributes:
        ended: what to say once it has ended by itself.
    """

    def __init__(
        self,
        where: str,
        arguments: Mapping[str, Any],
        texts: Texts,
        *,
        lora: tuple[str, int] | None = None,
        penalties: Mapping[str, float],
        seeded: bool = True,
        timeout: float,
    ) -> None:
        self.where = where
        self.texts = texts
        self.penalties = penalties
        self.alive = True
        self.ended: EngineError | None = None
        self.answered = False
        self.in_flight = 0
        self.busy_seconds = 0.0  # with at least one request in the engine
        self._busy_since = 0.0
        self._names = itertools.count()
        self._interrupted = threading.Event()
        self._tokenizer = threading.Lock()  # tokenizers of transformers are not to be called from two threads at once
        self._lora = LoRARequest("adapter", 1, lora[0]) if lora else None
        _track_quietly()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._turn, name="hf_rap vLLM", daemon=True)
        self._thread.start()
        self._guardian = Guardian()
        try:
            with self._guardian:
                self._engine = self._started(dict(arguments), timeout)
        except EngineError:
            self._end()
            raise
        except Exception as error:
            self._end()
            raise EngineError(f"vLLM cannot load {where!r}: {_why(error)}") from error
        except BaseException:
            self._end()
            raise
        config = self._engine.model_config
        self.context_tokens = int(config.max_model_len)
        # Configs name end tokens that the model cannot write, which vLLM does not take.
        self._ends = sorted(token for token in texts.end_ids if token < config.get_vocab_size())
        # Whether it fits is found out once the places of pictures are filled, and said in our words.
        self._any_length = replace(self._engine.renderer.default_cmpl_tok_params, max_total_tokens=None)
        # On a CPU a seeded prompt that is prefilled in pieces ends vLLM (0.32).
        self.seeded = seeded and not runs_on_cpu()

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        """`request.attempts` completions per request, or the error of that request alone."""

        def read(request: Request, output: Any) -> list[Completion]:
            prompt_tokens = len(output.prompt_token_ids)
            for reply in output.outputs:
                cut = len(reply.token_ids) == sampling.max_new_tokens >= _SUSPICIOUS
                if cut and len(set(reply.token_ids[-_SUSPICIOUS:])) == 1:
                    self._check_finite(request, reply.token_ids)
            with self._tokenizer:
                replies = [
                    replace(
                        self.texts.completion(tuple(reply.token_ids), sampling, request.prefix),
                        prompt_tokens=prompt_tokens,
                    )
                    for reply in output.outputs
                ]
            return replies if sampling.temperature else replies * request.attempts  # all attempts are equal

        def send(request: Request) -> Future[Any]:
            try:
                params = self._params(request, sampling)
            except (ValueError, VLLMValidationError) as error:
                raise EngineError(f"vLLM does not draw so: {first_line(error)}") from error
            return self.send(self._ids(request), request, params, sampling.max_new_tokens)

        answers: list[list[Completion] | RowError] = self._each(requests, send, read)
        return answers

    def log_likelihoods(self, replies: Sequence[Reply]) -> list[LogLikelihood | RowError]:
        """The log-probability of each reply behind prompt and prefix, in nats, or the error of that reply alone.

        Tokens are cut and counted as `hf_rap.engines.likelihood` says.
        """
        spelled: dict[int, tuple[list[int], int]] = {}

        def send(reply: Reply) -> Future[Any]:
            with self._tokenizer:
                tokens, _ = spelled[id(reply)] = self.texts.spelled(reply)
            return self._read(replace(reply.request, prefix=""), tokens)

        def read(reply: Reply, output: Any) -> LogLikelihood:
            tokens, first = spelled[id(reply)]
            error = other_prompt(reply, len(output.prompt_token_ids) - len(tokens))
            if error is not None:
                raise error
            count = len(tokens) - first
            logprobs = _last_logprobs(output, count)
            if error := not_finite(logprobs):
                raise error
            with self._tokenizer:
                texts = tuple(self.texts.token_texts(tokens)[first:])
            return LogLikelihood(sum(logprobs), count, logprobs, texts)

        answers: list[LogLikelihood | RowError] = self._each(replies, send, read)
        return answers

    def close(self) -> None:
        """Ends vLLM and what is left of its processes."""
        if self.alive:
            self.alive = False
            self._end()

    def _read(self, request: Request, tokens: Sequence[int]) -> Future[Any]:
        """The output of a pass over a prompt and these tokens behind it, with their log-probabilities."""
        params = SamplingParams(
            max_tokens=1,  # vLLM writes at least one
            temperature=0.0,
            prompt_logprobs=0,
            detokenize=False,
            skip_reading_prefix_cache=True,  # what is in the cache has no log-probabilities
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        return self.send([*self._ids(request), *tokens], request, params, 1)

    def _check_finite(self, request: Request, tokens: Sequence[int]) -> None:
        """Raises `RowError` where logits of a reply are no finite numbers: vLLM then writes one token up to the limit."""
        future = self._read(request, tokens[:-1])  # the pass writes one
        self._wait_for(future)
        if error := not_finite(_last_logprobs(future.result(), len(tokens) - 1), "logits"):
            raise error

    def _each(self, items: Sequence[Any], send: Callable[[Any], Future[Any]], read: Callable[[Any, Any], Any]) -> Any:
        """What is read of the output for each item, or its error; all are sent before the first is waited for."""
        waiting: dict[int, Future[Any]] = {}
        with answering(len(items)) as answers:
            try:
                for place, item in enumerate(items):
                    try:
                        waiting[place] = send(item)
                    except RowError as error:
                        answers.add([place], [error])
                for place, future in waiting.items():
                    self._wait_for(future)
                    answers.add([place], [self._answer(items[place], future, read)])
                    self._stop_if_hopeless(list(answers.there.values()), len(items))
            except KeyboardInterrupt:
                for place in waiting.keys() - answers.there.keys():  # those that overtook the one that was waited for
                    if waiting[place].done():
                        answers.add([place], [self._answer(items[place], waiting[place], read)])
                raise
            finally:
                for future in waiting.values():
                    future.cancel()
            return answers.all()

    def _wait_for(self, future: Future[Any]) -> None:
        """Until it is done; raises `KeyboardInterrupt` when another thread has been told to stop."""
        while not wait([future], timeout=_LOOKS_UP).done:
            if self._interrupted.is_set():
                raise KeyboardInterrupt
            if not self.alive:  # another part has found out; what is sent after that nobody takes
                future.cancel()

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Within, whoever waits for replies is interrupted and gets those that are there."""
        self._interrupted.set()
        try:
            yield
        finally:
            self._interrupted.clear()

    def _answer(self, item: Any, future: Future[Any], read: Callable[[Any, Any], Any]) -> Any:
        try:
            output = future.result()
            answer = read(item, output)
        except RowError as error:
            return error
        except (EngineDeadError, CancelledError) as error:
            if self.alive:
                self.ended = EngineError(
                    f"vLLM has stopped while it ran {self.where!r}; why stands above, in what it wrote itself. What is in a run "
                    "folder stays: start the same command again."
                )
            self.close()
            raise EngineError(str(self.ended or f"vLLM was ended while it ran {self.where!r}.")) from error
        except Exception as error:  # noqa: BLE001 - whatever one row does to vLLM, the run goes on
            row_error = RowError("engine_failed", f"{type(error).__name__}: {_why(error)}")
            row_error.__cause__ = error
            return row_error
        else:
            self.answered = True
            return answer

    def _stop_if_hopeless(self, answers: Sequence[Any], count: int) -> None:
        """Nothing but failures from the start is the fault of the model, not of some row."""
        failures = [answer for answer in answers if isinstance(answer, RowError) and answer.code == "engine_failed"]
        if not self.answered and len(failures) == len(answers) >= min(_HOPELESS, count) > 1:
            raise EngineError(f"vLLM failed on all of its first {len(failures)} rows; {failures[0]}") from failures[0]

    def _ids(self, request: Request) -> list[int]:
        """The tokens of a prompt, with one placeholder for each picture."""
        with self._tokenizer:
            prompt = self.texts.whole_prompt(request)
            made = self.texts.processor.tokenizer(prompt, add_special_tokens=self.texts.adds_special_tokens(prompt))
        ids: list[int] = made["input_ids"]
        return ids

    def _params(self, request: Request, sampling: Sampling) -> SamplingParams:
        """How the replies to a request are drawn; what does nothing is named too."""
        draws = sampling.temperature > 0
        # vLLM gives the n replies of a request this seed, the next one, and so on.
        first = (stream_key(sampling.seed, request.row_id, request.arm, 0) & _SEED_BITS) + request.first
        return SamplingParams(
            n=request.attempts if draws else 1,
            temperature=float(sampling.temperature),
            top_p=float(sampling.top_p),
            top_k=sampling.top_k or -1,
            seed=first if draws and self.seeded else None,
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=self._ends,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **{
                "min_p": 0.0,
                "repetition_penalty": 1.0,
                "presence_penalty": 0.0,
                "frequency_penalty": 0.0,
                **self.penalties,
            },
        )

    def send(self, ids: list[int], request: Request, params: SamplingParams, reply_tokens: int) -> Future[Any]:
        """The output for a request, once it is there, or the error of its row."""
        prompt: dict[str, Any] = {"prompt_token_ids": ids}
        if request.images:
            prompt["multi_modal_data"] = {"image": list(request.images)}
        return asyncio.run_coroutine_threadsafe(self._generate(prompt, params, reply_tokens), self._loop)

    async def _generate(self, prompt: dict[str, Any], params: SamplingParams, reply_tokens: int) -> Any:
        """The output of one request; one that is too long never reaches the engine."""
        (rendered,) = await self._engine.renderer.render_cmpl_async([prompt], self._any_length)
        error = too_long(len(rendered["prompt_token_ids"]), reply_tokens, self.context_tokens)
        if error is not None:
            raise error
        self._count(1)
        try:
            last = None
            async for output in self._engine.generate(
                rendered, params, f"hf_rap-{next(self._names)}", lora_request=self._lora
            ):
                last = output
            return last
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        """Keeps the time in which the engine has something to do; all in the thread of the loop."""
        now = time.monotonic()
        if self.in_flight:
            self.busy_seconds += now - self._busy_since
        self.in_flight += change
        self._busy_since = now

    def _started(self, arguments: dict[str, Any], timeout: float) -> Any:
        """The engine; raises `EngineError` where it is not there in time."""
        start = asyncio.run_coroutine_threadsafe(self._load(arguments), self._loop)
        if not wait([start], timeout=timeout).done:
            raise EngineError(
                f"vLLM has not started {self.where!r} within start_timeout={timeout:g} seconds, and its processes are ended; how far it "
                "came stands above, in what it wrote itself. Give it more where it was still at work: "
                f"VLLMEngine(start_timeout={2 * timeout:g}), --vllm-options '{{\"start_timeout\": {2 * timeout:g}}}'."
            )
        return start.result()

    async def _load(self, arguments: dict[str, Any]) -> Any:
        # As many replies and tokens at once as `LLM` takes; without a word it would be an eighth of that on a large GPU.
        return AsyncLLMEngine.from_engine_args(AsyncEngineArgs(**arguments), usage_context=UsageContext.LLM_CLASS)

    def _turn(self) -> None:
        # Masks go on to processes that are started in this thread: after Ctrl-C and SIGTERM what is answered is kept, for
        # which vLLM has to live. It is ended by us, and by the guardian where we are gone.
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _end(self) -> None:
        engine = vars(self).pop("_engine", None)
        if engine is not None:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(_shut_down(engine), self._loop).result(timeout=_LONGEST_END)
        del engine  # vLLM ends a second time, which at the end of Python fails
        self._guardian.end()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LONGEST_END)


def _track_quietly() -> None:
    """Starts the process that removes what killed processes leave in shared memory, which warns of it in the end.

    Before signals are blocked: starting it unblocks them in the thread that does.
    """
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove("ignore:resource_tracker:UserWarning")


async def _shut_down(engine: Any) -> None:
    """Ends vLLM, in the thread of its loop: at the end of Python no other can be started (3.12).

    What waits for replies goes first: it would take the end of vLLM for a fault, and say so.
    """
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    # Its processes do not hear SIGTERM (`_turn`): vLLM would wait for that, and warn that it kills them.
    log = logging.getLogger("vllm")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        engine.shutdown(timeout=0.0)
    finally:
        log.setLevel(level)


def runs_on_cpu() -> bool:
    """The build that is installed is one for CPUs."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def _last_logprobs(output: Any, count: int) -> tuple[float, ...]:
    """Log-probabilities of the last tokens of a prompt."""
    pairs = zip(output.prompt_token_ids[-count:], output.prompt_logprobs[-count:], strict=True)
    return tuple(float(entry[token].logprob) for token, entry in pairs)


def _why(error: BaseException) -> str:
    """What an error says, or the one behind it where it only says that there was one."""
    behind = error.__cause__ or error.__context__
    return first_line(behind if behind is not None and "root cause" in str(error) else error)
