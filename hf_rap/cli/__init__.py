"""The command `hf-rap`: parse, call one library function, print.

Data goes to stdout, progress and notes to stderr. A `RapError` becomes one line on stderr and exit
code 1, wrong usage is 2, and a bug keeps its traceback.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from hf_rap.errors import RapError
from hf_rap.version import VERSION

# Each command in one line. The command itself is the function of its name in the file of its name, loaded when it is
# asked for: `hf-rap --help` is quick.
COMMANDS = {
    "annotate-steps": "Split replies into steps and score each by where it leads.",
    "attention": "Note where the model looked, for replies from a server.",
    "compare": "Select by several methods and show how they differ.",
    "controls": "Add replies with other pictures: is it this image?",
    "demo": "The whole job on built-in data and model, offline.",
    "demo-prm": "The same for process-reward data.",
    "diff": "Compare two versions, selections or folders.",
    "env": "Print versions, engine and machine, for a report of a fault.",
    "export": "Write the files that a trainer loads, or only check them.",
    "inspect": "List the rows that cannot be scored, and why.",
    "likelihood": "Measure how much likelier the image makes the gold answer.",
    "publish": "Write a selection as a version on the Hub or in a folder.",
    "pull": "Write a published version in the layout of a trainer.",
    "reselect": "Decide anew from published scores; the next version.",
    "rollouts": "Collect evidence: graded replies with and without image.",
    "run": "Roll out, score, select and publish in one go.",
    "runs": "List what a run folder holds.",
    "score": "Turn evidence into scores, without a model.",
    "select": "Decide for every row whether to keep it, and why.",
    "stability": "Predict how far a fresh scoring would select the same.",
    "yank": "Mark a published version as withdrawn.",
}


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
        """Their list in the help; none is loaded for it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    commands={name: click.Command(name) for name in COMMANDS},  # empty: the names, which click checks and suggests
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(VERSION, prog_name="hf-rap")
def cli() -> None:
    """Select the rows of a multimodal dataset that make a model reason.

    rollouts collects evidence, score turns it into numbers, select decides, publish writes a
    version; run does all four. diff compares versions, reselect makes the next one without a model,
    yank takes one back. Every command takes a dataset as SOURCE: a Hub id
    (user/name:config@revision#split), a folder, or Parquet and JSON files.
    """


def main() -> None:
    """Entry point of the console script."""
    try:
        cli(prog_name="hf-rap")
    except RapError as error:
        click.echo(f"hf-rap: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
