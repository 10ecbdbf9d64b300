"""hf-rap score: evidence into scores."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any, cast

import click

from hf_rap.columns import CDE, CONTROLS, DIFFICULTY, IMAGE_REWARDS, TEXT_REWARDS
from hf_rap.evidence.psi import FORMS, NORMALISATIONS, PARTS, POOLINGS
from hf_rap.scorers import SCORERS, Scorer, find_scorer, usual_scores
from hf_rap.scorers.ace import ATTEMPTS

from .options import (
    Command,
    as_json,
    command,
    grading_options,
    make_grading,
    out_option,
    settle_layout,
    source_argument,
    together,
)
from .output import note, paste, print_json, print_pairs

_ACE = {
    "--ace-form": (click.Choice(FORMS), "literal as in the paper, or windowed; default: windowed."),
    "--ace-normalise": (
        click.Choice(NORMALISATIONS),
        "Rows are divided by their sum over all tokens or the reply's; all.",
    ),
    "--ace-part": (click.Choice(PARTS), "Of a reply: its thinking up to </think>, the answer behind it; default: all."),
    "--ace-heads": (click.Choice(POOLINGS), "Heads are pooled by the largest weight or the mean; default: max."),
    "--ace-attempts": (click.Choice(ATTEMPTS), "Which attempts count; default: all."),
    "--ace-sigma": (float, "Factor of every weight; default: 2."),
    "--ace-min-column": (int, "Tokens from a column on that it needs to count; default: 4, literal 1."),
}


def ace_options(command: Command) -> Command:
    """--ace-...: the options of `ACEScore` that are given, as one dictionary."""

    @wraps(command)
    def with_ace(*args: Any, **options: Any) -> Any:
        given = {name.removeprefix("ace_"): options.pop(name) for name in list(options) if name.startswith("ace_")}
        return command(*args, ace={name: value for name, value in given.items() if value is not None}, **options)

    flags = [click.option(name, type=kind, help=f"Of rap_ace. {text}") for name, (kind, text) in _ACE.items()]
    return cast("Command", together(flags)(with_ace))


def _known_names(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, each of a score that there is: said before anything is read."""
    for name in names:
        find_scorer(name)
    return names


