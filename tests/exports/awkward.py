"""Rows that try every export: several images, formats, modes and alphabets."""

import io

from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

FEATURES = Features(
    {
        "id": Value("string"),
        "images": List(Image()),
        "problem": Value("string"),
        "answer": Value("string"),
        "rap_cde": Value("float64"),
    }
)


def picture(mode: str = "RGB", file_format: str = "PNG", size: tuple[int, int] = (40, 30), shade: int = 0) -> bytes:
    """A gradient, so that a shifted, flipped or re-encoded image is another one."""
    image = Pictures.linear_gradient("L").resize(size).point(lambda grey: (grey + shade) % 256).convert(mode)
    file = io.BytesIO()
    image.save(file, file_format, quality=80)
    return file.getvalue()


def row(name="a", images=1, problem=None, answer="5", **columns) -> dict:
    """One row with so many images (or these files) and as many placeholders."""
    files = [picture(shade=10 * at) for at in range(images)] if isinstance(images, int) else images
    return {
        "id": name,
        "images": [{"bytes": content, "path": None} for content in files],
        "problem": "<image>" * len(files) + "What is x?" if problem is None else problem,
        "answer": answer,
        "rap_cde": 0.5,
        **columns,
    }


def dataset(*rows: dict, features: Features = FEATURES) -> Dataset:
    """These rows."""
    return Dataset.from_list(list(rows), features)


def awkward() -> Dataset:
    """Rows that all trainers can take."""
    return dataset(
        row("plain"),
        row("in the middle", [picture("RGB", "JPEG")], "Look at <image> and say \\boxed{x}.", "\\frac{1}{2}"),
        row("two/images", 2, "<image><image>Which is larger?\n(A) left (B) right", "B"),
        row("三 é", [picture("RGBA"), picture("P"), picture("L", "WEBP")], "比较 <image>、<image> 和 <image>。", "red"),
    )
