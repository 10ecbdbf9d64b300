"""Likelihood of the gold answer: what is asked, what is written, and the score of it."""

import io
import math
from dataclasses import dataclass, field

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import Likelihood, add_scores, collect_evidence
from hf_rap.columns import LIKELIHOOD_EVIDENCE
from hf_rap.demo import demo_engine, make_planted
from hf_rap.engines.base import LogLikelihood
from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError, RowError, SettingError
from hf_rap.scorers import LikelihoodCDEScore, likelihood_cde_score
from hf_rap.verify import spellings


def png(colour="red", size=(8, 8)):
    file = io.BytesIO()
    PILImage.new("RGB", size, colour).save(file, format="PNG")
    return file.getvalue()


@dataclass(frozen=True)
class Scripted:
    """An engine for which a text of n characters has log-probability -n, and half of that with an image."""

    fails_on: str = "nothing"
    seen: list = field(default_factory=list, compare=False)

    def log_likelihoods(self, replies):
        self.seen.extend(replies)
        return [
            RowError("too_long", "scripted")
            if self.fails_on in reply.text and reply.request.images
            else LogLikelihood(-len(reply.text) / (2 if reply.request.images else 1), len(reply.text))
            for reply in replies
        ]

    def describe(self):
        return {"engine": "scripted"}


def rows(*given):
    """A dataset of (images, problem, answers)."""
    made = [
        {"images": [{"bytes": one, "path": None} for one in images], "problem": problem, "answer": answer}
        for images, problem, answer in given
    ]
    types = {"images": List(Image()), "problem": Value("string"), "answer": List(Value("string"))}
    return Dataset.from_list(made, features=Features(types))


def evidence(*given, engine=None, **options):
    return collect_evidence(rows(*given), Likelihood(engine or Scripted(), **options)).to_list()


def test_both_arms_are_asked_for_every_spelling():
    """The text arm has neither image nor placeholder; the gold ends with the tail, behind the lead."""
    engine = Scripted()
    (row,) = evidence(([png()], "<image>Is it red?", ["Yes", "aye"]), engine=engine, lead="So: ", tail="!")
    assert row["rap_gold_spellings"] == ["Yes", "yes", "aye"]
    assert row["rap_image_gold_logprobs"] == [-2.0, -2.0, -2.0]
    assert row["rap_text_gold_logprobs"] == [-4.0, -4.0, -4.0]
    assert row["rap_gold_tokens"] == [4, 4, 4]
    assert row["rap_likelihood_error"] is None
    assert '"lead": "So: "' in row["rap_likelihood_settings"]
    assert [(one.request.arm, one.request.prefix, one.text) for one in engine.seen[::3]] == [
        ("image", "So: ", "Yes!"),
        ("text", "So: ", "Yes!"),
    ]
    assert [len(one.request.images) for one in engine.seen] == [1] * 3 + [0] * 3
    assert engine.seen[3].request.messages[0]["content"][0]["text"].startswith("Is it red?\nGive only the final answer")


def test_rows_that_cannot_be_asked_say_why_and_cost_themselves_only():
    """No image, a broken one, a gold nobody can read, an empty one: nulls and a code."""
    good = ([png()], "<image>How many?", ["3"])
    engine = Scripted()
    found = evidence(
        *(good, ([], "How many?", ["3"]), ([b"no picture"], "<image>How many?", ["3"])),
        *(([png()], "<image>How many?", ["see figure"]), ([png()], "<image>How many?", [""]), good),
        engine=engine,
    )
    codes = [(row["rap_likelihood_error"] or "").split(":")[0] for row in found]
    assert codes == ["", "no_image", "image_unreadable", "gold_unreadable", "gold_unreadable", ""]
    written = [column.name for column in LIKELIHOOD_EVIDENCE if column.name != "rap_likelihood_error"]
    assert [[row[name] for name in written] for row in found[1:5]] == [[None] * 5] * 4
    assert len(engine.seen) == 2  # the last row is the first one again


def test_a_spelling_that_fails_in_one_arm_leaves_the_others():
    """What is unknown is null, the error is told, and the score goes by what is known."""
    (row,) = evidence(([png()], "<image>How many?", ["3", "three"]), engine=Scripted(fails_on="three"))
    assert row["rap_image_gold_logprobs"] == [-1.0, None]
    assert row["rap_text_gold_logprobs"] == [-2.0, -6.0]
    assert row["rap_likelihood_error"] == "too_long: scripted"
    assert likelihood_cde_score({name: [value] for name, value in row.items()}) == {"rap_likelihood_cde": [1.0]}


