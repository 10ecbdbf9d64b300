"""What a trainer would refuse is found before anything is written."""

import io

import pytest
from datasets import List, Value
from PIL import Image as Pictures

from hf_rap import check_export, export
from hf_rap.demo import MODEL
from hf_rap.engines.prompt_tokens import PromptTokens
from hf_rap.errors import ExportError, SettingError
from hf_rap.exports.limits import Limits
from hf_rap.rows.prompts import BARE

from .awkward import awkward, dataset, picture, row


def codes(*rows: dict, to: str = "jsonl", **options) -> dict[str, int]:
    return check_export(dataset(*rows), to=to, **options).codes


def test_good_rows_are_ready():
    """Nothing to refuse, to fix or to note."""
    found = check_export(awkward(), to="jsonl")
    assert (found.ready, found.refused, found.fixable, found.notes, found.max_images) == (4, (), {}, (), 3)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (row(problem="<image><image>What is x?"), "placeholder_mismatch"),
        (row(problem=" "), "question_missing"),
        (row(images=[b"no image"]), "image_unreadable"),
        (row(images=[picture(size=(2, 2))]), "image_unreadable"),
        (row(images=[picture(size=(1000, 4))]), "image_unreadable"),
        (row(answer=None), "gold_unreadable"),
        (row(answer="see solution"), "gold_unreadable"),
    ],
)
def test_row_that_no_trainer_can_use(bad, code):
    """One row each, beside a good one."""
    assert codes(row("good"), bad) == {code: 1}


def test_refused_row_is_named():
    """Number, id and what to do, for people and in the error."""
    ds = dataset(row("good"), row("bad one", answer=None))
    found = check_export(ds, to="trl")
    assert "row 1 (bad one): the gold answer None is null." in found.table()
    with pytest.raises(ExportError, match=r"1 of 2 rows .*gold_unreadable: 1.*row 1 \(bad one\).*--drop"):
        export(ds, to="trl", path="never")


def test_drop_leaves_refused_rows_out_and_says_so(tmp_path):
    """In the README beside the data, too."""
    done = export(dataset(row("good"), row("bad", answer=None)), to="trl", path=tmp_path / "out", drop=True)
    assert done.handoff.ready == 1
    readme = (done.path / "README.md").read_text("utf-8")
    assert "1 of 2 rows ready" in readme
    assert "gold_unreadable: 1" in readme


def test_two_images_where_one_is_the_limit():
    """The user's own training run sets it."""
    rows = (row("one"), row("two", 2))
    assert codes(*rows, limits=Limits(max_images=1)) == {"too_many_images": 1}
    assert codes(*rows, limits=Limits(max_images=2)) == {}


def test_rows_without_image_are_refused_beside_others():
    """TRL fails on a mixed batch; alone they are fine, and verl takes both."""
    assert codes(row("a"), row("b", 0), to="trl") == {"no_image": 1}
    assert codes(row("b", 0), row("c", 0), to="trl") == {}
    assert codes(row("a"), row("b", 0), to="verl") == {}


def test_word_that_a_loader_takes_for_a_placeholder():
    """verl cuts the text at <video>, then finds no video."""
    bad = row(problem="<image>What does <video> mean?")
    assert codes(bad, to="verl") == {"reserved_word": 1}
    assert codes(bad, to="trl") == {}


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|im_start|>", "<IMG_CONTEXT>", "<start_of_turn>"])
def test_token_of_a_model_in_a_question_is_refused(token):
    """A tokenizer reads it inside of a text: an image that is not there, or the end of the turn."""
    bad = row(problem=f"<image>What does {token} mean?")
    for name in ("trl", "easyr1", "openrlhf", "universal"):
        assert codes(bad, to=name) == {"reserved_word": 1}
    assert codes(row(problem="<image>What are <|x|> and a <|b?"), to="trl") == {}


def test_a_refused_row_says_its_place_once():
    """Before its message, which was found with it."""
    table = check_export(dataset(row("a"), row("b", problem="<image><image>x?")), to="trl").table()
    assert "row 1 (b): the question has 2 <image>" in table
    with pytest.raises(
        ExportError, match=r"The first is row 1 \(b\): the question has 2 <image>.* image\(s\)\. drop=True"
    ):
        export(dataset(row("a"), row("b", problem="<image><image>x?")), "never", to="trl")


def test_notes_count_what_is_left_after_the_mending():
    """An answer that was taken out of its solution can be read."""
    ds = dataset(row("a", answer="So x = 5, and the answer is \\boxed{5}."), row("b"))
    note = "1 answer(s) that its usual reward (mathruler) cannot read; the reward function of hf_rap reads them all"
    assert note in check_export(ds, to="easyr1").notes
    assert note not in check_export(ds, to="easyr1", fix=True).notes


def test_several_golds_are_noted_for_trainers_that_see_one():
    """The universal file is read by five, of which two have a text alone."""
    features = awkward().features.copy()
    features["answer"] = List(Value("string"))
    ds = dataset(row("a", answer=["5", "five"]), row("b", answer=["6"]), features=features)
    note = "1 row(s) have several accepted answers, of which the rewards of EasyR1 and OpenRLHF see the first"
    assert note in check_export(ds, to="universal").notes
    assert note not in check_export(ds, to="trl").notes


