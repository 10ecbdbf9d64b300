"""hf-rap yank: take a version back."""

from __future__ import annotations

import click

from .options import command
from .output import echo


@command()
@click.argument("repo")
@click.argument("version_name", metavar="VERSION")
@click.option("--why", required=True, help="One sentence for readers of the card.")
def yank(repo: str, version_name: str, *, why: str) -> None:
    """Mark VERSION of the dataset REPO as withdrawn. Nothing is deleted.

    Example: hf-rap yank user/geometry3k-rap v1.0.0 --why "Golds of 12 rows were wrong."

    In Python: hf_rap.yank("user/geometry3k-rap", "1.0.0", why="...")
    """
    from hf_rap.hub import yank as withdraw

    version = version_name.removeprefix("v")
    commit = withdraw(repo, version, why=why)
    echo(f"{repo} {version} is marked as withdrawn (commit {commit[:10]}); hf_rap.load refuses it from now on")
