"""Who is writing into a run, so that a second process says so instead of doing the same work again.

Only politeness depends on this: parts are immutable and known by their content, so two writers could
waste time but never corrupt a run.

A lease is a small file that its owner rewrites every few seconds. Nobody compares clocks: a lease is
dead when its process is gone from this machine, or when it has not changed for `PATIENCE_SECONDS` on
the clock of whoever is watching.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hf_rap.errors import RunError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .folder import RunFolder

BEAT_SECONDS = 5.0
PATIENCE_SECONDS = 30.0  # six beats: a process that loads a model may well miss a few
FOLDER = "writers"


class Lease:
    """The right of this process to write rank `rank` of `world` into a run: `with Lease(folder, rank, world): ...`.

    Ranks of one launch stand beside each other; the same rank twice, or a launch of another size, does not.

    Raises:
        RunError: somebody else is writing.
    """

    def __init__(self, folder: RunFolder, rank: int = 0, world: int = 1) -> None:
        self.folder = folder
        self.name = f"{rank}-of-{world}.json"
        self.world = world
        self.token = uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="hf-rap lease")

    def __enter__(self) -> Self:
        rivals = [name for name in self._others() if name == self.name or not name.endswith(f"-of-{self.world}.json")]
        alive = living(self.folder, rivals)
        if alive:
            who = alive[next(iter(alive))]
            raise RunError(
                f"The run {self.folder.url!r} is taken: process {who.get('pid')} on {who.get('host')} is writing into "
                "it. Wait for it, or stop it; what it has written will be used."
            )
        for name in rivals:
            self.folder.remove(f"{FOLDER}/{name}")
        self._write(0)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if _read(self.folder, self.name).get("token") == self.token:
            self.folder.remove(f"{FOLDER}/{self.name}")

    def ranks_alive(self) -> set[int]:
        """The other ranks of this launch that are still writing."""
        alive = living(self.folder, [name for name in self._others() if name != self.name])
        return {int(name.partition("-")[0]) for name in alive}

    def _others(self) -> list[str]:
        return [name for name in self.folder.names(FOLDER) if name.endswith(".json")]

    def _write(self, beat: int) -> None:
        lease = {"host": socket.gethostname(), "pid": os.getpid(), "token": self.token, "beat": beat}
        self.folder.write(f"{FOLDER}/{self.name}", json.dumps(lease).encode())

    def _beat(self) -> None:
        beat = 0
        while not self._stop.wait(BEAT_SECONDS):
            beat += 1
            try:
                self._write(beat)
            except RunError:  # a full disk is for the writer of parts to report
                continue


def living(folder: RunFolder, names: list[str]) -> dict[str, dict[str, Any]]:
    """Which of these leases have an owner that lives; waits to see them change where it cannot ask the machine."""
    seen = {name: _read(folder, name) for name in names}
    unsure = {name: lease for name, lease in seen.items() if lease and not _surely_dead(lease)}
    if not unsure:
        return {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(1.0, BEAT_SECONDS / 4))
        alive = {name: lease for name in unsure if (lease := _read(folder, name)) not in ({}, unsure[name])}
        if alive:
            return alive
        if not any(_read(folder, name) for name in unsure):  # all have ended properly
            return {}
    return {}


def _read(folder: RunFolder, name: str) -> dict[str, Any]:
    """The lease, or nothing where there is none or half of one."""
    try:
        return folder.read_json(f"{FOLDER}/{name}")
    except (OSError, ValueError):
        return {}


def _surely_dead(lease: dict[str, Any]) -> bool:
    """Its process was on this machine and is gone."""
    if lease.get("host") != socket.gethostname() or not isinstance(lease.get("pid"), int):
        return False
    if lease["pid"] == os.getpid():  # the number came round again: a container that was started anew
        return True
    if os.name == "nt":  # where signal 0 is Ctrl-C, and would stop what is only asked for
        return False
    try:
        os.kill(lease["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
