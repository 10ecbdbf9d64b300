"""Rollouts over real rows, with an engine that answers from a table instead of a model."""

import json
import pickle

import pytest
from datasets import Dataset, Image
from scripted import Scripted, png, rows, scored

from hf_rap import CDEScore, Layout, Rollouts, cde_score, select_cognitive
from hf_rap.columns import EVIDENCE
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import ColumnExistsError, LayoutError, SettingError
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.verify import VERIFIER_VERSION


def test_a_stream_gets_the_replies_of_the_table():
    """Rows without an id, whose pictures a stream has decoded: the same ids, so the same random numbers."""
    ds = make_planted(8).remove_columns("id")
    rollouts = Rollouts(demo_engine(), attempts=2, max_new_tokens=32)
    table = ds.map(rollouts, batched=True, load_from_cache_file=False)
    stream = list(ds.to_iterable_dataset().map(rollouts, batched=True))
    for name in ("rap_id", "rap_image_responses", "rap_text_responses", "rap_image_rewards", "rap_error"):
        assert [row[name] for row in stream] == table[name][:]
    assert len(set(table["rap_id"])) == 8


def test_both_arms_are_graded():
    """Two attempts per arm: 3 is right, 4 and 5 are wrong."""
    (row,) = scored(rows(([png()], "<image>How many?", "3")))
    assert {name: value for name, value in row.items() if name.startswith("rap_") and name != "rap_settings"} == {
        "rap_id": row["rap_id"],
        "rap_image_rewards": [1.0, 0.0],
        "rap_text_rewards": [0.0, 0.0],
        "rap_image_responses": [r"\boxed{3}", r"\boxed{4}"],
        "rap_text_responses": [r"\boxed{4}", r"\boxed{5}"],
        "rap_image_tokens": [7, 7],
        "rap_text_tokens": [7, 7],
        "rap_image_truncated": [False, False],
        "rap_text_truncated": [False, False],
        "rap_image_formatted": [False, False],
        "rap_text_formatted": [False, False],
        "rap_image_prompt_tokens": None,
        "rap_error": None,
    }
    assert len(row["rap_id"]) == 32


def test_text_arm_sees_neither_image_nor_placeholder():
    """The question of the text arm is the same words without `<image>`."""
    engine = Scripted()
    scored(
        rows(([png()], "Look at <image> here. How many?", "3")), engine=engine, prompt=PromptTemplate(suffix=" Box it.")
    )
    image, text = engine.seen
    assert [part["type"] for part in image.messages[0]["content"]] == ["text", "image", "text"]
    assert text.images == ()
    assert text.messages == [{"role": "user", "content": [{"type": "text", "text": "Look at here. How many? Box it."}]}]


def test_unreadable_gold_is_found_before_the_model_is_asked():
    """No request is made for a row whose gold cannot be read; its evidence is null."""
    engine = Scripted()
    (row,) = scored(rows(([png()], "<image>How many?", None)), engine=engine)
    assert engine.seen == []
    assert row["rap_error"].startswith("gold_unreadable: ")
    assert [row[column.name] for column in EVIDENCE[1:9]] == [None] * 8


def test_broken_image_costs_its_own_row_only():
    """A row whose image does not decode gets an error and an id; its neighbours are scored."""
    good = ([png()], "<image>How many?", "3")
    found = scored(rows(good, ([b"not a picture"], "<image>How many?", "3"), good))
    assert [row["rap_image_rewards"] for row in found] == [[1.0, 0.0], None, [1.0, 0.0]]
    assert found[1]["rap_error"].startswith("image_unreadable: ")
    assert len(found[1]["rap_id"]) == 32


def test_placeholder_mismatch_is_an_error_of_that_row():
    """Two placeholders for one image are refused with both numbers."""
    (row,) = scored(rows(([png()], "<image><image>How many?", "3")))
    assert row["rap_error"] == "placeholder_mismatch: the question has 2 <image> and the row has 1 image(s)"


