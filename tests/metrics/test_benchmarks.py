"""Result files as VLMEvalKit and lmms-eval write them: right accuracies, or the file is named with why it is not read."""

import csv
import json

import pytest

from hf_rap.errors import SourceError
from hf_rap.metrics.benchmarks import read_results

QWEN = "Qwen2.5-VL-7B-Instruct"


def vlmevalkit(top, name, rows, model=QWEN, run="T20261127-101500"):
    """A CSV as its `dump` writes it: every cell quoted."""
    file = top / model / run / f"{model}_{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    return file


def task(name, hit, total):
    """A line of `MathVista_acc`."""
    shares = {"prefetch_rate": 0.0, "acc": hit / total * 100}
    return {"Task&Skill": name, "tot": total, "prefetch": 0, "hit": hit, **shares}


def lmms_eval(top, results, model="Qwen__Qwen2.5-VL-7B-Instruct", date="20261127_101500", **more):
    """A JSON file as `save_results_aggregated` writes it."""
    file = top / model / f"{date}_results.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "results": results,
        "config": {"model": "qwen2_5_vl", "random_seed": 7},
        "model_name_sanitized": model,
        "total_evaluation_time_seconds": "1800.0",
        **more,
    }
    file.write_text(json.dumps(content))
    return file


def read(top):
    """(model, benchmark) -> accuracies."""
    scores = {}
    for result in read_results(top).read:
        scores.setdefault((result.model, result.benchmark), []).append(result.score)
    return scores


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("MathVista_MINI_gpt-4o-mini_score", [task("Overall", 687, 1000), task("geometry", 5, 9)], {"MathVista": 68.7}),
        (
            "LogicVista_gpt-4o-mini_score",  # Overall stands where the writer has put it
            [
                {"Task&Skill": "inductive", "tot": 9, "hit": 1, "acc": 11.1},
                {"Task&Skill": "Overall", "tot": 448, "hit": 200, "acc": 44.5},
            ],
            {"LogicVista": 44.5},
        ),
        ("MMVet_gpt-4-turbo_score", [{"Category": "Overall", "tot": 218, "acc": 59.13}], {"MMVet": 59.13}),
        # A share of 1 in the _acc.csv of multiple choice, percent in that of other questions.
        ("MMStar_acc", [{"split": "val", "Overall": 0.5607, "math": 0.4}], {"MMStar": 56.07}),
        ("Geometry3K_acc", [{"Overall": 41.5}], {"Geometry3K": 41.5}),
        (
            "MathVerse_MINI_gpt-4o-mini_score",
            [{"split": "Vision Only", "Overall": 39.3}, {"split": "Text Lite", "Overall": 50.0}],
            {"MathVerse, Vision Only": 39.3, "MathVerse, Text Lite": 50.0},
        ),
        ("MathVerse_MINI_Vision_Only_score", [{"split": "Vision Only", "Overall": 39.3}], {"MathVerse": 39.3}),
        ("WeMath_score", [{"Score (Strict)": "36.19%", "Score (Loose)": "53.1%"}], {"WeMath": 36.19}),
    ],
)
def test_a_file_of_vlmevalkit(tmp_path, name, rows, expected):
    """Of each shape that its writers have: a line per task, a column of shares or of percent, a text with a sign."""
    vlmevalkit(tmp_path, name, rows)
    found = read(tmp_path)
    assert found == {(QWEN, benchmark): [pytest.approx(score)] for benchmark, score in expected.items()}


def test_a_judge_is_known_by_the_name_of_the_file(tmp_path):
    """Two judges give two tables."""
    vlmevalkit(tmp_path, "MathVista_MINI_gpt-4o-mini_score", [task("Overall", 1, 2)])
    vlmevalkit(tmp_path, "MMStar_exact_matching_acc", [{"split": "none", "Overall": 0.5}])
    assert [result.judge for result in read_results(tmp_path).read] == ["exact_matching", "gpt-4o-mini"]


