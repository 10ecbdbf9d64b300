"""An engine that answers from a table instead of a model, and rows for it.

In a file of its own, for all tests of evidence.
"""

import io
from dataclasses import dataclass, field

from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import Completion, Rollouts
from hf_rap.errors import RowError


def png(colour="red", size=(8, 8)):
    """The bytes of a picture of one colour."""
    file = io.BytesIO()
    PILImage.new("RGB", size, colour).save(file, format="PNG")
    return file.getvalue()


@dataclass(frozen=True)
class Scripted:
    """An engine that says `with_image` when it sees an image and `without` when it does not."""

    with_image: tuple[str, ...] = (r"\boxed{3}", r"\boxed{4}")
    without: tuple[str, ...] = (r"\boxed{4}", r"\boxed{5}")
    truncated: bool = False
    fails_on: str = "nothing"
    seen: list = field(default_factory=list, compare=False)

    def complete(self, requests, sampling):
        self.seen.extend(requests)
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        text = " ".join(part.get("text", "") for part in request.messages[0]["content"])
        if self.fails_on in text:
            return RowError("engine_failed", "ValueError: scripted")
        replies = self.with_image if request.images else self.without
        return [Completion(replies[number % len(replies)], 7, self.truncated) for number in range(request.attempts)]

    def describe(self):
        return {"engine": "scripted"}


ROWS = Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")})


def rows(*given):
    """A dataset of (images, problem, answer)."""
    made = [
        {"images": [{"bytes": one, "path": None} for one in images], "problem": problem, "answer": answer}
        for images, problem, answer in given
    ]
    return Dataset.from_list(made, features=ROWS)


def scored(ds, **options):
    """The evidence of the dataset as a list of rows."""
    engine = options.pop("engine", Scripted())
    return ds.map(Rollouts(engine, attempts=options.pop("attempts", 2), **options), batched=True).to_list()
