r"""Rollouts with step scores -> the JSONL that InternVL's process reward training reads.

    {"image": "ai2d/abc.png", "conversations": [
      {"from": "human", "value": "Question: Which ...\nProcess: First ...<prm>\n\nThen ...<prm>"},
      {"from": "gpt", "value": [1.0, 0.0]}]}

and the older layout of one turn per step, each answered by "+" or "-".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_rap.errors import LayoutError, SettingError
from hf_rap.options import check_choice, check_flags, check_number, check_text
from hf_rap.rows.images import encoded_bytes
from hf_rap.rows.media import without_folder
from hf_rap.rows.prompts import IMAGE
from hf_rap.system import sync_below, whole_file
from hf_rap.tables import whole_dataset

from .prm_rows import checked_path, prm_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import datasets

    from .prm_rows import PRMRow

PRM = "<prm>"
FORMATS = ("prm-token", "turns")


def export_internvl_prm(
    ds: datasets.Dataset,
    path: str | os.PathLike[str],
    *,
    form: str = "prm-token",
    threshold: float = 0.0,
    soft: bool = False,
    system: str | None = None,
    early_stop: bool = False,
    root: str | None = None,
    counts: bool = False,
) -> int:
    """Write `path` (ends in .jsonl) and beside it the meta file that names it to the trainer; the number of rows.

    `image` holds the names of the images as they were read, one as text, several as a list. Where the
    dataset holds images instead of names, their files are written to a folder `images` beside `path`.

    Args:
        ds: rows with `steps_with_score`, such as `selection.selected`.
        path: the file to write; it appears when it is whole.
        form: "prm-token" (arXiv 2602.04145) or "turns" (VisualPRM).
        threshold: a step is positive above it.
        soft: prm-token only: the scores themselves instead of 1.0 and 0.0.
        system: turns only: the system turn; InternVL's own is PRM_SYSTEM_PROMPT in its repository.
        early_stop: turns only: no turns after the first negative step.
        root: the folder that the names of images are below, for the meta file, which holds it as an absolute path. None: the
            folder of `path` where images are written there; else nothing, so that the trainer takes names as they are.
        counts: beside the turns, `num_mc_correct` and `num_mc_total` of each step, from which a reliability is learned
            (arXiv 2605.15529). InternVL reads neither.

    Raises:
        SettingError: an option is out of its range, or for the other form.
        LayoutError: a row has no usable steps, or a text with the control word of the layout.

    """
    ds = whole_dataset("export_internvl_prm", ds)
    path = checked_path(path, ".jsonl")
    check_choice("form", form, FORMATS)
    check_number("threshold", threshold, least=0, below=1)
    check_flags(soft=soft, early_stop=early_stop, counts=counts)
    check_text("system", system, none=True)
    check_text("root", root, none=True)
    if (system is not None or early_stop) and form != "turns":
        raise SettingError("system and early_stop are for form='turns'.")
    if soft and form != "prm-token":
        raise SettingError("soft is for form='prm-token'; turns say + or -.")

    def chat(row: PRMRow) -> list[dict[str, Any]]:
        return turns(row, threshold, system, early_stop) if form == "turns" else _tokens(row, threshold, soft)

    rows = write_chats(ds, path, chat, counts=counts)
    if root is None and (path.parent / "images").is_dir():
        root = str(path.parent)
    # Absolute, since the trainer opens both from wherever it is started; an address stays as it is.
    if root and "://" not in root:
        root = str(Path(root).absolute())
    meta = {
        "root": root or "",
        "annotation": str(path.absolute()),
        "data_augment": False,
        "repeat_time": 1,
        "length": rows,
    }
    with whole_file(path.with_suffix(".meta.json")) as partial:
        partial.write_text(json.dumps({path.stem: meta}, indent=2) + "\n", encoding="utf-8")
    return rows


def write_chats(
    ds: datasets.Dataset, path: Path, chat: Callable[[PRMRow], list[dict[str, Any]]], *, counts: bool
) -> int:
    """Write a line for each row, its pictures in a folder `images` beside the file; the number of rows."""
    folder = path.parent / "images"
    encode = json.JSONEncoder(ensure_ascii=False).encode
    rows = 0
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for row in prm_rows(ds):
            made = chat(row)
            beside = row.count_columns() if counts else {}
            file.write(encode({"image": image_names(row, folder), "conversations": made, **beside}) + "\n")
            rows += 1
        if folder.is_dir():
            sync_below(folder)
    return rows


def _tokens(row: PRMRow, threshold: float, soft: bool) -> list[dict[str, Any]]:
    labels = row.scores if soft else [float(label) for label in row.labels(threshold)]
    process = "\n\n".join(step + PRM for step in row.steps)
    text = f"Question: {row.question}\nProcess: {process}"
    if text.count(PRM) != len(labels):
        raise LayoutError(
            f"Row {row.id} has the text {PRM!r} in its question or steps, where it marks the end of a step."
        )
    return [{"from": "human", "value": text}, {"from": "gpt", "value": labels}]


def turns(row: PRMRow, threshold: float, system: str | None, early_stop: bool) -> list[dict[str, Any]]:
    """A turn for each step, answered by + or -; the places of the images are in the first."""
    question = row.question if IMAGE in row.question else f"{IMAGE}\n" * len(row.images) + row.question
    made = [] if system is None else [{"from": "system", "value": system}]
    for number, (step, positive) in enumerate(zip(row.steps, row.labels(threshold), strict=True)):
        text = step if number else f"### Question:\n{question}\n\n### Solution Process:\n{step}"
        made += [{"from": "human", "value": text}, {"from": "gpt", "value": "+" if positive else "-"}]
        if early_stop and not positive:
            break
    return made


def image_names(row: PRMRow, folder: Path) -> str | list[str]:
    """The names of the images; those that are stored in the row are written to files first."""
    names = []
    for number, image in enumerate(row.images):
        if isinstance(image, str):
            names.append(without_folder(image))
            continue
        content = encoded_bytes(image)
        if content is None:
            raise LayoutError(f"Row {row.id}: the file of its image {number + 1} cannot be read.")
        folder.mkdir(exist_ok=True)
        safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in row.id)
        file = folder / f"{safe}-{number}{_ending(content)}"
        file.write_bytes(content)
        names.append(f"images/{file.name}")
    return names[0] if len(names) == 1 else names


def _ending(content: bytes) -> str:
    """The usual ending for the first bytes of an image file."""
    starts = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
    return next((ending for start, ending in starts.items() if content.startswith(start)), ".img")
