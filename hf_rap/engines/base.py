"""What goes into an engine and what comes out; every engine speaks these four types."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from hf_rap.options import check_number, check_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from hf_rap.errors import RowError


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn.

    Args:
        temperature: 0 picks the most likely token (all attempts are then equal); the paper uses 1.0.
        top_p: keep the most likely tokens up to this share of probability, in (0, 1]; 1 keeps all.
        top_k: keep this many of the most likely tokens; 0 keeps all.
        max_new_tokens: a reply that has not ended by then is cut off and marked as truncated.
        seed: the same seed gives the same replies, row by row, whatever the batch.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature, least=0)
        check_number("top_p", self.top_p, above=0, most=1)
        check_whole("top_k", self.top_k, least=0)
        check_whole("max_new_tokens", self.max_new_tokens, least=1)
        check_whole("seed", self.seed)

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class Request:
    """One prompt that wants several replies.

    `messages` is a chat in the form of `apply_chat_template`: content blocks of type "text" and
    "image"; `images` are the pictures of the image blocks, in order. `row_id`, `arm` and the
    attempt's number, counted from `first`, name the stream of random numbers of each reply. `chat_template_kwargs`
    are arguments of the chat template, such as `enable_thinking`; only engines with `template_arguments = True` take some.

    With a `prefix` every reply begins with this text, and a `Completion` holds what comes after it,
    white space included. Only engines with `continues = True` take one. An engine with `repeats = True` gives the same
    reply when it is asked again, and under a larger token limit a longer one with the same beginning.

    With `depths` the first `Completion` also has the `states` of the prompt, as `StatesEngine.prompt_states` gives them. Only
    engines with `tells_states = True` take some.
    """

    row_id: str
    arm: str
    messages: list[dict[str, Any]]
    images: tuple[Image.Image, ...]
    attempts: int
    first: int = 0
    # The files of the images, for engines that send them on; None for a picture that has none.
    files: tuple[bytes | None, ...] = ()
    prefix: str = ""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    depths: tuple[float, ...] = ()

    def stream_keys(self, seed: int) -> list[int]:
        """The key of each reply's random numbers."""
        numbers = range(self.first, self.first + self.attempts)
        return [stream_key(seed, self.row_id, self.arm, number) for number in numbers]


def stream_key(seed: int, row_id: str, arm: str, attempt: int) -> int:
    """The signed 64-bit key of one reply's random numbers."""
    name = f"{seed}\x1f{arm}\x1f{attempt}\x1f{row_id}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little", signed=True)


@dataclass(frozen=True)
class Completion:
    """One reply.

    Args:
        text: as the model wrote it, without the tokens that end it.
        tokens: so many were generated, the end token included; None where a server counts those of several replies together.
        truncated: it hit the token limit.
        prompt_tokens: of the prompt with its images; None where the engine does not say.
        token_ids: the tokens themselves; None where the engine does not say.
        states: of the prompt, where `Request.depths` ask for them, with the first reply.

    """

    text: str
    tokens: int | None
    truncated: bool
    prompt_tokens: int | None = None
    token_ids: tuple[int, ...] | None = None
    states: NDArray[np.float16] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Reply:
    """A reply to a request from earlier, or from elsewhere, to be read again token by token.

    `prompt_tokens` is what the prompt counted when the reply was generated; None is not compared. `token_ids` are the
    tokens that the model wrote; without them the text is cut anew.
    """

    request: Request
    text: str
    prompt_tokens: int | None = None
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ReplyAttention:
    """Where the last layer looked while it read a reply; lists have one entry per token of the reply.

    `products` and `windows` are by reading: how heads are pooled ("max", "mean") and what rows are divided by ("_reply"
    behind it: the reply's tokens alone), see `hf_rap.evidence.psi`. The first `thinking` tokens are the model's thinking,
    None where that is not known; `thinking_products` and `thinking_windows` are those of these tokens by themselves, one
    entry each, where they are a part of the reply.
    """

    tokens: list[str]
    products: dict[str, list[float]]
    windows: dict[str, list[float]]
    image_shares: list[float]
    entropies: list[float]
    thinking: int | None = None
    thinking_products: dict[str, list[float]] = field(default_factory=dict)
    thinking_windows: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class LogLikelihood:
    """How likely a model finds a text: the sum of the log-probabilities of its tokens, in nats, and their number.

    `logprobs` and `texts` have one entry per token; both are empty where an engine tells the sum alone.
    """

    logprob: float
    tokens: int
    logprobs: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a call of an engine; `answers` has one entry per request, None where there is no answer."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        super().__init__()


class Engine(Protocol):
    """A model that answers requests. Must pickle and hash cheaply: weights load on first use.

    Whatever it waits for, Ctrl-C ends it: the KeyboardInterrupt goes on to the caller within a few seconds, and what is in
    flight is cancelled. One that is raised as `Interrupted`, with the answers that are there, keeps them in a run folder.
    `hf_rap.engines.answers.answering` does so, and moves the bar of `Dataset.map`.
    """

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Sequence[Sequence[Completion] | RowError]:
        """`request.attempts` completions per request, or the error of that request alone."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """JSON-able: everything about the engine that could change a completion.

        "identity" pins the model. What changes at most the rounding may stand beside it, if "not_counted" lists its name:
        see `hf_rap.stats.settings`.
        """
        ...


class AttentionEngine(Engine, Protocol):
    """An engine that can also tell where its model looks."""

    def attend(self, replies: Sequence[Reply], *, window: int) -> Sequence[ReplyAttention | RowError]:
        """The attention inside each reply, or the error of that reply alone."""
        ...


class StatesEngine(Engine, Protocol):
    """An engine that can also tell what its model holds of a prompt before it answers."""

    def prompt_states(
        self, requests: Sequence[Request], *, depths: Sequence[float]
    ) -> Sequence[NDArray[np.float16] | RowError]:
        """Of each prompt's last token the hidden states behind the layers at these depths, (n_depths, width).

        A depth is in (0, 1]: 1 is the last layer, 0.5 the one in the middle. Or the error of that request alone.
        """
        ...


class LikelihoodEngine(Engine, Protocol):
    """An engine that can also tell how likely a given reply is."""

    def log_likelihoods(self, replies: Sequence[Reply]) -> Sequence[LogLikelihood | RowError]:
        """Of the text of each reply, behind its request's prompt and prefix; or the error of that reply alone."""
        ...
