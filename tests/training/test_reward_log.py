"""The log of rewards, as a trainer's processes leave it behind, and what is read from it row by row."""

import json
import logging
from types import SimpleNamespace

import pytest
from datasets import Dataset

from hf_rap import add_rollout_file
from hf_rap.errors import LayoutError, SettingError, SourceError
from hf_rap.rows.logged import read_attempts
from hf_rap.select.trained import rewards_by_row
from hf_rap.training import RewardLog, add_epoch_rewards


class Trainer:
    """What TRL hands on: a method of the trainer, whose model trains or is evaluated."""

    def __init__(self, *, training=True):
        self.model = SimpleNamespace(training=training, config=SimpleNamespace(name_or_path="me/vlm"))
        self.args = SimpleNamespace(temperature=0.7, num_generations=2, output_dir="out")

    def log_metric(self, name, value):
        """Numbers to log."""


def says(completions, **_):
    """The reply is the reward."""
    return [None if text == "?" else float(text) for text in completions]


def call(log, step, ids, replies, trainer=None, **columns):
    """One batch, as TRL calls a reward function; `step` counts from 1."""
    trainer = trainer or Trainer()
    state = SimpleNamespace(global_step=step - 1)
    return log(completions=replies, rap_id=ids, trainer_state=state, log_metric=trainer.log_metric, **columns)


def lines(folder):
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def rows(*ids):
    return Dataset.from_dict({"rap_id": list(ids)})


def logged(folder, *records, name="rewards-00000-00000001", started=0.0, function="accuracy", end="\n"):
    """A file of the log and what stands beside it."""
    folder.mkdir(exist_ok=True)
    usual = {"attempt": 0, "phase": "train", "time": started + 1}
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({**usual, **record}) for record in records) + end)
    (folder / f"{name}.json").write_text(json.dumps({"function": function, "started": started, "model": "me/vlm"}))


def test_a_line_says_whose_reward_it_is_and_of_which_step(tmp_path):
    """Two batches of one step (gradients are accumulated) count attempts on; the next step begins anew."""
    log = RewardLog(says, tmp_path)
    assert call(log, 1, ["a", "a"], ["1", "0"]) == [1.0, 0.0]
    assert call(log, 1, ["a", "b"], ["1", "?"]) == [1.0, None]
    call(log, 2, ["a"], ["0"])
    found = [[line[name] for name in ("rap_id", "reward", "step", "attempt", "phase")] for line in lines(tmp_path)]
    assert found == [
        ["a", 1.0, 1, 0, "train"],
        ["a", 0.0, 1, 1, "train"],
        ["a", 1.0, 1, 2, "train"],
        ["b", None, 1, 0, "train"],
        ["a", 0.0, 2, 0, "train"],
    ]
    (beside,) = tmp_path.glob("*.json")
    facts = json.loads(beside.read_text())
    assert (facts["function"], facts["model"], facts["sampling"]) == (
        "says",
        "me/vlm",
        {"temperature": 0.7, "num_generations": 2},
    )


def test_a_published_version_is_known_by_its_column_id(tmp_path):
    """Numbers are ids as well; a column of one's own is named."""
    RewardLog(says, tmp_path)(completions=["1"], id=[7])
    RewardLog(says, tmp_path, id_column="uid")(completions=["0"], uid=["x"], id=[7])
    assert {line["rap_id"] for line in lines(tmp_path)} == {"7", "x"}
    assert {line["step"] for line in lines(tmp_path)} == {None}


@pytest.mark.parametrize("columns", [{}, {"rap_id": ["a"]}, {"rap_id": ["a", None]}, {"problem": ["p", "q"]}])
def test_rows_without_an_id_are_refused_at_once(tmp_path, columns):
    """Not after a night, with a log that is of no use."""
    with pytest.raises(SettingError, match="finds no rap_id or id of every reply"):
        RewardLog(says, tmp_path)(completions=["1", "0"], **columns)


def test_a_disk_that_fails_ends_no_training(tmp_path, caplog):
    """It is said once."""
    (tmp_path / "taken").write_text("")
    log = RewardLog(says, tmp_path / "taken")
    with caplog.at_level(logging.WARNING, logger="hf_rap"):
        assert [call(log, 1, ["a"], ["1"]), call(log, 2, ["a"], ["0"])] == [[1.0], [0.0]]
    assert len([record for record in caplog.records if "cannot be logged" in record.message]) == 1


