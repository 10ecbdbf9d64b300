"""Attention evidence over real rows, on the built-in model."""

import io
import itertools
import json
import re
from functools import cache

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import (
    ACEScore,
    Attention,
    Completion,
    Rollouts,
    TransformersEngine,
    ace_score,
    add_scores,
    cde_score,
    collect_evidence,
    collect_in_run,
    difficulty_score,
    select_cognitive,
)
from hf_rap.columns import ATTENTION_ERROR_CODES
from hf_rap.demo import MODEL, demo_engine, make_planted
from hf_rap.errors import ColumnExistsError, EngineError, MissingColumnError, SettingError
from hf_rap.evidence.psi import FORMS, NORMALISATIONS, PARTS
from hf_rap.rows.prompts import PromptTemplate

ROLLOUTS = Rollouts(demo_engine(), attempts=2, max_new_tokens=48)


@cache
def planted():
    return make_planted(24)


@cache
def evidence():
    """Replies and attention in one go."""
    return collect_evidence(planted(), Rollouts(demo_engine(), attempts=2, max_new_tokens=48, attention=True))


@pytest.mark.slow
def test_one_go_and_a_second_pass_give_the_same():
    """Rollouts(attention=True) is Rollouts and then Attention, settings included."""
    second = collect_evidence(collect_evidence(planted(), ROLLOUTS), Attention(demo_engine()))
    assert second.column_names == evidence().column_names
    assert second.remove_columns("images").to_list() == evidence().remove_columns("images").to_list()
    assert second.features == evidence().features


@pytest.mark.slow
def test_a_plain_map_gives_the_same_whatever_the_batch():
    """Numbers move by rounding only; a first batch of unusable rows keeps the types."""
    rows = collect_evidence(planted(), ROLLOUTS)
    unusable = [error is not None and error.startswith("gold_unreadable") for error in rows["rap_error"]]
    order = sorted(range(len(rows)), key=lambda index: not unusable[index])
    mapped = rows.select(order).map(Attention(demo_engine()), batched=True, batch_size=1)
    assert mapped.features["rap_attention"] == evidence().features["rap_attention"]
    assert mapped[0]["rap_attention"] is None
    for row, index in zip(mapped, order, strict=True):
        expected = evidence()[index]["rap_attention"]
        assert [one["tokens"] for one in row["rap_attention"] or []] == [one["tokens"] for one in expected or []]
        found = [one["log_psi_windowed"] for one in row["rap_attention"] or []]
        assert found == pytest.approx([one["log_psi_windowed"] for one in expected or []], rel=1e-3)


def test_every_number_is_there_and_in_range():
    """One list entry per token, and summaries that follow from the lists."""
    attempts = [one for row in evidence()["rap_attention"] for one in row or []]
    assert len(attempts) > 40
    for one in attempts:
        assert one["error"] is None
        lengths = {len(one[name]) for name in ("tokens", "product_max", "product_mean", "window_max", "image_shares")}
        assert lengths == {len(one["tokens"])}
        assert 0 <= one["image_share"] <= 1
        assert one["entropy"] > 0
        assert one["token"] == one["tokens"][one["position"]]
        assert max(one["window_max"]) <= 0
        assert one["image_share"] == pytest.approx(sum(one["image_shares"]) / len(one["image_shares"]), rel=1e-5)


def test_tokens_are_those_of_the_reply():
    """Put together they are the stored text."""
    for texts, attempts in zip(evidence()["rap_image_responses"], evidence()["rap_attention"], strict=True):
        assert ["".join(one["tokens"]).strip() for one in attempts or []] == (texts or [])


def test_scores_and_selection_use_it():
    """The row with the highest ace among those that need the image leaves by the usual rule."""
    scored = add_scores(evidence(), cde_score, ace_score, difficulty_score)
    assert sum(ace is not None for ace in scored["rap_ace"]) == sum(row is not None for row in scored["rap_attention"])
    selection = select_cognitive(scored, replace_easy=False)
    assert selection.rule["asked"]["max_ace"] == "auto"
    assert "attention_unbiased" in [step.name for step in selection.funnel]
    highest = max(ace for ace in scored["rap_ace"] if ace is not None)
    assert selection.rule["max_ace"] < highest


@cache
def with_ids(**options):
    """Replies of two kinds of rows with the tokens that the model wrote."""
    rollouts = Rollouts(demo_engine(), attempts=2, max_new_tokens=48, keep_ids=True, **options)
    return collect_evidence(planted(), rollouts)


