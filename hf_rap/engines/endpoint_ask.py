"""One HTTP request to a server, and what has to be known of the server to send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Server(Protocol):
    """What has to be known of a server; an `EndpointEngine`."""

    @property
    def url(self) -> str: ...  # noqa: D102
    @property
    def concurrency(self) -> int: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def retries(self) -> int: ...  # noqa: D102
    @property
    def max_reply_bytes(self) -> int: ...  # noqa: D102
    @property
    def extra_body(self) -> Mapping[str, Any] | None: ...  # noqa: D102
    @property
    def wait_for_server(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Ask:
    """One HTTP request for a row. `messages` is called when it is sent, in a thread if it `is_large`: images are, in base64.

    With a `prefix` the replies go on from this text; without one, white space around them is nothing. With `given` it is this
    text, at the end of the prompt, whose log-probabilities are asked for.
    """

    messages: Callable[[], list[dict[str, Any]]]
    options: dict[str, Any]
    replies: int
    prefix: str = ""
    row: str = ""
    is_large: bool = False
    given: str | None = None

    def body(self) -> dict[str, Any]:
        """What is sent; `extra_body` wins."""
        options = {name: value for name, value in self.options.items() if name != "extra_body"}
        return {**options, "messages": self.messages(), **(self.options.get("extra_body") or {}), "stream": False}
