"""Who works on a run: a beat for each process, and how long the others have been silent.

    RUN/writers/<rank>-of-<world>-<token>.json

A process rewrites a small file every few seconds. Nobody compares clocks: a process is gone when its file is, when it was on
this machine and is no more, or when its beat has stood still for `PATIENCE_SECONDS` on the clock of whoever is watching, and
while that one was awake itself. Two containers may have one host name and the same process ids, so a token that is drawn
at random says who is who.

A beat also says whether its process stands aside: it has claimed nothing, or needs none of it any more.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import getnode, uuid4

from hf_rap.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from .folder import RunFolder

BEAT_SECONDS = 5.0
PATIENCE_SECONDS = 30.0  # six beats: a process that loads a model may well miss a few
FOLDER = "writers"
_A_MOMENT = 0.02  # seconds
_OURS: set[str] = set()  # the tokens of this process


class Lease:
    """The beat of this process, and its watch over those of others: `with Lease(folder, rank, world) as lease: ...`."""

    def __init__(self, folder: RunFolder, rank: int = 0, world: int = 1) -> None:
        self.folder = folder
        self.rank = rank
        self.world = world
        self.token = uuid4().hex
        self.name = f"{rank}-of-{world}-{self.token}.json"
        self._seen: dict[
            str, tuple[dict[str, Any], float]
        ] = {}  # by token: the last beat, and seconds of silence since
        self._asked_for: dict[str, float] = {}
        self._looked: float | None = None
        self._looking = threading.Lock()
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._beats = 0
        self._stands_aside = False
        self._thread = threading.Thread(target=self._beat, daemon=True, name="hf-rap lease")

    def __enter__(self) -> Self:
        _OURS.add(self.token)
        self._write()
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        _OURS.discard(self.token)
        self.folder.remove(f"{FOLDER}/{self.name}")

    def is_gone(self, token: str) -> bool:
        """The process of this token has ended, or was silent for too long."""
        self._look(anew=token not in self._seen)  # it may have come since
        return token != self.token and (token not in self._seen or self._seen[token][1] >= PATIENCE_SECONDS)

    def is_silent(self, path: str) -> bool:
        """Nothing has come of a file, from the first question on, for as long as a process may be silent."""
        self._asked_for.setdefault(path, 0.0)
        self._look()
        return self._asked_for[path] >= PATIENCE_SECONDS

    def others(self, *, anew: bool = False) -> list[dict[str, Any]]:
        """The beats of all other processes that are not gone, as they were a moment ago, or are now."""
        self._look(anew=anew)
        return [beat for beat, silence in self._seen.values() if silence < PATIENCE_SECONDS]

    def check_alone(self, *, but_other_ranks: bool = False) -> None:
        """Waits until whoever else works on the run has shown itself or is gone.

        Args:
            but_other_ranks: those of the same launch may.

        Raises:
            RunError: somebody else is writing.
        """
        seen: dict[str, Any] = {}
        while rivals := [beat for beat in self.others() if not (but_other_ranks and self._is_beside(beat))]:
            for beat in rivals:
                if seen.setdefault(beat["token"], beat.get("beat")) != beat.get("beat"):
                    raise RunError(
                        f"The run {self.folder.url!r} is taken: process {beat.get('pid')} on {beat.get('host')} is writing "
                        "into it. Wait for it, or stop it; what it has written will be used. Where there is no such process, "
                        f"remove the file {beat['file']!r} in the run."
                    )
            time.sleep(min(1.0, BEAT_SECONDS / 4))

    def stand_aside(self, clear: Callable[[], object], *, for_good: bool = False) -> None:
        """Clears away what is claimed by nobody: when all others stand aside as well, so that nobody has anything to lose.

        Whoever comes meanwhile does the same, and goes on when all have cleared away what they wanted. That is safe without a
        lock: who clears has said so before it looked who works, and who works has said so before it looked who clears.

        Args:
            clear: may be called by several processes at the same time.
            for_good: this one claims nothing any more, and waits for nobody.
        """
        self._stands_aside = True
        self._write()
        if all(beat.get("aside") for beat in self.others(anew=True)):
            clear()
        if for_good:
            return
        self._stands_aside = False
        self._write()
        while any(beat.get("aside") for beat in self.others(anew=True)):
            time.sleep(_A_MOMENT)

    def _is_beside(self, beat: dict[str, Any]) -> bool:
        return beat.get("world") == self.world and beat.get("rank") != self.rank

    def _look(self, *, anew: bool = False) -> None:
        """Read the beats of the others, where that was not done a moment ago; those of processes that are gone for certain go."""
        with self._looking:
            now = time.monotonic()
            # While this process was stopped, say, nobody was watched: that is no silence of theirs.
            watched = 0.0 if self._looked is None else min(now - self._looked, BEAT_SECONDS)
            if not anew and self._looked is not None and watched < min(1.0, BEAT_SECONDS / 4):
                return
            self._looked = now
            seen: dict[str, tuple[dict[str, Any], float]] = {}
            for name in self.folder.names(FOLDER):
                beat = _read(self.folder, name) if name.endswith(".json") and name != self.name else {}
                if not beat or _surely_dead(beat):
                    if beat:
                        self.folder.remove(f"{FOLDER}/{name}")
                    continue
                token = beat.setdefault("token", name)
                beat["file"] = f"{FOLDER}/{name}"
                before, silence = self._seen.get(token, (None, 0.0))
                seen[token] = (beat, silence + watched if beat == before else 0.0)
            self._seen = seen
            for path in self._asked_for:
                self._asked_for[path] += watched

    def _write(self) -> None:
        with self._writing:  # else an older word could come last
            lease = {"host": socket.gethostname(), "machine": _machine(), "pid": os.getpid(), "token": self.token}
            lease |= {"rank": self.rank, "world": self.world, "beat": self._beats, "aside": self._stands_aside}
            self.folder.write(f"{FOLDER}/{self.name}", json.dumps(lease).encode())

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._beats += 1
            try:
                self._write()
                self._look()
            except (RunError, OSError):  # a full disk is for the writer of parts to report
                continue


def _read(folder: RunFolder, name: str) -> dict[str, Any]:
    """The beat, or nothing where there is none or half of one."""
    try:
        return folder.read_json(f"{FOLDER}/{name}")
    except (OSError, ValueError):
        return {}


@cache
def _machine() -> str:
    """Within what a process id says which process is meant: a machine since it was started, and a container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {getnode()}"


def _surely_dead(beat: dict[str, Any]) -> bool:
    """Its process was on this machine and is gone."""
    if beat.get("machine") != _machine() or not isinstance(beat.get("pid"), int):
        return False
    if beat["pid"] == os.getpid():  # else the number came round again
        return beat.get("token") not in _OURS
    if os.name == "nt":  # where signal 0 is Ctrl-C, and would stop what is only meant for a question
        return False
    try:
        os.kill(beat["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