@pytest.mark.slow
def test_token_ids_are_kept_on_request():
    """As many as were counted, of both arms, and the same replies; null where there are none."""
    ds = with_ids()
    assert ds.features["rap_image_token_ids"] == ds.features["rap_text_token_ids"] == List(List(Value("int32")))
    plain = collect_evidence(planted(), ROLLOUTS)
    kept = ds.remove_columns(["images", "rap_image_token_ids", "rap_text_token_ids"])
    assert kept.to_list() == plain.remove_columns("images").to_list()
    tokenizer = demo_engine().load().processor.tokenizer
    for arm in ("image", "text"):
        for row in ds.remove_columns("images"):
            ids = row[f"rap_{arm}_token_ids"]
            assert (None if ids is None else list(map(len, ids))) == row[f"rap_{arm}_tokens"]
            texts = [tokenizer.decode(one, skip_special_tokens=True).strip() for one in ids or []]
            assert texts == (row[f"rap_{arm}_responses"] or [])
    assert None in ds["rap_image_token_ids"][:]


@pytest.mark.slow
def test_a_second_pass_reads_the_tokens_that_were_kept():
    """In one go and in two: the same numbers, of as many tokens as the model wrote, but for the end."""
    second = collect_evidence(with_ids(), Attention(demo_engine()))
    in_one_go = with_ids(attention=True)
    assert second.remove_columns("images").to_list() == in_one_go.remove_columns("images").to_list()
    end = demo_engine().load().processor.tokenizer.eos_token_id
    lengths = [[len([one for one in ids if one != end]) for ids in row or []] for row in second["rap_image_token_ids"]]
    assert [[len(one["tokens"]) for one in row or []] for row in second["rap_attention"]] == lengths


@pytest.mark.slow
def test_attempts_that_were_added_keep_their_tokens(tmp_path):
    """One attempt, then two, in a run: as in one go."""
    few, more = (Rollouts(demo_engine(), attempts=n, max_new_tokens=48, keep_ids=True) for n in (1, 2))
    collect_in_run(planted(), few, str(tmp_path / "run"))
    joined = collect_in_run(planted(), more, str(tmp_path / "run"))
    assert joined.remove_columns("images").to_list() == with_ids().remove_columns("images").to_list()


def test_parts_of_replies_have_scores_of_their_own():
    """The model thinks in every reply and answers behind it; each part, form and reading gives a number of its own."""
    attempts = [one for row in evidence()["rap_attention"] for one in row or []]
    for one in attempts:
        text = "".join(one["tokens"][: one["thinking_tokens"]])
        assert text.endswith("</think>") or one["thinking_tokens"] == len(one["tokens"])
    assert any(0 < one["thinking_tokens"] < len(one["tokens"]) for one in attempts)
    seen = set()
    for form, normalise, part in itertools.product(FORMS, NORMALISATIONS, PARTS):
        score = ACEScore(form=form, normalise=normalise, part=part, min_column=2)
        scored = evidence().map(score, batched=True)
        told = json.loads(next(one for one in scored["rap_ace_settings"] if one is not None))
        assert (told["form"], told["normalise"], told["part"]) == (form, normalise, part)
        seen.add(tuple(ace and round(ace, 6) for ace in scored["rap_ace"]))
    assert len(seen) == 12
    # Over the reply alone every weight is larger: so is psi.
    for form in FORMS:
        over_all, over_reply = (
            evidence().map(ACEScore(form=form, normalise=normalise), batched=True)["rap_ace"][:]
            for normalise in NORMALISATIONS
        )
        assert all(one <= other for one, other in zip(over_all, over_reply, strict=True) if one is not None)


def test_the_papers_limit_on_another_form_is_remarked(caplog):
    """0.1 drops nearly all rows by windowed psi; a quantile, or the literal form, goes without a word."""

    def remarks():
        return [record for record in caplog.records if record.name == "hf_rap.select.rap"]

    scored = add_scores(evidence(), cde_score, ace_score, difficulty_score)
    options = {"min_cde": -1, "replace_easy": False}
    selection = select_cognitive(scored, max_ace=0.1, **options)
    steps = {step.name: step.rows for step in selection.funnel}
    dropped = steps["attention_known"] - steps["attention_unbiased"]
    assert dropped > 0.5 * steps["attention_known"]
    (record,) = remarks()
    assert record.getMessage().startswith(
        f"max_ace=0.1 drops {dropped} of {steps['attention_known']} rows: rap_ace is windowed here, with a median of "
    )
    assert "(--max-ace q0.9)" in record.getMessage()
    caplog.clear()
    for limit in ("auto", "q0.9", None, 5.0):
        select_cognitive(scored, max_ace=limit, **options)
    literal = add_scores(evidence(), cde_score, ACEScore(form="literal"), difficulty_score)
    select_cognitive(literal, max_ace=0.1, **options)
    assert remarks() == []
    select_cognitive(scored, max_ace=0.09, **options)  # another number that drops most
    assert len(remarks()) == 1


