"""Controls: the prompt of the image arm with other pictures, graded as the image arm was."""

import json
from dataclasses import dataclass, field, replace

import pytest
from datasets import Dataset, Features, Image, List, Value
from datasets.fingerprint import Hasher

from hf_rap import CDEScore, Completion, Controls, Rollouts, add_scores, cde_score, collect_evidence, collect_in_run
from hf_rap.columns import CONTROLS, EVIDENCE_NAMES
from hf_rap.demo import demo_engine, make_planted
from hf_rap.engines.base import Sampling
from hf_rap.errors import ColumnExistsError, LayoutError, MissingColumnError, RowError, SettingError
from hf_rap.evidence.controls import GREY
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.stats.settings import counted

from .test_donors import png

ROWS = Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")})


@dataclass(frozen=True)
class Looking:
    """An engine that answers 3 to a red picture and 4 to anything else; fails in one arm if told to."""

    fails_in: str = "nowhere"
    model: str = "looking"
    seen: list = field(default_factory=list, compare=False)
    asked: list = field(default_factory=list, compare=False)

    def complete(self, requests, sampling):
        self.seen.extend(requests)
        self.asked.append(sampling)
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        if request.arm == self.fails_in:
            return RowError("engine_failed", "scripted")
        red = bool(request.images) and request.images[0].getpixel((4, 4))[0] > 200
        return [Completion(rf"\boxed{{{3 if red else 4}}}", 7, False)] * request.attempts

    def describe(self):
        return {"engine": "looking", "model": self.model}


def rows(*given):
    """A dataset of (numbers of pictures, problem, answer); number 255 is red."""
    made = [
        {"images": [{"bytes": png(one), "path": None} for one in pictures], "problem": problem, "answer": answer}
        for pictures, problem, answer in given
    ]
    return Dataset.from_list(made, features=ROWS)


RED, DARK = ([255], "<image>How many?", "3"), ([1], "<image>How many?", "4")


def evidence(*given, engine=None, **options):
    return collect_evidence(rows(*given), Rollouts(engine or Looking(), attempts=2, **options))


def test_controls_keep_the_prompt_and_change_what_the_picture_shows():
    """Same messages, attempts and sampling as the image arm; another stream of random numbers."""
    engine = Looking()
    ds = evidence(RED, DARK, engine=engine, temperature=0.7, seed=3, prompt=PromptTemplate(suffix=" Box it."))
    image = next(one for one in engine.seen if one.arm == "image")
    engine.seen.clear()
    found = collect_evidence(ds, Controls(engine)).to_list()
    assert engine.asked[-1] == Sampling(temperature=0.7, seed=3, max_new_tokens=1024)
    blank, shuffled = (next(one for one in engine.seen if one.arm == arm) for arm in ("blank", "shuffled"))
    for control in (blank, shuffled):
        assert (control.messages, control.row_id, control.attempts) == (image.messages, image.row_id, 2)
        assert not set(control.stream_keys(3)) & set(image.stream_keys(3))
    assert blank.images[0].getcolors() == [(64, GREY)]
    assert shuffled.images[0].getpixel((4, 4)) == (1, 0, 7)
    assert [row["rap_blank_rewards"] for row in found] == [[0.0, 0.0], [1.0, 1.0]]
    assert [row["rap_shuffled_rewards"] for row in found] == [[0.0, 0.0], [0.0, 0.0]]
    assert [row["rap_shuffled_donors"] for row in found] == [[found[1]["rap_id"]] * 2, [found[0]["rap_id"]] * 2]
    assert found[0]["rap_blank_responses"] == [r"\boxed{4}"] * 2
    settings = json.loads(found[0]["rap_blank_settings"])
    assert (settings["temperature"], settings["instruction"], settings["grey"]) == (0.7, " Box it.", list(GREY))


