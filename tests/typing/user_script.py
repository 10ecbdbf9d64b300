"""A script as a user writes it, with an engine and a scorer of their own: mypy and pyright read it, nothing runs it."""

from collections.abc import Sequence
from typing import Any, assert_type

from datasets import Dataset, IterableDataset

from hf_rap import (
    Column,
    Completion,
    Engine,
    Rollouts,
    Selection,
    add_scores,
    cde_score,
    collect_evidence,
    collect_in_run,
    compare_methods,
    difficulty_score,
    estimate,
    export,
    publish_to_folder,
    scorer,
    select_cognitive,
    stability,
)
from hf_rap.engines.base import Request, Sampling


class Parrot:
    """Never fails, so its answers are lists of completions alone."""

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        return [[Completion("4", tokens=1, truncated=False)] * request.attempts for request in requests]

    def describe(self) -> dict[str, str]:
        return {"engine": "parrot"}


@scorer(reads=["rap_image_tokens"], writes=[Column("rap_longest", "int32", "tokens of the longest reply")])
def longest(batch: Any) -> dict[str, list[int | None]]:
    return {"rap_longest": [max(tokens, default=None) for tokens in batch["rap_image_tokens"]]}


def main(ds: Dataset, stream: IterableDataset) -> None:
    engine: Engine = Parrot()
    rollouts = Rollouts(engine, attempts=5)
    print(estimate(ds, rollouts).time)
    assert_type(collect_evidence(ds, rollouts), Dataset)
    assert_type(collect_evidence(stream, rollouts), IterableDataset)
    evidence = collect_in_run(ds, rollouts, "run")
    assert_type(evidence, Dataset)
    scored = add_scores(evidence, cde_score, difficulty_score, longest)
    assert_type(scored, Dataset)
    assert_type(add_scores(stream, cde_score), IterableDataset)
    selection = select_cognitive(scored, min_cde=0.5, budget=0.1)
    assert_type(selection, Selection)
    assert_type(selection.selected, Dataset)
    assert_type(selection.scored, Dataset)
    print(len(selection.selected), selection.scored.column_names, stability(scored, selection).jaccard)
    print(compare_methods(evidence, ["rap", "random"]).as_dict())
    publish_to_folder(selection, "version", version="1.0.0")
    export(selection, "trainer", to="trl")
