"""Every field of every public callable: what it is to the key of `Dataset.map`, and to the fingerprint of a run.

A field that changes what replies are drawn from, or how they are read, changes both. One that changes at most their
rounding changes neither. A new callable has to be entered here, and a new field is counted until it says otherwise.
"""

import inspect
import json
from dataclasses import fields, is_dataclass, replace

import pytest
from datasets.fingerprint import Hasher

import hf_rap
from hf_rap.demo import MODEL, demo_engine, make_planted
from hf_rap.demo.chains import split_chain
from hf_rap.engines.options import BY_IDENTITY, ONLY_IN_MAP, ROUNDING
from hf_rap.evidence.collector import Collector
from hf_rap.evidence.donors import Donors
from hf_rap.rows.layouts import Layout
from hf_rap.runs.fill import settings_of
from hf_rap.runs.folder import fingerprint_of
from hf_rap.settings import NOT_COUNTED, counted
from hf_rap.stats.posterior import Prior, fit_prior

KINDS = {tuple(kind.items()): kind for kind in (ROUNDING, ONLY_IN_MAP, BY_IDENTITY)}
# What `map` does not take: a reward function of trainers.
NOT_MAPPED = {"DifficultyWeighted"}
LAYOUT = Layout(question="problem", images="images", answer="answer")
TEMPLATES = ((0.5, "Easy."), (1.0, "Hard."))


def public():
    """The classes that users hand to `map`, or that answer inside of those."""
    classes = (getattr(hf_rap, name) for name in hf_rap.__all__)
    found = [one for one in classes if inspect.isclass(one) and is_dataclass(one)]
    return {one.__name__: one for one in found if {"complete", "__call__"} & vars(one).keys()}


MADE = {
    "Rollouts": lambda: hf_rap.Rollouts(demo_engine()),
    "Attention": lambda: hf_rap.Attention(demo_engine()),
    "Likelihood": lambda: hf_rap.Likelihood(demo_engine()),
    "Controls": lambda: hf_rap.Controls(demo_engine()),
    "StepRewards": lambda: hf_rap.StepRewards(demo_engine()),
    "TransformersEngine": lambda: hf_rap.TransformersEngine("me/grid"),
    "EndpointEngine": lambda: hf_rap.EndpointEngine("http://host/v1", model="m"),
    "ACEScore": hf_rap.ACEScore,
    "BISScore": hf_rap.BISScore,
    "CDEScore": hf_rap.CDEScore,
    "DifficultyScore": hf_rap.DifficultyScore,
    "LikelihoodCDEScore": hf_rap.LikelihoodCDEScore,
    "LimrScore": lambda: hf_rap.LimrScore((0.5, 0.25)),
    "AddDifficultyHint": hf_rap.AddDifficultyHint,
    "RemoveDifficultyHint": hf_rap.RemoveDifficultyHint,
}
# Values that cannot be made up from the default.
OTHERS = {
    "ACEScore.attempts": lambda _: "first",
    "ACEScore.form": lambda _: "literal",
    "ACEScore.heads": lambda _: "mean",
    "TransformersEngine.model": lambda given: str(given("other_grid")),
    "adapter": lambda given: str(given("grid_adapter")),
    "arm": lambda _: "text",
    "arms": lambda _: ("blank",),
    "attn_implementation": lambda _: "eager",
    "column": lambda _: "problem",
    "confidence": lambda _: 0.9,
    "control": lambda _: "blank",
    "device": lambda _: "cpu",
    "donors": lambda _: Donors(make_planted(6), LAYOUT),
    "donors_per_row": lambda _: 2,
    "dtype": lambda _: "bfloat16",
    "engine": lambda given: hf_rap.TransformersEngine(str(given("other_grid"))),
    "epoch_means": lambda _: (0.5, 0.75),
    "extra_body": lambda _: {"top_k": -1},
    "instruction": lambda _: "Just say it.",
    "layout": lambda _: LAYOUT,
    "min_column": lambda _: 3,
    "prior": lambda given: given("prior"),
    "processor_options": lambda _: {"image_seq_length": 9},
    "revision": lambda _: "v2",
    "rollouts": lambda _: hf_rap.Rollouts(demo_engine()),
    "split": lambda _: split_chain,
    "templates": lambda _: TEMPLATES,
    "token_env": lambda _: "MY_TOKEN",
    "url": lambda _: "http://other/v1",
}
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
    assert set(public()) == set(MADE) | NOT_MAPPED


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[f"{name}.{field}" for name, field in FIELDS])
def test_field_is_what_it_says(name, field, given):
    """Counted, rounding, of `map` alone, or a name of the model."""
    made = MADE[name]()
    (declared,) = (one for one in fields(made) if one.name == field)
    changed = replace(made, **{field: another(name, field, getattr(made, field), given)})
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
    declared = [KINDS.get(tuple(one.metadata.items())) for made in public().values() for one in fields(made)]
    assert {str(kind) for kind in declared} == {str(kind) for kind in (None, ROUNDING, ONLY_IN_MAP, BY_IDENTITY)}


@pytest.mark.parametrize("name", [name for name, made in public().items() if "describe" in vars(made)])
def test_what_is_not_counted_is_written_down(name, given):
    """Rounding is recorded, so that a difference can be explained; addresses and names of tokens are not published."""
    engine = MADE[name]()
    settings = engine.describe()
    rounding = {one.name for one in fields(engine) if one.metadata == ROUNDING} - {"token_env"}
    assert rounding <= settings.keys()
    assert rounding <= set(settings[NOT_COUNTED])
    assert not rounding & counted(settings).keys()
    assert "http://host" not in json.dumps(settings)