def test_pictures_of_another_size_are_fitted_into_the_row_own():
    """So the number of image tokens stays; nothing is cut off or stretched."""
    import io

    from PIL import Image as PILImage

    wide = io.BytesIO()
    PILImage.new("RGB", (40, 10), "white").save(wide, format="PNG")
    ds = rows(RED, DARK)
    ds = Dataset.from_list(
        [
            ds.cast_column("images", List(Image(decode=False)))[0],
            {"images": [{"bytes": wide.getvalue(), "path": None}], "problem": "<image>?", "answer": "4"},
        ],
        features=ROWS,
    )
    engine = Looking()
    collect_evidence(collect_evidence(ds, Rollouts(engine, attempts=1)), Controls(engine, arms=("shuffled",)))
    by_row = {one.row_id: one.images[0] for one in engine.seen if one.arm == "shuffled"}
    narrow, broad = by_row.values()
    assert (narrow.size, broad.size) == ((8, 8), (40, 10))
    assert narrow.getpixel((4, 0)) == GREY  # a strip of white in the middle
    assert narrow.getpixel((4, 4)) == (255, 255, 255)
    assert broad.getpixel((0, 5)) == GREY
    assert broad.getpixel((20, 5)) == (255, 0, 7)


@pytest.mark.parametrize(("donors", "shares"), [(None, [1] * 5), (1, [5]), (2, [3, 2]), (9, [1] * 5)])
def test_attempts_are_shared_among_givers(donors, shares):
    """Each giver is a request of its own, and each attempt keeps its number and so its random numbers."""
    engine = Looking()
    given = [([number], f"<image>How many? {number}", "4") for number in range(1, 9)]
    ds = collect_evidence(rows(*given), Rollouts(engine, attempts=5))
    engine.seen.clear()
    found = collect_evidence(ds, Controls(engine, arms=["shuffled"], donors_per_row=donors)).to_list()
    asked = [one for one in engine.seen if one.row_id == found[0]["rap_id"]]
    assert [one.attempts for one in asked] == shares
    whole = replace(asked[0], first=0, attempts=5)
    assert [key for one in asked for key in one.stream_keys(0)] == whole.stream_keys(0)
    names = found[0]["rap_shuffled_donors"]
    assert [names.count(name) for name in dict.fromkeys(names)] == shares
    assert found[0]["rap_id"] not in names
    assert [len(row["rap_shuffled_rewards"]) for row in found] == [5] * 8
    with pytest.raises(SettingError, match="donors_per_row is 0: it takes a whole number of 1 or more"):
        Controls(engine, donors_per_row=0)


def test_rows_without_replies_are_not_asked_and_say_why():
    """No image, no readable gold, left out before: nulls, with the reason."""
    engine = Looking()
    ds = evidence(RED, ([], "How many?", "3"), ([2], "<image>How many?", "see figure"), DARK, engine=engine)
    ds = ds.to_list()
    ds[3] |= {"rap_image_rewards": None, "rap_error": "too_long: 9,000 tokens", "rap_settings": None}
    features = collect_evidence(rows(RED), Rollouts(engine, attempts=2)).features
    engine.seen.clear()
    found = collect_evidence(Dataset.from_list(ds, features=features), Controls(engine)).to_list()
    assert {one.row_id for one in engine.seen} == {found[0]["rap_id"]}
    assert [(row["rap_blank_error"] or "").partition(":")[0] for row in found] == [
        *("", "no_image", "gold_unreadable", "not_asked")
    ]
    assert found[3]["rap_shuffled_error"] == "not_asked: too_long: 9,000 tokens"
    names = [column.name for arm in CONTROLS.values() for column in arm.columns if "error" not in column.name]
    assert all(row[name] is None for row in found[1:] for name in names)


def test_only_what_another_try_could_change_is_a_failure():
    """Not a row without an image or without replies: a run would count it as failed, and ask it again for ever."""
    errors = [None, "no_image: none", "not_asked: no replies", "too_long: 9,000 tokens", None]
    evidence = {"rap_blank_error": errors, "rap_shuffled_error": [None, None, None, None, "no_donor: nobody"]}
    assert Controls(Looking()).failures(evidence) == [None, None, None, "too_long: 9,000 tokens", "no_donor: nobody"]