def test_row_without_image_is_asked_on_its_text_alone():
    """Its cde is null with the reason no_image."""
    ds = rows(([], "What is 2 + 2?", "4"), ([png()], "<image>How many?", "3"))
    evidence = ds.map(Rollouts(Scripted(), attempts=2), batched=True)
    row = evidence[0]
    assert row["rap_image_rewards"] is None
    assert row["rap_text_rewards"] == [1.0, 0.0]
    assert row["rap_error"].startswith("no_image: ")
    assert evidence.map(cde_score, batched=True)["rap_cde"][:] == [None, 0.5]


def test_failing_row_is_recorded_and_the_run_goes_on():
    """The engine's error of one row lands in its rap_error."""
    found = scored(rows(([png()], "<image>bad", "3"), ([png()], "<image>good", "3")), engine=Scripted(fails_on="bad"))
    assert [row["rap_error"] for row in found] == ["engine_failed: ValueError: scripted", None]
    assert found[0]["rap_image_rewards"] is None


def test_the_first_error_of_a_row_stays():
    """No image comes before text replies that cannot be graded, and the image arm before the text arm."""
    silent = Scripted(with_image=(r"\boxed{3}", None), without=(None,))
    found = scored(rows(([], "How many?", "3"), ([png()], "<image>How many?", "3")), engine=silent)
    assert found[0]["rap_text_rewards"] == [None, None]
    assert found[0]["rap_error"].startswith("no_image: ")
    assert found[1]["rap_image_rewards"] == [1.0, None]
    assert found[1]["rap_error"] == "not_judged: 1 of 2 replies of the image arm could not be graded: no reply"


def test_settings_are_those_of_attempts():
    """A row that was not asked, and one that the engine failed on, has none."""
    good, unreadable, bad = (
        ([png()], f"<image>{word}", gold) for word, gold in (("a", "3"), ("b", None), ("bad", "3"))
    )
    found = scored(rows(good, unreadable, bad), engine=Scripted(fails_on="bad"))
    assert [row["rap_settings"] is not None for row in found] == [True, False, False]


def test_truncated_reply_is_wrong_and_counted():
    """A reply that hit the limit has no answer, even when a box is in it."""
    (row,) = scored(rows(([png()], "<image>How many?", "3")), engine=Scripted(truncated=True))
    assert row["rap_image_rewards"] == [0.0, 0.0]
    assert row["rap_image_truncated"] == [True, True]


def test_first_batch_of_unusable_rows_keeps_the_types():
    """A plain map whose first batches hold nothing but nulls still makes typed columns."""
    bad = ([b"x"], "<image>How many?", "3")
    ds = rows(bad, bad, bad, ([png()], "<image>How many?", "3"))
    evidence = ds.map(Rollouts(Scripted(), attempts=2), batched=True, batch_size=1)
    assert {name: evidence.features[name] for name in Rollouts(Scripted()).features} == Rollouts(Scripted()).features
    assert evidence[3]["rap_image_rewards"] == [1.0, 0.0]


def test_duplicate_rows_share_their_id():
    """Equal rows have equal ids, so they also get equal replies."""
    row = ([png()], "<image>How many?", "3")
    found = scored(rows(row, row, ([png("blue")], "<image>How many?", "3")))
    assert found[0]["rap_id"] == found[1]["rap_id"] != found[2]["rap_id"]


@pytest.mark.parametrize("answer", [3, 3.0, ["3", "three"], True])
def test_golds_of_other_types_are_read(answer):
    """Numbers, lists and booleans are golds too."""
    ds = Dataset.from_list([{"image": {"bytes": png(), "path": None}, "question": "How many?", "answer": answer}])
    ds = ds.cast_column("image", Image())
    engine = Scripted(with_image=(r"\boxed{yes}",) if answer is True else (r"\boxed{3}",))
    (row,) = scored(ds, engine=engine)
    assert row["rap_image_rewards"] == [1.0, 1.0]


