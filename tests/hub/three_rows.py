"""A selection of three rows, for tests of how it is published."""

from datasets import Dataset

from hf_rap.select import select_cognitive

REPO = "user/data-rap"


def make(min_cde: float):
    """Scores alone, which are quick to describe."""
    ds = Dataset.from_dict(
        {
            "rap_id": ["a", "b", "c"],
            "images": [[], [], []],
            "problem": ["What is 1 + 1?", "And 2 + 2?", "And 3 + 3?"],
            "answer": ["2", "4", "6"],
            "rap_cde": [0.9, 0.6, 0.1],
        }
    )
    return select_cognitive(ds, min_cde=min_cde, replace_easy=False)
