"""`PromptStates`: the columns of the built-in model, through `map` and through a run."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hf_rap import EndpointEngine, PromptStates, Rollouts, collect_evidence, collect_in_run
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import ColumnExistsError, SettingError
from hf_rap.scorers.probe import states_of


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


@pytest.mark.slow
def test_rollouts_write_the_same_states_on_the_way(planted, found, tmp_path, caplog):
    """To the rounding of half precision, with the replies that there are without; later attempts leave them as they are."""
    rollouts = Rollouts(demo_engine(), attempts=2, max_new_tokens=24, states=True)
    made = collect_evidence(planted, rollouts)
    assert "The states of 3 layers and both arms take 1.54 kB a row, 30.7 kB for 20 rows." in caplog.text
    plain = collect_evidence(planted, replace(rollouts, states=False))
    assert made["rap_image_responses"][:] == plain["rap_image_responses"][:]
    assert made["rap_states_error"][:] == found["rap_states_error"][:]
    for name in ("rap_image_states", "rap_text_states"):
        assert made.features[name] == found.features[name]
        for here, there in zip(made[name], found[name], strict=True):
            assert (here is None) == (there is None)
            if here is not None:
                np.testing.assert_allclose(here, there, atol=0.02)
    settings = [next(text for text in ds["rap_states_settings"] if text) for ds in (made, found)]
    assert states_of(settings[0]) == states_of(settings[1])

    ds = planted.select(range(6))
    collect_in_run(ds, rollouts, str(tmp_path / "run"))
    topped_up = collect_in_run(ds, replace(rollouts, attempts=3), str(tmp_path / "run"))
    assert [len(rewards or []) for rewards in topped_up["rap_image_rewards"]] == [
        3 if states else 0 for states in topped_up["rap_image_states"]
    ]
    for here, there in zip(topped_up["rap_image_states"], made["rap_image_states"], strict=False):
        if here is not None:
            np.testing.assert_allclose(here, there, atol=0.02)


def test_servers_tell_no_states_with_their_replies():
    """Nothing is asked of them."""
    with pytest.raises(SettingError, match="EndpointEngine does not tell what its model holds of a prompt"):
        Rollouts(EndpointEngine("http://127.0.0.1:9/v1", model="m"), states=True)
