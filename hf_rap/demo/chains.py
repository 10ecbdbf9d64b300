"""The steps in what the small model thinks: it writes one line, which no blank lines part."""

from __future__ import annotations

import re

# After a comma or colon of its chain, before the "so" of a count, and before the final answer.
_CUTS = re.compile(r"(?<=[,:])\s+|\s+(?=so )|\s+(?=</think>)")


def split_chain(response: str) -> list[str]:
    r"""The parts of a chain, for `StepRewards(split=split_chain)`.

    >>> split_chain(r"<think> red none , blue red so 2 </think> \boxed{2}")
    ['<think> red none ,', 'blue red', 'so 2', '</think> \\boxed{2}']

    """
    return [part for part in _CUTS.split(response) if part.strip()]
