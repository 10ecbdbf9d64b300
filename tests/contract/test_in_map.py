"""Every way of `datasets`: each callable of the package in `map`, each function of a whole dataset, pair by pair of options.

The same scores as the plain way, or one line that says what to write. What is added to the package is found by itself.
Other processes, and more of them, are in `test_surroundings.py`.
"""

import importlib
import inspect
from functools import partial
from itertools import combinations, product
from random import Random

import pandas as pd
import pytest
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict, disable_caching, enable_caching
from every_callable import CALLABLES, ENGINE, asks, everything, needs_images, new_columns, rows_for

import hf_rap
from hf_rap import Rollouts, select_cognitive
from hf_rap.columns import Column
from hf_rap.errors import RapError

pytestmark = pytest.mark.slow  # hundreds of maps

MOST_CASES = 600


def fails_in_datasets(case):
    """It fails at pictures of polars, and in pandas at those that come back or whose column is not handed over."""
    comes_back = case["passed"] in ("a column", "columns") or not asks(CALLABLES[case["call"]])
    return case["format"] == "polars" or (case["format"] == "pandas" and comes_back)


# The ways of `map`.

WAYS = {
    "call": list(CALLABLES),
    "format": [None, "arrow", "numpy", "torch", "pandas", "polars"],
    "container": ["table", "shuffled", "splits", "stream", "streams"],
    "batch": ["batched", "one", "three", "all", "single rows"],
    "passed": ["nothing", "indices", "rank", "both", "a column", "columns", "fn_kwargs"],
    "other": ["nothing", "remove_columns", "keep_in_memory", "drop_last_batch", "own function"],
}


def pairwise(ways, seed=0):
    """Cases in which every value of every way meets every value of every other; greedy, the same each time."""
    names, random = list(ways), Random(seed)
    open_pairs = {
        (a, x, b, y) for a, b in combinations(names, 2) for x, y in product(range(len(ways[a])), range(len(ways[b])))
    }
    cases = []
    while open_pairs:
        a, x, b, y = min(open_pairs)
        case = {a: x, b: y}
        for name in names:
            if name in case:
                continue
            gains = []
            for value in range(len(ways[name])):
                gain = sum(
                    (
                        (name, value, other, case[other])
                        if names.index(name) < names.index(other)
                        else (other, case[other], name, value)
                    )
                    in open_pairs
                    for other in case
                )
                gains.append((gain, random.random(), value))
            case[name] = max(gains)[2]
        open_pairs -= {(a, case[a], b, case[b]) for a, b in combinations(names, 2)}
        cases.append({name: ways[name][value] for name, value in case.items()})
    return cases


CASES = pairwise(WAYS)
BATCH_SIZES = {"batched": {}, "one": {"batch_size": 1}, "three": {"batch_size": 3}, "all": {"batch_size": -1}}


@pytest.fixture(scope="module", autouse=True)
def no_cache():
    disable_caching()
    yield
    enable_caching()


@pytest.fixture(scope="module")
def ds():
    return everything()


@pytest.fixture(scope="module")
def expected(ds):
    """What each callable gives in the plain way: new columns, by name and row."""
    return {name: new_columns(call, rows_for(call, ds).map(call, batched=True)) for name, call in CALLABLES.items()}


def in_container(rows, kind):
    if kind == "shuffled":
        return rows.select(range(len(rows))[::-1])
    if kind == "splits":
        return DatasetDict(train=rows)
    if kind == "stream":
        return rows.to_iterable_dataset()
    return IterableDatasetDict(train=rows.to_iterable_dataset()) if kind == "streams" else rows


def options_of(case, rows):
    """The options of `map`, as far as the container has them."""
    streamed = case["container"] in ("stream", "streams")
    options = {} if case["batch"] == "single rows" else {"batched": True, **BATCH_SIZES[case["batch"]]}
    passed = case["passed"]
    if passed in ("indices", "both"):
        options["with_indices"] = True
    if passed in ("rank", "both") and not streamed:
        options["with_rank"] = True
    if passed in ("a column", "columns"):
        options["input_columns"] = rows.column_names[:1] if passed == "columns" else rows.column_names[0]
    if passed == "fn_kwargs":
        options["fn_kwargs"] = {"min_cde": 0.2}
    if case["other"] == "remove_columns":
        options["remove_columns"] = ["id"]
    if case["other"] == "drop_last_batch" and case["batch"] in ("batched", "all"):  # else rows are lost, as asked for
        options["drop_last_batch"] = False
    if not streamed and case["other"] == "keep_in_memory":
        options["keep_in_memory"] = True
    return options


