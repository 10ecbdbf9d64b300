"""Replies read again: what the model is shown, what is written, and the score of it; numbers worked out by hand."""

import json
from dataclasses import dataclass, field

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import (
    Completion,
    ReplyLikelihood,
    Rollouts,
    add_scores,
    collect_evidence,
    collect_in_run,
    select_cognitive,
)
from hf_rap.demo import MODEL, demo_engine, make_planted
from hf_rap.engines.base import LogLikelihood
from hf_rap.errors import ColumnExistsError, EngineError, LayoutError, MissingColumnError, RowError, SettingError
from hf_rap.evidence.other_pictures import GREY
from hf_rap.rows.prompts import DEFAULT_INSTRUCTION, PromptTemplate
from hf_rap.scorers import VisualDependenceScore, visual_dependence_score

from .test_donors import png

ROWS = Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")})
# Of every word of a reply, by what is shown.
NATS = {"image": -0.25, "text": -1.5, "blank": -1.25, "shuffled": -2.25}


@dataclass(frozen=True)
class Reading:
    """Writes two replies, and reads each word with the log-probability of its arm; fails where it is told to."""

    fails_in: str = "nowhere"
    sums_alone: bool = False
    model: str = "reading"
    writes: tuple = (r"\boxed{3}", r"it is \boxed{4}")
    seen: list = field(default_factory=list, compare=False)

    def complete(self, requests, sampling):
        return [[Completion(text, 3, False, 9) for text in self.writes[: request.attempts]] for request in requests]

    def log_likelihoods(self, replies):
        self.seen.extend(replies)
        return [self._read(reply) for reply in replies]

    def _read(self, reply):
        if reply.request.arm == self.fails_in:
            return RowError("too_long", "scripted")
        words, nats = reply.text.split(), NATS[reply.request.arm]
        if self.sums_alone:
            return LogLikelihood(nats * len(words), len(words))
        return LogLikelihood(nats * len(words), len(words), (nats,) * len(words), tuple(words))

    def describe(self):
        return {"engine": "reading", "model": self.model, "identity": self.model}


def rows(*given):
    """A dataset of (numbers of pictures, problem, answer)."""
    made = [
        {"images": [{"bytes": png(number), "path": None} for number in pictures], "problem": problem, "answer": answer}
        for pictures, problem, answer in given
    ]
    return Dataset.from_list(made, features=ROWS)


RED, DARK = ([255], "<image>How many?", "3"), ([1], "<image>Which?", "4")


def replied(*given, engine=None, **options):
    return collect_evidence(rows(*given), Rollouts(engine or Reading(), attempts=2, **options))


def read(ds, engine=None, **options):
    return collect_evidence(ds, ReplyLikelihood(engine or Reading(), **options))["rap_reply_logprobs"][:]


def test_each_reply_is_read_with_its_image_and_without():
    """The question as it was asked, in the words of its own template; the other arm has neither image nor placeholder."""
    engine = Reading()
    ds = replied(RED, engine=engine, prompt=PromptTemplate(suffix=" Box it."))
    (row,) = read(ds, engine)
    short, long = row
    assert short == {
        **dict.fromkeys(short),
        "tokens": [r"\boxed{3}"],
        "image": [-0.25],
        "text": [-1.5],
    }
    assert long["tokens"] == ["it", "is", r"\boxed{4}"]
    assert (long["image"], long["text"], long["blank"]) == ([-0.25] * 3, [-1.5] * 3, None)
    shown = [(reply.request.arm, len(reply.request.images), reply.text) for reply in engine.seen]
    assert shown == [
        ("image", 1, r"\boxed{3}"),
        ("image", 1, r"it is \boxed{4}"),
        ("text", 0, r"\boxed{3}"),
        ("text", 0, r"it is \boxed{4}"),
    ]
    texts = [[part.get("text") for part in reply.request.messages[0]["content"]] for reply in engine.seen[1:3]]
    assert texts == [[None, "How many? Box it."], ["How many? Box it."]]
    assert [reply.prompt_tokens for reply in engine.seen] == [9, 9, None, None]  # that of the text is another one