def test_layout_can_be_given():
    """Columns with other names are read when they are named."""
    ds = rows(([png()], "<image>How many?", "3")).rename_columns({"problem": "q", "answer": "a", "images": "i"})
    with pytest.raises(LayoutError, match="No known layout has these columns: i, q, a"):
        scored(ds)
    (row,) = scored(ds, layout=Layout(question="q", images="i", answer="a"))
    assert row["rap_image_rewards"] == [1.0, 0.0]


def test_settings_say_what_could_change_the_numbers():
    """Model, sampling, prompt and versions are in every row, as JSON."""
    (row,) = scored(rows(([png()], "<image>How many?", "3")), temperature=0.5, seed=3)
    settings = json.loads(row["rap_settings"])
    names = ("engine", "temperature", "seed", "max_new_tokens", "verifier", "verifier_version")
    assert {name: settings[name] for name in names} == {
        "engine": "scripted",
        "temperature": 0.5,
        "seed": 3,
        "max_new_tokens": 1024,
        "verifier": "hf_rap",
        "verifier_version": VERIFIER_VERSION,
    }


def test_evidence_is_never_overwritten():
    """A dataset that has evidence is refused, with the way out."""
    ds = rows(([png()], "<image>How many?", "3"))
    evidence = ds.map(Rollouts(Scripted(), attempts=2), batched=True)
    with pytest.raises(ColumnExistsError, match=r"Rollouts would overwrite 'rap_id'.*remove_columns"):
        evidence.map(Rollouts(Scripted(), attempts=2), batched=True)


def test_collects_and_scores_in_one_map():
    """CDEScore(rollouts=...) writes evidence and score."""
    ds = rows(([png()], "<image>How many?", "3"))
    found = ds.map(CDEScore(rollouts=Rollouts(Scripted(), attempts=2)), batched=True)
    assert found[0]["rap_cde"] == 0.5
    assert found[0]["rap_image_rewards"] == [1.0, 0.0]


def test_streams():
    """The same evidence from an IterableDataset whose images are not decoded."""
    ds = rows(([png()], "<image>How many?", "3"), ([b"x"], "<image>How many?", "3"))
    rollouts = Rollouts(Scripted(), attempts=2)
    stream = ds.to_iterable_dataset().decode(False).map(rollouts, batched=True)
    table = ds.map(rollouts, batched=True)
    assert [row["rap_id"] for row in stream] == table["rap_id"][:]
    assert [row["rap_image_rewards"] for row in stream] == [[1.0, 0.0], None]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"attempts": 0}, "attempts is 0: it takes a whole number of 1 or more"),
        ({"temperature": -1.0}, r"temperature is -1\.0: it takes a number of 0 or more"),
        ({"top_p": 0.0}, r"top_p is 0\.0: it takes a number above 0 and up to 1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0: it takes a whole number of 1 or more"),
    ],
)
def test_impossible_options_are_refused_at_once(option, message):
    """Before any dataset or model is touched."""
    with pytest.raises(SettingError, match=message):
        Rollouts(Scripted(), **option)


def test_pickles_without_weights():
    """The callable is small enough to send to every worker."""
    from hf_rap import TransformersEngine

    rollouts = Rollouts(TransformersEngine("some/model"))
    assert pickle.loads(pickle.dumps(rollouts)) == rollouts
    assert len(pickle.dumps(rollouts)) < 2000


def test_evidence_leads_to_a_selection():
    """From map to decision: the row whose image matters is kept."""
    ds = rows(([png()], "<image>How many?", "3"), ([png()], "<image>How many dots?", "5"))
    evidence = ds.map(CDEScore(rollouts=Rollouts(Scripted(with_image=(r"\boxed{3}",)), attempts=2)), batched=True)
    selection = select_cognitive(evidence, replace_easy=False)
    assert selection.scored["rap_reason"][:] == ["image_needed", "image_misleads"]
