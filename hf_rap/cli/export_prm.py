"""hf-rap export --to internvl-prm, qwen-prm and trl-prm: rollouts with step scores for process reward trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import together
from .output import echo, note, print_json

PRM_TRAINERS = {"internvl-prm": "train.jsonl", "qwen-prm": "train.jsonl", "trl-prm": "train.parquet"}

prm_options = together(
    [
        click.option("--threshold", default=0.0, show_default=True, help="A step is positive above this score."),
        click.option("--form", default="prm-token", show_default=True, help="internvl-prm: prm-token, or turns."),
        click.option("--soft", is_flag=True, help="internvl-prm: scores instead of hard labels."),
        click.option("--system", help="internvl-prm, turns: the system turn."),
        click.option(
            "--early-stop", is_flag=True, help="Of turns (also qwen-prm): none after the first negative step."
        ),
        click.option("--root", help="internvl-prm, qwen-prm: the folder that the names of images are below."),
        click.option("--counts", is_flag=True, help="Also right and judged continuations of each step."),
    ],
    title="Process reward models (--to internvl-prm, qwen-prm, trl-prm)",
)
_OF_INTERNVL = ("form", "soft", "system", "early_stop", "root")


def export_prm(source: str, folder: Path | None, to: str, *, as_json: bool, options: dict[str, Any]) -> None:
    """Write the kept rows of SOURCE (all rows, where nothing was selected) to one file in FOLDER; the lines to paste."""
    from hf_rap.columns import KEEP
    from hf_rap.errors import ExportError
    from hf_rap.exports.internvl_prm import export_internvl_prm
    from hf_rap.exports.prm_lines import internvl_lines, qwen_lines, trl_lines
    from hf_rap.exports.qwen_prm import export_qwen_prm
    from hf_rap.exports.trl_prm import export_trl_prm
    from hf_rap.system import is_free

    from .files import open_source

    if folder is None:
        raise click.UsageError(f"--to {to} needs a FOLDER to write to.")
    if options["prompt"] is not None:
        raise click.UsageError(f"--to {to} writes question and steps in a form of its own, which takes no --prompt.")
    if not is_free(folder):
        raise ExportError(f"There is something at {folder}: give a folder that does not exist yet, or is empty.")
    ds, _ = open_source(source)
    if KEEP.name in ds.column_names:
        ds = ds.select(ds.data.column(KEEP.name).to_numpy().nonzero()[0])
    out = folder.absolute() / PRM_TRAINERS[to]
    run = {"gpus": options["gpus"], "model": options["model"]}
    common = {"threshold": options["threshold"], "counts": options["counts"]}
    if to == "trl-prm":
        rows = export_trl_prm(ds, out, **common)
        snippet = trl_lines(out, rows=rows, **run)
    elif to == "qwen-prm":
        rows = export_qwen_prm(ds, out, early_stop=options["early_stop"], **common)
        root = str(out.parent) if (out.parent / "images").is_dir() else str(Path(options["root"] or "").absolute())
        snippet = qwen_lines(out, root=root, rows=rows, **run)
    else:
        of_internvl = {name: options[name] for name in _OF_INTERNVL}
        rows = export_internvl_prm(ds, out, **of_internvl, **common)
        snippet = internvl_lines(out.with_suffix(".meta.json"), rows=rows, form=options["form"], **run)
    if as_json:
        print_json({"rows": rows, "file": str(out), "snippet": snippet})
        return
    note(f"written: {rows:,} rows in {out}; to train on it:")
    echo(snippet)
