"""Placeholders with numbers, and the images in the order in which a text names them."""

import pytest

from hf_rap.errors import RowError
from hf_rap.rows.placeholders import ABSENT, put_in_place


@pytest.mark.parametrize(
    ("parts", "images", "texts", "order"),
    [
        (["In <image 1>, what is <image 2>?"], "ab", ["In <image>, what is <image>?"], "ab"),
        (["In <image 2>, what is <image 1>?"], "ab", ["In <image>, what is <image>?"], "ba"),
        (["<image1> and <img_2> and <|image_1|>"], "ab", ["<image> and <image> and <image>"], "aba"),
        (["<image 0> or <image 1>?"], "ab", ["<image> or <image>?"], "ab"),
        (["Which?", "<image 2>", "<image 3>"], "abc", ["<image>Which?", "<image>", "<image>"], "abc"),
        (["Which is <image 1>?", "<image 2>", "<image 3>"], "abc", ["Which is <image>?", "<image>", "<image>"], "abc"),
        (["<image 3>?"], [ABSENT, ABSENT, "c"], ["<image>?"], "c"),
        (["Q"], ["a", ABSENT, "c"], ["<image><image>Q"], "ac"),
        (["Q", "x", "y"], "a", ["<image>Q", "x", "y"], "a"),
        (["Q", "<image>", "<image>"], "ab", ["Q", "<image>", "<image>"], "ab"),
        (["<image>Q"], "a", ["<image>Q"], "a"),
        (["Q"], "", ["Q"], ""),
        (["<image> Q"], "ab", ["<image> Q"], "ab"),  # the counts are compared by the reader
    ],
)
def test_images_come_in_the_order_of_their_placeholders(parts, images, texts, order):
    """Numbers may stand in any order, twice, and in options; images that nobody names go in front."""
    assert put_in_place(parts, list(images)) == (texts, list(order))


@pytest.mark.parametrize(
    ("parts", "images", "message"),
    [
        (["<image 3>?"], ["a", "b"], r"names image 3, and the row has 2 image\(s\), not that"),
        (["<image 1>?"], [ABSENT, "b"], r"names image 1, and the row has 1 image\(s\), not that"),
        (["<image 1>?"], ["a", "b"], "names all but image 2: name it, or take it out"),
        (["<image> <image 1>?"], ["a"], "both <image> and placeholders with numbers"),
    ],
)
def test_numbers_that_do_not_fit_are_a_mismatch(parts, images, message):
    """An image is never dropped, and none is made up."""
    with pytest.raises(RowError, match=f"^placeholder_mismatch: .*{message}"):
        put_in_place(parts, images)
