"""Exports of a small awkward dataset to every trainer, and what its loader should see: expected.json. Lines to paste: lines.json.

python scripts/trainer_fixture.py FOLDER
"""

import base64
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from hf_rap import PromptTemplate, export
from hf_rap.demo import MODEL
from hf_rap.exports.base import Given
from hf_rap.exports.limits import Limits
from hf_rap.exports.pictures import ANY, written_as_scored
from hf_rap.exports.published import ALGORITHMS, CONFIGS, Plan, numbers_of
from hf_rap.exports.recipe import export_recipe
from hf_rap.exports.trainers import TRAINERS
from hf_rap.select import select_random
from hf_rap.verify import judge

# What the rows were scored with; EasyR1 and VLM-R1 have no system turn.
WITHOUT_SYSTEM = ("easyr1", "conversations")
USER_TURN = PromptTemplate(prefix="Q: ", suffix="\nThink inside <think></think>.")
ASKED = replace(USER_TURN, system="Be brief.\nAnd right.")
TEXT = Value("string")
# Rows and GPUs of the lines that are checked; a row is held out of each.
MANY = 5159  # that RAP selects of MM-Eureka
CASES = ((3, 1), (3, 2), (79, 1), (79, 8), (1000, 1), (1000, 8))
ARCHITECTURE = "Qwen2_5_VLForConditionalGeneration"
ALL = Limits(val_rows=0)
LOSSY = ("JPEG", "WEBP")
ANSWERS = Path(__file__).parents[1] / "tests/data/answers.jsonl"


def encoded(kind: str, size: tuple[int, int], shade: int) -> bytes:
    """A gradient, so that a shifted, flipped or re-encoded image is another one: mode, format and what is awkward of it."""
    mode, file_format, *awkward = kind.split()
    image = Pictures.linear_gradient("L").resize(size).point(lambda grey: (grey + shade) % 256)
    options: dict[str, Any] = {"quality": 80} if file_format in LOSSY else {}
    if mode == "I;16":
        image = Pictures.fromarray(np.asarray(image).astype(np.uint16) * 257)
    elif "transparent" in awkward:
        # The lower half of the gradient is not there, and what stands below is black.
        image.putalpha(image.point(lambda grey: 255 if grey < 128 else 0))
        image = Pictures.composite(image, Pictures.new("LA", size), image.getchannel("A")).convert("RGBA").convert(mode)
        options |= {"transparency": 0} if mode == "P" else {}
    else:
        image = image.convert(mode)
    if "turned" in awkward:
        options["exif"] = Pictures.Exif()
        options["exif"][0x0112] = 6
    if "animated" in awkward:
        options |= {"save_all": True, "append_images": [Pictures.new(mode, size)]}
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def rows() -> list[dict]:
    """One, two and three images, the formats and modes in the wild, placeholders inside the text, any alphabet."""
    made = [
        ("plain", ["RGB PNG"], "<image>What is x?", "5"),
        ("in the middle", ["RGB JPEG"], "Look at <image> and say \\boxed{x}.", "\\frac{1}{2}"),
        ("two/images", ["RGB PNG", "L JPEG"], "<image><image>Which is larger?\n(A) left (B) right", "B"),
        ("三 é", ["RGBA PNG", "P PNG", "RGB WEBP"], "比较 <image>、<image> 和 <image>。", "red"),
        (
            "on nothing",
            ["RGBA PNG transparent", "LA PNG transparent", "P GIF transparent"],
            "<image><image><image>Which?",
            "1",
        ),
        ("16 bits", ["I;16 PNG"], "<image>How bright?", "2"),
        ("turned", ["RGB PNG turned"], "<image>Which way?", "3"),
        ("for print", ["CMYK JPEG"], "<image>Which ink?", "4"),
        ("moving", ["P GIF animated"], "<image>What first?", "6"),
        ("thin", ["1 PNG thin"], "<image>How long?", "7"),
    ]
    made += [(f"row-{number}", ["RGB PNG"], f"<image>How many? ({number})", str(number)) for number in range(8)]
    return [
        {
            "id": name,
            "images": [
                # Sides that no processor of Qwen-VL rounds to others.
                {
                    "bytes": encoded(kind, (560, 28) if "thin" in kind else (84 + 28 * at, 56), 10 * row + at),
                    "path": None,
                }
                for at, kind in enumerate(kinds)
            ],
            "problem": question,
            "answer": answer,
            "rap_cde": row / 16,
            "rap_settings": json.dumps(ASKED.settings()),
        }
        for row, (name, kinds, question, answer) in enumerate(made)
    ]