def test_other_pictures_stand_in_the_place_of_the_own_ones():
    """Grey of the same size, and those of another row; all arms at once, or any of them."""
    engine = Reading()
    found = read(replied(RED, DARK), engine, arms=("shuffled", "blank"))
    assert [sorted(arm for arm in NATS if reply[arm]) for reply in found[0]] == [["blank", "image", "shuffled"]] * 2
    blank, shuffled = (
        next(reply.request for reply in engine.seen if reply.request.arm == arm) for arm in ("blank", "shuffled")
    )
    assert blank.images[0].getcolors() == [(64, GREY)]
    assert shuffled.images[0].getpixel((4, 4)) == (1, 0, 7)
    assert found[0][0]["shuffled"] == [-2.25]


def test_tokens_that_were_kept_are_the_ones_that_are_read():
    """`Rollouts(keep_ids=True)`: the engine gets them with each reply, in every arm."""
    engine = Reading()
    ds = replied(RED).add_column("rap_image_token_ids", [[[5, 6], None]])
    read(ds, engine)
    assert [reply.token_ids for reply in engine.seen] == [(5, 6), None] * 2


def test_rows_and_replies_that_cannot_be_read_cost_themselves_only():
    """A null attempt, an empty reply, no image, a broken one, no replies at all; their neighbours keep their numbers."""
    ds = rows(RED, DARK, ([], "How many?", "3"), RED, RED)
    broken = ds.cast_column("images", List(Image(decode=False))).to_list()
    broken[1]["images"] = [{"bytes": b"no picture", "path": None}]
    ds = Dataset.from_list(broken, features=ROWS)
    texts = [["a b", None, ""], ["a"], ["a"], None, []]
    types = Features({**ds.features, "rap_image_responses": List(Value("string"))})
    ds = ds.add_column("rap_image_responses", texts).cast(types)
    engine = Reading()
    found = collect_evidence(ds, ReplyLikelihood(engine))
    cells = found["rap_reply_logprobs"][:]
    assert cells[0][0]["image"] == [-0.25, -0.25]
    assert cells[0][1] is None
    assert cells[0][2]["error"] == "reply_empty: the reply has no text"
    assert [cells[1][0]["error"].split(":")[0], cells[2][0]["error"]] == [
        "image_unreadable",
        "no_image: the row has no image, so cde is not defined",
    ]
    assert cells[3:] == [None, []]
    assert len(engine.seen) == 2
    assert [setting is None for setting in found["rap_reply_logprobs_settings"]] == [False, False, False, True, False]
    scored = add_scores(found, visual_dependence_score)
    assert scored["rap_visual_dependence"][:] == [1.25, None, None, None, None]


def test_an_arm_that_fails_leaves_the_others():
    """Too long with the image, say: the error is told, and the score goes by what is known in both arms."""
    (row,) = read(replied(RED), Reading(fails_in="text"), arms=("text", "blank"))
    assert [(reply["error"], reply["text"], reply["blank"]) for reply in row] == [
        ("too_long: scripted", None, [-1.25]),
        ("too_long: scripted", None, [-1.25] * 3),
    ]
    scores = [VisualDependenceScore(arm)({"rap_reply_logprobs": [row]}) for arm in ("text", "blank")]
    assert scores == [
        {"rap_visual_dependence": [None]},
        {"rap_visual_dependence": [1.0], "rap_visual_dependence_arm": ["blank"]},
    ]


def test_a_row_without_a_giver_says_so():
    """All rows show the same picture: nobody has another one."""
    (row, _) = read(replied(RED, ([255], "<image>Why?", "3")), arms=("text", "shuffled"))
    assert row[0]["error"].startswith("no_donor: ")
    assert (row[0]["text"], row[0]["shuffled"]) == ([-1.5], None)


def test_pictures_of_other_rows_take_all_rows():
    """In plain `map` nobody has said which rows there are, unless `over` has."""
    ds = replied(RED, DARK)
    with pytest.raises(SettingError, match=r"use collect_evidence\(ds, ReplyLikelihood\(engine\)\)"):
        ReplyLikelihood(Reading(), arms=("shuffled",))(ds[:])
    mapped = ds.map(ReplyLikelihood(Reading(), arms=("shuffled",)).over(ds), batched=True, batch_size=1)
    assert mapped["rap_reply_logprobs"][0][0]["shuffled"] == [-2.25]


