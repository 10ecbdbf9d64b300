"""Rows of any layout -> the one set of columns that every trainer's loader takes.

One Parquet file with these columns was seen to load in TRL, EasyR1, verl, ms-swift, OpenRLHF and
LLaMA-Factory, each of which reads the columns it knows by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from hf_rap.errors import RowError
from hf_rap.rows.images import encoded_bytes
from hf_rap.rows.prompts import BARE
from hf_rap.rows.questions import raw_rows, read_question, row_id, text_and_images

from .asked import as_text
from .pictures import written_as_scored

if TYPE_CHECKING:
    import datasets

    from hf_rap.rows.layouts import Layout
    from hf_rap.rows.prompts import PromptTemplate

    from .pictures import Opening

UNIVERSAL = {
    "id": "`rap_id`: the id column of the source, or a hash of the content",
    "images": "list of images in the order of their placeholders; empty for a question without one",
    "prompt": "chat, as the model was asked when the row was scored: text and image blocks, behind the system turn if there was one",
    "messages": "the same chat, as text with `<image>` placeholders",
    "prompt_text": "its user turn alone, as text with `<image>` placeholders",
    "problem": "the bare question, with one `<image>` per image",
    "answer": "the gold answer as text; the first where several are accepted",
    "solution": "the same as `answer`",
    "data_source": "where the row comes from",
    "ability": "always `visual_reasoning`",
    "reward_model": "`style` (always `rule`) and `ground_truth` (the same as `answer`)",
    "extra_info": "`split`, `index` (the row's number in `scored`), `id`, `accepted` (all gold answers), `options` (of a multiple "
    "choice), and `prompt` (JSON: what stands around the question in `prompt`; null: nothing says how the row was asked)",
}
ABILITY = "visual_reasoning"


def universal_features() -> datasets.Features:
    """The types of the universal columns: fixed, so that they do not depend on what the rows hold."""
    from datasets import Features, Image, List, Value

    text = Value("string")
    return Features(
        {
            "id": text,
            "images": List(Image()),
            "prompt": List({"role": text, "content": List({"type": text, "text": text})}),
            "messages": List({"role": text, "content": text}),
            "prompt_text": text,
            "problem": text,
            "answer": text,
            "solution": text,
            "data_source": text,
            "ability": text,
            "reward_model": {"style": text, "ground_truth": text},
            "extra_info": {
                "split": text,
                "index": Value("int64"),
                "id": text,
                "accepted": List(text),
                "options": List(text),
                "prompt": text,
            },
        }
    )


def universal_columns(
    batch: Mapping[str, Any],
    layout: Layout,
    indices: Sequence[int],
    *,
    data_source: str,
    prompts: Sequence[PromptTemplate | None] | None = None,
    opening: Opening | None = None,
) -> dict[str, list[Any]]:
    """The universal columns of a batch of rows.

    Images keep the bytes of their files, but for those that `opening` would show with other pixels than were scored.

    Args:
        batch: as `Dataset.map(batched=True)` gives it, or columns of undecoded values.
        layout: which column is what.
        indices: the number of each row in the whole dataset.
        data_source: for rows whose layout has no source column, or null in it.
        prompts: how each row was asked; None: nothing says it, and the question stays bare.
        opening: how the columns will be opened; None keeps all files as they are.

    Raises:
        MissingColumnError: a column of the layout is not there.
        RowError: a row that no trainer could use: no question, an image that cannot be read, or as
            many placeholders as there are not images.

    """
    raws = raw_rows(batch, layout)
    templates = [None] * len(raws) if prompts is None else prompts
    rows = [
        _universal(row, layout, index, data_source, prompt)
        for row, index, prompt in zip(raws, indices, templates, strict=True)
    ]
    if opening is not None:
        for row in rows:
            row["images"] = [written_as_scored(image, opening) for image in row["images"]]
    return {name: [row[name] for row in rows] for name in UNIVERSAL}


def _universal(
    row: Mapping[str, Any],
    layout: Layout,
    index: int,
    data_source: str,
    prompt: PromptTemplate | None,
) -> dict[str, Any]:
    identity = row_id(row, layout)
    try:
        question = read_question(row, layout)  # opens the images, so a broken one is found here
        images = [_encoded(image) for image in text_and_images(row, layout)[1]]
    except RowError as error:
        raise error.at(f"row {index} (id {identity!r})") from error
    accepted = [str(gold) for gold in _as_list(question.answer) if gold is not None]
    answer = accepted[0] if accepted else None
    # Of its own the row keeps what it was asked with: its system turn is no column of a version.
    template = (prompt or BARE).of_row(question.system)
    return {
        "id": identity,
        "images": images,
        **asked_columns(template, question.text),
        "problem": question.text,
        "answer": answer,
        "solution": answer,
        "data_source": question.source or data_source,
        "ability": ABILITY,
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {
            "split": "train",
            "index": index,
            "id": identity,
            "accepted": accepted,
            "options": list(question.options),
            "prompt": None if prompt is None else as_text(template),
        },
    }


def asked_columns(template: PromptTemplate, question: str) -> dict[str, Any]:
    """The columns that say what is asked, in each form that a trainer reads."""
    system = [] if template.system is None else [{"role": "system", "content": template.system}]
    text = template.text(question)
    return {
        "prompt": template.messages(question),
        "messages": [*system, {"role": "user", "content": text}],
        "prompt_text": text,
    }


def _as_list(answer: object) -> Iterable[Any]:
    return answer if isinstance(answer, (list, tuple)) else [answer]


def _encoded(image: Any) -> dict[str, Any]:
    """The file's bytes and its name; a decoded image is encoded as `datasets` does it."""
    content = encoded_bytes(image)
    if content is None:
        from datasets import Image

        encoded: dict[str, Any] = Image().encode_example(image)
        return encoded
    path = image.get("path") if isinstance(image, Mapping) else None
    return {"bytes": content, "path": PurePath(path).name if path else None}
