"""Every field of every public callable: what it is to the key of `Dataset.map`, and to the fingerprint of a run.

A field that changes what replies are drawn from, or how they are read, changes both. One that changes at most their
rounding changes neither. A new callable has to be entered here, and a new field is counted until it says otherwise.
"""

import inspect
import json
from copy import copy
from dataclasses import fields, is_dataclass, replace
from importlib import import_module

import pytest
from datasets.fingerprint import Hasher

import hf_rap
from hf_rap.demo import MODEL, demo_engine, make_planted
from hf_rap.demo.chains import split_chain
from hf_rap.engines.options import BY_IDENTITY, ONLY_IN_MAP, ROUNDING, marked
from hf_rap.evidence.collector import Collector
from hf_rap.evidence.donors import Donors
from hf_rap.rows.layouts import Layout
from hf_rap.runs.fill import settings_of
from hf_rap.runs.folder import fingerprint_of
from hf_rap.scorers import LikelihoodCDEScore, LIMRScore
from hf_rap.stats.posterior import Prior, fit_prior
from hf_rap.stats.settings import NOT_COUNTED, counted
from hf_rap.training import AddDifficultyHint, RemoveDifficultyHint

KINDS = {tuple(kind.items()): kind for kind in (ROUNDING, ONLY_IN_MAP, BY_IDENTITY)}
# What `map` does not take: a reward function of trainers.
NOT_MAPPED = {"DifficultyWeighted"}
LAYOUT = Layout(question="problem", images="images", answer="answer")
TEMPLATES = ((0.5, "Easy."), (1.0, "Hard."))


def public():
    """The classes that users hand to `map`, or that answer inside of those."""
    homes = {name: f"hf_rap.{home}" for name, home in hf_rap._MOVED_TO.items()} | dict.fromkeys(
        hf_rap.__all__, "hf_rap"
    )
    named = [getattr(import_module(home), name) for name, home in homes.items()]
    callables = [made for made in named if inspect.isclass(made) and {"complete", "__call__"} & vars(made).keys()]
    return {made.__name__: made for made in callables if is_dataclass(made)}


MADE = {
    "Rollouts": lambda _: hf_rap.Rollouts(demo_engine()),
    "Attention": lambda _: hf_rap.Attention(demo_engine()),
    "Likelihood": lambda _: hf_rap.Likelihood(demo_engine()),
    "Controls": lambda _: hf_rap.Controls(demo_engine()),
    "ReplyLikelihood": lambda _: hf_rap.ReplyLikelihood(demo_engine()),
    "PromptStates": lambda _: hf_rap.PromptStates(demo_engine()),
    "StepRewards": lambda _: hf_rap.StepRewards(demo_engine()),
    "TransformersEngine": lambda _: hf_rap.TransformersEngine("me/grid"),
    "EndpointEngine": lambda _: hf_rap.EndpointEngine("http://host/v1", model="m"),
    "VLLMEngine": lambda _: hf_rap.VLLMEngine("me/grid"),
    "ACEScore": lambda _: hf_rap.ACEScore(),
    "BISScore": lambda _: hf_rap.BISScore(),
    "CDEScore.control": lambda _: hf_rap.CDEScore(),
    "CDEScore": lambda given: hf_rap.CDEScore(prior=given("prior")),
    "DifficultyScore": lambda given: hf_rap.DifficultyScore(prior=given("prior")),
    "GoldDoubtScore": lambda _: hf_rap.GoldDoubtScore(),
    "LikelihoodCDEScore": lambda _: LikelihoodCDEScore(),
    "VisualDependenceScore": lambda _: hf_rap.VisualDependenceScore(),
    "LIMRScore": lambda _: LIMRScore((0.5, 0.25)),
    "AddDifficultyHint": lambda _: AddDifficultyHint(),
    "RemoveDifficultyHint": lambda _: RemoveDifficultyHint(),
}
# Values that cannot be made up from the default.
OTHERS = {
    "allow_missing": lambda _: ("visual.*",),
    "ACEScore.attempts": lambda _: "first",
    "ACEScore.form": lambda _: "literal",
    "ACEScore.heads": lambda _: "mean",
    "ACEScore.normalise": lambda _: "reply",
    "ACEScore.part": lambda _: "thinking",
    "GoldDoubtScore.prior": lambda _: 0.5,
    "VisualDependenceScore.arm": lambda _: "blank",
    "LikelihoodCDEScore.pool": lambda _: "mean",
    "LikelihoodCDEScore.scale": lambda _: "probability",
    "TransformersEngine.model": lambda given: str(given("other_grid")),
    "VLLMEngine.max_model_len": lambda _: 256,
    "VLLMEngine.max_num_seqs": lambda _: 8,
    "VLLMEngine.model": lambda given: str(given("other_grid")),
    "VLLMEngine.options": lambda _: {"quantization": "fp8"},
    "adapter": lambda given: str(given("grid_adapter")),
    "arm": lambda _: "text",
    "arms": lambda _: ("blank",),
    "attn_implementation": lambda _: "eager",
    "batch_size": lambda _: 16,
    "column": lambda _: "problem",
    "confidence": lambda _: 0.9,
    "control": lambda _: "blank",
    "cut": lambda _: "unknown",
    "depths": lambda _: (0.25, 1.0),
    "device": lambda _: "cpu",
    "donors": lambda _: Donors(make_planted(6), LAYOUT),
    "donors_per_row": lambda _: 2,
    "dtype": lambda _: "bfloat16",
    "engine": lambda given: hf_rap.TransformersEngine(str(given("other_grid"))),
    "epoch_means": lambda _: (0.5, 0.75),
    "extra_body": lambda _: {"top_k": -1},
    "layout": lambda _: LAYOUT,
    "min_column": lambda _: 3,
    "prior": lambda _: None,
    "prompt": lambda _: "bare",
    "processor_options": lambda _: {"image_seq_length": 9},
    "revision": lambda _: "v2",
    "rollouts": lambda _: hf_rap.Rollouts(demo_engine()),
    "split": lambda _: split_chain,
    "templates": lambda _: TEMPLATES,
    "token_env": lambda _: "MY_TOKEN",
    "url": lambda _: "http://other/v1",
    "verifier": lambda _: accuracy,
}


