"""Which process has which rows: blocks of a dataset, each of which belongs to the first that claims it.

    RUN/claims/<work>/0                     the name of the first turn, drawn at random; "closed" when all of it was done
    RUN/claims/<work>/1                     that of the next one, which counts then, and so on
    RUN/claims/<work>/<name>/<block>.0      the token of the process that has the block
    RUN/claims/<work>/<name>/<block>.1      that of the one that took it over when the first was gone

A claim is a file that only one process can create; so is the next one, which takes it over. Who has claimed a block keeps it
whether or not its rows are done, so nobody need look at the parts of others to go on. When all is done the turn is closed: a
process that was late, or stopped, finds out behind its claim that its turn is over, and looks again at what is missing. No two
turns have one folder, so whoever removes the claims of one that is closed, however late, takes none from anybody.

The whole folder goes when all processes stand aside: see `Lease.stand_aside`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .folder import RunFolder
    from .lease import Lease

FOLDER = "claims"
_CLOSED = "closed"
_A_MOMENT = 0.02  # seconds


def work_id(parts: Iterable[str]) -> str:
    """The name of what is shared out: equal for processes that want the same of the same rows in the same blocks."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


class _Turn(NamedTuple):
    """Of the work."""

    path: str
    name: str


@dataclass(frozen=True)
class Claim:
    """A block that this process has."""

    claims: Claims
    block: int | str
    number: int
    """How often it was taken over."""
    turn: _Turn

    @property
    def is_lost(self) -> bool:
        """Another process has taken the block over, or all of it was done and cleared away."""
        following = self.claims.path(self.block, self.number + 1, self.turn)
        return self.claims.holder(following) is not None or self.claims.is_over(self.turn)


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
        self._turn = self._open_turn()

    def take(self, block: int | str, *, once: bool = False) -> Claim | None:
        """The block, where nobody has it who is not gone, or is through with all of his and has left something undone.

        `once`: what was left undone cannot be done, and nobody tries again while who tried is there.
        """
        number = 0
        while True:
            path = self.path(block, number)
            if self._folder.create(path, self._lease.token.encode()):
                return Claim(self, block, number, self._turn)
            holder = self.holder(path)
            following = self.holder(self.path(block, number + 1))
            if following is None:
                if holder == self._lease.token:
                    return Claim(self, block, number, self._turn)
                if not self._is_gone(path, holder) and (once or not self.is_through(holder)):
                    return None
            number += 1

    def holder_of(self, block: int | str) -> str | None:
        """The token of the process that has a block; None for one that nobody has."""
        number, holder = 0, None
        while (following := self.holder(self.path(block, number))) is not None:
            number, holder = number + 1, following
        return holder

    def is_through(self, token: str | None) -> bool:
        """The process of this token has done all that it could of its blocks."""
        return bool(token) and self.holder(f"{self._place}/{token}") is not None

    def say(self, *, through: bool) -> None:
        """Say that this process is through, or that it begins again."""
        path = f"{self._place}/{self._lease.token}"
        if not through:
            self._folder.remove(path)
        elif not self.is_over(self._turn):
            self._folder.write(path, b"through")

    def was_cleared(self) -> bool:
        """All was done and cleared away since this process looked at it; from here on it is shared out anew."""
        if not self.is_over(self._turn):
            return False
        self._turn = self._open_turn()
        return True

    def clear(self) -> None:
        """All is done."""
        if not self.is_over(self._turn):
            self._folder.write(self._turn.path, _CLOSED.encode())
        self._folder.remove_folder(self._place)

    def path(self, block: int | str, number: int, turn: _Turn | None = None) -> str:
        """Of a claim, of the turn that counts or of an earlier one."""
        return f"{FOLDER}/{self._work}/{(turn or self._turn).name}/{block}.{number}"

    def holder(self, path: str) -> str | None:
        """The token in a claim; "" where it is not written yet, None where there is no such claim."""
        try:
            return self._folder.read(path).decode("ascii", "replace")
        except OSError:
            return None

    def is_over(self, turn: _Turn) -> bool:
        """All that was shared out in this turn is done, or everybody else thought that nobody was left."""
        return self.holder(turn.path) != turn.name

    @property
    def _place(self) -> str:
        return f"{FOLDER}/{self._work}/{self._turn.name}"

    def _open_turn(self) -> _Turn:
        number = 0
        while True:
            path, name = f"{FOLDER}/{self._work}/{number}", uuid4().hex
            if self._folder.create(path, name.encode()):
                return _Turn(path, name)
            there = self.holder(path)
            if there == _CLOSED:
                number += 1
            elif there:
                return _Turn(path, there)
            elif there == "" and self._is_gone(path, ""):
                self._folder.write(path, _CLOSED.encode())
            else:
                time.sleep(_A_MOMENT)

    def _is_gone(self, path: str, holder: str | None) -> bool:
        """Whoever holds a claim; of one without a word in it nobody knows who that is."""
        if holder:
            return self._lease.is_gone(holder)
        return holder == "" and self._lease.is_silent(path)
