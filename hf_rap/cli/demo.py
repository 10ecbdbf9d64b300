"""hf-rap demo: the whole job on the built-in data and model, offline."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import command
from .output import echo, note
from .publish import report_version

if TYPE_CHECKING:
    from .demo_results import KindResult


@command()
@click.option("--rows", default=600, show_default=True, help="Planted picture questions to make.")
@click.option("--attempts", default=5, show_default=True, help="Replies per row and arm.")
@click.option("--seed", default=0, show_default=True, help="Of pictures, replies and ties.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("rap-demo"), show_default=True, help="New folder.")
def demo(*, rows: int, attempts: int, seed: int, out: Path) -> None:
    """Make pictures, ask a small model about them, score, select, and write a version. Needs no network.

    Example: hf-rap demo

    In Python: the steps of this file, hf_rap/cli/demo.py, one library call each.
    """
    from hf_rap.demo import demo_engine, make_planted
    from hf_rap.evidence.collector import collect_evidence
    from hf_rap.evidence.rollouts import Rollouts
    from hf_rap.hub.reporting import report
    from hf_rap.rows.provenance import SourceInfo
    from hf_rap.scorers import SCORERS
    from hf_rap.scorers.base import add_scores
    from hf_rap.select import select_cognitive
    from hf_rap.versions.folder import check_target, publish_to_folder

    from .demo_results import precision, results_per_kind

    check_target(out, "1.0.0")
    # A second thread gains a model of this size little, and costs minutes where the cores are busy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    started = time.perf_counter()
    note(f"1/4 making {rows} picture questions whose kind is known (the selector does not see it)")
    planted = make_planted(rows, seed=seed)
    note(f"2/4 asking a 1M-parameter vision-language model {attempts} times with and without each picture")
    rollouts = Rollouts(demo_engine(), attempts=attempts, max_new_tokens=64, seed=seed)
    evidence = collect_evidence(planted, rollouts)
    note("3/4 scoring and selecting")
    selection = select_cognitive(add_scores(evidence, SCORERS["cde"], SCORERS["difficulty"]), seed=seed)
    note("4/4 writing the version and its card, and a page to look at")
    source = SourceInfo(f"make_planted({rows}, seed={seed})", licence="apache-2.0")
    done = publish_to_folder(selection, out, version="1.0.0", source=source)
    page = report(selection, out.with_name(f"{out.name}.html"), title=f"{rows} planted rows", source=f"{out}:scored")

    echo(f"\n{selection}\n")
    results = results_per_kind(selection)
    _print_kinds(results)
    share = precision(results)
    if share is not None:
        echo(f"\n{share:.1%} of the kept rows cannot be answered without their picture.")
    report_version(done, as_json=False)
    echo(f"look at it: open {page}")
    note(f"{time.perf_counter() - started:.0f} s")


def _print_kinds(results: list[KindResult]) -> None:
    echo(f"{'planted kind':<20} {'rows':>5} {'kept':>5}  {'solved with image':>18} {'without':>9}")
    for result in results:
        rates = [f"{rate:.0%}" if rate is not None else "unknown" for rate in (result.image_rate, result.text_rate)]
        echo(f"{result.kind:<20} {result.rows:>5} {result.kept:>5}  {rates[0]:>18} {rates[1]:>9}")