def test_the_instruction_is_that_of_the_rollouts():
    """Another prompt would be another attention: it is taken from rap_settings, and noted."""
    bare = collect_evidence(
        planted().select(range(4)), Rollouts(demo_engine(), attempts=1, max_new_tokens=48, prompt="bare")
    )
    found = collect_evidence(bare, Attention(demo_engine()))
    settings = [json.loads(one) for one in found["rap_attention_settings"] if one is not None]
    assert {one["instruction"] for one in settings} == {""}
    assert {one["window"] for one in settings} == {16}
    assert all(one["error"] is None for row in found["rap_attention"] for one in row or [])


@pytest.mark.slow
def test_another_instruction_is_noticed():
    """The prompt has another number of tokens than when the reply was generated."""
    found = collect_evidence(
        collect_evidence(planted(), ROLLOUTS), Attention(demo_engine(), prompt=PromptTemplate(suffix=" Hm?"))
    )
    errors = {one["error"].split(":")[0] for row in found["rap_attention"] for one in row or []}
    assert errors == {"image_tokens_changed"} <= set(ATTENTION_ERROR_CODES)
    assert add_scores(found, ace_score)["rap_ace"][:] == [None] * len(found)


FEATURES = Features(
    {
        "id": Value("string"),
        "images": List(Image()),
        "problem": Value("string"),
        "answer": Value("string"),
        "rap_image_responses": List(Value("string")),
    }
)


def stored(*responses, picture=b"", problem="<image>How many red shapes are in the picture?"):
    """One row of replies from elsewhere: no settings, no counts."""
    file = io.BytesIO()
    PILImage.new("RGB", (84, 84)).save(file, format="PNG")
    row = {"id": "r", "images": [{"bytes": picture or file.getvalue(), "path": None}], "problem": problem}
    return Dataset.from_list([{**row, "answer": "3", "rap_image_responses": list(responses)}], features=FEATURES)


def entries(ds, **options):
    (row,) = ds.map(Attention(demo_engine(), **options), batched=True)["rap_attention"][:]
    return row


def test_replies_from_elsewhere_need_nothing_else():
    """The columns of the dataset and the replies are enough; null replies stay null."""
    first, second, third = entries(stored("<think> red so 3 </think> \\boxed{3}", None, "no so"))
    assert (first["error"], second) == (None, None)
    assert third["tokens"] == ["no", " so"]
    assert third["log_psi"] is not None
    assert third["log_psi_windowed"] is None  # two tokens: no column of four rows


def test_bad_replies_are_errors_of_their_attempt():
    """Empty, a single token, longer than the context of 512; the fourth is fine."""
    errors = [one["error"] for one in entries(stored("", "3", "red " * 600, "red so 3"))]
    assert errors[0] == "reply_empty: the reply has no text"
    assert errors[1].startswith("reply_too_short: ")
    assert errors[2].startswith("too_long: the prompt has ")
    assert errors[3] is None


def test_rows_that_cannot_be_asked_say_so_in_every_attempt():
    """A broken image, and a placeholder too many."""
    assert [one["error"].split(":")[0] for one in entries(stored("a b", "c d", picture=b"x"))] == [
        "image_unreadable"
    ] * 2
    (one,) = entries(stored("a b", problem="<image><image>What?"))
    assert one["error"].startswith("placeholder_mismatch: ")


def test_a_prompt_of_another_length_is_an_error():
    """As other limits of pixels make it, 36 image tokens instead of 9: the count differs, and no number comes out."""
    rows = collect_evidence(planted().select(range(3)), ROLLOUTS)
    longer = rows.map(lambda row: {"rap_image_prompt_tokens": row["rap_image_prompt_tokens"] + 27})
    found = longer.map(Attention(ROLLOUTS.engine), batched=True)["rap_attention"]
    errors = [one["error"].split(":")[0] for row in found for one in row or []]
    assert errors
    assert set(errors) == {"image_tokens_changed"}


