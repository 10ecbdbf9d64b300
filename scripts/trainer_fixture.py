"""Exports of a small awkward dataset to every trainer, and what its loader should see: expected.json.

python scripts/trainer_fixture.py FOLDER
"""

import base64
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from hf_rap import PromptTemplate, export
from hf_rap.demo import MODEL
from hf_rap.exports.trainers import TRAINERS
from hf_rap.verify import judge

# What the rows were scored with; EasyR1 has no system turn.
USER_TURN = PromptTemplate(prefix="Q: ", suffix="\nThink inside <think></think>.")
ASKED = replace(USER_TURN, system="Be brief.\nAnd right.")
ANSWERS = Path(__file__).parents[1] / "tests/data/answers.jsonl"


def encoded(mode: str, size: tuple[int, int], file_format: str, shade: int) -> bytes:
    """A gradient, so that a shifted, flipped or re-encoded image is another one."""
    image = Pictures.linear_gradient("L").resize(size).point(lambda grey: (grey + shade) % 256).convert(mode)
    file = io.BytesIO()
    image.save(file, file_format, quality=80)
    return file.getvalue()


def rows() -> list[dict]:
    """One, two and three images, several formats and modes, placeholders inside the text, any alphabet."""
    made = [
        ("plain", ["RGB PNG"], "<image>What is x?", "5"),
        ("in the middle", ["RGB JPEG"], "Look at <image> and say \\boxed{x}.", "\\frac{1}{2}"),
        ("two/images", ["RGB PNG", "L JPEG"], "<image><image>Which is larger?\n(A) left (B) right", "B"),
        ("三 é", ["RGBA PNG", "P PNG", "RGB WEBP"], "比较 <image>、<image> 和 <image>。", "red"),
    ]
    made += [(f"row-{number}", ["RGB PNG"], f"<image>How many? ({number})", str(number)) for number in range(8)]
    return [
        {
            "id": name,
            "images": [
                {"bytes": encoded(*kind.split()[:1], (40 + 7 * at, 30), kind.split()[1], 10 * row + at), "path": None}
                for at, kind in enumerate(kinds)
            ],
            "problem": question,
            "answer": answer,
            "rap_cde": row / 16,
            "rap_settings": json.dumps(ASKED.settings()),
        }
        for row, (name, kinds, question, answer) in enumerate(made)
    ]


def main() -> None:
    folder = Path(sys.argv[1])
    text = Value("string")
    features = Features(
        {
            "id": text,
            "images": List(Image()),
            "problem": text,
            "answer": text,
            "rap_cde": Value("float32"),
            "rap_settings": text,
        }
    )
    made = rows()
    ds = Dataset.from_list(made, features)
    for name in TRAINERS:
        export(ds, to=name, path=folder / name, prompt=USER_TURN if name == "easyr1" else None)
    # The files, not their pixels: another Pillow decodes a JPEG a little differently.
    expected = [
        [ASKED.text(row["problem"]), row["answer"], [base64.b64encode(one["bytes"]).decode() for one in row["images"]]]
        for row in made
    ]
    pairs = [json.loads(line) for line in ANSWERS.read_text().splitlines()]
    # One text per gold and no question: what every trainer's reward function gets.
    pairs = [pair for pair in pairs if isinstance(pair["gold"], str) and not pair.get("question")][:100]
    verdicts = [[pair["reply"], pair["gold"], judge(pair["reply"], pair["gold"]).reward] for pair in pairs]
    told = {"rows": expected, "verdicts": verdicts, "model": str(MODEL), "lossy": 3, "system": ASKED.system}
    (folder / "expected.json").write_text(json.dumps(told, ensure_ascii=False))


if __name__ == "__main__":
    main()
