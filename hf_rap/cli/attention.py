"""hf-rap attention: read stored replies again with a local model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import as_json, layout_options, make_engine, make_layout, model_options, source_argument
from .output import note, print_json, print_pairs


@click.command()
@source_argument
@layout_options
@model_options
@click.option("--window", type=int, help="Rows of a column that the windowed psi takes; default: 16.")
@click.option("--instruction", help="Text after every question; default: that of the rollouts.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write.")
@as_json
def attention(
    source: str,
    question: str,
    images: str,
    answer: str,
    id_column: str,
    *,
    window: int | None,
    instruction: str | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Note where the model looked in the replies of SOURCE: a second pass, for replies from a server.

    Example: hf-rap attention evidence.parquet --model Qwen/Qwen2.5-VL-3B-Instruct --out with-attention.parquet

    In Python: ds.map(hf_rap.Attention(hf_rap.TransformersEngine(model)), batched=True)
    """
    from hf_rap.attention import Attention
    from hf_rap.collect import collect_evidence
    from hf_rap.columns import ATTENTION
    from hf_rap.files import open_source, write_file
    from hf_rap.psi import WINDOW

    ds, info = open_source(source)
    reader = Attention(
        make_engine(options),
        window=WINDOW if window is None else window,
        instruction=instruction,
        layout=make_layout(question, images, answer, id_column),
    )
    evidence = collect_evidence(ds, reader)
    write_file(evidence, out, source=info)
    attempts = [attempt for row in evidence[ATTENTION.name] for attempt in row or () if attempt is not None]
    failed = sum(attempt["error"] is not None for attempt in attempts)
    result = {"rows": len(ds), "attempts": len(attempts), "attempts that cannot be read": failed, "file": str(out)}
    if as_json:
        print_json(result)
    else:
        print_pairs(result)
    note(f"next: hf-rap score {out} --out scored.parquet")