@pytest.mark.parametrize("model", ["user/looking", "/somewhere/else/looking"])
def test_a_model_is_known_by_its_name_wherever_it_lies(model):
    """A server's path and a Hub id may name the same one; another name does not."""
    ds = evidence(RED, DARK, engine=Looking(model="user/looking"))
    assert collect_evidence(ds, Controls(Looking(model=model)))["rap_blank_rewards"][0] == [0.0, 0.0]
    with pytest.raises(SettingError, match="came from 'user/looking', and this is 'user/other'"):
        collect_evidence(ds, Controls(Looking(model="user/other")))


def test_an_arm_that_fails_costs_itself_only():
    """The other arm has its replies."""
    (row, _) = collect_evidence(evidence(RED, DARK), Controls(Looking(fails_in="blank"))).to_list()
    assert (row["rap_blank_rewards"], row["rap_blank_error"]) == (None, "engine_failed: scripted")
    assert (row["rap_shuffled_rewards"], row["rap_shuffled_error"]) == ([0.0, 0.0], None)


def test_a_row_that_nobody_can_give_to_says_so():
    """The only row with two pictures; its blank pictures are there."""
    two = ([255, 1], "<image><image>How many?", "3")
    row = collect_evidence(evidence(RED, DARK, two), Controls(Looking())).to_list()[2]
    assert row["rap_shuffled_error"].startswith("no_donor: no other row has as many pictures")
    assert row["rap_blank_rewards"] == [0.0, 0.0]


def test_arms_can_be_added_one_after_the_other():
    """Each has columns of its own; none is overwritten."""
    ds = collect_evidence(evidence(RED, DARK), Controls(Looking(), arms=["blank"]))
    assert "rap_shuffled_rewards" not in ds.column_names
    both = collect_evidence(ds, Controls(Looking(), arms=["shuffled"]))
    assert both.to_list() == collect_evidence(evidence(RED, DARK), Controls(Looking())).to_list()
    with pytest.raises(ColumnExistsError, match="rap_blank_rewards"):
        collect_evidence(both, Controls(Looking(), arms=["blank"]))


def test_two_models_of_one_name_are_two(other_grid, grid_adapter):
    """A checkpoint that was trained on in its folder, or got an adapter, is not compared with the one before."""
    replies = collect_evidence(make_planted(6), Rollouts(demo_engine(), attempts=1, max_new_tokens=8))
    for engine in (replace(demo_engine(), model=str(other_grid)), replace(demo_engine(), adapter=str(grid_adapter))):
        with pytest.raises(SettingError, match=r"came from 'grid-vlm \(files:\w+\)', and this is 'grid-vlm \(files:"):
            collect_evidence(replies, Controls(engine, arms=["blank"]))
    assert collect_evidence(replies, Controls(demo_engine(batch_size=2), arms=["blank"])).num_rows == 6


@pytest.mark.parametrize("arms", [(), ("grey",), ("blank", "blank")])
def test_unknown_arms_are_refused(arms):
    with pytest.raises(SettingError, match="it takes some of blank, shuffled, each once"):
        Controls(Looking(), arms=arms)


def test_what_has_to_be_known_first_is_said():
    """Replies, the same model, and whose pictures are shuffled."""
    with pytest.raises(MissingColumnError, match=r"Make it first: ds\.map\(Rollouts"):
        collect_evidence(rows(RED, DARK), Controls(Looking()))
    with pytest.raises(SettingError, match="came from 'looking', and this is 'other'"):
        collect_evidence(evidence(RED, DARK), Controls(Looking(model="other")))
    with pytest.raises(SettingError, match=r"Controls\(engine\).over\(ds\)"):
        evidence(RED, DARK).map(Controls(Looking()), batched=True)
    with pytest.raises(LayoutError):
        collect_evidence(evidence(RED).remove_columns("problem"), Controls(Looking()))


