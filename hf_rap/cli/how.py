"""Options that change how a command does its work, and not what comes out of it."""

from __future__ import annotations

from functools import partial

import click


class HowItRuns(click.Option):
    """Such an option: with another value of it a file is still made in the same way."""


how_option = partial(click.option, cls=HowItRuns)


def how_names(command: click.Command) -> set[str]:
    """The names of those of a command."""
    return {str(parameter.name) for parameter in command.params if isinstance(parameter, HowItRuns)}
