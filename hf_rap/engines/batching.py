"""How many rows go together: as many as were asked for, or as many as fit the card.

What a batch takes is counted in tokens: rows x attempts x (padded prompt + reply). How many tokens fit is learned from the
batches themselves, by the share of the free memory that each of them took at its peak.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST = 16  # rows of the first batch, when nothing is known yet, and of all where memory is not measured
_FILLED = 0.85  # of the free memory; what a batch takes is not quite in proportion to its tokens
_GROWTH = 2.0  # per batch, where memory is measured
_BLIND_GROWTH = 1.5  # per batch, up to just below what was too much, where it is not
_BELOW = 0.9
_FORGETTING = 1.01  # per batch: once in ten batches or so what was too much is tried again


class Memory(Protocol):
    """The memory that a model computes in."""

    def begin(self) -> None:
        """Something is about to be computed."""
        ...

    def share(self) -> float:
        """The share of what was free at the beginning that it has taken at its peak."""
        ...


class GpuMemory:
    """The memory of the GPUs that a model is on; the fullest counts."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self.devices = devices
        self.begin()

    def begin(self) -> None:
        """Notes what is free, in the driver's hands or in those of torch."""
        self._allocated, self._free = [], []
        for device in self.devices:
            torch.cuda.reset_peak_memory_stats(device)
            allocated = torch.cuda.memory_allocated(device)
            self._allocated.append(allocated)
            self._free.append(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - allocated)

    def share(self) -> float:
        """Of the fullest GPU."""
        taken = zip(self.devices, self._allocated, self._free, strict=True)
        return max(
            (torch.cuda.max_memory_allocated(device) - allocated) / max(1, free) for device, allocated, free in taken
        )


def memory_of(model: Any) -> GpuMemory | None:
    """That of the GPUs that a model is on; None where it is on none."""
    devices = {weight.device for weight in model.parameters()}
    gpus = [device for device in devices if device.type == "cuda"]
    return GpuMemory(gpus) if gpus else None


class Plan:
    """How large the batches of one kind of work are.

    Running out of memory makes the batch smaller that it happened to, and those behind it start at half its tokens and
    grow back: one huge picture costs the batch that it is in.
    """

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory
        self.limit: float | None = None  # tokens; None: not known, or none
        self._too_much = float("inf")
        self._per_estimate = 1.0  # tokens there are for each that was estimated
        # Of the batch that runs, or ran last.
        self._tokens = self._per_row = self._estimated = 0.0
        self.overflowed = False

    def take(self, estimates: Sequence[float], size: int | None) -> int:
        """How many of the rows that wait go into the next batch.

        Args:
            estimates: tokens of each row, all its attempts included; rows are padded to the longest.
            size: rows that were asked for at most; None leaves it to the memory.
        """
        most = min(len(estimates), size or (len(estimates) if self.limit is not None else FIRST))
        if self.limit is None:
            return most
        longest = 0.0
        for count, estimate in enumerate(estimates[:most], 1):
            longest = max(longest, estimate * self._per_estimate)
            if count * longest > self.limit:
                return max(1, count - 1)
        return most

    @contextmanager
    def running(self, estimates: Sequence[float]) -> Iterator[None]:
        """The time in which a batch runs, in parts where it does not fit as a whole."""
        self.overflowed = False
        self._tokens = self._per_row = 0.0
        self._estimated = len(estimates) * max(estimates) * self._per_estimate
        if self.memory is not None:
            self.memory.begin()
        yield
        if self._per_row:
            self._per_estimate = self._per_row / max(1.0, *estimates)
        if not self.overflowed:
            self._adapt(self._tokens or self._estimated, None if self.memory is None else self.memory.share())

    def weigh(self, rows: int, tokens: float) -> bool:
        """Notes what a batch, or a part of it, turns out to have; whether it should rather be parted before it runs."""
        self._per_row = max(self._per_row, tokens / rows)
        if rows > 1 and self.limit is not None and tokens > _GROWTH * self.limit and not self.overflowed:
            return True
        self._tokens = max(self._tokens, tokens)
        return False

    def overflow(self) -> None:
        """The batch has run out of memory, as a whole or in a part."""
        if not self.overflowed:
            self.overflowed = True
            self._too_much = self._tokens or self._estimated
            self.limit = self._too_much / 2

    def _adapt(self, tokens: float, share: float | None) -> None:
        """Grow, or shrink, after a batch that fitted."""
        self._too_much *= _FORGETTING
        most = _BELOW * self._too_much
        if share is None:
            if self.limit is not None:
                self.limit = min(self.limit * _BLIND_GROWTH, most)
            return
        if self.limit is not None and tokens < self.limit / _GROWTH:
            return  # the last rows of a group: too few to tell
        self.limit = min(_FILLED * tokens / max(share, 1e-9), _GROWTH * max(tokens, self.limit or 0.0), most)
