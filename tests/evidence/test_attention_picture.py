"""The picture of one reply."""

import math
from io import BytesIO

import pytest
from PIL import Image

from hf_rap.evidence import attention_picture
from hf_rap.evidence.attention_picture import LINE, _placed, draw_attention


def entry(tokens, shares=True):
    """An entry of rap_attention with a peak at the third token."""
    weights = [math.log(0.4 if place == 2 else 0.01) for place in range(len(tokens))]
    return {"tokens": tokens, "window_max": weights, "image_shares": [0.2] * len(tokens) if shares else None}


@pytest.mark.parametrize(
    "tokens",
    [
        ["<think>", " a", " $b_1$", ".\n\n", "\r\n", "\t", "\u4e2d\u6587", "\ud83d", "<end>"],
        ["a", "b"],
        ["x" * 500, " y"],
        [" word"] * 200,
        [" word"] * 31,
    ],
    ids=["strange", "short", "long token", "long", "too long"],
)
@pytest.mark.slow
def test_any_reply_can_be_drawn(tokens, monkeypatch):
    """Math signs, line breaks, scripts without glyphs, half an emoji, one token longer than a line."""
    if len(tokens) == 31:
        monkeypatch.setattr(attention_picture, "MAX_TOKENS", 30)
    for shares in (True, False):
        image = Image.open(BytesIO(draw_attention(entry(tokens, shares), title="$row_1$, attempt 1")))
        assert 1000 < image.width < 2000


def test_the_offending_token_is_framed():
    """Vermilion is in the picture where a token counts, and nowhere where none is long enough."""

    def frames(tokens):
        image = Image.open(BytesIO(draw_attention(entry(tokens), title="t"))).convert("RGB")
        return sum(count for count, colour in image.getcolors(1 << 24) if colour == (0xD5, 0x5E, 0x00))

    assert frames([" a", " b", " c", " d", " e", " f"]) > 100
    assert frames([" a", " b", " c"]) == 0


def test_tokens_are_put_one_behind_the_other():
    """Nothing is lost, nothing overlaps, lines end at LINE; Chinese characters take two places."""
    tokens = [" word"] * 40 + ["\u4e2d\u6587", ".\n", " next", "y" * 200]
    placed = list(_placed(tokens))
    assert "".join(text for _, _, _, text in placed).replace("\u21b5", "\n") == "".join(tokens)
    ends = {}
    for _, line, column, text in placed:
        assert column == ends.get(line, 0)
        ends[line] = column + sum(2 if each > "\u2e80" else 1 for each in text)
    assert max(ends.values()) <= LINE
    assert [line for _, line, _, text in placed if text == " next"] == [3]
