"""How many prompts one step of training takes, so that batches divide as a trainer wants them."""

from __future__ import annotations

import math

from hf_rap.errors import ExportError

# GRPO learns from many small steps; with more prompts in each, some hundred rows would be a step or two per epoch.
MOST_PROMPTS = 128


def prompts_per_step(rows: int, gpus: int, group: int, *, most: int, dealt: bool, wanted: int | None = None) -> int:
    """As many as divide, with the fewest rows left over at the end of an epoch.

    Args:
        rows: to train on.
        gpus: that share a step.
        group: replies to a prompt.
        most: of the trainer's own.
        dealt: the prompts have to be a multiple of the GPUs, and not only their replies.
        wanted: what the user asked for.

    Raises:
        ExportError: nothing divides.

    >>> [prompts_per_step(rows, 8, 8, most=512, dealt=False) for rows in (3, 79, 1000)]
    [3, 79, 125]
    """
    unit = gpus if dealt else gpus // math.gcd(gpus, group)
    if wanted and (wanted % unit or wanted > rows):
        raise ExportError(
            f"A step of {wanted:,} prompts with {group} replies each cannot be shared by {gpus} GPUs: it takes a multiple "
            f"of {unit}, up to {rows:,} rows."
        )
    if rows < unit:
        raise ExportError(
            f"{rows:,} rows with {group} replies each cannot be shared by {gpus} GPUs, which take a multiple of {unit} rows: "
            "use fewer GPUs, or select more rows."
        )
    if wanted:
        return wanted
    steps = math.ceil(rows / min(most, MOST_PROMPTS))
    prompts = rows // steps
    return max(unit, prompts - prompts % unit)


def largest_divisor(number: int, most: int) -> int:
    """Of `number`, up to `most`.

    >>> largest_divisor(12, 8), largest_divisor(7, 4)
    (6, 1)
    """
    return next(divisor for divisor in range(min(number, most), 0, -1) if number % divisor == 0)
