"""A model behind an OpenAI-compatible server as an engine: what to ask, and how to read the answer.

vLLM, SGLang, TGI, `transformers serve` or a Hugging Face Inference Endpoint. How requests are sent is in `endpoint_http`,
how they are retried and given up in `endpoint_client`.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from hf_rap.errors import EngineError, RowError, SettingError, first_line, without_passwords
from hf_rap.options import check, check_number, check_text, check_whole
from hf_rap.stats.secrets import masked
from hf_rap.stats.settings import set_apart

from .answers import answering, is_judged_by_caller
from .apart import Apart, run_apart
from .endpoint_ask import Ask
from .endpoint_client import KEPT, Pool, ask_all, is_refusal, numbered
from .endpoint_facts import server_facts, why_unreachable
from .endpoint_http import MAX_REPLY_BYTES
from .endpoint_memory import memory_of
from .options import ONLY_IN_MAP, ROUNDING, Hashed, marked
from .read_ahead import ReadAhead
from .server_sampling import NEUTRAL, find_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from PIL import Image

    from .base import Completion, LogLikelihood, Reply, Request, Sampling

# Formats that every server opens; others are sent as PNG.
_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_PLAIN_MODES = {"L", "RGB"}
_EXIF_ORIENTATION = 0x0112
# Seeds are sent as non-negative 31-bit numbers, which every server takes.
_SEED_BITS = (1 << 31) - 1
_HOPELESS = 8  # rows that are all refused: it is not their fault
_LOOK_SECONDS = 1.0  # after which who waits for answers is told that none has come
_ROWS_TO_REFUSE = 3  # that a server does not draw several replies for before that is taken for its way
# How vLLM and SGLang are told to go on with a reply that is the last message.
_NO_NEW_TURN = {"add_generation_prompt": False}
_GO_ON = {**_NO_NEW_TURN, "continue_final_message": True}


@dataclass(frozen=True)
class EndpointEngine(Hashed):
    """A model of a server that speaks OpenAI's chat completions.

    Holds names only, so that it pickles and hashes, also while the server is away; the token is read from the
    environment when a request is sent and stands in no repr, setting, error or log.

    Which weights a server has it does not prove: the model is known by its name, to `Dataset.map` also by the URL. A
    run goes on with the same name at another URL, as servers move. What the server tells (`/v1/models`, `/version`)
    is written into the settings as told. Where one name comes to stand for other weights, say so with `revision`.

    The server's own defaults do not bend what is sampled: top_k, min_p and the penalties are named in every request, with
    values that do nothing, as far as the server takes them; which of them it does not take is said in a warning. A server
    that gives the same long reply to four seeds at temperature 1 is refused. What else OpenAI's protocol has no name for
    goes into `extra_body`, which wins.

    A `Request.prefix` is sent as a last message of the assistant, with vLLM's and SGLang's
    `continue_final_message`. Before the first one the server is asked whether it does go on from there:
    one that starts anew, or does not say what it did, is refused.

    Attention is not to be had from a server: see `hf_rap.Attention` for a second pass.

    Args:
        url: where the server is, with its version path: "http://host:8000/v1".
        model: the name that the server knows the model by.
        revision: of the model, for people and to tell two models apart; the server is not asked about it.
        token_env: name of the environment variable that holds the token. None sends no token, not even
            the one of `hf auth login`.
        concurrency: requests in flight at most; enough to keep the server busy.
        timeout: seconds after which a request counts as lost; twice as many at each further try, up to eight times.
        retries: how often a request is sent again after 408, 429, 5xx, a lost connection, a time-out or
            an answer that cannot be read; waits from 1 s on, doubling, at most a minute, or as long as
            the server asks for in Retry-After.
        wait_for_server: seconds that a server which cannot be reached (no connection, 502, 503, 504) is waited for; no
            request uses up its retries in the meantime. 0 does not wait.
        extra_body: added to every request, for example `{"return_token_ids": True}`. A secret in it (`api_key`,
            `Authorization`, ...) is sent, and stands as a digest in settings.
        max_reply_bytes: of an answer, unpacked; a larger one counts as one that cannot be read.

    Raises:
        EngineError: the server refuses the token (401, 403), does not know the model (404), refuses
            every row of a call, does not draw, cannot continue a reply that was started, or is gone; with what it said.
    """

    continues: ClassVar[bool] = True  # takes a `Request.prefix`
    template_arguments: ClassVar[bool] = True  # and `Request.chat_template_kwargs`

    url: str = field(metadata=ONLY_IN_MAP)
    model: str = field(kw_only=True)
    revision: str | None = None
    token_env: str | None = field(default=None, metadata=ROUNDING)
    concurrency: int = field(default=32, metadata=ROUNDING)
    timeout: float = field(default=600.0, metadata=ROUNDING)
    retries: int = field(default=8, metadata=ROUNDING)
    wait_for_server: float = field(default=0.0, metadata=ROUNDING)
    extra_body: Mapping[str, Any] | None = field(default=None, repr=False)  # may hold a secret
    max_reply_bytes: int = field(default=MAX_REPLY_BYTES, metadata=ROUNDING)
    version: str = "2"  # raise it when the same input can give other replies

    def __post_init__(self) -> None:
        check_text("url", self.url)
        parts = _parts_of(self.url)
        if parts.username or parts.password or parts.query:  # first, so that no other error repeats a password
            raise SettingError("The endpoint's URL must not hold a password or a query; name a variable in token_env.")
        fine = parts.scheme in ("http", "https") and parts.hostname and self.url.isprintable() and " " not in self.url
        check(fine, "url", self.url, "an http or https URL such as http://host:8000/v1")
        check_text("model", self.model, empty=False)
        for name in ("revision", "token_env"):
            check_text(name, getattr(self, name), none=True, empty=False)
        check_whole("concurrency", self.concurrency, least=1)
        check_number("timeout", self.timeout, least=0)
        check_whole("retries", self.retries, least=0)
        check_number("wait_for_server", self.wait_for_server, least=0)
        check_whole("max_reply_bytes", self.max_reply_bytes, least=1)
        body = self.extra_body
        check(body is None or isinstance(body, Mapping), "extra_body", body, "a dictionary, or None")

    def __hash__(self) -> int:
        return hash((self.url, self.model, self.revision, self.token_env, repr(self.extra_body)))

    @property
    def rows_per_part(self) -> int:
        """Rows to ask about together: enough that the last ones of a part, when the server idles, weigh little."""
        return 8 * self.concurrency

    def describe(self) -> dict[str, Any]:
        """The model by name, and what the server has told. Not the URL: settings are published."""
        settings = {
            "engine": "endpoint",
            "identity": "by name: a server does not prove which weights it has",
            **_named(self.model),
            **({"revision": self.revision} if self.revision else {}),
            "extra_body": masked(self.extra_body or {}),
            "endpoint": self.version,
            "server": memory_of(self).facts or "not asked yet",
            "concurrency": self.concurrency,
            "timeout": self.timeout,
            "retries": self.retries,
            "max_reply_bytes": self.max_reply_bytes,
            "wait_for_server": self.wait_for_server,
        }
        return set_apart(settings, "identity", "server", *marked(self, ROUNDING))

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion] | RowError]:
        """`request.attempts` completions per request, or the error of that request alone."""
        with answering(len(requests)) as answers:
            questions = numbered((request, sampling) for request in requests)
            run_apart(self._run(questions, lambda place, answer: answers.add([place], [answer])))
            given = answers.all()
        if not is_judged_by_caller():
            self._refuse_hopeless(requests, given)
        return given

    def log_likelihoods(self, replies: Sequence[Reply]) -> list[LogLikelihood | RowError]:
        """How likely the text of each reply is behind its prompt and prefix, or the error of that reply alone.

        It stands as the last message of the assistant, as a prefix does, and the server tells `prompt_logprobs` of it: vLLM
        does, and reads no prefix cache for such a request, from which there would be none. Tokens are those that the server
        makes of the text: `Reply.token_ids` cannot be sent.

        Raises:
            EngineError: the server does not continue a message, or tells no log-probabilities; else as `complete`.
        """
        with answering(len(replies)) as answers:
            run_apart(self._read(replies, lambda place, answer: answers.add([place], [answer])))
            given = answers.all()
        if not is_judged_by_caller():
            self._refuse_hopeless([reply.request for reply in replies], given)
        return given

    def stream(
        self, questions: Iterator[tuple[Request, Sampling]]
    ) -> Iterator[tuple[int, list[Completion] | RowError] | str | None]:
        """Answers as they come, each with the number of its request; so many in flight as `concurrency` says, to the last.

        `questions` is read in a thread, a little ahead of what is sent. About once a second in which nothing comes it gives
        what is waited for where the server is away, or None.

        Raises:
            EngineError: as `complete`, once all answers that came have been given.
        """
        answers: SimpleQueue[tuple[int, list[Completion] | RowError] | None] = SimpleQueue()
        ahead = ReadAhead(questions, self.concurrency)
        pools: list[Pool] = []
        apart = Apart(self._run(ahead, lambda *answer: answers.put(answer), pools))
        apart.when_ended(lambda: answers.put(None))
        try:
            while True:
                try:
                    answer = answers.get(timeout=_LOOK_SECONDS)
                except Empty:
                    yield pools[0].waiting if pools else None
                    continue
                if answer is None:
                    break
                yield answer
            apart.result()
        finally:
            ahead.close()
            apart.stop()

    def lighten(self, image: Image.Image, file: bytes | None) -> tuple[Image.Image, bytes]:
        """A picture as it will be sent, and not decoded: many rows wait for their turn.

        Args:
            image: opened, upright, RGB.
            file: as stored, if there is one.
        """
        from PIL import Image

        if file is None or _plain_format(file) is None:
            file = _as_png(image)
        return Image.open(io.BytesIO(file)), file

    async def _read(self, replies: Sequence[Reply], take: Callable[[int, LogLikelihood | RowError], object]) -> None:
        """Has the server read given replies, and gives what it says of each with its number."""
        if not replies:
            return
        server = memory_of(self)
        await self._check_there()
        await self._check_continues()
        await self._ask_facts()
        asks = numbered(self._ask_to_read(reply) for reply in replies)
        async with Pool(self, self.token()) as pool:
            try:
                await pool.run(
                    asks, lambda place, answer: take(place, answer if isinstance(answer, RowError) else answer[0])
                )
            finally:
                server.forget() if pool.was_away else server.touch()

    def _ask_to_read(self, reply: Reply) -> Ask:
        request = reply.request
        extra = {**self._with_arguments(request), "prompt_logprobs": 0, **_GO_ON}
        options = {"model": self.model, "max_tokens": 1, "temperature": 0.0, "extra_body": extra}
        whole = replace(request, prefix=request.prefix + reply.text)
        return Ask(lambda: _messages(whole), options, 1, "", request.row_id, bool(request.images), reply.text)

    def _refuse_hopeless(self, requests: Sequence[Request], answers: Sequence[Any]) -> None:
        """A refusal is the error of its row. Where there are only refusals something else than the rows is wrong."""
        rows = {request.row_id for request in requests}
        refusals = [answer for answer in answers if isinstance(answer, RowError) and is_refusal(answer)]
        if len(rows) >= _HOPELESS and len(refusals) == len(answers):
            raise EngineError(
                f"The server at {self.url} has refused all of the {len(rows)} rows that it was asked; {refusals[0].message}"
            )

    async def _run(
        self,
        questions: AsyncIterator[tuple[int, tuple[Request, Sampling]]],
        take: Callable[[int, list[Completion] | RowError], object],
        pools: list[Pool] | None = None,
    ) -> None:
        """Asks what comes, and gives each answer with the number of its request as soon as it is there."""
        waiting: dict[int, _Waiting] = {}
        numbers = count()
        request_of: dict[int, tuple[int, int]] = {}  # number of an HTTP request -> of the request, of its share

        async def asks() -> AsyncIterator[tuple[int, Ask]]:
            async for place, (request, sampling) in questions:
                await self._prepare(request, sampling)
                made = self.asks(request, sampling, together=await self._together(request, sampling))
                waiting[place] = _Waiting(request, sampling, len(made))
                for share, ask in enumerate(made):
                    number = next(numbers)
                    request_of[number] = (place, share)
                    yield number, ask

        def take_share(number: int, answer: list[Completion] | RowError) -> None:
            place, share = request_of.pop(number)
            there = waiting[place]
            there.shares[share] = answer
            if len(there.shares) == there.wanted:
                del waiting[place]
                parts = [there.shares[share] for share in range(there.wanted)]
                take(place, _gather(there.request, there.sampling, parts))

        async with Pool(self, self.token()) as pool:
            if pools is not None:
                pools.append(pool)
            try:
                await pool.run(asks(), take_share)
            finally:
                memory_of(self).forget() if pool.was_away else memory_of(self).touch()

    async def _prepare(self, request: Request, sampling: Sampling) -> None:
        """Find out what has to be known of the server before this request; most requests find it known."""
        await self._check_there()
        if request.prefix:
            await self._check_continues()
        await self._find_fields(draws=sampling.temperature > 0)
        await self._ask_facts()

    async def _check_there(self) -> None:
        """The server can be reached. One that is away is waited for by whoever asks it, where that is allowed."""
        server = memory_of(self)
        if server.reached:
            return
        why = await why_unreachable(self.url)
        if why is None:
            server.reached = True
        elif not self.wait_for_server:
            raise EngineError(
                f"The server at {self.url} is gone ({why}). {KEPT}"
                if server.facts
                else f"There is no server at {self.url} ({why}): start it, or correct --endpoint. Nothing was asked."
            )

    async def _ask_facts(self) -> None:
        """The server has told what it is. From one that is away there is nothing to be learned about it."""
        server = memory_of(self)
        if not server.has_facts_of_now and await why_unreachable(self.url) is None:
            server.facts, server.has_facts_of_now = await server_facts(self.url, self.model, self.token()), True

    def token(self) -> str | None:
        """The token, read now."""
        if self.token_env is None:
            return None
        token = os.environ.get(self.token_env)
        if not token:
            raise EngineError(f"The environment variable {self.token_env} that should hold the token is not set.")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise EngineError(
                f"The environment variable {self.token_env} holds a line break, a space or another character that no token "
                "has: set it again (in a shell: export NAME=$(cat FILE))."
            )
        return token

    async def _find_fields(self, *, draws: bool) -> None:
        """What the server takes of `server_sampling.NEUTRAL`, and whether it draws."""
        server = memory_of(self)
        if draws in server.fields:
            return
        fields = await find_fields(self, self.token(), {"model": self.model}, self.extra_body or {}, draws=draws)
        # One that refuses plain requests too will not say more when it is asked again.
        server.fields[draws] = NEUTRAL if fields is None else fields

    async def _together(self, request: Request, sampling: Sampling) -> bool:
        """Whether the server draws several replies for one prompt (`n`), found out with the first that wants several.

        Servers that do not know `n` refuse it or send one reply. Some give all n the same seed and so the
        same reply: these count as not knowing it. A row may be refused for itself, so another one is tried.
        """
        if sampling.temperature == 0 or request.attempts == 1:
            return False
        server = memory_of(self)
        if server.together is None and request.row_id not in server.refused:
            (answer,) = await ask_all(self, self.token(), [self._ask(request, sampling, 0, 2)], trial=True)
            if not isinstance(answer, RowError):
                server.together = answer[0].text != answer[1].text
            elif is_refusal(answer):
                server.refused.add(request.row_id)
                if len(server.refused) == _ROWS_TO_REFUSE:
                    server.together = False
        return bool(server.together)

    async def _check_continues(self) -> None:
        """Raise where the server does not continue a reply that was started.

        A server that knows `continue_final_message` leaves the end of the turn off, so it counts fewer
        tokens in the same prompt with it than without. One that ignores it would close the turn and
        start anew, and every score of a step would be wrong without a word.
        """
        if memory_of(self).continues:
            return
        messages = [{"role": "user", "content": "Count to ten."}, {"role": "assistant", "content": "One, two, three,"}]
        options = {"model": self.model, "max_tokens": 1, "temperature": 0.0, "seed": 0}
        asks = [
            Ask(lambda: messages, {**options, "extra_body": {**(self.extra_body or {}), **extra}}, 1)
            for extra in (_GO_ON, _NO_NEW_TURN)
        ]
        answers = await ask_all(self, self.token(), asks, trial=True)
        error = next((answer for answer in answers if isinstance(answer, RowError)), None)
        if error is not None and not is_refusal(error):
            raise EngineError(f"The server at {self.url} could not be asked whether it continues replies: {error}")
        if error is None:
            started, closed = (answer[0].prompt_tokens for answer in answers if not isinstance(answer, RowError))
            if started is not None and closed is not None and started < closed:
                memory_of(self).continues = True
                return
        why = error or (
            f"with and without continue_final_message it counts {started} and {closed} tokens in the same prompt, so it "
            "ignores that"
        )
        raise EngineError(
            f"The server at {self.url} cannot continue a reply that was started: {why}. Step scores and replies that were "
            "cut off need it. vLLM and SGLang can; or run the model here: TransformersEngine, without --endpoint."
        )

    def _shares(self, request: Request, sampling: Sampling, *, together: bool) -> list[tuple[int, int]]:
        """First attempt and number of attempts of each HTTP request that a request becomes."""
        if sampling.temperature == 0:
            return [(0, 1)]  # all attempts are equal
        return [(0, request.attempts)] if together else [(number, 1) for number in range(request.attempts)]

    def asks(self, request: Request, sampling: Sampling, *, together: bool) -> list[Ask]:
        """The HTTP requests that a request becomes; `together`: the server draws several replies for one prompt."""
        return [self._ask(request, sampling, *share) for share in self._shares(request, sampling, together=together)]

    def _ask(self, request: Request, sampling: Sampling, first: int, replies: int) -> Ask:
        top_k = {"top_k": sampling.top_k} if sampling.top_k else {}
        neutral = memory_of(self).fields.get(sampling.temperature > 0, NEUTRAL)
        extra = {**neutral, **top_k, **self._with_arguments(request), **(_GO_ON if request.prefix else {})}
        options = {
            "model": self.model,
            "max_tokens": sampling.max_new_tokens,
            "temperature": float(sampling.temperature),
            "top_p": float(sampling.top_p),
            "seed": request.stream_keys(sampling.seed)[first] & _SEED_BITS,
            "extra_body": extra,
        }
        if replies > 1:
            options["n"] = replies
        return Ask(lambda: _messages(request), options, replies, request.prefix, request.row_id, bool(request.images))

    def _with_arguments(self, request: Request) -> dict[str, Any]:
        """`extra_body` with the arguments of the chat template under the name that vLLM, SGLang and llama.cpp have for them."""
        given, name = dict(self.extra_body or {}), "chat_template_kwargs"
        if not request.chat_template_kwargs:
            return given
        there = given.get(name) or {}
        both = [key for key, value in request.chat_template_kwargs.items() if there.get(key, value) != value]
        if both:
            raise EngineError(
                f"extra_body and the prompt give different values of {', '.join(both)} to the chat template."
            )
        return {**given, name: {**there, **request.chat_template_kwargs}}


def _parts_of(url: str) -> SplitResult:
    """A URL taken apart; of one that is none nothing is repeated that may be a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a number in its range, or none
    except ValueError as error:
        takes = "an http or https URL such as http://host:8000/v1"
        raise SettingError(f"url is no address ({without_passwords(first_line(error))}): it takes {takes}.") from error
    return parts


