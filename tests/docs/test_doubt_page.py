"""The probabilities of docs/doubt.md are those of the score."""

import re
from pathlib import Path

from hf_rap import gold_doubt_score

TEXT = (Path(__file__).parents[2] / "docs/doubt.md").read_text(encoding="utf-8")


def test_the_probabilities_of_the_page():
    """Attempts that agree on 7 with a gold of 3, and what the text arm adds or takes."""
    seven, three = r"\boxed{7}", r"\boxed{3}"
    rows = [([seven] * 5, []), ([seven] * 10, []), ([seven] * 5, [seven] * 5), ([seven] * 5, [three] * 5)]
    batch = {}
    for place, arm in enumerate(("image", "text")):
        batch[f"rap_{arm}_responses"] = [row[place] for row in rows]
        batch[f"rap_{arm}_rewards"] = [[float(reply == three) for reply in row[place]] for row in rows]
    said = [float(number) for number in re.findall(r"\b0\.\d\d\b", TEXT.partition("- Five attempts")[2])[:4]]
    assert [round(doubt, 2) for doubt in gold_doubt_score(batch)["rap_gold_doubt"]] == said