def accuracy(reply, gold, question):
    """A grader of somebody."""
    del question
    return float(gold in reply)


FIELDS = [(name, field.name) for name, made in public().items() if name not in NOT_MAPPED for field in fields(made)]


@pytest.fixture(scope="module")
def prior():
    """Of a few rows."""
    from datasets import Dataset

    rewards = [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]
    fitted = fit_prior(Dataset.from_dict({"rap_image_rewards": rewards, "rap_text_rewards": rewards[::-1]}))
    assert isinstance(fitted, Prior)
    return fitted


@pytest.fixture
def given(request, hub_cache, other_grid):
    """Fixtures by name, with a model on two branches of the Hub."""
    hub_cache.commit("me/grid", MODEL)
    hub_cache.commit("me/grid", other_grid, branch="v2")
    return request.getfixturevalue


def another(name, field, value, given):
    """A value of the field that is not this one."""
    made_up = OTHERS.get(f"{name}.{field}") or OTHERS.get(field)
    if made_up is not None:
        return made_up(given)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.1
    if isinstance(value, str):
        return f"{value}2"
    raise AssertionError(f"{name}.{field}: enter another value than {value!r} in OTHERS.")


def fingerprint(made):
    """Of a run of this collector, or of one with this engine; None for what no run collects."""
    if isinstance(made, Collector):
        return fingerprint_of(settings_of(made))
    return fingerprint_of(made.describe()) if hasattr(made, "describe") else None


def test_every_public_callable_is_here():
    """One that is not would go untested."""
    assert set(public()) == {name for name in MADE if "." not in name} | NOT_MAPPED


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[f"{name}.{field}" for name, field in FIELDS])
def test_field_is_what_it_says(name, field, given):
    """Counted, rounding, of `map` alone, or a name of the model."""
    made = MADE.get(f"{name}.{field}", MADE[name])(given)
    (declared,) = (entry for entry in fields(made) if entry.name == field)
    changed = copy(made)
    value = another(name, field, getattr(made, field), given)
    if declared.init:
        changed = replace(made, **{field: value})
    else:
        object.__setattr__(changed, field, value)
    other_key = Hasher.hash(changed) != Hasher.hash(made)
    other_fingerprint = fingerprint(changed) != fingerprint(made)
    kind = KINDS.get(tuple(declared.metadata.items()))
    if kind is ROUNDING:
        assert (other_key, other_fingerprint) == (False, False)
    elif kind is ONLY_IN_MAP or fingerprint(made) is None:
        assert (other_key, other_fingerprint) == (True, False)
    else:
        assert (other_key, other_fingerprint) == (True, True)


def test_both_kinds_are_declared():
    """The test above would pass if nothing were declared, or everything."""
    declared = [KINDS.get(tuple(field.metadata.items())) for made in public().values() for field in fields(made)]
    assert {str(kind) for kind in declared} == {str(kind) for kind in (None, ROUNDING, ONLY_IN_MAP, BY_IDENTITY)}


@pytest.mark.parametrize("name", [name for name, made in public().items() if "describe" in vars(made)])
def test_what_is_not_counted_is_written_down(name, given):
    """Rounding is recorded, so that a difference can be explained; addresses and names of tokens are not published."""
    engine = MADE[name](given)
    settings = engine.describe()
    rounding = marked(engine, ROUNDING) - {"token_env"}
    assert rounding <= settings.keys()
    assert rounding <= set(settings[NOT_COUNTED])
    assert not rounding & counted(settings).keys()
    assert "http://host" not in json.dumps(settings)