def test_every_column_is_known_as_evidence():
    """No trainer gets them."""
    assert {column.name for column in Controls(Looking()).writes} <= EVIDENCE_NAMES


@pytest.fixture(scope="module")
def planted():
    """18 planted rows with the evidence of both arms."""
    return collect_evidence(make_planted(18), Rollouts(demo_engine(), attempts=2, max_new_tokens=48))


def bare(ds):
    """The rows by id, without images, and without what settings only write down: here the batch size."""
    rows = sorted(ds.remove_columns("images").to_list(), key=lambda row: row["id"])
    settings = [name for name in rows[0] if name.endswith("_settings")]
    return [{**row, **{name: row[name] and counted(json.loads(row[name])) for name in settings}} for row in rows]


@pytest.mark.slow
def test_batches_order_and_processes_do_not_matter(planted):
    """The built-in model: other batches, a shuffled dataset and two processes give the same replies."""
    expected = bare(collect_evidence(planted, Controls(demo_engine())))
    small = collect_evidence(planted.shuffle(seed=2), Controls(demo_engine(batch_size=5)), rows_per_step=4)
    assert bare(small) == expected
    apart = planted.map(Controls(demo_engine()).over(planted), batched=True, batch_size=4, num_proc=2)
    assert bare(apart) == expected


@pytest.mark.slow
def test_a_run_holds_controls(tmp_path, planted):
    """Collected through a folder, and found there again without asking."""
    expected = bare(collect_evidence(planted, Controls(demo_engine())))
    url = str(tmp_path / "run")
    assert bare(collect_in_run(planted, Controls(demo_engine()), url, rows_per_part=7)) == expected
    again = collect_in_run(planted.select(range(12)), Controls(demo_engine()), url)
    assert bare(again) == [row for row in expected if row["id"] in set(again["id"])]


def test_the_prompt_has_as_many_tokens_as_with_the_own_image(planted):
    """What a blank or shuffled picture costs is what the row's own costs."""

    @dataclass(frozen=True)
    class Noting:
        seen: list = field(default_factory=list, compare=False)

        def complete(self, requests, sampling):
            answers = demo_engine().complete(requests, sampling)
            counted = zip(requests, answers, strict=True)
            self.seen.extend((one.row_id, answer[0].prompt_tokens) for one, answer in counted)
            return answers

        def describe(self):
            return demo_engine().describe()

    engine = Noting()
    collect_evidence(planted, Controls(engine))
    counts = dict(zip(planted["rap_id"], planted["rap_image_prompt_tokens"], strict=True))
    assert len(engine.seen) > 20
    assert all(tokens == counts[row] for row, tokens in engine.seen)


def test_the_seed_of_donors_is_part_of_the_cache_key(planted):
    assert Hasher.hash(Controls(demo_engine(), seed=1)) != Hasher.hash(Controls(demo_engine()))
    known = Controls(demo_engine()).over(planted)
    assert Hasher.hash(known) != Hasher.hash(
        replace(known, donors=Controls(demo_engine(), seed=1).over(planted).donors)
    )


BATCH = {
    "rap_image_rewards": [[1.0, 1.0], [1.0, 0.0]],
    "rap_text_rewards": [[0.0, 1.0], [0.0, 0.0]],
    "rap_blank_rewards": [[0.0, 0.0], None],
}


def test_the_counterfactual_is_chosen():
    """Against the text alone as in the paper, or against a control; which one stands beside the score."""
    assert cde_score(BATCH) == {"rap_cde": [0.5, 0.5]}
    assert CDEScore(control="blank")(BATCH) == {"rap_cde": [1.0, None], "rap_cde_control": ["blank", "blank"]}
    with pytest.raises(SettingError, match="control is 'white': it takes one of text, blank, shuffled"):
        CDEScore(control="white")(BATCH)
    with pytest.raises(MissingColumnError, match="hf-rap controls"):
        add_scores(Dataset.from_dict(BATCH), CDEScore(control="shuffled"))
