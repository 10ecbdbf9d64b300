"""VisualProcessBench, the outputs of the released script, and stored candidates: read as the metrics take them, or refused."""

import json

import evaluate
import pytest
from datasets import Dataset

from hf_rap.errors import MissingColumnError, SettingError, SourceError
from hf_rap.metrics import metric_path
from hf_rap.metrics.benchmarks import read_results
from hf_rap.metrics.process_bench import read_process_bench, read_step_scores
from hf_rap.process.annotate import id_of_response
from hf_rap.process.candidates import stored_candidates

LINE = {
    "image": ["images/1.png"],
    "question": "<image1>\nWhich?",
    "answer": "B",
    "policy_model": "GPT-4o",
    "data_source": "MMMU",
    "response": {"steps": ["First.", "So B."], "process_correctness": [1, -1]},
}


def written(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_row_of_the_benchmark(tmp_path):
    """Places of images are taken out; a response that is stored as text is parsed, a single image is a list."""
    second = {**LINE, "image": "2.png", "response": json.dumps(LINE["response"]), "data_source": None}
    ds = read_process_bench(written(tmp_path / "test.jsonl", LINE, "", second))
    assert ds[0] == {
        "id": "1",
        "source": "MMMU",
        "image": ["images/1.png"],
        "question": "Which?",
        "answer": "B",
        "steps": ["First.", "So B."],
        "labels": [1, -1],
    }
    assert (ds[1]["id"], ds[1]["source"], ds[1]["image"], ds[1]["labels"]) == ("2", "UNKNOWN", ["2.png"], [1, -1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({**LINE, "response": {"steps": ["a"]}}, "line 1: no row of VisualProcessBench .*process_correctness"),
        ({**LINE, "response": {"steps": ["a"], "process_correctness": [1, 1]}}, "line 1 has 2 labels for 1 steps"),
        ({**LINE, "response": {"steps": ["a"], "process_correctness": [2]}}, "line 1 has the label 2: there are 1"),
        ({**LINE, "response": "none"}, "line 1: no row"),
        ("{", "cannot be read"),
        ("[]", "line 1: no row"),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path, line, message):
    """With the file."""
    with pytest.raises(SourceError, match=message):
        read_process_bench(written(tmp_path / "test.jsonl", line))


def items(*rows):
    """As the script writes them."""
    return [
        {"data_source": source, "labels_per_step": labels, "prm_scores": [scores]} for source, labels, scores in rows
    ]


def test_outputs_of_the_script_are_scored(tmp_path):
    """Two right and two wrong steps of source a, of which one is missed (at 0.5), one right step of b; a neutral one is left out.

    a: right F1 = 2 * 1 / (2 + 0 + 1) = 2/3, wrong = 2 * 2 / (4 + 1) = 4/5, macro 11/15. b: right 1, wrong 0, macro 1/2.
    """
    outputs = items(("a", [1, -1, 0], [0.9, 0.1, 0.9]), ("a", [1, -1], [0.4, 0.3]), ("b", [1], [0.8]))
    file = written(tmp_path / "visualprocessbench_1.json", json.dumps(outputs))
    figures = evaluate.load(metric_path("step_f1")).compute(**read_step_scores(file), threshold=0.5)
    assert figures["per_source"] == {"a": pytest.approx(11 / 15), "b": 0.5}
    assert figures["over_sources"] == pytest.approx((4 * 11 / 15 + 0.5) / 5)


def test_results_of_a_checkpoint_are_in_the_table(tmp_path):
    """Right steps score above wrong ones: the threshold of the rows that are held out tells all others apart."""
    folder = tmp_path / "checkpoint-50" / "eval_visualprocessbench"
    folder.mkdir(parents=True)
    outputs = items(*(("MMMU", [1, -1], [0.8, 0.2]) for _ in range(8)))
    written(folder / "visualprocessbench_241127.json", json.dumps(outputs))
    found = [(result.model, result.benchmark, result.score) for result in read_results(tmp_path).read]
    assert found == [
        ("checkpoint-50", "VisualProcessBench", 100.0),
        ("checkpoint-50", "VisualProcessBench, MMMU", 100.0),
    ]
    written(folder / "visualprocessbench_241128.json", json.dumps(items(("MMMU", [1], [0.8, 0.1]))))
    ((_, why),) = read_results(tmp_path).unread
    assert "has 1 labels for 2 scores" in why


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("{}", "item 0: no step scores"),
        ('[{"labels_per_step": [1]}]', "item 0: no step scores"),
    ],
)
def test_other_files_are_not_taken_for_outputs(tmp_path, content, message):
    """They are refused by name."""
    with pytest.raises(SourceError, match=message):
        read_step_scores(written(tmp_path / "visualprocessbench_1.json", content))


EVIDENCE = {
    "rap_id": ["q1", "q2"],
    "rap_image_responses": [["first", "second", "third"], ["only"]],
    "rap_image_rewards": [[0.0, 1.0, None], [1.0]],
}


def test_the_best_of_stored_replies():
    """By the weakest step: the second reply (0.5) before the first (0.25); one without step scores is never the best."""
    scored = {
        "rap_id": [id_of_response("q1", "second"), id_of_response("q1", "first"), id_of_response("q2", "only")],
        "steps_with_score": [
            [{"step": "a", "score": 0.5}],
            [{"step": "a", "score": 1.0}, {"step": "b", "score": 0.25}],
            [{"step": "a", "score": 0.0}],
        ],
        "by_model": [[0.1], [0.7, 0.9], None],
    }
    evidence, ds = Dataset.from_dict(EVIDENCE), Dataset.from_dict(scored)
    given = stored_candidates(evidence, ds)
    assert given == {"predictions": [[[1.0, 0.25], [0.5], []], [[0.0]]], "references": [[0.0, 1.0, None], [1.0]]}
    metric = evaluate.load(metric_path("best_of_n"))
    assert metric.compute(**given)["best"] == 1.0
    by_model = stored_candidates(evidence, ds, scores="by_model")
    assert by_model["predictions"] == [[[0.7, 0.9], [0.1], []], [[]]]
    assert metric.compute(**by_model)["best"] == 0.0  # of q1 alone: q2 has no reply with scores
    with pytest.raises(SettingError, match="no reply of the evidence has a row with step scores"):
        stored_candidates(evidence, ds.map(lambda row: {"rap_id": row["rap_id"] + "x"}))
    with pytest.raises(MissingColumnError, match="rap_image_rewards"):
        stored_candidates(evidence.remove_columns("rap_image_rewards"), ds)
