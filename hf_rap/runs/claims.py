"""Which process has which rows: blocks of a dataset, each of which belongs to the first that claims it.

    RUN/claims/<work>/open           what this sharing out is called
    RUN/claims/<work>/<block>.0      the token of the process that has the block
    RUN/claims/<work>/<block>.1      that of the one that took it over when the first was gone

A claim is a file that only one process can create; so is the next one, which takes it over. Who has claimed a block keeps it
whether or not its rows are done, so nobody need look at the parts of others to go on. When all is done the folder goes, the
file `open` first: a process that was late finds that out behind its claim, and looks again at what is missing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .folder import RunFolder
    from .lease import Lease

FOLDER = "claims"
_OPEN = "open"
_A_MOMENT = 0.02  # seconds


def work_id(parts: Iterable[str]) -> str:
    """The name of what is shared out: equal for processes that want the same of the same rows in the same blocks."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class Claim:
    """A block that this process has."""

    claims: Claims
    block: int
    number: int
    """How often it was taken over."""
    opened: str

    @property
    def is_lost(self) -> bool:
        """Another process has taken the block over, or all of it was done and cleared away."""
        following = self.claims.path(self.block, self.number + 1)
        return self.claims.holder(following) is not None or self.claims.opened() != self.opened


class Claims:
    """The blocks of one piece of work.

    Args:
        folder: the run, which `creates_for_one`.
        work: as `work_id` gives it.
        lease: says who this process is, and who is gone.
    """

    def __init__(self, folder: RunFolder, work: str, lease: Lease) -> None:
        self._folder = folder
        self._work = work
        self._lease = lease
        self._opened = self._open()

    def take(self, block: int, *, once: bool = False) -> Claim | None:
        """The block, where nobody has it who is not gone, or is through with all of his and has left something undone.

        `once`: what was left undone cannot be done, and nobody tries again while who tried is there.
        """
        number = 0
        while True:
            path = self.path(block, number)
            if self._folder.create(path, self._lease.token.encode()):
                return Claim(self, block, number, self._opened)
            holder = self.holder(path)
            following = self.holder(self.path(block, number + 1))
            if following is None:
                if holder == self._lease.token:
                    return Claim(self, block, number, self._opened)
                if not self._is_gone(path, holder) and (once or not self.is_through(holder)):
                    return None
            number += 1

    def holder_of(self, block: int) -> str | None:
        """The token of the process that has a block; None for one that nobody has."""
        number, holder = 0, None
        while (following := self.holder(self.path(block, number))) is not None:
            number, holder = number + 1, following
        return holder

    def is_through(self, token: str | None) -> bool:
        """The process of this token has done all that it could of its blocks."""
        return bool(token) and self.holder(f"{FOLDER}/{self._work}/{token}") is not None

    def say(self, *, through: bool) -> None:
        """Say that this process is through, or that it begins again."""
        path = f"{FOLDER}/{self._work}/{self._lease.token}"
        if through:
            self._folder.write(path, b"through")
        else:
            self._folder.remove(path)

    def was_cleared(self) -> bool:
        """All was done and cleared away since this process looked at it; from here on it is shared out anew."""
        if self.opened() == self._opened:
            return False
        self._opened = self._open()
        return True

    def clear(self) -> None:
        """All is done."""
        self._folder.remove(f"{FOLDER}/{self._work}/{_OPEN}")
        self._folder.remove_folder(f"{FOLDER}/{self._work}")

    def path(self, block: int, number: int) -> str:
        """Of a claim."""
        return f"{FOLDER}/{self._work}/{block}.{number}"

    def holder(self, path: str) -> str | None:
        """The token in a claim; "" where it is not written yet, None where there is no such claim."""
        try:
            return self._folder.read(path).decode("ascii", "replace")
        except OSError:
            return None

    def opened(self) -> str | None:
        """What the sharing out is called now."""
        return self.holder(f"{FOLDER}/{self._work}/{_OPEN}")

    def _open(self) -> str:
        path = f"{FOLDER}/{self._work}/{_OPEN}"
        while True:
            name = uuid4().hex
            if self._folder.create(path, name.encode()):
                return name
            there = self.holder(path)
            if there:
                return there
            if there == "" and self._is_gone(path, ""):
                self._folder.remove(path)
            time.sleep(_A_MOMENT)

    def _is_gone(self, path: str, holder: str | None) -> bool:
        """Whoever holds a claim; of one without a word in it nobody knows who that is."""
        if holder:
            return self._lease.is_gone(holder)
        return holder == "" and self._lease.is_silent(path)
