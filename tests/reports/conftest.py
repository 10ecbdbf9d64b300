"""Scored rows to make pages of, and the page's own rule run by Node.js."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

import hf_rap.reports

RULE = Path(hf_rap.reports.__file__).parent / "page" / "rule.js"
COUNT_OF_ROWS = 250


@pytest.fixture
def rows():
    """250 rows: scores on the grid of five attempts and off it, unknown ones, ids that stand twice, four sources."""
    draw = np.random.default_rng(7)
    count = COUNT_OF_ROWS
    image, text = draw.integers(0, 6, count), draw.integers(0, 6, count)
    unknown = draw.random(count) < 0.06
    cde = [None if gone else float((a - b) / 5) for gone, a, b in zip(unknown, image, text, strict=True)]
    return Dataset.from_dict(
        {
            "rap_id": [f"r{place if place % 17 else 1}" for place in range(count)],
            "rap_image_rewards": [[1.0] * int(right) + [0.0] * int(5 - right) for right in image],
            "rap_cde": cde,
            "rap_difficulty": [
                None if gone else float((5 - right) / 5) for gone, right in zip(unknown, image, strict=True)
            ],
            "rap_ace": [None if value < 0.05 else float(value) for value in draw.random(count)],
            "rap_error": ["no_image: none" if gone and place % 2 else None for place, gone in enumerate(unknown)],
            "source": [f"s{number}" for number in draw.integers(0, 4, count)],
        },
        features=Features(
            {
                "rap_id": Value("string"),
                "rap_image_rewards": List(Value("float64")),
                **{name: Value("float64") for name in ("rap_cde", "rap_difficulty", "rap_ace")},
                "rap_error": Value("string"),
                "source": Value("string"),
            }
        ),
    )


@pytest.fixture
def decided():
    """(rule, settings of every decision) -> what the page decides."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js runs the page's rule")

    def run(rule, settings):
        program = (
            RULE.read_text()
            + "\nlet text = ''; process.stdin.on('data', (part) => { text += part; });"
            + "process.stdin.on('end', () => { const { rule, settings } = JSON.parse(text);"
            + "console.log(JSON.stringify(settings.map((each) => { const { keep, reason, funnel, short } = decide(rule, each);"
            + "return short === undefined ? { keep: [...keep], reason, funnel } : { short }; }))); });"
        )
        done = subprocess.run(
            [node, "-e", program],
            input=json.dumps({"rule": rule, "settings": settings}),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout)

    return run