def scored(image: dict) -> bytes:
    """A file that shows what was scored to whoever calls `convert`: the file itself where it does, for another Pillow
    decodes a JPEG a little differently.
    """
    return written_as_scored(image, ANY)["bytes"]


def lines(folder: Path) -> None:
    """The lines of every trainer for few and many rows and GPUs: lines.json."""
    model = folder / "model"
    model.mkdir(parents=True)
    # All that is read of it before a GPU is looked for.
    (model / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl", "architectures": [ARCHITECTURE]}))
    picture = {"bytes": encoded("RGB PNG", (84, 60), 0), "path": None}
    told = []
    for count, gpus in CASES:
        made = [{"id": str(n), "images": [picture], "problem": f"<image>{n}?", "answer": str(n)} for n in range(count)]
        ds = Dataset.from_list(made, Features({"id": TEXT, "images": List(Image()), "problem": TEXT, "answer": TEXT}))
        for name in TRAINERS:
            place = folder / f"{name}-{count}-{gpus}"
            done = export(ds, place, to=name, prompt=USER_TURN, limits=Limits(gpus=gpus, val_rows=1, model=str(model)))
            told.append(
                {"trainer": name, "rows": count, "train": done.handoff.train, "gpus": gpus, "snippet": done.snippet}
            )
    told += [case for name in CONFIGS for case in trainings(folder, name, picture, model)]
    (folder.parent / "lines.json").write_text(json.dumps(told, ensure_ascii=False))


def trainings(folder: Path, name: str, picture: dict, model: Path) -> list[dict]:
    """The commands of whole trainings, for few rows and, by their number alone, for as many as RAP selects."""
    told = []
    for count, gpus in ((3, 1), (79, 8)):
        made = [
            {"rap_id": str(n), "images": [picture], "problem": f"<image>{n}?", "answer": str(n)} for n in range(count)
        ]
        ds = Dataset.from_list(
            made, Features({"rap_id": TEXT, "images": List(Image()), "problem": TEXT, "answer": TEXT})
        )
        selection = select_random(ds, budget=count)
        place = folder / f"{name}-recipe-{count}-{gpus}"
        done = export_recipe(
            selection, place, to=name, prompt=USER_TURN, limits=Limits(gpus=gpus, group=5, model=str(model))
        )
        case = {"trainer": name, "rows": count, "train": done.rows["selected"], "gpus": gpus}
        told += [{**case, "snippet": command} for command in done.commands[: len(ALGORITHMS)]]
    given = Given(place / "selected", rows=MANY, max_images=1, held_out=64, model=str(model), gpus=8, group=5)
    for algorithm in ALGORITHMS:
        file = folder / f"{name}-{algorithm}.yaml"
        file.write_text(yaml.safe_dump(CONFIGS[name](Plan(given, numbers_of("rap"), algorithm, algorithm))))
        program = "trl rloo" if algorithm == "rloo" else "trl grpo"
        words = f"{program} --config '{file}'" if name == "trl" else f"python3 -m verl.trainer.main 'config=\"{file}\"'"
        told.append({"trainer": name, "rows": MANY, "train": MANY, "gpus": 8, "snippet": words})
    return told


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
        export(
            ds, to=name, path=folder / name, prompt=USER_TURN if name in WITHOUT_SYSTEM else None, fix=True, limits=ALL
        )
    expected = [
        [ASKED.text(row["problem"]), row["answer"], [base64.b64encode(scored(one)).decode() for one in row["images"]]]
        for row in made
    ]
    pairs = [json.loads(line) for line in ANSWERS.read_text().splitlines()]
    # One text per gold and no question: what every trainer's reward function gets.
    pairs = [pair for pair in pairs if isinstance(pair["gold"], str) and not pair.get("question")][:100]
    verdicts = [[pair["reply"], pair["gold"], judge(pair["reply"], pair["gold"]).reward] for pair in pairs]
    lossy = sum(
        any(one["bytes"].startswith(start) for start in (b"\xff\xd8", b"RIFF")) for row in made for one in row["images"]
    )
    told = {"rows": expected, "verdicts": verdicts, "model": str(MODEL), "lossy": lossy, "system": ASKED.system}
    lines(folder / "lines")
    (folder / "expected.json").write_text(json.dumps(told, ensure_ascii=False))


if __name__ == "__main__":
    main()
