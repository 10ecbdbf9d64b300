"""Datasets as people bring them, through a probe: what it cannot know is rolled out, and no row is lost for an odd one."""

import json
import re
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value, concatenate_datasets
from PIL import Image as PILImage

from hf_rap import (
    Completion,
    Probing,
    PromptStates,
    Rollouts,
    add_scores,
    cde_score,
    collect_probed,
    difficulty_score,
    select_cognitive,
)
from hf_rap.errors import LayoutError, RowError

pytest.importorskip("sklearn", reason="scikit-learn is an extra")
pytestmark = pytest.mark.slow
PROBING = {"recall": 0.8, "first": 60, "audit": 0.1, "settle": 3}
WIDTH = 24


@dataclass(frozen=True)
class Knowing:
    """Answers right as often as the question says ("image 0.9, text 0.1"), and holds this, among noise, in its states."""

    name: str = "knowing"
    blind: bool = False

    tells_states = True
    template_arguments = True

    def complete(self, requests, sampling):
        return [self._answer(request, sampling) for request in requests]

    def prompt_states(self, requests, *, depths):
        return [self._states(request, depths) for request in requests]

    def _states(self, request, depths):
        text = str(request.messages)
        if "no states" in text:
            return RowError("engine_failed", "the model gives hidden states that are not finite numbers")
        noise = Random(request.row_id + request.arm)
        states = np.array([[noise.gauss(0, 1) for _ in range(WIDTH)] for _ in depths])
        if self.blind:
            states[:] = 1.0
        else:
            states[:, :2] = self._rates(text)
        if "outlier" in text:
            states[:, -1] = 1e9
        return states

    def _rates(self, text):
        found = re.search(r"image ([\d.]+), text ([\d.]+)", text)
        return float(found[1]), float(found[2])

    def _answer(self, request, sampling):
        text = str(request.messages)
        if "too long" in text:
            return RowError("too_long", "the prompt has 9,999 tokens")
        rate = self._rates(text)[0 if request.arm == "image" else 1]
        answers = ["4" if Random(key).random() < rate else "5" for key in request.stream_keys(sampling.seed)]
        return [Completion(f"\\boxed{{{answer}}}", 5, False) for answer in answers]

    def describe(self):
        return {"engine": "knowing", "model": self.name}


@dataclass(frozen=True)
class Silent(Knowing):
    """One that may not be asked."""

    def complete(self, requests, sampling):
        raise AssertionError


PICTURE = PILImage.new("RGB", (8, 8), "red")
FEATURES = Features(
    {"id": Value("string"), "problem": Value("string"), "images": List(Image()), "answer": Value("string")}
)


def row(number, *, good, words="", pictures=1, answer="4"):
    """One whose picture is needed, or one that text answers as well."""
    rates = "image 0.95, text 0.02" if good else "image 0.5, text 0.5"
    problem = f"{rates} {words} {number}?"
    return {"id": f"row-{number}", "problem": problem, "images": [PICTURE] * pictures, "answer": answer}


def rows_of(rows):
    """As a dataset."""
    return Dataset.from_list(rows, features=FEATURES)


def plain(count=240, every=4, start=0):
    """A quarter of them needs the picture."""
    return [row(start + number, good=number % every == 0) for number in range(count)]


def collect(rows, tmp_path=None, *, engine=None, **options):
    """Three attempts; a run in a folder of its own."""
    probing = Probing(**{**PROBING, **options})
    url = None if tmp_path is None else str(tmp_path / "run")
    ds = rows_of(rows) if isinstance(rows, list) else rows
    return collect_probed(ds, Rollouts(engine or Knowing(), attempts=3), probing=probing, url=url)


def left_out(evidence):
    """Ids of the rows that a probe has ruled out."""
    errors = zip(evidence["id"], evidence["rap_error"], strict=True)
    return {name for name, error in errors if (error or "").startswith("below_probe")}


def record(evidence):
    """What was done."""
    (text,) = {text for text in evidence["rap_probed"] if text}
    return json.loads(text)


def test_rows_that_need_no_picture_are_left_out():
    """By hand: 60 of 240 rows are worth it, of which 48 were asked for; the others are told apart by what the model holds."""
    evidence = collect(plain())
    out = left_out(evidence)
    lost = [name for name in out if int(name.removeprefix("row-")) % 4 == 0]
    assert len(out) > 60
    assert len(lost) <= 16
    selection = select_cognitive(add_scores(evidence, cde_score, difficulty_score))
    assert selection.reasons["below_probe"] == len(out)