@command()
@source_argument
@out_option("Parquet file to write.", required=True)
@click.option(
    "--score",
    "names",
    multiple=True,
    callback=_known_names,
    help=f"Which of {', '.join(sorted(SCORERS))}, or your own; may be given several times. Default: cde and difficulty, ace where rap_attention exists, and those of plugins.",
)
@click.option("--intervals", is_flag=True, help="Also how sure cde and difficulty are: mean, interval, probability.")
@click.option("--confidence", type=float, help="With --intervals: of the interval; default: 0.9.")
@click.option(
    "--min-cde", default=0.5, show_default=True, help="With --intervals: rap_cde_probability is about this threshold."
)
@click.option(
    "--control",
    default="text",
    show_default=True,
    type=click.Choice(["text", *CONTROLS]),
    help="What rap_cde compares the image with: text as in the paper, or an arm of `hf-rap controls`.",
)
@ace_options
@click.option("--regrade", is_flag=True, help="Grade the stored replies anew first; asks no model.")
@grading_options
@click.option("--question", help="With --regrade: column of the question; default: recognised.")
@click.option("--answer", help="With --regrade: column of the gold answer.")
@click.option("--bis", is_flag=True, help="SOURCE holds step scores (VisualPRM400K files, TRL stepwise): score these.")
@click.option(
    "--alpha", default=0.05, show_default=True, help="With --bis: the paper's; select --top --alpha computes it again."
)
@click.option("--threshold", default=0.0, show_default=True, help="With --bis: a step is positive above this score.")
@click.option("--images", type=click.Path(path_type=Path), help="With --bis: folder of the image files; checks each.")
@click.option("--strict", is_flag=True, help="With --bis: stop at rows that cannot be used.")
@as_json
def score(
    source: str,
    *,
    out: Path,
    names: tuple[str, ...],
    intervals: bool,
    confidence: float | None,
    min_cde: float,
    control: str,
    ace: dict[str, Any],
    regrade: bool,
    bis: bool,
    alpha: float,
    threshold: float,
    images: Path | None,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn the evidence in SOURCE into score columns. Needs no model and takes seconds.

    With --regrade the stored replies are graded again first, by the built-in verifier or by --verifier.

    Example: hf-rap score evidence.parquet --out scored.parquet

    In Python: ds.map(hf_rap.cde_score, batched=True); with intervals hf_rap.CDEScore(prior=hf_rap.fit_prior(ds)); the
    options of ace are those of hf_rap.ACEScore
    """
    from hf_rap.evidence.regrade import count_as_solved
    from hf_rap.process import count_faults
    from hf_rap.scorers import ACEScore, CDEScore, DifficultyScore, GoldDoubtScore
    from hf_rap.scorers.base import add_scores
    from hf_rap.scorers.bis import BISScore
    from hf_rap.stats.arrays import arrow_columns
    from hf_rap.stats.posterior import fit_prior

    from .files import layout_in, open_process_rewards, open_source, write_file

    if confidence is not None and not intervals:
        raise click.UsageError("--confidence is for --intervals.")
    if (options["verifier"] or options["cut"]) and not regrade:
        raise click.UsageError("--verifier and --cut make new grades: add --regrade.")
    if bis and (regrade or options["correct"] is not None):
        raise click.UsageError("--bis reads step scores, which have no replies to grade.")
    graded: dict[str, Any] = {}
    scorers: list[Scorer]
    if bis:
        ds, info = open_process_rewards(source, images=images, strict=strict)
        scorers = [BISScore(alpha=alpha, threshold=threshold)]
    else:
        ds, info = open_source(source)
        if regrade:
            ds, graded = _regraded(ds, options, source)
        elif options["correct"] is not None:
            ds = count_as_solved(ds, options["correct"])
        prior = fit_prior(ds, control=control) if intervals else None
        if prior is not None and prior.note:
            note(f"intervals: {prior.note}")
        by_name: dict[str, Scorer] = {
            **SCORERS,
            "cde": CDEScore(control=control, prior=prior, min_cde=min_cde, confidence=confidence),
            "difficulty": DifficultyScore(prior=prior, confidence=confidence),
            "ace": ACEScore(**ace),
            "gold_doubt": GoldDoubtScore(layout=layout_in(source)),
        }
        chosen = names or usual_scores(ds)
        if ace and "ace" not in chosen:
            raise click.UsageError("--ace-... is for the score ace, which needs rap_attention: `hf-rap attention`.")
        scorers = [by_name.get(name) or find_scorer(name) for name in chosen]
    scored = add_scores(ds, *scorers)
    write_file(scored, out, source=info, layout=layout_in(source))
    written = [column.name for scorer in scorers for column in scorer.writes]
    nulls = {
        f"{name} unknown": column.null_count
        for name, column in arrow_columns(scored, written).items()
        if not name.endswith(("_settings", "_control"))
    }
    result = {"rows": len(scored), **graded, **nulls, **(count_faults(scored) if bis else {}), "file": str(out)}
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
    how = ("--top", "0.1", "--per", "source") if bis else _how_without_text(names or written)
    note(f"next: {paste('hf-rap', 'select', out, *how, '--out', 'selection.parquet')}")


def _how_without_text(scores: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """How to select on the usual scores of rows that were asked with their image alone."""
    if DIFFICULTY.name not in scores or CDE.name in scores:
        return ()
    note("no cde: nothing was asked on the text alone")
    return ("--method", "difficulty")


def _regraded(ds: Any, options: dict[str, Any], source: str) -> tuple[Any, dict[str, Any]]:
    """The evidence with new grades, and what to say about them."""
    from hf_rap.evidence.grading import Grading
    from hf_rap.evidence.regrade import regrade

    settings = make_grading(options)
    layout = settle_layout(options, ds, source)
    new = regrade(ds, **settings, layout=layout)
    names = [column.name for column in (IMAGE_REWARDS, TEXT_REWARDS) if column.name in ds.column_names]
    changed = sum(
        old_grade != new_grade
        for name in names
        for before, after in zip(ds[name], new[name], strict=True)
        for old_grade, new_grade in zip(before or (), after or (), strict=False)
    )
    who = Grading(settings.get("verifier"))
    return new, {"graded by": f"{who.name} {who.version}", "grades that changed": changed}
