"""hf-rap collect: evidence of your own kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .collecting import check_usage, report
from .collecting import collect as collect_rows
from .options import as_json, command, out_option, run_options, source_argument

if TYPE_CHECKING:
    from pathlib import Path

    from hf_rap.evidence.collector import Collector


@command()
@source_argument
@click.argument("collector")
@run_options
@out_option("Parquet file to write; needed without --run.")
@as_json
def collect(source: str, collector: str, *, out: Path | None, as_json: bool, **options: Any) -> None:
    """Collect evidence of your own kind for SOURCE, by the COLLECTOR of a plugin.

    docs/extending.md shows one. It knows its model and layout itself. --run, several processes and --ray are as for
    `hf-rap rollouts`.

    Example: hf-rap --plugin my_evidence:Pixels collect rows.parquet Pixels --out evidence.parquet

    In Python: hf_rap.collect_evidence(ds, collector), or hf_rap.collect_in_run(ds, collector, url)
    """
    from .files import open_source

    check_usage(options, out)
    own = find_collector(collector)
    ds, info = open_source(source)
    evidence = collect_rows(ds, own, options, wanted=out is not None)
    if evidence is None:
        return
    failures = own.failures({column.name: evidence[column.name] for column in own.writes})
    counts = {"rows": len(evidence), "rows that failed": sum(failure is not None for failure in failures)}
    report(
        evidence,
        counts,
        out,
        info,
        options,
        then="hf-rap score {} --out scored.parquet",
        layout=own.given_layout,
        as_json=as_json,
    )


def find_collector(name: str) -> Collector:
    """The collector of a plugin.

    Raises:
        SettingError: there is none of that name.

    """
    from hf_rap.errors import SettingError
    from hf_rap.plugins import plugins

    own: dict[str, Collector] = plugins("collector")
    if name not in own:
        there = f"There is: {', '.join(own)}." if own else "There is none."
        raise SettingError(
            f"There is no collector {name!r}. {there} One of your own (see `hf_rap.Collector`) comes in with `hf-rap "
            "--plugin module:attribute`; those of hf_rap are commands: rollouts, attention, likelihood, controls."
        )
    return own[name]
