"""The rows of a run, shared out in blocks: what this process does next, and what it leaves to others."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from .claims import Claims, work_id
from .stretches import first_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .claims import Claim
    from .folder import RunFolder
    from .index import Index
    from .lease import Lease
    from .progress import Progress
    from .row_table import Rows
    from .task import Task


class Sharing:
    """Blocks of rows, each as large as a part, and the tasks for those of them that this process gets.

    Args:
        folder: the run.
        lease: of this process.
        index: what the run holds; looked at again where another process may have added to it.
        work: what is done, with all that it depends on: others join where it is the same.
        rows: of the dataset, known by their keys.
        indices: of the rows, in order.
        find: what is missing among some rows.
        rows_per_part: rows in a block, and at most in a task.
        starts: of blocks among the indices, where these are some of more rows, of which another process has others at a
            time: blocks are known by their rows then, and their claims stay as long as anybody is at work. None: these
            are all, and a block is known by its number.
        claims: blocks are claimed; otherwise all of them are for this process.
        once: what is left undone by who has tried cannot be done.
    """

    def __init__(
        self,
        folder: RunFolder,
        lease: Lease,
        index: Index,
        *,
        work: Sequence[str],
        rows: Rows,
        indices: Sequence[int],
        find: Callable[[Sequence[int]], list[Task]],
        rows_per_part: int,
        starts: Sequence[int] | None = None,
        claims: bool,
        once: bool = False,
    ) -> None:
        import numpy as np

        self._index = index
        self._find = find
        self._most = rows_per_part
        self._once = once
        numbers = np.asarray(indices, np.int64)
        distinct = numbers[first_places(rows.table["key"].take(numbers))]
        self._blocks: dict[str, NDArray[np.int64]] = {}
        parts: Iterable[str] = work
        if starts is None:
            blocks = (distinct[start : start + rows_per_part] for start in range(0, len(distinct), rows_per_part))
            self._blocks = {str(number): block for number, block in enumerate(blocks)}
            parts = chain(work, [str(rows_per_part)], map(rows.key, distinct.tolist()))
        else:
            for start, stop in pairwise([*starts, len(numbers)]):
                block = numbers[start:stop]
                name = work_id(map(rows.key, block.tolist()))
                before = self._blocks.get(name, block[:0])
                self._blocks[name] = np.concatenate([before, block[np.isin(block, distinct)]])
        self._closes = starts is None
        self._lacking = {block: lacks for block in self._blocks if (lacks := self._lacks(block))}
        self._claims: Claims | None = None
        if claims and self._lacking:
            self._claims = Claims(folder, work_id(parts), lease)
            # Only now: who has done all of it and cleared its claims away, since the run was looked at, has written its parts.
            self._index.refresh()
            self._lacking = {block: lacks for block in self._lacking if (lacks := self._lacks(block))}

    @property
    def rows(self) -> int:
        """How many rows are missing."""
        return sum(self._lacking.values())

    def look_again(self) -> int:
        """The same, with what others have written since."""
        self._index.refresh()
        self._lacking = {block: lacks for block in self._lacking if (lacks := self._lacks(block))}
        if self._once and self._claims is not None:
            claims = self._claims
            self._lacking = {
                block: lacks for block, lacks in self._lacking.items() if not claims.is_through(claims.holder_of(block))
            }
        return self.rows

    def tasks(self, progress: Progress) -> Iterator[Task]:
        """What is missing in the blocks that this process gets, one after the other; each is claimed when it is asked for."""
        if self._claims is not None:
            self._claims.say(through=False)
        waiting: dict[int, Claim | None] = {}
        for block, lacks in list(self._lacking.items()):
            if len(waiting) + lacks > self._most:
                yield from self._made(waiting)
                waiting = {}
            claim = None
            if self._claims is not None and (claim := self._take(self._claims, block)) is None:
                progress.elsewhere += lacks
                continue
            missing = [number for task in self._find(self._blocks[block].tolist()) for number in task.indices]
            progress.elsewhere += lacks - len(missing)
            waiting |= dict.fromkeys(missing, claim)
            if len(waiting) >= self._most:
                yield from self._made(waiting)
                waiting = {}
        yield from self._made(waiting)

    def through(self) -> None:
        """All tasks that were given out are done, as far as they can be."""
        if self._claims is not None:
            self._claims.say(through=True)

    def clear(self) -> None:
        """Where all is done, nobody need know any more who has done it."""
        if self._claims is not None and self._closes and not any(map(self._lacks, self._lacking)):
            self._claims.clear()

    def _lacks(self, block: str) -> int:
        return sum(len(task.indices) for task in self._find(self._blocks[block].tolist()))

    def _take(self, claims: Claims, block: str) -> Claim | None:
        claim = claims.take(block, once=self._once)
        while claim is not None and claims.was_cleared():
            self._index.refresh()
            claim = claims.take(block, once=self._once)
        if claim is not None and claim.number:  # whoever had it may have done it before it was gone
            self._index.refresh()
        return claim

    def _made(self, waiting: dict[int, Claim | None]) -> Iterator[Task]:
        for task in self._find(list(waiting)):
            claims: list[Any] = [waiting[number] for number in task.indices]
            yield replace(task, claims=tuple(claims) if None not in claims else ())
