"""hf-rap demo-prm: process-reward data from the built-in pictures and model, offline."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .options import command
from .output import echo, note, print_pairs
from .publish import report_version


@command(name="demo-prm")
@click.option("--rows", default=60, show_default=True, help="Planted picture questions to make.")
@click.option("--attempts", default=2, show_default=True, help="Responses per question.")
@click.option("--continuations", default=16, show_default=True, help="Samples from the end of every step.")
@click.option("--top", default=0.25, show_default=True, help="Share to keep of each type of question.")
@click.option("--seed", default=0, show_default=True, help="Of pictures, replies and ties.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("rap-demo-prm"), show_default=True, help="New folder."
)
def demo_prm(*, rows: int, attempts: int, continuations: int, top: float, seed: int, out: Path) -> None:
    """Let a small model answer, score every step of its answers, select, export, and write a version. No network.

    Example: hf-rap demo-prm

    In Python: the steps of this file, hf_rap/cli/demo_prm.py, one library call each.
    """
    from hf_rap.demo import demo_engine, make_planted
    from hf_rap.demo.chains import split_chain
    from hf_rap.evidence.collector import collect_evidence
    from hf_rap.evidence.rollouts import Rollouts
    from hf_rap.exports.internvl_prm import export_internvl_prm
    from hf_rap.exports.trl_prm import export_trl_prm
    from hf_rap.process import StepRewards, annotate_steps, count_faults, one_row_per_response
    from hf_rap.scorers import SCORERS
    from hf_rap.scorers.base import add_scores
    from hf_rap.select import select_top
    from hf_rap.versions.folder import check_target, publish_to_folder

    version = out / "version"
    check_target(out, "1.0.0")
    started = time.perf_counter()
    note(f"1/5 making {rows} picture questions and asking a 1M-parameter model {attempts} times about each")
    engine = demo_engine(batch_size=32)
    evidence = collect_evidence(
        make_planted(rows, seed=seed), Rollouts(engine, attempts=attempts, max_new_tokens=64, seed=seed)
    )
    responses = one_row_per_response(evidence)
    note(f"2/5 continuing its {len(responses)} responses {continuations} times from the end of every step")
    rewards = StepRewards(engine, continuations=continuations, split=split_chain, max_new_tokens=64, seed=seed)
    annotated = annotate_steps(responses, rewards)
    note("3/5 scoring and selecting")
    selection = select_top(add_scores(annotated, SCORERS["bis"]), ratio=top, per="source")
    note("4/5 exporting")
    exported = export_internvl_prm(selection.selected, out / "internvl" / "train.jsonl")
    export_trl_prm(selection.selected, out / "trl" / "train.parquet")
    note("5/5 writing the version and its card")
    done = publish_to_folder(selection, version, version="1.0.0", name="hf-rap demo of process rewards")

    echo(f"\n{selection}\n")
    steps = [step for row in annotated["steps_with_score"] for step in row or ()]
    print_pairs(
        {
            "steps": len(steps),
            "of these without success": sum(step["score"] == 0 for step in steps),
            "responses that could not be annotated": sum(count_faults(annotated).values()),
            "for InternVL": f"{exported} rows in {out / 'internvl' / 'train.jsonl'}",
            "for TRL": f"{exported} rows in {out / 'trl' / 'train.parquet'}",
        }
    )
    report_version(done, as_json=False)
    note(f"{time.perf_counter() - started:.0f} s")