def test_a_size_that_the_model_cannot_take_is_refused_at_once():
    """Before, each row had that error."""
    size = {"size": {"shortest_edge": 96}, "crop_size": {"height": 96, "width": 96}}
    engine = TransformersEngine(str(MODEL), device="cpu", dtype="float32", processor_options=size)
    with pytest.raises(
        EngineError, match=r"before the first row: ValueError: Input image size \(96\*96\) doesn't match"
    ):
        collect_evidence(planted().select(range(3)), Rollouts(engine))


def test_faults_are_found_before_the_model_is_loaded():
    """The engine names a model that does not exist, and is never asked."""
    nobody = TransformersEngine("nobody/nothing")
    with pytest.raises(MissingColumnError, match=r"Make it first: ds\.map\(Rollouts"):
        Attention(nobody)(planted()[:2])
    with pytest.raises(ColumnExistsError, match="'rap_attention'"):
        collect_evidence(evidence(), Attention(nobody))
    with pytest.raises(SettingError, match="window is 1: it takes a whole number of 2 or more"):
        Attention(nobody, window=1)


class Mute:
    """An engine that answers and cannot tell its attention, like a server."""

    def complete(self, requests, sampling):
        return [[Completion(r"\boxed{3}", 7, truncated=False)] * request.attempts for request in requests]

    def describe(self):
        return {"engine": "mute"}


def test_an_engine_without_attention_is_refused():
    """The message says what to do instead."""
    for make in (lambda: Rollouts(Mute(), attention=True), lambda: Attention(Mute())):
        with pytest.raises(SettingError, match=r"Mute cannot tell its attention\. Collect replies with it, then read"):
            make()


def test_replies_of_a_server_are_read_by_a_local_model():
    """The two-stage use: the server's evidence has no count of prompt tokens, so nothing is compared."""
    ds = collect_evidence(planted().select(range(3)), Rollouts(Mute(), attempts=2))
    found = collect_evidence(ds, Attention(demo_engine()))
    texts = ["".join(one["tokens"]) for row in found["rap_attention"] for one in row or []]
    assert texts
    assert set(texts) == {r"\boxed{3}"}


def settings_after(ds, attention):
    """`rap_attention_settings` of the rows that have any, parsed."""
    found = collect_evidence(ds, attention)["rap_attention_settings"]
    return [json.loads(one) for one in found if one is not None]


def test_replies_of_another_model_are_refused(caplog, other_grid, tmp_path):
    """Other weights of the same classes, whichever way: the sentence names both, before either is loaded."""
    small = planted().select(range(4))
    engine = TransformersEngine(str(other_grid), device="cpu", dtype="float32")
    ds = collect_evidence(small, ROLLOUTS)
    theirs, ours = engine.identity, demo_engine().identity
    sentence = re.escape(
        f"These replies were written by {ours.model.name} ({ours}), and this is {theirs.model.name} ({theirs}): how it looks "
        "at them says nothing of why they were written. Read them with the model and revision that wrote them, or say that "
        "another one is meant: Attention(engine, other_model=True), --other-model."
    )
    for read in (
        lambda: collect_evidence(ds, Attention(engine)),
        lambda: ds.map(Attention(engine), batched=True),
        lambda: list(collect_evidence(ds.to_iterable_dataset(), Attention(engine))),
        lambda: collect_in_run(ds, Attention(engine), str(tmp_path / "run")),
    ):
        with pytest.raises(SettingError, match=sentence):
            read()
    assert not (tmp_path / "run").exists()
    told = settings_after(ds, Attention(engine, other_model=True))
    assert {(one["identity"], one["replies_by"]) for one in told} == {(str(theirs), f"{ours.model.name} ({ours})")}
    assert f"written by {ours.model.name} ({ours}), read with {theirs.model.name} ({theirs}): it is" in caplog.text


def test_whose_replies_these_are_is_said_where_nothing_tells_it(caplog):
    """A server's replies, and replies without settings: read, with a remark; those of the same model go without one."""
    small = planted().select(range(3))
    served = collect_evidence(small, Rollouts(Mute(), attempts=2))
    for ds in (served, served.remove_columns("rap_settings")):
        caplog.clear()
        told = settings_after(ds, Attention(demo_engine()))
        assert [one["replies_by"] for one in told] == ["unknown model"] * 3
        assert caplog.text.count("The replies of 3 rows were written by unknown model, read with ") == 1
        assert all("replies_by" in one["not_counted"] for one in told)
    caplog.clear()
    assert all(
        "replies_by" not in one for one in settings_after(collect_evidence(small, ROLLOUTS), Attention(demo_engine()))
    )
    assert "were written by" not in caplog.text