def test_an_engine_that_tells_sums_alone_is_refused():
    """And so is one that tells nothing, before anything is asked."""
    with pytest.raises(EngineError, match=r"Reading.log_likelihoods tells the sum of a reply alone"):
        read(replied(RED), Reading(sums_alone=True))

    class Server:
        def complete(self, requests, sampling): ...

    with pytest.raises(SettingError, match="Server cannot tell how likely the tokens of a reply are"):
        ReplyLikelihood(Server())


def test_an_arm_in_which_the_reply_has_other_tokens_is_an_error():
    """Differences of tokens that are not the same would mean nothing."""

    class Joins(Reading):
        def _read(self, reply):
            if reply.request.arm == "text":
                return LogLikelihood(-1.0, 1, (-1.0,), (reply.text,))
            return super()._read(reply)

    (row,) = read(replied(RED), Joins())
    assert [reply["error"] for reply in row] == [
        None,
        "tokens_changed: behind another prompt (text) the reply has other tokens",
    ]


def test_replies_of_another_model_are_refused_unless_they_are_meant():
    """How likely it finds them says nothing of why they were written; and it is written down whose they are."""
    ds = replied(RED, engine=Reading(model="writer"))
    with pytest.raises(
        SettingError, match=r"written by writer \(writer\), and this is reading \(reading\): how likely it finds them"
    ):
        read(ds)
    meant = collect_evidence(ds, ReplyLikelihood(Reading(), other_model=True))
    settings = json.loads(meant["rap_reply_logprobs_settings"][0])
    assert (settings["replies_by"], settings["arms"], settings["reply_likelihood"]) == (
        "writer (writer)",
        ["text"],
        "1",
    )


def test_nothing_is_overwritten_and_replies_have_to_be_there():
    """Both are said before the model is asked."""
    engine = Reading()
    with pytest.raises(ColumnExistsError, match="rap_reply_logprobs"):
        collect_evidence(collect_evidence(replied(RED), ReplyLikelihood(Reading())), ReplyLikelihood(engine))
    with pytest.raises(MissingColumnError, match="'rap_image_responses'"):
        collect_evidence(rows(RED), ReplyLikelihood(engine))
    assert engine.seen == []


def test_a_run_folder_keeps_what_was_read(tmp_path):
    """A second call reads nothing again; new replies are read, and so are all with another arm."""
    engine = Reading()
    ds = replied(RED, DARK)
    first = collect_in_run(ds, ReplyLikelihood(engine), str(tmp_path), rows_per_part=1)
    assert len(engine.seen) == 8
    again = collect_in_run(ds, ReplyLikelihood(engine), str(tmp_path))
    assert again.to_list() == first.to_list()
    assert len(engine.seen) == 8
    more = replied(RED, DARK, ([2], "<image>Why?", "3"))
    collect_in_run(more, ReplyLikelihood(engine), str(tmp_path))
    assert len(engine.seen) == 12
    collect_in_run(ds, ReplyLikelihood(engine, arms=("blank",)), str(tmp_path))
    assert len(engine.seen) == 20


def test_the_score_is_a_mean_of_means():
    """A long reply counts like a short one; above 0 the image made the words likelier, and numbers that are none are refused."""
    short = {"image": [-1.0], "text": [-3.0]}
    long = {"image": [-1.0, -1.0, -2.0], "text": [-1.0, -1.0, -0.5]}
    cells = [[short, long, None], [{"image": [-1.0], "text": None}], None, [long]]
    assert visual_dependence_score({"rap_reply_logprobs": cells}) == {"rap_visual_dependence": [0.75, None, None, -0.5]}
    with pytest.raises(LayoutError, match="reads finite numbers, and row 1 of the batch has others"):
        visual_dependence_score({"rap_reply_logprobs": [[short], [{"image": [float("nan")], "text": [-1.0]}]]})
    with pytest.raises(LayoutError, match="has 3 tokens with the image and 1 of the arm 'text'"):
        visual_dependence_score({"rap_reply_logprobs": [[{**long, "text": [-1.0]}]]})
    with pytest.raises(SettingError, match="arm"):
        VisualDependenceScore("image")