def test_what_is_evaluated_is_left_out(tmp_path):
    """The same row, held out or not, gets rewards in an evaluation, too."""
    log = RewardLog(says, tmp_path)
    call(log, 1, ["a"], ["1"])
    call(log, 1, ["a", "held out"], ["0", "0"], Trainer(training=False))
    assert [(attempt.id, attempt.reward) for attempt in read_attempts(tmp_path)] == [("a", 1.0)]


def test_processes_write_files_of_their_own(tmp_path, monkeypatch):
    """Of a group that two processes share all attempts count."""
    logs = RewardLog(says, tmp_path), RewardLog(says, tmp_path)  # made before anything is trained, in all processes
    for rank, log in enumerate(logs):
        monkeypatch.setenv("RANK", str(rank))
        call(log, 3, ["a", "a"], [str(rank)] * 2)
    assert sorted(file.name[:13] for file in tmp_path.glob("*.jsonl")) == ["rewards-00000", "rewards-00001"]
    assert sorted(rewards_by_row(rows("a"), tmp_path).rewards[0]) == [0.0, 0.0, 1.0, 1.0]


def test_a_start_that_goes_on_replaces_the_steps_that_it_makes_anew(tmp_path):
    """Killed in step 4 of two processes, it went on from the checkpoint of step 2, with one process."""
    for rank in (0, 1):
        records = [{"rap_id": f"{step}{rank}", "reward": 0.0, "step": step} for step in (1, 2, 3, 4)]
        logged(tmp_path, *records, name=f"rewards-0000{rank}-00000001", started=10.0)
    records = [{"rap_id": f"{step}0", "reward": 1.0, "step": step} for step in (3, 4, 5)]
    logged(tmp_path, *records, name="rewards-00000-00000002", started=20.0)
    found = {attempt.id: attempt.reward for attempt in read_attempts(tmp_path)}
    assert found == {"10": 0, "11": 0, "20": 0, "21": 0, "30": 1, "40": 1, "50": 1}


def test_a_line_that_a_kill_has_torn_is_left_out(tmp_path):
    """The last one alone: any other is a file that was damaged."""
    logged(tmp_path, {"rap_id": "a", "reward": 1.0, "step": 1}, end='\n{"rap_id": "b", "rew')
    assert [attempt.id for attempt in read_attempts(tmp_path)] == ["a"]
    logged(tmp_path, {"rap_id": "a", "reward": 1.0, "step": 1}, end='\n{"rap_id": "b", "rew\n')
    with pytest.raises(SourceError, match="cannot be read"):
        read_attempts(tmp_path)
    (tmp_path / "rewards-00000-00000001.json").unlink()
    with pytest.raises(SourceError, match="is missing or torn"):
        read_attempts(tmp_path)


def test_the_last_visit_of_a_row_counts_where_it_is_late(tmp_path):
    """Of ten steps the later half: a's visit in step 8 and not that in step 3; b was there in step 4 alone."""
    records = [("a", 3, 0.0), ("b", 4, 1.0), ("a", 8, 1.0), ("a", 8, 0.0), ("c", 10, None), ("other", 10, 1.0)]
    logged(tmp_path, *({"rap_id": name, "step": step, "reward": reward} for name, step, reward in records))
    found = rewards_by_row(rows("a", "b", "c", "d"), tmp_path)
    assert found.rewards == [[1.0, 0.0], None, [None], None]
    assert (found.steps, found.rows, found.earlier, found.attempts, found.strangers) == ((6, 10), 2, 1, 3, 1)
    assert found.settings == {"engine": "training log", "steps": [6, 10], "model": "me/vlm", "sampling": {}}
    assert rewards_by_row(rows("a", "b"), tmp_path, last_steps=7).rewards == [[1.0, 0.0], [1.0]]
    assert rewards_by_row(rows("a", "b"), tmp_path, last_steps=100).steps == (1, 10)


