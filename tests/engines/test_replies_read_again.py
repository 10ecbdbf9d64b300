"""Replies to rows of several pictures, read again in every arm: against plain forward passes in float64, put together by hand."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage
from PIL import ImageOps

from hf_rap import ReplyLikelihood, add_scores, collect_evidence
from hf_rap.engines.likelihood import log_likelihoods
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.errors import LayoutError
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.scorers import VisualDependenceScore

from .tiny_models import FAMILIES, INSTRUCTION, build, picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hf_rap.engines.base import LogLikelihood, Reply
    from hf_rap.errors import RowError

ARMS = ("text", "blank", "shuffled")
GREY = (128, 128, 128)
EMPTY = "reply_empty: the reply has no text"
ROWS = Features(
    {
        "images": List(Image()),
        "problem": Value("string"),
        "answer": Value("string"),
        "rap_image_responses": List(Value("string")),
    }
)


@dataclass(frozen=True)
class InMemory:
    """A tiny model as an engine."""

    loaded: LoadedModel

    def log_likelihoods(self, replies: Sequence[Reply]) -> list[LogLikelihood | RowError]:
        return log_likelihoods(self.loaded, replies)

    def describe(self) -> dict[str, Any]:
        return {"engine": "in memory", "model": "tiny"}


def stored(image: PILImage.Image | bytes | None) -> dict[str, Any] | None:
    """A picture as a cell holds it."""
    if isinstance(image, PILImage.Image):
        file = io.BytesIO()
        image.save(file, format="PNG")
        image = file.getvalue()
    return None if image is None else {"bytes": image, "path": None}


def dataset(*rows: tuple[Any, str, Any]) -> Dataset:
    """Rows of pictures, question and replies; bytes are a file of a picture as it is, None is null."""
    made = [
        {
            "images": None if pictures is None else [stored(one) for one in pictures],
            "problem": problem,
            "answer": "3",
            "rap_image_responses": replies,
        }
        for pictures, problem, replies in rows
    ]
    return Dataset.from_list(made, features=ROWS)


def read(loaded: LoadedModel, ds: Dataset) -> Dataset:
    reader = ReplyLikelihood(InMemory(loaded), arms=ARMS, prompt=PromptTemplate(suffix=INSTRUCTION))  # type: ignore[arg-type]
    return collect_evidence(ds, reader)


def by_hand(
    loaded: LoadedModel, question: Sequence[str | None], pictures: Sequence[PILImage.Image], reply: str
) -> list[float]:
    """log p of each token of a reply behind a question, in which None is a picture: one unpadded pass."""
    parts = [{"type": "image"} if part is None else {"type": "text", "text": part} for part in question]
    chat = [{"role": "user", "content": parts}]
    prompt = loaded.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    begin = loaded.processor.tokenizer.bos_token
    inputs = loaded.processor(
        text=[prompt + reply],
        images=[list(pictures)] if pictures else None,
        add_special_tokens=not (begin and prompt.startswith(begin)),
        return_tensors="pt",
    )
    for module in loaded.model.modules():  # of the last prompt
        if hasattr(module, "rope_deltas"):
            module.rope_deltas = None
    with torch.no_grad():
        scores = loaded.model(**inputs.to(dtype=torch.float64)).logits[0].log_softmax(-1)
    ids = inputs["input_ids"][0]
    first = len(ids) - len(reply)  # one token per byte in these vocabularies
    return [float(scores[place - 1, ids[place]]) for place in range(first, len(ids))]


def in_place_of(own: Sequence[PILImage.Image], others: Sequence[PILImage.Image]) -> list[PILImage.Image]:
    """Pictures of another row in the sizes of the own ones, grey at their sides."""
    return [ImageOps.pad(other, one.size, color=GREY) for other, one in zip(others, own, strict=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_all_pictures_of_a_row_are_shown_taken_away_and_exchanged(family: str) -> None:
    """As the question names them, all at once in each arm; the score is the mean over replies of the mean gain of a token."""
    model, processor = build(family)
    loaded = LoadedModel(copy.deepcopy(model).double(), processor, batch_size=3)
    sizes = (24, 24), (33, 10), (8, 8), (30, 20)
    one, two, three, four = (picture(*size, seed) for seed, size in enumerate(sizes))
    # Beside them a broken picture, which nobody is lent, and a row without any.
    ds = dataset(
        ([one, two], "Compare <image> with <image>: left?", ["It is 3.", None, "", "17"]),
        ([three, b"no picture"], "<image><image>Which?", ["4"]),
        ([three, four], "Is <image 2> like <image 1>?", ["No, it is not."]),
        ([], "2 + 2?", ["4"]),
    )
    found = read(loaded, ds)
    left, like = ("Compare ", None, " with ", None, ": left? Answer:"), ("Is ", None, " like ", None, "? Answer:")
    first = left, "Compare with : left? Answer:", (one, two), (four, three)
    third = like, "Is like ? Answer:", (four, three), (one, two)
    gains: dict[str, dict[int, list[float]]] = {arm: {0: [], 2: []} for arm in ARMS}
    for row, attempt, reply, (question, text_alone, own, others) in (
        (0, 0, "It is 3.", first),
        (0, 3, "17", first),
        (2, 0, "No, it is not.", third),
    ):
        expected = {
            "image": by_hand(loaded, question, own, reply),
            "text": by_hand(loaded, [text_alone], [], reply),
            "blank": by_hand(loaded, question, [PILImage.new("RGB", each.size, GREY) for each in own], reply),
            "shuffled": by_hand(loaded, question, in_place_of(own, others), reply),
        }
        entry = found["rap_reply_logprobs"][row][attempt]
        assert entry["error"] is None
        assert "".join(entry["tokens"]).replace("\u0120", " ") == reply
        for arm, logprobs in expected.items():
            assert entry[arm] == pytest.approx(logprobs, abs=1e-5), (row, attempt, arm)
        for arm in ARMS:
            gains[arm][row].append((sum(expected["image"]) - sum(expected[arm])) / len(reply))
    for arm in ARMS:
        scores = add_scores(found, VisualDependenceScore(arm))["rap_visual_dependence"][:]
        wanted = [sum(gains[arm][0]) / 2, None, gains[arm][2][0], None]
        assert scores == [None if value is None else pytest.approx(value, abs=1e-5) for value in wanted]


def test_what_cannot_be_read_says_why_and_has_no_number() -> None:
    """One of several pictures that is broken or null, no picture, too few; an empty reply, no reply, no replies: their neighbour keeps its numbers."""
    loaded = LoadedModel(*build("llava_llama"))
    one, two = picture(24, 24, 1), picture(12, 12, 2)
    fine = [one, two], "<image><image>Which is larger?", ["4", "", None]
    ds = dataset(
        fine,
        ([one, b"no picture"], "<image><image>Which?", ["4", "", None]),
        ([None, one], "<image><image>Which?", ["4"]),
        ([], "2 + 2?", ["4", None]),
        (None, "2 + 2?", ["4"]),
        ([one], "<image><image>Which?", ["4"]),
        ([one], "<image>Which?", [None, None]),
        ([one], "<image>Which?", []),
        ([one], "<image>Which?", None),
    )
    found = read(loaded, ds)
    cells = found["rap_reply_logprobs"][:]
    no_image = "no_image: the row has no image, so cde is not defined"
    broken = "image_unreadable: image 2 of 2: 10 bytes are not an image that Pillow knows"
    assert [cell and [entry and entry["error"] for entry in cell] for cell in cells] == [
        ["no_donor: no other row has as many pictures, other ones, that can be read", EMPTY, None],
        [broken, broken, None],
        ["image_unreadable: image 1 of 2: the image is null"],
        [no_image, None],
        [no_image],
        ["placeholder_mismatch: the question has 2 <image> and the row has 1 image(s)"],
        [None, None],
        [],
        None,
    ]
    alone = read(loaded, dataset(fine))["rap_reply_logprobs"][0]
    assert cells[0][0] == alone[0]
    assert [len(cells[0][0][arm] or ()) for arm in ("image", *ARMS)] == [1, 1, 1, 0]
    others = [entry for cell in (cells[0][1:], *cells[1:8]) for entry in cell if entry is not None]
    assert {entry[name] for entry in others for name in ("tokens", "image", *ARMS)} == {None}
    scores = add_scores(found, VisualDependenceScore())["rap_visual_dependence"][:]
    assert [score is None for score in scores] == [False] + [True] * 8


def test_rows_that_all_have_no_picture_are_read_as_such() -> None:
    """A column of nulls is one of pictures; a dataset that has no such column is refused in the words of its layout."""
    loaded = LoadedModel(*build("llava_llama"))
    ds = dataset(([], "2 + 2?", ["4"]), ([], "3 + 3?", None)).remove_columns("images")
    with pytest.raises(LayoutError, match="no column has one of the usual names for images"):
        read(loaded, ds)
    (cell, none) = read(loaded, ds.add_column("images", [None, None]))["rap_reply_logprobs"]
    assert [entry["error"].split(":")[0] for entry in cell] == ["no_image"]
    assert none is None