def test_fewer_rows_than_the_first_slice(caplog):
    """All are rolled out, and a sentence says why."""
    evidence = collect(plain(30))
    assert left_out(evidence) == set()
    assert record(evidence)["cut"] is None
    assert "All 30 rows are rolled out: " in caplog.text
    assert [len(rewards) for rewards in evidence["rap_image_rewards"]] == [3] * 30


@pytest.mark.parametrize("good", [True, False])
def test_rows_that_are_all_alike(good):
    """Nothing can be learned of rows that are all worth it, or none of which is: nothing is left out."""
    evidence = collect([row(number, good=good) for number in range(150)])
    assert left_out(evidence) == set()
    assert record(evidence)["why"]


def test_states_that_say_nothing():
    """Every prompt is the same to the model: chance is declined, and everything is rolled out."""
    evidence = collect(plain(150), engine=Knowing(blind=True))
    assert left_out(evidence) == set()
    assert "AUC" in record(evidence)["why"]


def test_rows_of_text_without_states_or_too_long_are_never_ruled_out():
    """Unknown is not low: rows without a picture, whose states overflow or which fail keep an error of their own, or none."""
    odd = [
        *(row(f"text-{number}", good=False, pictures=0) for number in range(8)),
        *(row(f"nan-{number}", good=False, words="no states") for number in range(8)),
        *(row(f"long-{number}", good=False, words="too long") for number in range(8)),
        *(row(f"gold-{number}", good=False, answer="") for number in range(8)),
    ]
    evidence = collect(plain() + odd)
    alone = rows_of(odd).map(Rollouts(Knowing(), attempts=3), batched=True)
    assert len(left_out(evidence)) > 60
    by_id = dict(zip(evidence["id"], evidence, strict=True))
    for expected in alone:
        got = by_id[expected["id"]]
        if "long" in expected["id"]:  # known only when it is asked: what a probe rules out is not
            assert got["rap_error"].startswith(("too_long", "below_probe"))
            continue
        assert got["rap_error"] == expected["rap_error"], expected["id"]
        for column in ("rap_image_rewards", "rap_text_rewards"):
            assert got[column] == expected[column], expected["id"]


def test_a_number_that_is_out_of_all_bounds_spoils_no_fit():
    """Some models have such dimensions in a few rows; half precision ends at 65,504."""
    rows = plain()
    for number in range(0, 240, 7):
        rows[number]["problem"] += " outlier"
    assert len(left_out(collect(rows))) > 30


def test_the_order_of_the_rows_changes_nothing():
    """Slice and audit follow ids; the probe is the same but for rounding."""
    rows = plain()
    there, turned = collect(rows), collect(rows[::-1])
    assert left_out(there) == left_out(turned)


def test_rows_that_stand_there_twice_lose_no_more():
    """The same row under two ids, as in sets that are joined from others: fits have twins of rows that they are held to."""
    rows = plain()
    twins = [{**each, "id": f"twin-{each['id']}"} for each in rows]
    evidence = collect(rows + twins)
    assert len(left_out(evidence)) > 120
    good = {name for name, problem in zip(evidence["id"], evidence["problem"], strict=True) if "image 0.95" in problem}
    assert len(good & left_out(evidence)) <= 0.3 * len(good)


def test_rows_that_are_added_later_find_the_attempts_of_the_others(tmp_path):
    """The same folder with more rows: what is there is not asked again."""
    first = collect(plain(), tmp_path)
    second = collect(plain() + plain(60, start=1_000), tmp_path)
    before = {each["id"]: each["rap_image_responses"] for each in first if each["rap_image_responses"]}
    after = {each["id"]: each["rap_image_responses"] for each in second if each["rap_image_responses"]}
    assert all(after[name] == replies for name, replies in before.items() if name in after)
    assert len(left_out(second)) > 60


def test_names_of_sources_as_columns_have_them():
    """Numbers, None and a source of three rows; a source that nobody can judge is rolled out."""
    rows = plain(320)
    sources = [None if number // 4 % 2 else 7 for number in range(317)] + [8] * 3
    ds = rows_of(rows).add_column("origin", sources)
    evidence = collect(ds, by="origin")
    rare = {f"row-{number}" for number in (317, 318, 319)}
    assert not left_out(evidence) & rare
    assert len(left_out(evidence)) > 30


def test_states_of_several_models_are_refused_before_a_row_is_asked():
    """As of two files that were joined: a probe of one is no probe of the other."""
    parts = [
        rows_of(plain(80, start=start)).map(PromptStates(Knowing(name)), batched=True)
        for start, name in ((0, "one"), (500, "other"))
    ]
    with pytest.raises(LayoutError, match=r"The states are of several models, prompts or depths"):
        collect(concatenate_datasets(parts), engine=Silent())