def passed_on(call, *args, **options):
    """A function of a user's around it."""
    return call(*args, **options)


def told_in_one_line(error):
    text = str(error).strip()
    assert isinstance(error, RapError), f"{type(error).__name__}: {text[:300]}"
    assert "\n" not in text
    assert len(text) > 30


def named(case):
    return "-".join(str(value) for value in case.values())


def test_every_callable_is_here():
    """Those that are known of today, at least; and there are not too many cases to run every time."""
    classes = {type(call).__name__ for call in CALLABLES.values()}
    assert {"ACEScore", "BISScore", "CDEScore", "DifficultyScore", "LikelihoodCDEScore", "LIMRScore"} <= classes
    assert {"Rollouts", "Attention", "Likelihood", "Controls", "StepRewards", "FunctionScorer"} <= classes
    assert {"AddDifficultyHint", "RemoveDifficultyHint"} <= classes
    assert len(CASES) + len(WHOLE_CASES) <= MOST_CASES


def test_all_pairs_meet():
    """Every value of every way with every value of every other."""
    for a, b in combinations(WAYS, 2):
        assert {(case[a], case[b]) for case in CASES} == set(product(WAYS[a], WAYS[b]))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_map_gives_the_same_or_says_what_to_write(case, ds, expected):
    """New columns, bit by bit."""
    call = CALLABLES[case["call"]]
    rows = rows_for(call, ds)
    if fails_in_datasets(case) and needs_images(call):
        rows = rows.remove_columns("images")  # so that the layout is refused
    held = in_container(rows, case["container"])
    held = held.with_format(case["format"])
    function = partial(passed_on, call) if case["other"] == "own function" else call
    try:
        found = new_columns(call, held.map(function, **options_of(case, rows)))
    except RapError as error:
        return told_in_one_line(error)
    want = expected[case["call"]]
    if case["container"] == "shuffled":
        want = {name: values[::-1] for name, values in want.items()}
    assert found == {name: want[name] for name in found}
    assert set(found) == set(want)
    return None


def test_most_ways_are_taken(ds):
    """A refusal is for single rows, columns without names, options in the wrong place, and formats that lose something."""
    refused = []
    for call, format_, options in product(
        ("cde_score", "difficulty_score"),
        WAYS["format"],
        ({}, {"with_indices": True}, {"with_rank": True}, {"batch_size": 1}),
    ):
        rows = rows_for(CALLABLES[call], ds)
        try:
            rows.with_format(format_).map(CALLABLES[call], batched=True, **options)
        except RapError as error:
            refused.append((call, format_, options, str(error)))
    assert refused == []


# Functions of a whole dataset.


def public_functions():
    """By name, those whose first argument is a dataset, or a selection from one."""
    found = {}
    for name in (*hf_rap._HOME_OF, *hf_rap._MOVED_TO):
        home = hf_rap._MOVED_TO.get(name)
        function = getattr(importlib.import_module(f"hf_rap.{home}"), name) if home else getattr(hf_rap, name)
        first = next(iter(inspect.signature(function).parameters), "") if inspect.isfunction(function) else ""
        if first in ("ds", "evidence", "selection") or name in ("export", "check_export", "load_process_rewards"):
            found[name] = function
    return found


FUNCTIONS = public_functions()
CONTAINERS = [
    "table",
    "shuffled",
    "one split",
    "two splits",
    "stream",
    "one stream",
    "selection",
    "rows",
    "frame",
    "name",
]
WHOLE_CASES = [(name, container) for name in FUNCTIONS for container in CONTAINERS]


