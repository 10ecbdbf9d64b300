"""The worked examples of docs/graders/examples.md are short, and grade as the page says."""

import re
import sys
from pathlib import Path

import pytest
from blocks import blocks
from datasets import Dataset, Features, List, Value

from hf_rap.engines.server_sampling import TRIAL
from hf_rap.evidence.grading import Grading, Replies

ROOT = Path(__file__).parents[2]
EXAMPLES = [block.code for block in blocks("docs/graders/examples.md", "python")]


def names_of(word, **replaced):
    """What the example that defines this word defines."""
    (code,) = (one for one in EXAMPLES if f"def {word}(" in one)
    for old, new in replaced.items():
        code = code.replace(old.replace("_", "/"), new)
    names = {}
    exec(compile(code, "graders.md", "exec"), names)
    return names


def grades(verifier, gold, *texts):
    (found,) = Grading(verifier).grade([Replies("Question?", gold, [(text, False) for text in texts])])
    return found


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: re.findall(r"def (\w+)", code)[-1:] or "printed")
def test_examples_are_short(code):
    """Under 15 lines each, imports included."""
    assert len([line for line in code.splitlines() if line.strip()]) < 15


def test_edit_distance_grades_text_in_pictures():
    """One letter of nine wrong: 8/9; of several golds the best; below one half nothing; the answer is taken out of its box."""
    anls = names_of("anls")["anls"]
    found = [
        one.reward for one in grades(anls, "Coca-Cola", r"\boxed{coca-cola}", "Coca Cola", "Pepsi", "<think>Coca-Cola")
    ]
    assert found == pytest.approx([1.0, 8 / 9, 0.0, 0.0])
    assert grades(anls, ["12 May", "12 May 2020"], "The answer is 12 May 2021.")[0].reward == pytest.approx(10 / 11)
    assert Grading(anls).version == "1"
    assert [names_of("anls")["distance"](*pair) for pair in (("kitten", "sitting"), ("", "abc"), ("abc", "abc"))] == [
        3,
        3,
        0,
    ]


def test_overlap_grades_boxes():
    """Half of each of two equal boxes: 1/3; thoughts do not count; no box is 0; a gold without an area is unknown."""
    box_overlap = names_of("box_overlap")["box_overlap"]
    gold = [0.0, 0.0, 10.0, 10.0]
    replies = (
        "[0, 0, 10, 10]",
        "<think>about 3 of 4</think>[5, 0, 15, 10]",
        "I see 3 dogs",
        "[20, 20, 30, 30]",
        "[9, 9, 1, 1]",
    )
    assert [one.reward for one in grades(box_overlap, gold, *replies)] == pytest.approx([1.0, 1 / 3, 0.0, 0.0, 0.0])
    assert grades(box_overlap, [1.0, 1.0, 1.0, 1.0], "[3, 3, 3, 3]")[0] == (None, "the gold box has no area")


@pytest.fixture
def judge(monkeypatch):
    """A server that compares first letters, and prefers what stands first where it sees the word maybe."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # 127.0.0.1 is not the network
    sys.path.insert(0, str(ROOT / "tests" / "endpoint"))
    from server import FaultyServer, completion_of, send

    class Judge(FaultyServer):
        def reply(self, request, body, n):
            if body["messages"][0]["content"] == TRIAL:
                return super().reply(request, body, n)
            text = body["messages"][0]["content"][0]["text"]
            first, second = re.findall(r"answer: (.*)", text)
            same = "maybe" in first if "maybe" in text else first[0].lower() == second[0].lower()
            return send(request, 200, completion_of(body, ["Yes." if same else "No."]))

    with Judge() as server:
        yield server
    sys.path.remove(str(ROOT / "tests" / "endpoint"))


def test_a_judge_model_is_asked_in_both_orders(judge):
    """Two requests per reply; what depends on the order is unknown, with the reason."""
    names = names_of("same_meaning", **{"http:__localhost:8000_v1": judge.url})
    found = grades(names["same_meaning"], "ash", "Ash tree", "oak", "maybe ash")
    assert [one.reward for one in found] == [1.0, 0.0, None]
    assert found[2].reason == "the judge failed, or changes its mind with the order"
    assert len(judge.bodies) == 6
    assert {body["temperature"] for body in judge.bodies} == {0.0}


def test_its_agreement_with_the_built_in_verifier_is_printed(judge, capsys):
    """Two rows of three replies: one the judge does not decide, one both grade otherwise."""
    features = {name: List(Value("string")) for name in ("rap_image_responses", "rap_text_responses")}
    features |= {f"rap_{arm}_rewards": List(Value("float64")) for arm in ("image", "text")}
    features |= {f"rap_{arm}_truncated": List(Value("bool")) for arm in ("image", "text")}
    words = ("problem", "answer", "image", "rap_error", "rap_settings")
    said = [["\\boxed{ash}", "ash", "oak"], ["maybe ash", "\\boxed{oak}", "owl"]]
    evidence = Dataset.from_dict(
        {
            "problem": ["Which?"] * 2,
            "answer": ["ash", "oak"],
            "image": [None] * 2,
            "rap_image_responses": said,
            "rap_text_responses": [None] * 2,
            **{f"rap_{arm}_{name}": [None] * 2 for arm in ("image", "text") for name in ("rewards", "truncated")},
            "rap_error": [None] * 2,
            "rap_settings": ["{}"] * 2,
        },
        Features({**features, **{word: Value("string") for word in words}}),
    )
    names = {**names_of("same_meaning", **{"http:__localhost:8000_v1": judge.url}), "evidence": evidence}
    (code,) = (one for one in EXAMPLES if "graded alike" in one)
    exec(compile(code, "graders.md", "exec"), names)
    assert capsys.readouterr().out == "2 of 5 replies graded alike\n"