def test_three_rows_do_not_fill_a_batch(tmp_path):
    """Refused where the user names a batch; otherwise the lines to paste set a batch that can be filled."""
    ds = dataset(row("a"), row("b"), row("c"))
    with pytest.raises(ExportError, match=r"2 rows do not fill one rollout batch of 8.*a batch of 2 or less"):
        export(ds, to="easyr1", path=tmp_path / "out", limits=Limits(rollout_batch=8))
    done = export(ds, to="easyr1", path=tmp_path / "out")
    assert "data.rollout_batch_size=2" in done.snippet  # and one row to validate on
    assert any("do not fill its default batch of 512" in note for note in done.handoff.notes)


def test_image_beyond_the_limits_is_refused_or_resized(tmp_path):
    """Only with fix=True are the bytes of an image not those of its file."""
    ds = dataset(row("small", [picture(size=(20, 10))]), row("large", [picture(size=(400, 300))]), row("fits"))
    limits = Limits(min_pixels=1000, max_pixels=10_000)
    found = check_export(ds, to="trl", limits=limits)
    assert (found.codes, found.fixable) == ({"image_size": 2}, {"image resized to the pixel limits": 2})
    done = export(ds, to="trl", path=tmp_path / "out", limits=limits, fix=True)
    assert done.handoff.fixed == {"image resized to the pixel limits": 2}
    import pyarrow.parquet as pq

    files = [one["images"][0]["bytes"] for one in pq.read_table(done.path / "train.parquet").to_pylist()]
    sizes = [Pictures.open(io.BytesIO(content)).size for content in files]
    # 20 x 10 times sqrt(1000 / 200) = 44.7 x 22.4, rounded up; 400 x 300 times sqrt(10,000 / 120,000) = 115.5 x 86.6.
    assert sizes == [(45, 23), (115, 86), (40, 30)]
    assert files[2] == picture()


def test_solution_is_cut_down_to_its_answer_on_request(tmp_path):
    """mathruler compares whole texts, so EasyR1's and verl's own rewards could never give a point."""
    ds = dataset(row("a", answer="So x = 5, and the answer is \\boxed{5}."), row("b"))
    found = check_export(ds, to="easyr1")
    assert (found.refused, found.fixable) == ((), {"answer taken out of its solution": 1})
    assert any(note.startswith("1 answer(s) that its usual reward (mathruler) cannot read") for note in found.notes)
    strict = Limits(usual_verifier=True, val_rows=0)
    assert check_export(ds, to="easyr1", limits=strict).codes == {"gold_unreadable_there": 1}
    done = export(ds, to="easyr1", path=tmp_path / "out", limits=strict, fix=True)
    import pyarrow.parquet as pq

    as_it_is = export(ds, to="easyr1", path=tmp_path / "as it is", limits=Limits(val_rows=0))
    assert pq.read_table(as_it_is.path / "train.parquet")["answer"].to_pylist() == ds["answer"][:]

    assert pq.read_table(done.path / "train.parquet")["answer"].to_pylist() == ["5", "5"]


def test_answer_that_math_verify_cannot_parse_is_noted_for_trl():
    """TRL's own reward would skip the row; ours reads words."""
    found = check_export(dataset(row("a", answer="red"), row("b")), to="trl")
    assert found.ready == 2
    assert any(note.startswith("1 answer(s)") for note in found.notes)
    assert codes(row("a", answer="red"), to="trl", limits=Limits(usual_verifier=True)) == {"gold_unreadable_there": 1}


def test_prompt_length_is_counted_with_the_model():
    """Image tokens included: the small model takes 9 for a picture."""
    count = PromptTokens(str(MODEL))
    question = "What colour is the shape at the middle left?"
    bare = count(BARE.messages(question), [])
    with_image = count(BARE.messages(f"<image>{question}"), [{"bytes": picture(), "path": None}])
    assert with_image - bare == 9
    ds = dataset(row("a", problem=f"<image>{question}"), row("b", 2))
    limits = Limits(max_prompt_tokens=with_image, prompt_tokens=count)
    assert check_export(ds, to="trl", limits=limits).codes == {"prompt_too_long": 1}


@pytest.mark.parametrize(
    "bad", [{"max_images": 0}, {"min_pixels": 10, "max_pixels": 5}, {"max_prompt_tokens": 100}, {"rollout_batch": -1}]
)
def test_limits_that_cannot_work(bad):
    """Found at once."""
    with pytest.raises(SettingError):
        Limits(**bad)


def test_one_size_may_be_asked_for():
    """The smallest is the largest then; an image of another size does not fit."""
    limits = Limits(min_pixels=1200, max_pixels=1200)
    ds = dataset(row("fits"), row("large", [picture(size=(41, 30))]))
    assert check_export(ds, to="trl", limits=limits).codes == {"image_size": 1}