@dataclass
class _Waiting:
    """A request, some of whose answers are there."""

    request: Request
    sampling: Sampling
    wanted: int
    shares: dict[int, list[Completion] | RowError] = field(default_factory=dict)


def _named(model: str) -> dict[str, str]:
    """The model's name for people. Of a server's own folder only the last part is told, and a hash of the rest."""
    if not model.startswith(("/", "~", ".")):
        return {"model": model}
    return {"model": model.rstrip("/").rpartition("/")[2], "folder": blake2b(model.encode(), digest_size=8).hexdigest()}


def _gather(
    request: Request, sampling: Sampling, answers: list[list[Completion] | RowError]
) -> list[Completion] | RowError:
    replies: list[Completion] = []
    for answer in answers:
        if isinstance(answer, RowError):
            return answer
        # A server may count images in another way than a local model, whose count would be compared with it.
        replies += [replace(reply, prompt_tokens=None) for reply in answer]
    return replies * request.attempts if sampling.temperature == 0 else replies


def _messages(request: Request) -> list[dict[str, Any]]:
    started = [{"role": "assistant", "content": request.prefix}] if request.prefix else []
    return [*with_images(request), *started]


def with_images(request: Request) -> list[dict[str, Any]]:
    """The messages with every image block replaced by a data URL, and a system turn as text."""
    files = request.files or (None,) * len(request.images)
    urls = iter([data_url(image, file) for image, file in zip(request.images, files, strict=True)])
    return [
        {
            **message,
            "content": "".join(part["text"] for part in message["content"])
            if message["role"] == "system"  # as text: some chat templates take no blocks there
            else [
                {"type": "image_url", "image_url": {"url": next(urls)}} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in request.messages
    ]


def data_url(image: Image.Image, file: bytes | None) -> str:
    """The image for a server: its file as stored where every server would show the same picture, else a PNG.

    A file goes through PNG when it is of a rare format, is turned by EXIF, has transparency, a palette
    or 16 bits: servers differ in what they make of those, and `image` is what a local model would see.
    """
    mime = _plain_format(file) if file is not None else None
    if mime is None or file is None:
        mime, file = _FORMATS["PNG"], _as_png(image)
    return f"data:{mime};base64,{base64.b64encode(file).decode()}"


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _plain_format(file: bytes) -> str | None:
    """The MIME type of a file that can be sent as it is; reads its head only."""
    from PIL import Image

    with Image.open(io.BytesIO(file)) as opened:
        plain = (
            opened.mode in _PLAIN_MODES
            and not opened.has_transparency_data
            and opened.getexif().get(_EXIF_ORIENTATION, 1) == 1
        )
        return _FORMATS.get(opened.format or "") if plain else None