def test_a_link_and_a_copy_are_no_second_run(tmp_path):
    """VLMEvalKit links the newest results, and copies what it uses again; another number is another run."""
    rows = [task("Overall", 687, 1000)]
    file = vlmevalkit(tmp_path, "MathVista_MINI_score", rows)
    (file.parents[1] / file.name).symlink_to(file)
    vlmevalkit(tmp_path, "MathVista_MINI_score", rows, run="T20261128-101500")
    vlmevalkit(tmp_path, "MathVista_MINI_score", [task("Overall", 689, 1000)], run="T20261129-101500")
    assert read(tmp_path) == {(QWEN, "MathVista"): pytest.approx([68.7, 68.9])}


def test_a_file_of_lmms_eval(tmp_path):
    """Shares of 1 where the metric is one; seed and hours of the run."""
    lmms_eval(
        tmp_path,
        {
            "mathvista_testmini_cot": {
                "alias": "x",
                "llm_as_judge_eval,none": 68.7,
                "llm_as_judge_eval_stderr,none": "N/A",
            },
            "mmstar": {"math,none": 0.4, "average,none": 0.5607, "average_stderr,none": 0.01},
            "mathverse_testmini_vision_only": {"gpt_eval_score,none": 0.25},
            "mathverse_testmini": {"gpt_eval_score,none": 0.5},
            "mmvet": {"gpt_eval_score,none": 59.13},
            "ai2d": {"exact_match,none": 0.9},  # no benchmark of these tables
        },
    )
    model = "Qwen__Qwen2.5-VL-7B-Instruct"
    found = {benchmark: scores for (name, benchmark), scores in read(tmp_path).items() if name == model}
    assert found == {
        "MathVista": [68.7],
        "MMStar": [pytest.approx(56.07)],
        "MathVerse, Vision Only": [25.0],
        "MathVerse": [50.0],
        "MMVet": [59.13],
    }
    assert {(result.seed, result.hours) for result in read_results(tmp_path).read} == {(7, 0.5)}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (
            f"{QWEN}_MathVista_MINI_score.csv",
            '"Task&Skill","acc"\n"geometry","5"\n',
            "none of its lines is called Overall",
        ),
        (f"{QWEN}_MMStar_acc.csv", '"split","Overall"\n"val","nan"\n', "'nan' is no accuracy"),
        (f"{QWEN}_MMStar_acc.csv", '"split","Overall"\n', "it has no rows"),
        (f"{QWEN}_MMStar_acc.csv", '"split","Total"\n"val","1"\n', "no column of an accuracy among: split, Total"),
        (f"{QWEN}_ChartQA_acc.csv", '"Overall"\n"80"\n', "'ChartQA' is none of the benchmarks that are known here"),
        ("MMStar_acc.csv", '"Overall"\n"80"\n', "does not begin with that of a folder above it"),
        ("1_results.json", '{"results": {"mmstar": {"alias": "x"}}}', "none of its metrics says how many are right"),
        ("1_results.json", '{"results": {"ai2d": {"acc,none": 1}}}', "none of its tasks is a benchmark"),
        ("1_results.json", "{", "is no JSON"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, name, content, why):
    """With its file; others are read all the same."""
    (tmp_path / QWEN).mkdir()
    (tmp_path / QWEN / name).write_text(content)
    vlmevalkit(tmp_path, "WeMath_score", [{"Score (Strict)": "36.19%"}])
    found = read_results(tmp_path)
    assert [result.benchmark for result in found.read] == ["WeMath"]
    assert [(file.name, why in message) for file, message in found.unread] == [(name, True)]


def test_a_folder_without_results_is_refused(tmp_path):
    """And one that is not there."""
    with pytest.raises(SourceError, match="holds no results: neither"):
        read_results(tmp_path)
    with pytest.raises(SourceError, match="There is no folder"):
        read_results(tmp_path / "no")
