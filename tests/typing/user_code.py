"""Code as users write it: mypy reads it with the package, nothing runs it.

Each `type: ignore` stands where a mistake must be refused; mypy complains about one that is not needed.
"""

from typing import assert_type

import datasets

import hf_rap
from hf_rap import CDEScore, Completion, Rollouts, Selection, TransformersEngine, load, select_cognitive


def collect_and_select(ds: datasets.Dataset) -> Selection:
    rollouts = Rollouts(TransformersEngine("a/model"), attempts=5)
    assert_type(rollouts, Rollouts)
    assert_type(rollouts.attempts, int)
    assert_type(CDEScore(min_cde=0.2).min_cde, float)
    assert_type(hf_rap.__version__, str)
    selection = select_cognitive(ds.map(rollouts, batched=True).map(hf_rap.cde_score, batched=True))
    assert_type(selection, Selection)
    return selection


def take_back() -> str:
    return hf_rap.yank("a/dataset", "1.0.0", why="Golds were wrong.")


def name_what_comes_back(ds: datasets.Dataset) -> hf_rap.Held:
    from hf_rap import Difference, EpochReport, Estimate, Handoff, Inspection, SourceInfo

    assert_type(hf_rap.diff("a", "b"), Difference)
    assert_type(hf_rap.check_export(ds), Handoff)
    assert_type(hf_rap.inspect_dataset(ds), Inspection)
    assert_type(hf_rap.describe_source("a/dataset", ds), SourceInfo)
    assert_type(hf_rap.estimate(ds, Rollouts(TransformersEngine("a/model")), rows=2), Estimate)
    print(EpochReport)
    return hf_rap.list_runs("a-run")[0]


def mistakes() -> None:
    from hf_rap import Rolouts  # type: ignore[attr-defined]

    hf_rap.select_cognitiv(Rolouts)  # type: ignore[attr-defined]
    Rollouts(TransformersEngine("a/model"), attempts="five")  # type: ignore[arg-type]
    Completion(reply="42")  # type: ignore[call-arg]
    load()  # type: ignore[call-arg]
