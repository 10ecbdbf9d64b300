"""Which failures of the Hub pass, how long to wait for that, and what to say about those that do not.

The client repeats uploads and listings by itself, but neither commits nor tags nor look-ups.
"""

from __future__ import annotations

import re
import time
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, TypeVar

from hf_rap.errors import HubError, first_line, hide_secrets
from hf_rap.rows.compat import hub_http_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

# Seconds between two attempts: as the client waits before it repeats an upload.
WAITS = (1.0, 2.0, 4.0, 8.0)
# A longer Retry-After is reported instead of waited for: the Hub counts its limits in windows of five minutes.
MAX_RETRY_AFTER = 300.0

# 409: another commit is in progress; 412: the branch is not where it was thought to be, though a look finds it there.
_PASSING = {408, 409, 412, 429, 500, 502, 503, 504}
_NOTHING_LEFT = re.compile(r"\br=0\s*;\s*t=(\d+)")
_ADVICE = {
    401: "The Hub does not know this token: log in with `hf auth login`, or set HF_TOKEN.",
    403: (
        "The token may not write there: it needs the role write, and the repository has to belong to you or to an "
        "organisation of yours. See `hf auth whoami`."
    ),
    404: "There is no such repository or file, or the token may not see it.",
    413: "The Hub takes no request as large: shorten the README, or publish fewer columns of class names.",
    429: "The Hub limits how often it is asked: wait as long as it says.",
}


def repeated(what: str, call: Callable[[], T]) -> T:
    """The result of `call`, which may be repeated: it reads, or doing it twice is the same as once.

    Raises:
        HubError: a failure that waiting does not help, or the last of several.

    """
    for wait in attempts():
        try:
            return call()
        except failures() as error:
            wait(what, error)
    raise AssertionError("the last wait raises")


def attempts() -> Iterator[Callable[[str, BaseException], None]]:
    """For each attempt what to call when it has failed: it waits, or raises `HubError` when that is no use."""
    for seconds in WAITS:

        def wait(what: str, error: BaseException, seconds: float = seconds) -> None:
            delay = _retry_after(error)
            if not passes(error) or delay > MAX_RETRY_AFTER:
                raise as_hub_error(what, error) from error
            time.sleep(max(seconds, delay))

        yield wait

    def give_up(what: str, error: BaseException) -> None:
        raise as_hub_error(what, error) from error

    yield give_up


def failures() -> tuple[type[BaseException], ...]:
    """What the client raises when the Hub does not do as asked."""
    # ValueError: an answer that is not JSON; RuntimeError: an upload through Xet.
    return (hub_http_error(), OSError, ValueError, RuntimeError)


def passes(error: BaseException) -> bool:
    """Trying again may help."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    status = status_of(error)
    if status is not None:
        return status in _PASSING
    if is_offline():
        return False
    # No answer, one that was cut off, one that is not JSON, or an upload through Xet that failed.
    return isinstance(
        error, (hub_http_error(), ConnectionError, TimeoutError, LocalEntryNotFoundError, JSONDecodeError, RuntimeError)
    )


def is_offline() -> bool:
    """HF_HUB_OFFLINE is set: nothing is asked, and trying again is no use."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error; None where there was no answer."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def as_hub_error(what: str, error: BaseException) -> HubError:
    """The failure in a sentence with what to do about it."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    hide_secrets(error)
    status = 401 if isinstance(error, LocalTokenNotFoundError) else status_of(error)
    said = getattr(error, "server_message", None) or first_line(error)
    answer = f"{what}: {status or 'no answer'} ({said.rstrip('. ')})."
    return HubError(f"{answer} {_advice(status, error)}", status=status)


def _advice(status: int | None, error: BaseException) -> str:
    if status in _ADVICE:
        return _ADVICE[status]
    if status is None and is_offline():
        return "HF_HUB_OFFLINE is set: unset it, or take what is on this machine."
    if passes(error):
        return "Run the same command again later: it goes on where it stopped."
    return ""


def _retry_after(error: BaseException) -> float:
    """Seconds that the Hub asks to wait, 0 if it does not.

    Retry-After: 55, or RateLimit: "api";r=0;t=55 (nothing is left, for 55 seconds), the header of a draft that the Hub sends.
    """
    headers: Any = getattr(getattr(error, "response", None), "headers", {})
    limits = [float(seconds) for seconds in _NOTHING_LEFT.findall(headers.get("RateLimit") or "")]
    try:
        after = float(headers.get("Retry-After") or 0)
    except ValueError:  # a date, which the Hub does not send
        after = 0.0
    return max([after, *limits])
