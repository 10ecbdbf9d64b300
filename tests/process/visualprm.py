"""Files in the layout of VisualPRM400K, made for tests."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = ("ai2d_train", "chartqa_train", "geometry3k_en")


def record(rng: random.Random, number: int) -> dict[str, Any]:
    """One clean line; scores are shares of 16 continuations, some responses all right or all wrong."""
    kind = rng.choice(["mixed", "mixed", "right", "wrong"])
    steps = []
    for step in range(rng.randint(1, 9)):
        low, high = {"mixed": (0, 16), "right": (1, 16), "wrong": (0, 0)}[kind]
        correct = rng.randint(low, high) if kind != "mixed" or rng.random() < 0.6 else 0
        text = f"  Step {step + 1}: “{rng.choice('xyz')}” is {rng.randint(1, 99)} \n"
        steps.append({"step": text, "score": correct / 16, "num_mc_correct": correct, "num_mc_total": 16})
    question = f"What is {number // 4}?"
    image = f"pictures/{number // 4}.png" if number % 7 else [f"pictures/{number}.png", "b.png"]
    return {
        "image": image,
        "question": "<image>\n" * (2 - isinstance(image, str)) + f"{question}\nThink step by step.",
        **({} if number % 5 == 0 else {"question_orig": f" {question} "}),
        "answer": rng.choice(["A", "é", "12"]),
        "response": "\n".join(step["step"].strip() for step in steps),
        "steps_with_score": steps,
    }


def write(folder: Path, rows: int, *, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """One file per source with `rows`, 2 `rows`, ... clean lines; what is in them by source."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    made = {}
    for more, source in enumerate(SOURCES, 1):
        made[source] = [record(rng, number) for number in range(rows * more + more)]
        text = "".join(json.dumps(one, ensure_ascii=more == 1) + "\n" for one in made[source])
        (folder / f"{source}.jsonl").write_text(text, encoding="utf-8")
    return made
