r"""VisualProcessBench, and what the evaluation script of arXiv 2602.04145 writes about it, as the metric `step_f1` takes them.

One line of its test.jsonl:

    {"image": ["images/1.png"], "question": "<image1>\nWhich ...", "answer": "B", "policy_model": "...", "data_source": "MMMU",
     "response": {"steps": ["First ...", "So B."], "process_correctness": [1, -1]}}

One item of the script's visualprocessbench_*.json (JinYuanLi0012/Balanced-Info-MPRM, commit 81c3de6):

    {"data_source": "MMMU", "labels_per_step": [1, -1], "prm_scores": [[0.91, 0.2]], ...}
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import SourceError, first_line
from hf_rap.options import ForeignError, is_whole, read_json

from .steps import NEUTRAL, RIGHT, WRONG

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import datasets

_PLACE = re.compile(r"<image\d+>")
_UNNAMED = "UNKNOWN"  # of the script, for an item without a source


def read_process_bench(path: str | os.PathLike[str]) -> datasets.Dataset:
    """The benchmark from its test.jsonl: id, source, image (names), question, answer, steps and labels of each row.

    `<image1>` and the like are taken out of the question, as the script does; labels are 1 (right), -1 (wrong) and 0 (neutral).

    Raises:
        SourceError: the file, or a line of it, is not of that form.
    """
    from datasets import Dataset, Features, List, Value

    text = Value("string")
    features = Features(
        {
            "id": text,
            "source": text,
            "image": List(text),
            "question": text,
            "answer": text,
            "steps": List(text),
            "labels": List(Value("int8")),
        }
    )
    rows = []
    for number, item in enumerate(_lines(Path(path)), 1):
        try:
            response = item["response"]
            response = read_json(response, object) if isinstance(response, str) else response
            images = item.get("image") or item.get("images") or []
            row = {
                "id": str(number),
                "source": str(item.get("data_source") or _UNNAMED),
                "image": [images] if isinstance(images, str) else list(images),
                "question": _PLACE.sub("", item.get("question") or "").strip(),
                "answer": str(item.get("answer") or ""),
                "steps": [str(step) for step in response["steps"]],
                "labels": list(response["process_correctness"]),
            }
        except (KeyError, TypeError, AttributeError, ForeignError) as error:
            raise SourceError(f"{path}, line {number}: no row of VisualProcessBench ({first_line(error)}).") from error
        _check_labels(f"{path}, line {number}", row["labels"], len(row["steps"]), "steps")
        rows.append(row)
    return Dataset.from_list(rows, features)


def read_step_scores(path: str | os.PathLike[str]) -> dict[str, list[Any]]:
    """What the script has written about a model: predictions, references and sources, as `step_f1` takes them.

        evaluate.load(metric_path("step_f1")).compute(**read_step_scores("visualprocessbench_241127.json"))

    Raises:
        SourceError: the file, or an item of it, is not of that form.
    """
    try:
        items = read_json(Path(path).read_bytes(), object)
    except (OSError, ForeignError) as error:
        raise SourceError(f"{path} cannot be read: {first_line(error)}.") from error
    read: dict[str, list[Any]] = {"predictions": [], "references": [], "sources": []}
    for number, item in enumerate(items if isinstance(items, list) else [None]):
        try:
            labels, scores = item["labels_per_step"], item["prm_scores"]
            scores = [float(score) for score in (scores[0] if scores else [])]
            source = str(item.get("data_source") or _UNNAMED)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SourceError(f"{path}, item {number}: no step scores ({first_line(error)}).") from error
        _check_labels(f"{path}, item {number}", labels, len(scores), "scores")
        read["predictions"].append(scores)
        read["references"].append(labels)
        read["sources"].append(source)
    return read


def _lines(path: Path) -> Iterator[Any]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from (read_json(line, object) for line in lines if line.strip())
    except (OSError, UnicodeDecodeError, ForeignError) as error:
        raise SourceError(f"{path} cannot be read: {first_line(error)}.") from error


def _check_labels(where: str, labels: Any, count: int, of: str) -> None:
    if not isinstance(labels, list) or len(labels) != count:
        raise SourceError(f"{where} has {len(labels) if isinstance(labels, list) else 0} labels for {count} {of}.")
    for label in labels:
        if not is_whole(label) or label not in (RIGHT, WRONG, NEUTRAL):
            raise SourceError(f"{where} has the label {label!r}: there are 1 (right), -1 (wrong) and 0 (neutral).")
