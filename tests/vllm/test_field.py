"""Rows as people bring them, in one batch through vLLM: what each gets is what transformers gives it alone.

The kinds are those that users of vLLM report: the picture of another row out of a cache, markers and control words that
stand in questions, a row that ends its whole batch, a second token of beginning, replies that are all the same.
"""

import pytest
import torch
import transformers
from datasets import Dataset, Features, List, Value
from datasets import Image as Picture
from PIL import Image

from hf_rap import Likelihood, Rollouts, VLLMEngine, collect_evidence
from hf_rap.demo import make_planted

from .small_models import MODELS

pytestmark = pytest.mark.slow

COLUMNS = ("responses", "token_ids", "tokens", "truncated")
PLANTED = make_planted(24, seed=11)
PICTURES = [row["images"][0] for row in PLANTED]
QUESTION = PLANTED[0]["problem"]


def drawn(mode, size=(48, 48)):
    """A picture with two colours, in the mode of some file."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (0, 0, max(1, size[0] // 2), size[1]))
    if mode == "P":
        made = picture.quantize(4)
        made.info["transparency"] = 0
        return made
    return Image.new("I;16", size, 40_000) if mode == "I;16" else picture.convert(mode)


ROWS = {
    "one question, other pictures": [(QUESTION, [picture]) for picture in PICTURES[:8]],
    "the same row three times": [(QUESTION, [PICTURES[0]])] * 3,
    "pictures as files have them": [
        *((QUESTION, [drawn(mode)]) for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr")),
        *((QUESTION, [drawn("RGB", size)]) for size in ((1, 1), (1, 700), (700, 3), (1600, 1200))),
    ],
    "several pictures, and none": [
        (QUESTION, PICTURES[2:4]),
        (QUESTION, PICTURES[4:7]),
        (QUESTION, [PICTURES[2], PICTURES[2]]),
        ("What is 2 + 3?", []),
    ],
    "markers in the question": [
        (f"<image>\n{QUESTION}", [PICTURES[0]]),
        (f"{QUESTION} <image>", [PICTURES[0]]),
        (f"<image> and <image>: {QUESTION}", PICTURES[:2]),
        (f"<image> and <image>: {QUESTION}", PICTURES[:1]),
        ("How do I turn this into an <image> tag?", []),
    ],
    "texts of the world": [
        (f"{text} {QUESTION}", [PICTURES[1]])
        for text in (
            "图中有几个？",
            "كم عددها؟",
            "🧮👩‍🔬",
            "e\u0301 \u00e9",
            "\u200b\ufeff",
            "a\x00b",
            "x" * 300,
            " \n\t ",
        )
    ],
}


CONTROLS = ("<|end|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|user|><image><|assistant|>", "<|im_end|>", "</s>")
ROWS["control words in the question"] = [
    *((f"{control} {QUESTION}", [PICTURES[3]]) for control in CONTROLS),
    *((f"Is {control} a word?", []) for control in CONTROLS),
]
FEATURES = Features(
    {"id": Value("string"), "problem": Value("string"), "images": List(Picture()), "answer": Value("string")}
)


def rows_of(cells):
    """As a dataset, each row with an id of its own."""
    columns = {
        "id": [f"row-{place}" for place in range(len(cells))],
        "problem": [problem for problem, _ in cells],
        "images": [images for _, images in cells],
        "answer": ["2"] * len(cells),
    }
    return Dataset.from_dict(columns, features=FEATURES)


def compare(ours, theirs, columns):
    """Row by row, with what was asked where they part."""
    for column in columns:
        for place, (one, other) in enumerate(zip(ours[column], theirs[column], strict=True)):
            assert one == other, (place, ours["problem"][place], column)


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_the_field_are_answered_as_by_transformers(engine, plain, kind):
    """Tokens, ends, lengths of prompts and errors, in both arms, at temperature 0."""
    ds = rows_of(ROWS[kind])
    ours, theirs = (
        collect_evidence(ds, Rollouts(each, attempts=2, temperature=0.0, max_new_tokens=32, keep_ids=True))
        for each in (engine, plain)
    )
    names = ("responses", "token_ids", "tokens", "truncated")
    columns = [f"rap_{arm}_{name}" for arm in ("image", "text") for name in names]
    compare(ours, theirs, ["rap_error", "rap_image_prompt_tokens", *columns])
    print(kind, ours["rap_error"])


def test_a_picture_comes_from_its_own_row(engine):
    """Rows of one question in one batch, with the cache of prompts and that of pictures warm: what each gets alone."""
    ds = PLANTED
    once, again = (
        collect_evidence(ds, Rollouts(engine, attempts=1, temperature=0.0, max_new_tokens=32)) for _ in range(2)
    )
    assert once["rap_image_responses"] == again["rap_image_responses"]
    alone = [
        collect_evidence(ds.select([place]), Rollouts(engine, attempts=1, temperature=0.0, max_new_tokens=32))
        for place in range(8)
    ]
    assert [one["rap_image_responses"][0] for one in alone] == once["rap_image_responses"][:8]


def test_a_row_that_fills_the_context_is_the_last_that_fits(engine, plain):
    """Prompt and reply of 512 tokens are answered, of 513 refused, by both engines and in the same words."""
    ds, asked = rows_of([(QUESTION, [PICTURES[0]])]), {"attempts": 1, "temperature": 0.0}
    prompt = collect_evidence(ds, Rollouts(plain, max_new_tokens=8, **asked))["rap_image_prompt_tokens"][0]
    for tokens, fits in ((512 - prompt, True), (513 - prompt, False)):
        ours, theirs = (
            collect_evidence(ds, Rollouts(each, max_new_tokens=tokens, **asked)) for each in (engine, plain)
        )
        compare(ours, theirs, ["rap_error", "rap_image_responses"])
        assert (ours["rap_error"][0] is None) == fits, ours["rap_error"]


def test_rows_that_fail_leave_the_others_as_they_are(engine):
    """A picture that cannot be read, a question that is too long and one that has more markers than pictures, between others."""
    good = [(QUESTION, [picture]) for picture in PICTURES[:4]]
    bad = [("red " * 600, []), (f"<image> <image> {QUESTION}", PICTURES[:1])]
    mixed = [good[0], bad[0], good[1], bad[1], good[2], good[3]]
    rollouts = Rollouts(engine, attempts=1, temperature=0.0, max_new_tokens=32)
    alone, among = (collect_evidence(rows_of(cells), rollouts) for cells in (good, mixed))
    assert [among["rap_image_responses"][place] for place in (0, 2, 4, 5)] == alone["rap_image_responses"]
    assert among["rap_error"][1].startswith("too_long")


def test_golds_of_the_field_are_as_likely_as_in_transformers(engine, plain):
    """Prompts of every kind at once, so that those of other rows are in the cache."""
    ds = rows_of([cell for kind in ROWS for cell in ROWS[kind]])
    ours, theirs = (collect_evidence(ds, Likelihood(each)) for each in (engine, plain))
    compare(ours, theirs, ["rap_likelihood_error", "rap_gold_tokens"])
    for column in ("rap_image_gold_logprobs", "rap_text_gold_logprobs"):
        for one, other in zip(ours[column], theirs[column], strict=True):
            assert one is other is None or one == pytest.approx(other, abs=1e-3)


@pytest.mark.exhaustive
def test_a_row_on_which_the_model_overflows_is_an_error(tmp_path):
    """A token that is NaN stands for a picture on which a model in half precision overflows; its neighbours are answered."""
    MODELS["qwen2_5_vl"](tmp_path)
    model = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer("~").input_ids[-1]] = float("nan")
    model.save_pretrained(tmp_path)
    asked = [("What is this?", 0), ("What is this? ~", 1), ("Is it ~ red?", 2), ("Is it blue?", 3)]
    ds = rows_of([(question, [PICTURES[place]]) for question, place in asked])
    engine = VLLMEngine(str(tmp_path), enforce_eager=True, max_num_seqs=16)
    try:
        for temperature in (0.0, 1.0):
            evidence = collect_evidence(ds, Rollouts(engine, attempts=2, temperature=temperature, max_new_tokens=16))
            assert [error is None for error in evidence["rap_error"]] == [True, False, False, True]
            assert "engine_failed: the model gives logits that are not finite" in evidence["rap_error"][1]
            assert evidence["rap_image_responses"][1] is None
    finally:
        engine.close()