def test_rewards_that_are_no_verdicts_take_a_bound(tmp_path):
    """A weighted sum of 0.9 for the answer and 0.1 for the form: 0.1 is a wrong answer."""
    logged(tmp_path, *({"rap_id": "a", "step": 1, "reward": reward} for reward in (0.1, 0.9, 1.0)))
    with pytest.raises(SettingError, match=r"a reward of 0.1 \(row 'a', step 1\)"):
        rewards_by_row(rows("a"), tmp_path)
    assert rewards_by_row(rows("a"), tmp_path, correct=0.9).rewards == [[0.0, 1.0, 1.0]]


def test_of_several_reward_functions_one_is_named(tmp_path):
    """That for the form says nothing of the answer."""
    logged(tmp_path, {"rap_id": "a", "step": 1, "reward": 1.0}, function="accuracy")
    logged(tmp_path, {"rap_id": "a", "step": 1, "reward": 0.0}, function="form", name="rewards-00000-00000002")
    with pytest.raises(LayoutError, match=r"2 functions: accuracy, form.*--reward-name"):
        rewards_by_row(rows("a"), tmp_path)
    assert rewards_by_row(rows("a"), tmp_path, reward="accuracy").rewards == [[1.0]]
    with pytest.raises(LayoutError, match="no rewards of 'grade', but of accuracy, form"):
        rewards_by_row(rows("a"), tmp_path, reward="grade")


def test_a_log_of_other_rows_is_refused(tmp_path):
    """And files that name no rows at all."""
    logged(tmp_path, {"rap_id": "a", "step": 1, "reward": 1.0})
    with pytest.raises(SettingError, match="One there is 'a', one of the rows 'z'"):
        rewards_by_row(rows("z"), tmp_path)
    (tmp_path / "step_1.json").write_text(json.dumps([{"prompt": "Find x.", "reward": 1.0}]))
    with pytest.raises(LayoutError, match="do not say which rows"):
        rewards_by_row(rows("a"), tmp_path / "step_1.json")


def test_the_files_of_trainers_are_read_as_well_where_they_have_ids(tmp_path):
    """TRL's completions with `accuracy_reward`, and verl's rollouts."""
    Dataset.from_dict(
        {"step": [2, 2], "prompt": ["p", "p"], "completion": ["c", "d"], "accuracy_reward": [1.0, 0.0]}
        | {"rap_id": ["a", "a"], "advantage": [0.5, -0.5]}
    ).to_parquet(tmp_path / "completions_00002.parquet")
    assert rewards_by_row(rows("a"), tmp_path).rewards == [[1.0, 0.0]]
    (tmp_path / "2.jsonl").write_text(json.dumps({"input": "p", "score": 1.0, "step": 2, "rap_id": "b"}))
    assert rewards_by_row(rows("b"), tmp_path / "2.jsonl").rewards == [[1.0]]


def test_a_file_of_the_log_is_evidence_by_itself(tmp_path):
    """As any other file with a rollout a line: `hf-rap pass-rates --rollouts FILE --by rap_id`."""
    call(RewardLog(says, tmp_path), 1, ["a", "a", "b"], ["1", "0", "?"])
    (file,) = tmp_path.glob("*.jsonl")
    evidence = add_rollout_file(rows("a", "b", "c"), file, by="rap_id", model="me/vlm")
    assert evidence["rap_image_rewards"][:] == [[1.0, 0.0], [None], None]


def test_epochs_are_read_from_the_log_too(tmp_path):
    """One reader for all files."""
    logged(
        tmp_path, *({"rap_id": "a", "step": step, "reward": reward} for step, reward in ((1, 0.0), (1, 1.0), (2, 1.0)))
    )
    with_rewards, report = add_epoch_rewards(rows("a"), tmp_path, steps_per_epoch=1)
    assert with_rewards["rap_epoch_rewards"][:] == [[0.5, 1.0]]
    assert report.keyed_by == "id"


def test_what_is_wrapped_can_be_called_and_answers(tmp_path):
    """A reward for every reply."""

    async def late(**_):
        return []

    with pytest.raises(SettingError, match="late is asynchronous"):
        RewardLog(late, tmp_path)
    with pytest.raises(SettingError, match="gave 0 rewards for 1 replies"):
        RewardLog(lambda **_: [], tmp_path)(completions=["1"], rap_id=["a"])
