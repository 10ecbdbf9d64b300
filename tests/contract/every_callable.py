"""Every callable of the package that `map` can take, with rows and an engine that serve all of them.

In a file of its own, since child processes import it, too. What is added to the package is found by itself: a class or an
object that takes a batch.
"""

import importlib
import inspect
import io
import pkgutil
import re
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from random import Random

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage

import hf_rap
from hf_rap import Collector, Completion, Rollouts, add_scores, cde_score, collect_evidence, difficulty_score
from hf_rap.columns import Column
from hf_rap.engines.base import LogLikelihood, ReplyAttention
from hf_rap.scorers import scorer
from hf_rap.scorers.probe import FOLDS, Fit, ProbeReport, states_of
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import fit_counts


@dataclass(frozen=True)
class Engine:
    """Says what the row and the number of the attempt tell it to."""

    continues = repeats = True

    def complete(self, requests, sampling):
        return [[self._reply(request, place) for place in range(request.attempts)] for request in requests]

    def _reply(self, request, place):
        right = Random(f"{request.row_id} {request.arm} {request.first + place}").random() < 0.5
        return Completion(f"It is \\boxed{{{3 if right else 5}}}", 5, False, 9, (1, 2, 3, 4, 5))

    def attend(self, replies, *, window):
        heads = {f"{heads}{rows}": [-1.0, -0.5, -0.25] for heads in ("max", "mean") for rows in ("", "_reply")}
        return [ReplyAttention(["a", "b", "c"], heads, heads, [0.1] * 3, [0.2] * 3, 0) for _ in replies]

    def log_likelihoods(self, replies):
        return [
            LogLikelihood(-0.5 - len(reply.request.images), 2, (-0.25 - len(reply.request.images) / 2,) * 2, ("a", "b"))
            for reply in replies
        ]

    def prompt_states(self, requests, *, depths):
        return [np.full((len(depths), 2), len(request.images), dtype=np.float16) for request in requests]

    def describe(self):
        return {"engine": "made up", "model": "m"}


def png(shade):
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def questions(count=6):
    rows = [
        {
            "id": f"row {n}",
            "images": [png(n)],
            "problem": "<image>How many?",
            "answer": "3",
            "response": "One.\n\nIt is 3.",
        }
        for n in range(count)
    ]
    features = {name: Value("string") for name in ("id", "problem", "answer", "response")}
    return Dataset.from_list(rows, features=Features({"images": List(Image()), **features}))


def everything():
    """Rows with all evidence there is: judged attempts alone, since a null is NaN in numpy and has a test of its own."""
    ds = questions()
    for collector in (
        Rollouts(ENGINE, attempts=4, attention=True),
        hf_rap.Likelihood(ENGINE),
        hf_rap.PromptStates(ENGINE),
        hf_rap.ReplyLikelihood(ENGINE),
    ):
        ds = collect_evidence(ds, collector)
    ds = collect_evidence(ds, hf_rap.Controls(ENGINE))
    steps = [[{"step": "One.", "score": n / 8, "num_mc_correct": n, "num_mc_total": 8}] for n in range(len(ds))]
    ds = ds.add_column("steps_with_score", steps).add_column("rap_epoch_rewards", [[0.25, 0.5]] * len(ds))
    limr = hf_rap.scorers.LIMRScore(epoch_means=(0.5, 0.75))
    return add_scores(ds, difficulty_score, cde_score, hf_rap.scorers.likelihood_cde_score, limr)


ENGINE = Engine()


class Lengths(Collector):
    """A collector of a user's."""

    kind = "lengths"
    writes = (Column("own_length", "int64", "letters of the answer"),)

    def reads(self, available):
        return ("answer",)

    def settings(self):
        return {"version": "1"}

    def __call__(self, batch):
        return {"own_length": [len(answer) for answer in batch["answer"]]}


@scorer(reads=["rap_image_tokens"], writes=[Column("rap_most", "int32", "tokens of the longest reply")])
def most(batch):
    return {"rap_most": [max(tokens, default=None) for tokens in batch["rap_image_tokens"]]}


# What there is to test.


