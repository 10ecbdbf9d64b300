"""`PromptStates`: the columns of the built-in model, through `map` and through a run."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hf_rap import EndpointEngine, PromptStates, collect_evidence, collect_in_run
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import ColumnExistsError, SettingError


@pytest.fixture(scope="module")
def planted():
    """Twenty rows, one of them with a gold that cannot be read."""
    return make_planted(20)


@pytest.fixture(scope="module")
def found(planted):
    """Their states."""
    return collect_evidence(planted, PromptStates(demo_engine()))


def test_columns(found):
    """Three layers of 128 numbers per arm; a row that cannot be asked has none, and says why."""
    unreadable = [row for row, error in enumerate(found["rap_states_error"]) if error]
    assert unreadable
    assert all(found[row]["rap_states_error"].startswith("gold_unreadable: ") for row in unreadable)
    for name in ("rap_image_states", "rap_text_states"):
        assert found.features[name].feature.dtype == "float16"
        lengths = [None if states is None else len(states) for states in found[name]]
        assert lengths == [None if row in unreadable else 384 for row in range(20)]
    settings = json.loads(next(text for text in found["rap_states_settings"] if text))
    assert settings["depths"] == [0.5, 0.75, 1.0]
    assert found["rap_image_states"][0] != found["rap_text_states"][0]


@pytest.mark.slow
def test_a_run_and_other_batches_give_the_same(planted, found, tmp_path):
    """To the rounding of half precision."""
    rows = [row for row, error in enumerate(found["rap_states_error"]) if not error]
    expected = np.array([found[row]["rap_image_states"] for row in rows])
    in_run = collect_in_run(planted, PromptStates(demo_engine()), str(tmp_path / "run"), rows_per_part=6)
    small = planted.map(PromptStates(demo_engine(batch_size=3)), batched=True, batch_size=7)
    for other in (in_run, small):
        assert other["rap_states_error"][:] == found["rap_states_error"][:]
        np.testing.assert_allclose([other[row]["rap_image_states"] for row in rows], expected, atol=0.02)
    again = collect_in_run(planted.select(range(5)), PromptStates(demo_engine()), str(tmp_path / "run"))
    assert again["rap_image_states"][:] == in_run["rap_image_states"][:5]


def test_what_does_not_fit_is_refused(planted, found):
    """A depth that is none, an engine that tells no states, columns that are there."""
    for depths in ((), (0,), (1.5,), "all", (True,)):
        with pytest.raises(SettingError, match=r"depths .*numbers in \(0, 1\]"):
            PromptStates(demo_engine(), depths=depths)
    with pytest.raises(SettingError, match="EndpointEngine does not tell what its model holds of a prompt"):
        PromptStates(EndpointEngine("http://127.0.0.1:9/v1", model="m"))
    with pytest.raises(ColumnExistsError):
        found.map(PromptStates(demo_engine()), batched=True)


def test_the_prompt_is_part_of_the_settings():
    """And the depths are; a name of a preset is the template."""
    states = PromptStates(demo_engine(), prompt="bare", depths=[1])
    assert states.depths == (1.0,)
    assert states.settings() != replace(states, prompt="default").settings()