def test_a_server_cannot_tell():
    """Said when the callable is made, with what can."""

    class Server:
        def complete(self, requests, sampling): ...

    with pytest.raises(SettingError, match="Server cannot tell how likely an answer is; a local model can"):
        Likelihood(Server())


def test_nothing_is_overwritten():
    ds = rows(([png()], "<image>How many?", ["3"])).add_column("rap_gold_tokens", [[1]])
    with pytest.raises(ColumnExistsError, match="rap_gold_tokens"):
        Likelihood(Scripted())(ds[:])


@pytest.mark.parametrize(
    ("answer", "ways"),
    [
        ("B", ["B"]),
        ("(B) 30 cm", ["B", "30 cm"]),
        ("Yes", ["Yes", "yes"]),
        ("true", ["true", "yes"]),
        (True, ["yes"]),
        (3, ["3"]),
        (["car", "Automobile", "car"], ["car", "Automobile"]),
        (["3", None], ["3"]),
        (r"so \boxed{\frac{1}{2}}", [r"\frac{1}{2}"]),
    ],
)
def test_spellings(answer, ways):
    """Those of the dataset first, no form made up, none twice."""
    assert spellings(answer) == ways


@pytest.mark.parametrize("answer", [None, "", [], [None], "n/a"])
def test_golds_without_spelling_are_refused(answer):
    """With the error of `read_gold`."""
    with pytest.raises(RowError, match="gold_unreadable"):
        spellings(answer)


BATCH = {
    "rap_image_gold_logprobs": [[math.log(0.5), math.log(0.25)], [math.log(0.5)], None],
    "rap_text_gold_logprobs": [[math.log(0.125), math.log(0.125)], [math.log(0.75)], None],
    "rap_gold_tokens": [[1, 2], [2], None],
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [math.log(0.75 / 0.25), math.log(0.5 / 0.75), None]),
        ({"scale": "probability"}, [0.5, -0.25, None]),
        ({"pool": "mean"}, [math.log(0.5 / 0.125**0.5), math.log(0.5 / 0.75) / 2, None]),
        ({"pool": "mean", "scale": "probability"}, [0.5 - 0.125**0.5, 0.5**0.5 - 0.75**0.5, None]),
    ],
)
def test_scores_by_hand(options, expected):
    """Spellings add up in probability; the mean is that of the likeliest spelling, per token."""
    (found,) = LikelihoodCDEScore(**options)(BATCH).values()
    assert found == [one if one is None else pytest.approx(one) for one in expected]


def test_bad_options_and_bad_evidence_are_refused():
    with pytest.raises(SettingError, match="scale is 'nats'"):
        LikelihoodCDEScore(scale="nats")(BATCH)
    with pytest.raises(LayoutError, match=r"row 0 of the batch has nan"):
        likelihood_cde_score({**BATCH, "rap_image_gold_logprobs": [[math.nan, 0.0], [0.0], None]})
    with pytest.raises(LayoutError, match=r"row 1 of the batch has 0\.5"):
        likelihood_cde_score({**BATCH, "rap_text_gold_logprobs": [[0.0, 0.0], [0.5], None]})
    with pytest.raises(MissingColumnError, match="hf-rap likelihood"):
        add_scores(Dataset.from_dict({"problem": ["?"]}), likelihood_cde_score)


def test_the_small_model_finds_golds_likelier_where_the_image_shows_them():
    """On average over the kinds of planted rows; those with unreadable golds have no score."""
    planted = make_planted(48)
    scored = add_scores(collect_evidence(planted, Likelihood(demo_engine())), likelihood_cde_score)
    by_kind = {}
    for kind, score in zip(scored["kind"], scored["rap_likelihood_cde"], strict=True):
        by_kind.setdefault(kind, []).append(score)
    assert set(by_kind["gold_unreadable"]) == {None}
    means = {kind: sum(scores) / len(scores) for kind, scores in by_kind.items() if None not in scores}
    assert means["needs_image"] > means["text_gives_it_away"] + 0.5


def test_a_joint_token_of_lead_and_gold_counts():
    r"""The small model's tokenizer makes one token of "yes": a lead that ends within it does not hide it."""
    from hf_rap.engines.base import Reply, Request
    from hf_rap.rows.prompts import DEFAULT_PROMPT

    def counted(prefix, text):
        loaded = demo_engine().load()
        request = Request("a", "text", DEFAULT_PROMPT.messages("Is red a colour?"), (), 1, prefix=prefix)
        tokens, first = loaded.texts.spelled(Reply(request, text))
        return loaded.processor.tokenizer.convert_ids_to_tokens(tokens[first:])

    assert counted(r"\boxed{", "yes}") == ["yes", "}"]
    assert counted(r"\boxed{ye", "s}") == ["yes", "}"]
    assert counted("", "yes") == ["yes"]