def modules():
    """Every module of the package in which something is called with a batch; the others need not be loaded."""
    for found in pkgutil.walk_packages(hf_rap.__path__, "hf_rap."):
        file = Path(hf_rap.__path__[0]).joinpath(*found.name.split(".")[1:])
        file = file / "__init__.py" if found.ispkg else file.with_suffix(".py")
        if re.search(r"def __call__\(\s*self, batch", file.read_text(encoding="utf-8")):
            yield importlib.import_module(found.name)


def takes_a_batch(kind):
    """The class is called with a batch."""
    call = kind.__dict__.get("__call__") if inspect.isclass(kind) and not getattr(kind, "_is_protocol", False) else None
    return call is not None and "batch" in list(inspect.signature(call).parameters)[:2]


def probe_arguments():
    """Of a probe of the states that `ENGINE` tells: three depths of two numbers, both arms."""
    report = ProbeReport(40, 0.3, 0.5, 0.9, (), {}, {})
    settings = collect_evidence(questions(1), hf_rap.PromptStates(ENGINE))["rap_states_settings"][0]
    return {
        "fits": (Fit(np.zeros(12), np.full((12, 3), 0.05), np.full(3, 0.25)),) * FOLDS,
        "states": states_of(settings),
        "report": report,
    }


def made(kind):
    """One of the class, by its defaults, an engine, or the arguments that stand here."""
    random = np.random.default_rng(0)
    counts = [Counts(random.binomial(4, random.random(50)).astype(float), np.full(50, 4)) for _ in range(2)]
    given = {
        "LIMRScore": {"epoch_means": (0.5, 0.75)},
        "CDEScore": {"prior": fit_counts(*counts)},
        "Controls": {"engine": ENGINE, "arms": ("blank",)},
        "Probe": probe_arguments(),
        "FunctionScorer": None,
        "Collector": None,
        "AddDifficultyHint": {"column": "problem"},
        "RemoveDifficultyHint": {"column": "problem"},
    }
    if kind.__name__ in given:
        arguments = given[kind.__name__]
        return None if arguments is None else kind(**arguments)
    assert is_dataclass(kind), f"{kind.__name__} takes a batch: say in this test how one is made"
    required = [
        name for name, each in inspect.signature(kind).parameters.items() if each.default is inspect.Parameter.empty
    ]
    assert set(required) <= {"engine"}, f"{kind.__name__} needs {required}: say in this test what to give"
    return kind(**dict.fromkeys(required, ENGINE))


def callables():
    """By name: one of each class, and each object that the package offers."""
    found = {
        "most": most,
        "lengths": Lengths(),
        "cde with rollouts": hf_rap.CDEScore(rollouts=Rollouts(ENGINE, attempts=2)),
    }
    for module in modules():
        for name, each in vars(module).items():
            if takes_a_batch(type(each)) and not name.startswith("_"):
                found.setdefault(name, each)
            if takes_a_batch(each) and each.__module__ == module.__name__ and not each.__name__.startswith("_"):
                one = made(each)
                if one is not None:
                    found.setdefault(each.__name__, one)
    return found


CALLABLES = callables()


def rows_for(call, ds):
    """The rows without the columns that the callable writes, and no more than it may read."""
    written = {column.name for column in getattr(call, "writes", ())}
    if getattr(call, "rollouts", None) is not None:
        written |= {column.name for column in call.rollouts.writes}
    rows = ds.remove_columns([name for name in ds.column_names if name in written])
    return rows if needs_images(call) else rows.remove_columns("images")


def asks(call):
    return hasattr(call, "engine") or getattr(call, "rollouts", None) is not None


def needs_images(call):
    return asks(call) or not hasattr(call, "reads")  # those of hints recognise a layout


def new_columns(call, mapped):
    rows = mapped.with_format(None) if hasattr(mapped, "with_format") else mapped
    names = [column.name for column in getattr(call, "writes", ())] or ["rap_hinted_problem", "problem"]
    if isinstance(rows, (Dataset, DatasetDict)):
        rows = rows["train"] if isinstance(rows, DatasetDict) else rows
        return {name: rows[name][:] for name in names if name in rows.column_names}
    if isinstance(rows, dict):
        rows = rows["train"].with_format(None)
    seen = list(rows)
    return {name: [plain(row[name]) for row in seen] for name in names if name in seen[0]}


def plain(value):
    """As Python has it: streams in a format of tensors keep it."""
    return value.tolist() if hasattr(value, "tolist") else value
