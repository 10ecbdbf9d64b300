"""The options by which a probe leaves rows out, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import refuse_together, together
from .output import echo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hf_rap.adaptive.probing import Probing

probe_options = together(
    [
        click.option(
            "--probe",
            is_flag=True,
            help="Roll out a random slice, and leave out the rows of which a probe foretells that they are not worth it "
            '(pip install "hf-rap[probe]"; local models).',
        ),
        click.option(
            "--probe-recall",
            type=float,
            help="With --probe: the share of the rows worth keeping to keep. Default: 0.99.",
        ),
        click.option("--probe-by", help="With --probe: column of the sources; rows of an unknown one are rolled out."),
        click.option("--states", is_flag=True, help="Also keep the hidden states of the prompts, for a probe later."),
    ],
    title="Fewer attempts",
)

# With what a probe does not go, and why.
_NOT_WITH = {
    "dry_run": "--dry-run times all rows",
    "partial": "--partial reads what a --run holds so far, and --probe decides over all rows",
    "ray": "--probe asks in rounds, which --ray would load the model for each time",
    "states": "--probe reads the states in a pass of its own, and --states would write them twice",
}


def make_probing(options: Mapping[str, Any]) -> Probing | None:
    """What the probe is asked for, from probe_options and the threshold of the rule; None without --probe."""
    from hf_rap.adaptive.probing import Probing
    from hf_rap.runs.fill import rank_and_world

    if not options["probe"]:
        for name in ("probe_recall", "probe_by"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} is for --probe.")
        return None
    refuse_together(options, _NOT_WITH, "leave one of them out")
    if rank_and_world()[1] > 1:
        raise click.UsageError("--probe is for one process: start it without accelerate or torchrun.")
    recall = {} if options["probe_recall"] is None else {"recall": options["probe_recall"]}
    return Probing(min_cde=options["min_cde"], by=options["probe_by"], **recall)


def print_probed(facts: Mapping[str, Any] | None) -> None:
    """What a probe left out, from `describe_probed`."""
    if facts is None:
        return
    if facts["cut"] is None:
        echo(f"Probe: no row is left out, all are rolled out: {facts['why']}")
        return
    echo(
        f"Probe: {facts['left_out']:,} rows left out at recall {facts['recall']:.4g} asked "
        f"(foretold cde below {facts['cut']:.3g}); {facts['labelled']:,} rows labelled"
    )
    shown = (
        "unknown"
        if facts["recall_shown"] is None
        else f"{facts['recall_shown']:.4g}, at least {facts['recall_low']:.4g}"
    )
    echo(f"  recall by the audit of {facts['audited']:,} rows: {shown} (95 %)")
    spared = facts["tokens_spared"]
    if spared is not None:
        more = "" if spared >= 0 else ": more was spent on rows that decide the cut than was left out"
        echo(f"  tokens spared: about {spared:,}{more}")
    at_cut = facts.get("recall_at_cut")  # records of earlier releases have none
    echo(
        f"  on rows held out: AUC {facts['auc']:.3f}" + ("" if at_cut is None else f", recall at the cut {at_cut:.4g}")
    )
    echo("  foretold cde   " + "  ".join(f"{foretold:6.2f}" for _, foretold, _ in facts["reliability"]))
    echo("  cde that came  " + "  ".join(f"{came:6.2f}" for _, _, came in facts["reliability"]))
