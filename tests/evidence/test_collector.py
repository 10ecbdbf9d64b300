"""collect_evidence and estimate, on the built-in model."""

import re
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
from datasets import Image, IterableDataset, List

from hf_rap import Controls, Layout, Rollouts, collect_evidence, estimate
from hf_rap.demo import demo_engine, make_planted
from hf_rap.errors import ColumnExistsError, MissingColumnError, SettingError, SourceError

from .scripted import Scripted, png, rows

ROLLOUTS = Rollouts(demo_engine(), attempts=2, max_new_tokens=48)


@pytest.fixture(scope="module")
def planted():
    return make_planted(24)


@pytest.fixture(scope="module")
def collected(planted):
    """Its evidence, in steps that do not divide the rows."""
    return collect_evidence(planted, ROLLOUTS, rows_per_step=5)


def test_same_evidence_as_a_plain_map(planted, collected):
    """The helper adds nothing to the evidence and leaves the user's columns as they are."""
    mapped = planted.map(ROLLOUTS, batched=True)
    assert collected.column_names == mapped.column_names
    assert collected.remove_columns("images").to_list() == mapped.remove_columns("images").to_list()


def test_shuffled_rows_get_the_same_evidence(planted, collected):
    """Replies depend on the row, not on where it stands."""
    shuffled = collect_evidence(planted.shuffle(seed=1), ROLLOUTS)
    straight, other = (
        sorted(rows.remove_columns("images").to_list(), key=lambda row: row["id"]) for rows in (collected, shuffled)
    )
    assert other == straight


def test_more_attempts_keep_the_first_ones(planted, collected):
    """The third attempt does not change the first two."""
    three = Rollouts(demo_engine(), attempts=3, max_new_tokens=48)
    replies = collect_evidence(planted.select(range(12)), three)["rap_image_responses"]
    assert [each and each[:2] for each in replies] == collected["rap_image_responses"][:12]


def test_map_in_two_processes_gives_the_same(planted, collected):
    """num_proc loads the model once per process and draws the same replies."""
    shared = planted.select(range(12)).map(ROLLOUTS, batched=True, num_proc=2)
    alone = collected.select(range(12))
    assert alone.remove_columns("images").to_list() == shared.remove_columns("images").to_list()


def test_a_stream_gets_its_evidence_as_it_is_read():
    """The same, a broken picture included, which stands as it is stored; no column is checked too late."""
    engine = Scripted()
    ds = rows(([png()], "<image>How many?", "3"), ([b"broken"], "<image>How many?", "4"), ([], "How many?", "4"))
    plain = collect_evidence(ds, Rollouts(engine, attempts=2))
    stream = collect_evidence(ds.to_iterable_dataset(), Rollouts(engine, attempts=2), rows_per_step=2)
    assert stream.features == plain.features
    stored = plain.cast_column("images", List(Image(decode=False)))
    assert list(stream) == stored.to_list()
    assert [row["images"][0].size for row in stream.take(1).decode(True)] == [(8, 8)]

    def made():
        yield from ds.cast_column("images", List(Image(decode=False))).to_list()

    unknown = IterableDataset.from_generator(made)
    assert unknown.features is None
    assert [row["rap_image_rewards"] for row in collect_evidence(unknown, Rollouts(engine, attempts=2))] == plain[
        "rap_image_rewards"
    ][:]
    with pytest.raises(ColumnExistsError, match="'rap_id'"):
        collect_evidence(stream, Rollouts(engine))
    with pytest.raises(SettingError, match="Controls looks at all rows, so it takes a Dataset, not a stream"):
        collect_evidence(stream, Controls(engine))


def test_faults_are_found_before_the_model_is_loaded():
    """The engine names a model that does not exist, and is never asked."""
    from hf_rap import TransformersEngine

    rollouts = Rollouts(TransformersEngine("nobody/nothing"))
    planted = make_planted(6)
    with pytest.raises(SourceError, match="has no rows"):
        collect_evidence(planted.select([]), rollouts)
    with pytest.raises(MissingColumnError, match="reads column 'q'"):
        collect_evidence(planted, Rollouts(rollouts.engine, layout=Layout(question="q", images=None, answer="answer")))
    with pytest.raises(ColumnExistsError, match="'rap_id'"):
        collect_evidence(planted.add_column("rap_id", list("abcdef")), rollouts)


def test_estimate_measures_the_rows_it_is_given():
    """Four rows are timed, and the hours are for all of them."""
    found = estimate(make_planted(24), ROLLOUTS, rows=4)
    assert (found.rows_measured, found.rows, found.at_most) == (4, 24, True)
    assert found.hours == pytest.approx(24 / found.rows_per_second / 3600)
    assert found.tokens_per_second > 0
    with pytest.raises(SettingError, match="rows is 0: it takes a whole number of 1 or more"):
        estimate(make_planted(24), ROLLOUTS, rows=0)


@dataclass(frozen=True)
class Timed(Scripted):
    """Each call takes the time of a request, however many there are; the first one, of a model that wakes up, ten times that."""

    rows_per_part: ClassVar[int] = 8

    def complete(self, requests, sampling):
        time.sleep(0.03 if self.seen else 0.3)
        return super().complete(requests, sampling)


@pytest.mark.slow
def test_an_estimate_does_not_count_the_first_batch_and_is_said_as_people_say_it():
    """16 rows in two batches of 8 take two calls; all 400 rows 50 calls, 1.5 seconds, not the 15 of a first batch."""
    ds = rows(*(([png()], "<image>How many?", str(number)) for number in range(400)))
    engine = Timed()
    found = estimate(ds, Rollouts(engine, attempts=2), rows=16, gpu_hour_price=3600)
    assert 0.05 < found.seconds_measured < 0.5
    assert not found.at_most
    assert found.hours * 3600 == pytest.approx(25 * found.seconds_measured)
    assert found.price == pytest.approx(found.hours * 3600)
    assert re.fullmatch(
        r"Estimate: about \d\S* s for 400 rows, \d\S* at the price that was given \(16 rows measured in \S+ s: \S+ rows/s, "
        r"\S+ tokens/s\)",
        repr(found),
    )
    whole = estimate(ds, Rollouts(engine, attempts=2))
    assert (whole.rows_measured, whole.at_most) == (8, False)
    few = estimate(ds, Rollouts(engine, attempts=2), rows=2)
    assert repr(few).startswith("Estimate: at most ")
    # What is measured was not asked before: a server remembers prompts.
    engine.seen.clear()
    estimate(ds, Rollouts(engine, attempts=2), rows=8)
    asked = [request.row_id for request in engine.seen if request.arm == "image"]
    assert len(asked) == len(set(asked)) == 16 + 8


def test_an_estimate_of_few_rows_warms_up_on_the_same_ones():
    """Where there are no others."""
    ds = rows(([png()], "<image>How many?", "3"))
    found = estimate(ds, Rollouts(Scripted(), attempts=2))
    assert (found.rows_measured, found.rows, found.at_most) == (1, 1, False)
    with pytest.raises(SourceError, match="has no rows"):
        estimate(ds.select([]), Rollouts(Scripted()))
