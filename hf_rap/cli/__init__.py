"""The command `hf-rap`: parse, call one library function, print.

Data goes to stdout, progress and notes to stderr. A `RapError` becomes one line on stderr and exit
code 1, wrong usage is 2, and a bug keeps its traceback.
"""

from __future__ import annotations

import errno
import re
import sys
from importlib import import_module

import click

from hf_rap.errors import RapError, printable_logs, visible

# Each command in one sentence, in the order of use. The command itself is the function of its name in the file of its
# name, loaded when it is asked for: `hf-rap --help` is quick.
GROUPS = {
    "Start": {
        "demo": "Do the whole job on built-in data and model, offline.",
        "inspect": "List the rows of a dataset that cannot be scored, and why.",
        "run": "Roll out, score, select and publish in one go.",
        "recipe": "Do what one of the three papers did, step by step.",
        "env": "Print versions, engine and machine, for a report of a fault.",
    },
    "Evidence": {
        "rollouts": "Ask with and without the image, and grade the replies.",
        "attention": "Note where the model looked while it read the replies.",
        "controls": "Ask again with other pictures: is it this image that helps?",
        "likelihood": "Measure how much likelier the image makes the gold answer.",
        "dependence": "Measure how much the replies hang on their image.",
        "collect": "Collect evidence of your own kind.",
        "pass-rates": "Read pass rates or rollouts that others published as evidence.",
        "runs": "List what a run folder holds.",
    },
    "Decide": {
        "score": "Turn evidence into scores, without a model.",
        "doubt": "List the rows whose gold answer is probably wrong.",
        "select": "Decide for every row whether to keep it, and why.",
        "compare": "Select by several methods and show how they differ.",
        "stability": "Predict how far a fresh scoring would select the same.",
        "report": "Write a page to see the rows and move the thresholds.",
    },
    "Publish": {
        "publish": "Write a selection as a version on the Hub or in a folder.",
        "diff": "Show how two versions differ, or a version and a selection.",
        "reselect": "Decide anew from published scores: the next version.",
        "update": "Ask a trained model again what can have changed.",
        "yank": "Mark a published version as withdrawn.",
    },
    "Train": {
        "export": "Write the files that a trainer loads, or only check them.",
        "pull": "Write a published version in the layout of a trainer.",
    },
    "Process rewards": {
        "annotate-steps": "Split replies into steps and score each by where it leads.",
        "demo-prm": "Do the whole job on built-in process-reward data, offline.",
    },
}
COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}


_LONGEST_ERROR = 4000  # characters


class Commands(click.Group):
    """`COMMANDS`, each loaded when it is used."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, loaded now."""
        if super().get_command(ctx, cmd_name) is None:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f".{name}", __name__), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Their list in the help, by group; none is loaded for it."""
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])


@click.group(
    cls=Commands,
    commands={name: click.Command(name) for name in COMMANDS},  # empty: the names, which click checks and suggests
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="hf-rap", prog_name="hf-rap")
@click.option(
    "--plugin",
    "places",
    multiple=True,
    metavar="MODULE:ATTRIBUTE",
    help="A method, scorer, engine, layout, export or collector of your own; may be given several times.",
)
def cli(places: tuple[str, ...]) -> None:
    """Select the rows of a multimodal dataset that make a model reason.

    rollouts collects evidence, score turns it into numbers, select decides, publish writes a
    version; run does all four. Every command takes a dataset as SOURCE: a Hub id
    (user/name:config@revision#split), a folder, or Parquet and JSON files.
    """
    if places:
        from hf_rap.plugins import add_plugin

        for place in places:
            add_plugin(place)


def in_flags(message: str) -> str:
    """What an error says to do, in the words of the command line alone.

    >>> in_flags("Take another version, or pass allow_withdrawn=True (--allow-withdrawn).")
    'Take another version, or pass --allow-withdrawn.'
    """
    return re.sub(r"\b\w+=\w+ \((--[a-z-]+)\)", r"\1", message)


def main() -> None:
    """Entry point of the console script."""
    try:
        with printable_logs():
            cli(prog_name="hf-rap")
    except RapError as error:
        click.echo(f"hf-rap: {in_flags(visible(' '.join(str(error).split()), _LONGEST_ERROR))}", err=True)
        sys.exit(1)
    except OSError as error:
        from hf_rap.system import disk_trouble

        if (trouble := disk_trouble(error)) is None:
            raise
        what = f" ({visible(str(error.filename))})" if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        says = (
            f"the disk is full{what}: make room"
            if full
            else f"a file cannot be read or written{what}: {trouble}; see to it"
        )
        click.echo(f"hf-rap: {says} and start again. What was there before is as it was.", err=True)
        sys.exit(1)
