"""Rollout files of trainers -> rewards per row and epoch. TRL's are read in test_trl.py, as TRL wrote them."""

import json

import pytest
from datasets import Dataset

from hf_rap.columns import EPOCH_REWARDS
from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError, SettingError, SourceError
from hf_rap.training import EpochReport, add_epoch_rewards


def dataset(**changed):
    columns = {"problem": ["<image>Find x.", "Find  y.\n", "Find z."], "answer": ["1", "2", "3"], "image": [None] * 3}
    return Dataset.from_dict({**columns, **changed})


def rewards(found):
    return found[0][EPOCH_REWARDS.name][:]


def write(path, records):
    lines = path.suffix == ".jsonl"
    path.write_text("\n".join(map(json.dumps, records)) if lines else json.dumps(records))


def test_openrlhf_samples_by_prompt(tmp_path):
    """step_1 and step_2 are epoch 1, step_3 is epoch 2, in which y was not seen; a stranger is counted."""
    write(tmp_path / "step_1.json", [{"prompt": "Find x.", "reward": 1.0}, {"prompt": "Find x. ", "reward": 0.0}])
    write(tmp_path / "step_2.json", [{"prompt": "Find y.", "reward": 1.0}, {"prompt": "Who?", "reward": 1.0}])
    write(tmp_path / "step_3.json", [{"prompt": "Find x.", "reward": 1.0}, {"prompt": "Find y.", "reward": None}])
    found = add_epoch_rewards(dataset(), tmp_path, steps_per_epoch=2)
    assert rewards(found) == [[0.5, 1.0], [1.0, None], None]
    assert found[1] == EpochReport(
        epochs=2,
        attempts=6,
        without_reward=1,
        keyed_by="prompt",
        rows_seen=2,
        rows_missing=(1, 2),
        duplicates=0,
        strangers=1,
    )


def test_easyr1_samples_by_id(tmp_path):
    """As RAP's fork writes them, one file per epoch."""
    write(tmp_path / "epoch1.json", [{"onlyid": 7, "reward": 1.0}, {"onlyid": 8, "reward": 0.0}])
    write(tmp_path / "epoch2.json", [{"onlyid": 7, "reward": 0.0}])
    files = [tmp_path / "epoch1.json", tmp_path / "epoch2.json"]
    found = add_epoch_rewards(dataset(onlyid=[7, 8, 9]), files, steps_per_epoch=1)
    assert rewards(found) == [[1.0, 0.0], [0.0, None], None]
    assert found[1].keyed_by == "id"


def test_verl_rollouts_by_prompt_with_its_template(tmp_path):
    """The logged input is the whole prompt as text: the user says how a question becomes it."""
    write(tmp_path / "1.jsonl", [{"input": "user\nFind x. Think.\nassistant\n", "output": "", "score": 1.0, "step": 1}])
    template = "user\n{} Think.\nassistant\n"
    found = add_epoch_rewards(dataset(), tmp_path, steps_per_epoch=1, prompt=template.format)
    assert rewards(found) == [[1.0], None, None]
    message = r"found in the files by its prompt. One of them has 'user Find x. Think. assistant', the dataset for example 'Find x.'"
    with pytest.raises(SettingError, match=message):
        add_epoch_rewards(dataset(), tmp_path, steps_per_epoch=1)


