"""A run stops at a budget of tokens, says so, and goes on later with the same evidence as without."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from hf_rap import Likelihood, Rollouts, collect_evidence, collect_in_run
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import RunError, SettingError
from hf_rap.runs.budget import Budget
from hf_rap.runs.fill import Run

if TYPE_CHECKING:
    from pathlib import Path

PLANTED = make_planted(12)
# A row takes at most 2 x 2 x 16 = 64 tokens.
ROLLOUTS = Rollouts(demo_engine(), attempts=2, max_new_tokens=16)


def columns_of(ds):
    return {name: ds[name] for name in ds.column_names if name.startswith("rap_")}


def test_a_run_stops_at_its_budget_and_goes_on(tmp_path: Path) -> None:
    """Never over it; call by call the rest is made, and in the end all is as in one go."""
    url = str(tmp_path / "run")
    said = []
    for _ in range(20):
        try:
            evidence = collect_in_run(PLANTED, ROLLOUTS, url, max_total_tokens=300, progress=StringIO())
            break
        except RunError as error:
            said.append(str(error))
    assert 1 < len(said) < 12
    assert said[0].startswith("Stopped at the budget: of 300 tokens ")
    assert said[0].endswith("Start the same command again to go on, with a budget of its own.")
    spent = [int(text.split("tokens ")[1].split(" ")[0]) for text in said]
    assert all(300 - 64 < tokens <= 300 for tokens in spent)
    assert columns_of(evidence) == columns_of(collect_evidence(PLANTED, ROLLOUTS))


def test_a_budget_for_less_than_a_row_asks_nothing(tmp_path: Path) -> None:
    """63 tokens might not do for a row of 64."""
    with pytest.raises(RunError, match=r"^Stopped at the budget: of 63 tokens 0 are generated.* 0 of 12 rows"):
        collect_in_run(PLANTED, ROLLOUTS, str(tmp_path / "run"), max_total_tokens=63, progress=StringIO())


def test_a_budget_that_suffices_changes_nothing(tmp_path: Path) -> None:
    """12 rows of at most 64 tokens, in one part."""
    with Run(PLANTED, ROLLOUTS, str(tmp_path / "run"), max_total_tokens=12 * 64, progress=StringIO()) as run:
        run.fill()
        assert len(run.read()) == 12
        assert 0 < run.budget.spent <= 12 * 64


def test_processes_share_a_budget(tmp_path: Path) -> None:
    """Half of it each."""
    url = str(tmp_path / "run")
    for rank in range(2):
        with Run(PLANTED, ROLLOUTS, url, rank=rank, world=2, max_total_tokens=200, progress=StringIO()) as run:
            with pytest.raises(RunError, match=r"of 100 tokens, the share of one of 2 processes, \d+ are generated"):
                run.fill()
            assert run.budget.spent <= 100


def test_replies_that_go_on_count_what_they_add(tmp_path: Path) -> None:
    """The tokens that were there are not paid for twice."""
    url = str(tmp_path / "run")
    short = replace(ROLLOUTS, max_new_tokens=2)
    collect_in_run(PLANTED, short, url, progress=StringIO())
    with Run(PLANTED, ROLLOUTS, url, continue_cut=True, max_total_tokens=10_000, progress=StringIO()) as run:
        run.fill()
        before, after = (
            sum(sum(row or ()) for arm in ("image", "text") for row in ds[f"rap_{arm}_tokens"])
            for ds in (collect_evidence(PLANTED, short), run.read())
        )
        assert run.budget.spent == after - before > 0


def test_evidence_without_tokens_has_no_budget(tmp_path: Path) -> None:
    """It would be a limit that limits nothing."""
    with pytest.raises(
        SettingError, match=r"^max_total_tokens counts tokens that a model generates, and likelihood has none"
    ):
        Run(PLANTED, Likelihood(demo_engine()), str(tmp_path / "run"), max_total_tokens=10)


@pytest.mark.parametrize(
    ("limit", "spent", "most", "rows"),
    [(None, 9, 5, 8), (100, 0, 10, 8), (100, 50, 10, 5), (100, 99, 0, 8), (100, 100, 0, 0)],
)
def test_rows_that_fit_a_budget(limit: int | None, spent: int, most: int, rows: int) -> None:
    """Of eight; where nobody knows what a row can take, all until it is spent."""
    assert Budget(limit, spent).rows(8, most) == rows
