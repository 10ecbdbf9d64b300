"""A response taken apart into its steps."""

from __future__ import annotations

import re
from itertools import pairwise

from hf_rap.errors import RowError

_BLANK_LINES = re.compile(r"\n\s*\n")
# "Step 2:", "**Step 2**", "### Step 2." and, where nothing else marks steps, "2." or "(2)" at the start of a line.
_STEP = re.compile(r"^[#>*\s]*Step\s+\d+\b", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"^\s*\(?\d+[.)]\s", re.MULTILINE)


def split_steps(response: str) -> list[str]:
    r"""The steps of a response, in order, without the white space around them.

    Where at least two lines start with "Step 1" and the like, steps start there; else blank lines
    part them; else lines that start with a number ("1." or "(1)"), if there are at least two. A text
    without any of these is one step. What stands before the first marker is a step of its own.

    Examples:
        >>> split_steps("Step 1: Count.\nThere are 3.\nStep 2: So 3.")
        ['Step 1: Count.\nThere are 3.', 'Step 2: So 3.']
        >>> split_steps("First this.\n\nThen that.")
        ['First this.', 'Then that.']

    """
    parts = _at(_STEP, response)
    if len(parts) < 2:
        parts = _BLANK_LINES.split(response)
    if len([part for part in parts if part.strip()]) < 2:
        parts = _at(_NUMBER, response)
    return [part.strip() for part in parts if part.strip()]


def _at(marker: re.Pattern[str], response: str) -> list[str]:
    """The response cut before every marker, if there are at least two."""
    starts = [match.start() for match in marker.finditer(response)]
    if len(starts) < 2:
        return [response]
    edges = [0, *starts, len(response)]
    return [response[start:end] for start, end in pairwise(edges)]


def prefixes(response: str, steps: list[str]) -> list[str]:
    r"""The response up to the end of each step, as it was written.

    Raises:
        RowError: `steps_missing`: there are none, or one is not in the response after the one before.

    Examples:
        >>> prefixes("First this.\n\nThen that. ", ["First this.", "Then that."])
        ['First this.', 'First this.\n\nThen that.']

    """
    ends: list[int] = []
    for number, step in enumerate(steps, 1):
        start = response.find(step, ends[-1] if ends else 0)
        if start < 0 or not step.strip():
            raise RowError(
                "steps_missing", f"step {number} of {len(steps)} is empty or not in the response: {step[:60]!r}"
            )
        ends.append(start + len(step))
    if not ends:
        raise RowError("steps_missing", "the response has no steps")
    return [response[:end].rstrip() for end in ends]
