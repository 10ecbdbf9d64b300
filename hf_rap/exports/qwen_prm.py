r"""Rollouts with step scores -> the turns that the fine-tuning code of Qwen-VL reads: each step is answered by + or -.

    {"image": "ai2d/abc.png", "conversations": [
      {"from": "human", "value": "### Question:\n<image>\nWhich ...\n\n### Solution Process:\nFirst ..."},
      {"from": "gpt", "value": "+"}, {"from": "human", "value": "Then ..."}, {"from": "gpt", "value": "-"}]}

Its loader (QwenLM/Qwen3-VL, commit 9658872, qwen-vl-finetune/qwenvl/data/data_processor.py, for Qwen2.5-VL and Qwen3-VL) puts an image
in the place of each `<image>` and stops where there are more of one than of the other. Every turn of "gpt" is learned.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hf_rap.errors import LayoutError
from hf_rap.options import check_flags, check_number
from hf_rap.tables import whole_dataset

from .internvl_prm import turns, write_chats
from .prm_rows import checked_path

if TYPE_CHECKING:
    import os

    import datasets

    from .prm_rows import PRMRow

_PLACES = re.compile("<image>|<video>")


def export_qwen_prm(
    ds: datasets.Dataset,
    path: str | os.PathLike[str],
    *,
    threshold: float = 0.0,
    early_stop: bool = False,
    counts: bool = False,
) -> int:
    """Write `path` (ends in .jsonl); the number of rows.

    Args:
        ds: rows with `steps_with_score`, such as `selection.selected`.
        path: the file to write; it appears when it is whole. Images that the dataset holds go to a folder `images` beside it.
        threshold: a step is positive above it.
        early_stop: no turns after the first negative step.
        counts: beside the turns, `num_mc_correct` and `num_mc_total` of each step.

    Raises:
        SettingError: an option is out of its range, or the path ends otherwise.
        LayoutError: a row has no usable steps, or other numbers of `<image>` and of images.

    """
    ds = whole_dataset("export_qwen_prm", ds)
    path = checked_path(path, ".jsonl")
    check_number("threshold", threshold, least=0, below=1)
    check_flags(early_stop=early_stop, counts=counts)

    def chat(row: PRMRow) -> list[dict[str, Any]]:
        made = turns(row, threshold, None, early_stop)
        _check_places(row, [turn["value"] for turn in made if turn["from"] == "human"])
        return made

    return write_chats(ds, path, chat, counts=counts)


def _check_places(row: PRMRow, texts: list[str]) -> None:
    places = [place for text in texts for place in _PLACES.findall(text)]
    if places != ["<image>"] * len(row.images):
        raise LayoutError(
            f"Row {row.id} has {len(row.images)} image(s) and the places {', '.join(places) or 'none'} in its question and steps: "
            "the loader of Qwen-VL takes one <image> for each, and no <video>."
        )
