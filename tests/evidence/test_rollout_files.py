"""Files of NeMo Gym and verifiers: each rollout to its row, and what is no rollout refused with its line."""

import json

import pytest
from datasets import Dataset

from hf_rap import add_rollout_file, add_scores, difficulty_score
from hf_rap.errors import ColumnExistsError, LayoutError, SourceError

ROWS = Dataset.from_dict({"qid": ["a", "b", "c"], "problem": ["1?", "2?", "3?"]})


def written(tmp_path, *lines, name="rollouts.jsonl"):
    """The file with these lines."""
    path = tmp_path / name
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def nemo(task, rollout, reward, **more):
    """A line of NeMo Gym."""
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": f"\\boxed{{{reward}}}"}],
    }
    return {
        "responses_create_params": {"input": [{"role": "user", "content": "1?"}], "temperature": 0.7},
        "_ng_task_index": task,
        "_ng_rollout_index": rollout,
        "reward": reward,
        "response": {"model": "Qwen/Qwen3-4B", "output": [{"type": "reasoning", "summary": []}, message]},
        **more,
    }


def verifier(example, reward, **more):
    """A line of verifiers."""
    completion = [
        {"role": "assistant", "content": "Let me see."},
        {"role": "tool", "content": "9"},
        {"role": "assistant", "content": "4"},
    ]
    return {"example_id": example, "prompt": [], "completion": completion, "reward": reward, "error": None, **more}


def test_nemo_gym(tmp_path):
    """Rollouts of one task in any order; a task without one is unknown; model and sampling are told."""
    path = written(tmp_path, nemo(2, 0, 1.0), nemo(0, 1, 0.0), nemo(0, 0, 1.0))
    evidence = add_rollout_file(ROWS, path)
    assert evidence["rap_image_rewards"][:] == [[0.0, 1.0], None, [1.0]]
    assert evidence["rap_image_responses"][0] == [r"\boxed{0.0}", r"\boxed{1.0}"]
    assert evidence["rap_error"][1] == "rate_unknown: rollouts.jsonl has no rollout of this row"
    assert json.loads(evidence["rap_settings"][0]) == {
        "engine": "published",
        "file": "rollouts.jsonl",
        "format": "NeMo Gym",
        "model": "Qwen/Qwen3-4B",
        "sampling": '{"temperature": 0.7}',
    }
    assert add_scores(evidence, difficulty_score)["rap_difficulty"][:] == [0.5, None, 0.0]


def test_verifiers(tmp_path):
    """A rollout that failed has a reward of 0 there and is unknown here; the model stands in metadata.json beside."""
    failed = {"error": "ModelError", "error_chain_repr": "ModelError()", "error_chain_str": "ModelError"}
    path = written(
        tmp_path,
        verifier(0, 1.0, is_truncated=True),
        verifier(0, 0.0, error=failed),
        verifier(1, 0.0),
        name="results.jsonl",
    )
    (tmp_path / "metadata.json").write_text(
        json.dumps({"model": "gpt-4.1-mini", "sampling_args": {"temperature": 1.0, "n": 1}})
    )
    evidence = add_rollout_file(ROWS, path)
    assert evidence["rap_image_rewards"][:] == [[1.0, None], [0.0], None]
    assert evidence["rap_image_responses"][0] == ["4", "4"]
    assert evidence["rap_image_truncated"][0] == [True, None]
    settings = json.loads(evidence["rap_settings"][0])
    assert (settings["model"], settings["sampling"]) == ("gpt-4.1-mini", '{"temperature": 1.0}')


def test_rows_by_a_field_of_both(tmp_path):
    """Also of a framework that is not known; what nobody tells is unknown."""
    path = written(tmp_path, {"qid": "c", "reward": 2.5, "completion": "4"}, {"qid": "a", "reward": -1})
    evidence = add_rollout_file(ROWS, path, by="qid", correct=2)
    assert evidence["rap_image_rewards"][:] == [[0.0], None, [1.0]]
    settings = json.loads(evidence["rap_settings"][0])
    assert (settings["model"], settings["sampling"]) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("lines", "options", "says"),
    [
        ([nemo(3, 0, 1.0)], {}, "line 1, is of the row 3, which these 3 rows do not have"),
        ([nemo(0, 0, 1.0), nemo(0, 0, 1.0)], {}, "line 2, is the same rollout as line 1: _ng_rollout_index 0"),
        ([nemo(0, 0, 1.0), nemo(0, 1, 1.5)], {}, "line 2, has a reward of 1.5, and rewards are from 0 to 1"),
        ([nemo(0, 0, "yes")], {}, "line 1, has a reward of 'yes'"),
        ([{"score": 1}], {}, "is no rollout of NeMo Gym or verifiers"),
        ([verifier(0, 1.0), {"reward": 1.0}], {}, "line 2, has no 'example_id'"),
        ([verifier("first", 1.0)], {}, "has 'first' for example_id"),
        ([{"qid": "z", "reward": 1.0}], {"by": "qid"}, "is of the row 'z', which these 3 rows do not have in 'qid'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_rollout_is_refused_with_its_line(tmp_path, lines, options, says):
    """Rows that are not there, rollouts twice, rewards that are none."""
    with pytest.raises(LayoutError) as refused:
        add_rollout_file(ROWS, written(tmp_path, *lines), **options)
    assert says in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path):
    """Not there, empty, no JSON, and a column that does not tell rows apart."""
    with pytest.raises(SourceError, match="cannot be read"):
        add_rollout_file(ROWS, tmp_path / "none.jsonl")
    with pytest.raises(SourceError, match="has no rollouts"):
        add_rollout_file(ROWS, written(tmp_path))
    path = written(tmp_path, nemo(0, 0, 1.0))
    path.write_text(path.read_text() + "{broken\n")
    with pytest.raises(SourceError, match="line 2, cannot be read"):
        add_rollout_file(ROWS, path)
    twice = Dataset.from_dict({"qid": ["a", "a"]})
    with pytest.raises(LayoutError, match="Rows 0 and 1 have the same 'qid', 'a'"):
        add_rollout_file(twice, path, by="qid")


def test_evidence_that_is_there_is_not_overwritten(tmp_path):
    """By the name of what would do it."""
    path = written(tmp_path, nemo(0, 0, 1.0))
    with pytest.raises(ColumnExistsError, match="add_rollout_file would overwrite 'rap_image_rewards'"):
        add_rollout_file(add_rollout_file(ROWS, path), path)