def arguments(name, function, folder):
    """Whatever else a function needs."""
    given = {
        "collector": Rollouts(ENGINE, attempts=2),
        "rollouts": Rollouts(ENGINE, attempts=2),
        "stopping": "exact",
        "rewards": hf_rap.StepRewards(ENGINE, continuations=2),
        "url": str(folder / "run"),
        "path": str(folder / {"export_trl_prm": "out.parquet", "export_internvl_prm": "out.jsonl"}.get(name, "out")),
        "methods": ["rap", "difficulty"],
        "option": "min_cde",
        "values": (0.0, 0.5),
        "min_likelihood_cde": 0,
        "budget": 2,
        "rule": {"min_cde": -1, "replace_easy": False},
        "repo_id": "user/name",
        "version": "1.0.0",
        "files": str(folder),
        "steps_per_epoch": 1,
    }
    also = {"select_top": {"count": 2, "per": None, "by": "rap_cde"}, "stability": {"draws": 2, "rule": given["rule"]}}
    needed = [
        parameter.name
        for parameter in list(inspect.signature(function).parameters.values())[1:]
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    unknown = [each for each in needed if each not in given]
    assert not unknown, f"{name} needs {unknown}: say in this test what to give"
    return {**{each: given[each] for each in needed}, **also.get(name, {})}


def held_in(ds, container):
    return {
        "table": lambda: ds,
        "shuffled": lambda: ds.select(range(len(ds))),
        "one split": lambda: DatasetDict(train=ds),
        "two splits": lambda: DatasetDict(train=ds, test=ds),
        "stream": ds.to_iterable_dataset,
        "one stream": lambda: IterableDatasetDict(train=ds.to_iterable_dataset()),
        "selection": lambda: select_cognitive(ds, min_cde=-1, replace_easy=False),
        "rows": lambda: ds.select_columns(["id"]).to_list(),
        "frame": lambda: pd.DataFrame({"id": ds["id"]}),
        "name": lambda: "no/such-dataset",
    }[container]()


def comparable(result):
    """What a call gives, without pictures, paths and times."""
    if isinstance(result, (Dataset, IterableDataset)):
        kept = result.remove_columns([name for name in ("images",) if name in (result.column_names or ())])
        return list(kept)
    if isinstance(result, hf_rap.Selection):
        return result.scored["rap_reason"][:], result.rule
    return type(result)


def rows_of(name, ds):
    """All that it may read, and nothing that it writes."""
    written = {
        "collect_adaptive": Rollouts(ENGINE).writes,
        "collect_evidence": Rollouts(ENGINE).writes,
        "collect_in_run": Rollouts(ENGINE).writes,
        "estimate": Rollouts(ENGINE).writes,
        "annotate_steps": hf_rap.StepRewards(ENGINE).writes,
        "add_epoch_rewards": [Column("rap_epoch_rewards", "", "")],
    }
    gone = {column.name for column in written.get(name, ())}
    gone |= {"rap_limr"} if name == "add_limr_score" else set()
    return ds.remove_columns([each for each in ds.column_names if each in gone])


@pytest.fixture(scope="module")
def usual(ds, tmp_path_factory):
    """What a function gives for what its documentation names: a `Dataset`, or for publishing a `Selection`."""
    results = {}

    def usual(name):
        if name not in results:
            function, rows = FUNCTIONS[name], rows_of(name, ds)
            first = next(iter(inspect.signature(function).parameters))
            given = held_in(rows, "selection" if first == "selection" else "table")
            try:
                found = function(given, **arguments(name, function, tmp_path_factory.mktemp("usual")))
                results[name] = comparable(found)
            except RapError as error:  # a Hub that is not there, files of no training
                results[name] = told_in_one_line(error)
        return results[name]

    return usual


@pytest.mark.parametrize(("name", "container"), WHOLE_CASES)
def test_a_whole_dataset_in_any_container_gives_the_same_or_one_line(name, container, ds, usual, tmp_path, monkeypatch):
    """Beside the way that is documented."""
    monkeypatch.chdir(tmp_path)
    function, rows = FUNCTIONS[name], rows_of(name, ds)
    want = usual(name)
    try:
        found = comparable(function(held_in(rows, container), **arguments(name, function, tmp_path)))
    except RapError as error:
        return told_in_one_line(error)
    assert found == want
    return None


def test_every_function_of_a_dataset_is_here():
    """Those of today, at least."""
    assert {
        "add_scores",
        "collect_evidence",
        "collect_in_run",
        "estimate",
        "inspect_dataset",
        "publish",
        "publish_to_folder",
    } <= set(FUNCTIONS)
    assert {"select_cognitive", "stability", "compare_methods", "regrade", "export", "split_stages"} <= set(FUNCTIONS)