@pytest.fixture(scope="module")
def logprobs_by_transformers():
    """(question, picture or None, ids of a reply) -> log p of each but the one that ends it, by transformers alone."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(MODEL)
    model = AutoModelForImageTextToText.from_pretrained(MODEL).eval()

    def logprobs(question, picture, written):
        ids = [token for token in written if token != processor.tokenizer.eos_token_id]
        shown = [] if picture is None else [{"type": "image"}]
        chat = [{"role": "user", "content": [*shown, {"type": "text", "text": question}]}]
        prompt = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        inputs = processor(text=prompt, images=picture, return_tensors="pt")
        behind = torch.cat([inputs.pop("input_ids"), torch.tensor([ids])], dim=1)
        inputs["attention_mask"] = torch.ones_like(behind)
        with torch.no_grad():
            scores = model(input_ids=behind, **inputs).logits[0, -len(ids) - 1 : -1].log_softmax(-1)
        return scores.gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()

    return logprobs


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds",
    [("count", "where"), ("colour_at", "form_at"), ("told_colour", "count")],
    ids=" and ".join,
)
def test_the_score_of_planted_rows_is_what_transformers_alone_gives(logprobs_by_transformers, kinds):
    """Mean over tokens of log p(image) - log p(arm), mean over replies; of two rows each has the picture of the other when they are shuffled."""
    planted = make_planted(60, seed=3)
    one, other = (planted["source"][:].index(kind) for kind in kinds)
    ds = collect_evidence(
        planted.select([one, other]), Rollouts(demo_engine(), attempts=2, max_new_tokens=48, keep_ids=True)
    )
    read_again = collect_evidence(ds, ReplyLikelihood(demo_engine(), arms=("text", "blank", "shuffled")))
    (own,), (others,) = ds["images"]
    grey = PILImage.new("RGB", own.size, (128, 128, 128))
    shown = {"text": (None, None), "blank": (grey, grey), "shuffled": (others, own)}
    for arm, pictures in shown.items():
        expected = []
        for row, picture, instead in zip(ds, (own, others), pictures, strict=True):
            question = row["problem"].removeprefix("<image>") + DEFAULT_INSTRUCTION
            means = []
            for ids in row["rap_image_token_ids"]:
                with_image, without = (logprobs_by_transformers(question, each, ids) for each in (picture, instead))
                means.append((sum(with_image) - sum(without)) / len(without))
            expected.append(sum(means) / len(means))
        scored = VisualDependenceScore(arm)({"rap_reply_logprobs": read_again["rap_reply_logprobs"][:]})
        assert scored["rap_visual_dependence"] == pytest.approx(expected, abs=1e-3), arm


@pytest.mark.slow
def test_on_the_built_in_model_the_words_that_read_the_picture_stand_out():
    """Colours and forms hang on the image, brackets do not; and the rule keeps rows whose replies do."""
    ds = collect_evidence(make_planted(16, seed=1), Rollouts(demo_engine(), attempts=2, max_new_tokens=48))
    scored = add_scores(collect_evidence(ds, ReplyLikelihood(demo_engine())), visual_dependence_score)
    assert scored.features["rap_reply_logprobs"] == ReplyLikelihood(demo_engine()).features["rap_reply_logprobs"]
    for texts, replies in zip(scored["rap_image_responses"], scored["rap_reply_logprobs"], strict=True):
        assert ["".join(reply["tokens"]).strip() for reply in replies or []] == (texts or [])
        for reply in replies or []:
            assert reply["error"] is None
            assert max(reply["image"] + reply["text"]) <= 0
            assert len(reply["image"]) == len(reply["text"]) == len(reply["tokens"])
    kept = select_cognitive(scored, method="visual-dependence", budget=3).selected
    assert min(kept["rap_visual_dependence"]) > 0.1
    told = [row for row in scored if row["source"].startswith("told") and row["rap_visual_dependence"] is not None]
    assert all(abs(row["rap_visual_dependence"]) < 0.05 for row in told)