def test_rows_that_share_a_question_are_joined_by_the_ids_that_our_rewards_give(tmp_path):
    """verl writes what the reward function returns; the same question about two pictures is told apart."""
    records = [
        {
            "input": "Find x.",
            "output": "",
            "gts": "1",
            "score": score,
            "step": 1,
            "acc": score,
            "unreadable": 0.0,
            "rap_id": name,
        }
        for name, score in (("a", 1.0), ("b", 0.0), ("b", 1.0))
    ]
    write(tmp_path / "1.jsonl", records)
    ds = dataset(problem=["<image>Find x.", "Find x.", "Find z."], id=["a", "b", "c"])
    found = add_epoch_rewards(ds, tmp_path, steps_per_epoch=1)
    assert rewards(found) == [[1.0], [0.5], None]
    assert (found[1].keyed_by, found[1].duplicates) == ("id", 0)
    write(tmp_path / "1.jsonl", [{**record, "rap_id": ""} for record in records])
    assert add_epoch_rewards(dataset(), tmp_path, steps_per_epoch=1)[1].keyed_by == "prompt"


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("rollouts/1.jsonl", {"input": "Find x.", "score": 1.0, "step": 1}),
        ("train/step_1.json", {"prompt": "Find x.", "reward": 1.0}),
    ],
)
def test_the_dump_is_found_in_the_output_of_a_trainer(tmp_path, name, record):
    """Between checkpoints, configs and what was validated on."""
    for other in (
        "checkpoint-2/config.json",
        "checkpoint-2/trainer_state.json",
        "model/tokenizer.json",
        "validation/1.jsonl",
    ):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text("{}")
    (tmp_path / name).parent.mkdir()
    write(tmp_path / name, [record])
    assert rewards(add_epoch_rewards(dataset(), tmp_path, steps_per_epoch=1)) == [[1.0], None, None]


def test_rows_that_share_a_prompt_are_reported_and_get_nothing(tmp_path):
    """The same question about two pictures: whose reward it is, is not known."""
    write(tmp_path / "step_1.json", [{"prompt": "Find x.", "reward": 1.0}, {"prompt": "Find z.", "reward": 1.0}])
    found = add_epoch_rewards(dataset(problem=["<image>Find x.", "Find x.", "Find z."]), tmp_path, steps_per_epoch=1)
    assert rewards(found) == [None, None, [1.0]]
    assert (found[1].duplicates, found[1].strangers) == (2, 0)


@pytest.mark.parametrize(
    ("name", "records", "error", "message"),
    [
        ("step_1.json", [{"prompt": "x"}], LayoutError, "no field is known as the reward"),
        ("step_1.json", [{"prompt": "x", "reward": 1, "score": 1}], LayoutError, "several fields may be the reward"),
        ("step_1.json", [{"reward": 1}], LayoutError, "neither an id .* nor a prompt"),
        ("last.json", [{"prompt": "x", "reward": 1}], LayoutError, "neither a field `step` nor a number"),
        ("step_0.json", [{"prompt": "x", "reward": 1}], LayoutError, "step 0 is below 1"),
        ("step_1.json", {"prompt": "x"}, SourceError, "does not hold a list of records"),
        ("step_1.json", [], SourceError, "hold no records"),
        ("step_1.csv", [], SourceError, "none of the formats"),
    ],
)
def test_files_that_cannot_be_understood_are_told(tmp_path, name, records, error, message):
    """With the file and what is missing."""
    write(tmp_path / name, records)
    with pytest.raises(error, match=message):
        add_epoch_rewards(dataset(), tmp_path / name, steps_per_epoch=1)


def test_bad_options_are_refused(tmp_path):
    """No files, no steps, a column that is there, broken JSON, a field that is not there."""
    file = tmp_path / "step_1.json"
    with pytest.raises(SourceError, match=r"There are no \.parquet, \.json, \.jsonl files"):
        add_epoch_rewards(dataset(), tmp_path, steps_per_epoch=1)
    with pytest.raises(SourceError, match="cannot be read"):
        add_epoch_rewards(dataset(), file, steps_per_epoch=1)
    file.write_text("{")
    with pytest.raises(SourceError, match="cannot be read"):
        add_epoch_rewards(dataset(), file, steps_per_epoch=1)
    write(file, [{"prompt": "Find x.", "reward": 1.0}])
    with pytest.raises(SettingError, match="steps_per_epoch is 0"):
        add_epoch_rewards(dataset(), file, steps_per_epoch=0)
    with pytest.raises(MissingColumnError, match="'accuracy'"):
        add_epoch_rewards(dataset(), file, steps_per_epoch=1, reward="accuracy")
    with pytest.raises(ColumnExistsError, match="rap_epoch_rewards"):
        add_epoch_rewards(add_epoch_rewards(dataset(), file, steps_per_epoch=1)[0], file, steps_per_epoch=1)
