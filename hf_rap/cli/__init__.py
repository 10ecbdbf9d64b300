"""The command `hf-rap`: parse, call one library function, print.

Data goes to stdout, progress and notes to stderr. A `RapError` becomes one line on stderr and exit
code 1, wrong usage is 2, and a bug keeps its traceback.
"""

from __future__ import annotations

import sys

import click

from hf_rap.errors import RapError
from hf_rap.version import VERSION

from .annotate_steps import annotate_steps
from .attention import attention
from .compare import compare
from .controls import controls
from .demo import demo
from .demo_prm import demo_prm
from .diff import diff
from .export import export
from .inspect import inspect
from .likelihood import likelihood
from .publish import publish
from .pull import pull
from .reselect import reselect
from .rollouts import rollouts
from .run import run
from .runs import runs
from .score import score
from .select import select
from .stability import stability
from .yank import yank


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="hf-rap")
def cli() -> None:
    """Select the rows of a multimodal dataset that make a model reason.

    rollouts collects evidence, score turns it into numbers, select decides, publish writes a
    version; run does all four. diff compares versions, reselect makes the next one without a model,
    yank takes one back. Every command takes a dataset as SOURCE: a Hub id
    (user/name:config@revision#split), a folder, or Parquet and JSON files.
    """


for command in (
    attention,
    demo,
    demo_prm,
    inspect,
    likelihood,
    rollouts,
    controls,
    runs,
    annotate_steps,
    score,
    select,
    compare,
    stability,
    publish,
    run,
    diff,
    reselect,
    yank,
    export,
    pull,
):
    cli.add_command(command)


def main() -> None:
    """Entry point of the console script."""
    try:
        cli(prog_name="hf-rap")
    except RapError as error:
        click.echo(f"hf-rap: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
