"""What is small on a disk and large in memory, or long to compute: bounded, and the rest of the rows goes on."""

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import ClassVar

import datasets
import pytest

from hf_rap import Controls, Rollouts, TransformersEngine, collect_evidence, collect_in_run
from hf_rap.engines.time_limit import within
from hf_rap.errors import EngineError
from hf_rap.rows import crowding
from hf_rap.rows.images import open_image, picture_digest
from hf_rap.system import scratch_folder

from .conftest import Knows, png


def rows(*sizes):
    """Rows, each with pictures of these sides."""
    features = {
        "id": datasets.Value("string"),
        "images": datasets.List(datasets.Image()),
        "question": datasets.Value("string"),
        "answer": datasets.Value("string"),
    }
    cells = [
        {
            "id": f"row {number}",
            "images": [{"bytes": png(size=(side, side)), "path": None} for side in sides],
            "question": f"How many? {number}",
            "answer": "4",
        }
        for number, sides in enumerate(sizes)
    ]
    return datasets.Dataset.from_list(cells, features=datasets.Features(features))


@pytest.fixture
def narrow(monkeypatch):
    """Two pictures of 100 x 100 go together."""
    monkeypatch.setattr(crowding, "MAX_TOGETHER", 20_000)
    monkeypatch.setattr(crowding, "MAX_PIXELS", 10_000)


class Counts(Knows):
    """Notes the most pixels that it was given at once."""

    most: ClassVar = [0]

    def complete(self, requests, sampling):
        pictures = {id(image): image.width * image.height for request in requests for image in request.images}
        self.most[0] = max(self.most[0], sum(pictures.values()))
        return super().complete(requests, sampling)


MANY = [(100,)] * 3 + [(50, 50)] * 4 + [(100,)] + [(100, 100)] + [()]


def test_a_batch_of_large_pictures_is_asked_in_parts(monkeypatch, narrow):
    """The evidence is the same, row by row; no more pixels are in memory together than may be."""
    ds = rows(*MANY)
    Counts.most[0] = 0
    parted = collect_evidence(ds, Rollouts(Counts(), attempts=2))
    assert 0 < Counts.most[0] <= 20_000
    monkeypatch.setattr(crowding, "MAX_TOGETHER", 10**9)
    whole = collect_evidence(ds, Rollouts(Counts("4 "), attempts=2))
    assert Counts.most[0] > 20_000
    names = [name for name in whole.column_names if name not in ("rap_image_responses", "rap_text_responses", "images")]
    assert parted.select_columns(names)[:] == whole.select_columns(names)[:]
    assert parted.features == whole.features


def test_plain_map_and_a_run_part_batches_alike(tmp_path, narrow):
    """Also where the layout is found by the batch."""
    ds = rows(*MANY)
    mapped = ds.map(Rollouts(Knows(), attempts=1), batched=True)
    ran = collect_in_run(ds, Rollouts(Knows(), attempts=1), str(tmp_path / "run"))
    assert mapped["rap_id"][:] == ran["rap_id"][:] == [f"row {number}" for number in range(len(ds))]
    assert mapped["rap_image_rewards"][:] == ran["rap_image_rewards"][:] == [[1.0]] * 9 + [None]


def test_a_row_with_more_pixels_than_go_together_is_its_own_error(narrow):
    """The others are asked."""
    evidence = collect_evidence(rows((100, 100, 100), (100,), (100, 100)), Rollouts(Knows(), attempts=1))
    assert evidence["rap_error"][:] == [
        "image_unreadable: image 3 of 3: with it the pictures of the row have more than 20,000 pixels",
        None,
        None,
    ]


def test_pictures_of_others_count_as_well(narrow):
    """Controls hold the pictures of the givers beside those of the row; the replies are compared as ever."""
    ds = collect_evidence(rows(*[(99 - number,) for number in range(6)]), Rollouts(Knows(), attempts=1))
    controls = collect_evidence(ds, Controls(Knows(), arms=("shuffled",)))
    assert controls["rap_shuffled_error"][:] == [None] * 6


def test_pictures_are_decoded_together_up_to_the_largest(monkeypatch, narrow):
    """Threads wait for each other; small ones do not, and none waits for ever."""
    now, most = [0], [0]
    of_image = crowding.decoding

    def noted(pixels):
        return Noted(of_image(pixels), pixels)

    class Noted:
        def __init__(self, inside, pixels):
            self.inside, self.pixels = inside, pixels

        def __enter__(self):
            self.inside.__enter__()
            now[0] += self.pixels
            most[0] = max(most[0], now[0])

        def __exit__(self, *error):
            now[0] -= self.pixels
            return self.inside.__exit__(*error)

    monkeypatch.setattr("hf_rap.rows.images.decoding", noted)
    pictures = [png(size=(side, side)) for side in (100, 90, 60, 50, 200, 30)] * 3
    threads = [threading.Thread(target=open_image, args=(picture,)) for picture in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert 0 < most[0] <= 40_000  # the one that is larger than all that go together was alone


def test_a_picture_has_one_digest_however_it_is_held():
    """In strips, as a whole, opened or not: ids of earlier releases stay."""
    from hashlib import blake2b

    high = png(size=(20, 3000))
    pixels = blake2b(b"pixels:20 x 3000:" + open_image(high).tobytes(), digest_size=32).digest()
    assert picture_digest(high) == picture_digest(open_image(high)) == pixels


def spin():
    while True:
        pass


def loops():
    for _ in range(100_000):
        for _ in range(100_000):
            pass


@pytest.mark.parametrize("call", [spin, loops, lambda: [spin() for _ in (1,)]])
def test_a_call_that_takes_too_long_is_ended(call):
    """In whatever thread it runs; what the thread does next is not disturbed."""
    ended = []

    def work():
        try:
            within(0.2, call, "the loop")
        except TimeoutError as error:
            ended.append(str(error))
        ended.append(sum(range(100_000)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(map(str, ended)) == ["4999950000"] * 3 + ["the loop takes more than 0.2 s"] * 3


def test_a_call_that_ends_in_time_is_left_alone():
    """Its result and its own errors come through; one right at its limit gives one or the other, and nothing comes later."""
    assert within(5, lambda: 7, "it") == 7
    with pytest.raises(KeyError):
        within(5, lambda: {}[1], "it")
    for number in range(10):
        with suppress(TimeoutError):
            assert within(0.1, partial(time.sleep, 0.095 + 0.001 * number), "it") is None
    assert sum(range(100_000)) == 4999950000


PROFILED = """
import sys, time
from contextlib import suppress
from hf_rap.engines.time_limit import within

def swallows():
    with suppress(BaseException):
        time.sleep(0.3)

for call in (lambda: time.sleep(0.3), swallows):
    try:
        within(0.05, call, "it")
    except TimeoutError as error:
        print(error)
sys.setprofile(lambda *_: None)
print((lambda: "goes on")())
"""


@pytest.mark.slow
def test_a_program_under_a_profiler_goes_on_behind_a_call_that_took_too_long():
    """Also where the call has swallowed what ended it; Python 3.11 and 3.12 hang when an exception is promised and never comes."""
    program = subprocess.run([sys.executable, "-c", PROFILED], check=True, capture_output=True, text=True, timeout=60)
    assert program.stdout.splitlines() == ["it takes more than 0.05 s"] * 2 + ["goes on"]


NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def model_with(tmp_path, template):
    """The model of the package with another chat template in front of its own."""
    from hf_rap.demo import MODEL

    shutil.copytree(MODEL, tmp_path / "model")
    place = tmp_path / "model" / "chat_template.jinja"
    place.write_text(template + place.read_text())
    return str(tmp_path / "model")


@pytest.mark.slow
def test_a_chat_template_that_computes_for_ever_is_refused_before_the_first_row(tmp_path, monkeypatch):
    """In one sentence that says what it was."""
    monkeypatch.setattr("hf_rap.engines.texts.SECONDS", 0.5)
    engine = TransformersEngine(model_with(tmp_path, NESTED), device="cpu")
    with pytest.raises(EngineError, match=r"The chat template of this model takes more than 0\.5 s for a question"):
        collect_evidence(rows((84,), (84,)), Rollouts(engine, attempts=1, max_new_tokens=2))


@pytest.mark.slow
def test_a_question_that_makes_a_chat_template_compute_for_ever_is_its_row_s_error(tmp_path, monkeypatch):
    """The others are asked."""
    monkeypatch.setattr("hf_rap.engines.texts.SECONDS", 0.5)
    asks = "{% if '? 2' in messages[-1].content[-1].text %}" + NESTED + "{% endif %}"
    engine = TransformersEngine(model_with(tmp_path, asks), device="cpu")
    evidence = collect_evidence(rows(*[(84,)] * 4), Rollouts(engine, attempts=1, max_new_tokens=2))
    slow = "engine_failed: TimeoutError: the chat template of the model takes more than 0.5 s"
    assert evidence["rap_error"][:] == [None, None, slow, None]


def test_folders_of_others_among_the_temporary_ones_are_not_touched(tmp_path, monkeypatch):
    """A pipe for a lock is not waited for, a link not followed; what a killed process of this user has left goes."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pipe, left, mine = (tmp_path / name for name in ("hf-rap-pipe", "hf-rap-left", "mine"))
    for folder in (pipe, left, mine):
        folder.mkdir()
    os.mkfifo(pipe / "lock")
    (left / "lock").touch()
    (mine / "lock").touch()
    (tmp_path / "hf-rap-link").symlink_to(mine)
    with scratch_folder() as made:
        assert made.parent == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf-rap-link", "hf-rap-pipe", "mine"]
    assert (mine / "lock").exists()


DOUBLED = "{% set n = namespace(l='a' * 1000) %}{% for i in range(60) %}{% set n.l = n.l ~ n.l %}{% endfor %}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10 ** 10 }}",
        DOUBLED,
        "{{ 'a'.center(10 ** 10) }}",
        "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
        "{{ '%20000000000d' % 1 }}",
        "{{ strftime_now('%c' * 10 ** 8) }}",
        "{{ messages | tojson(indent=10 ** 10) }}",
        "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    ],
)
def test_a_chat_template_that_fills_the_memory_is_refused_before_the_first_row(tmp_path, monkeypatch, template):
    """A process of its own finds out; here the demo's model has that template."""
    monkeypatch.setattr("hf_rap.engines.texts.SECONDS", 5)
    engine = TransformersEngine(model_with(tmp_path, template), device="cpu")
    with pytest.raises(EngineError, match=r"takes more than (1 GB of memory|5 s) for a question of four words"):
        collect_evidence(rows((84,)), Rollouts(engine, attempts=1, max_new_tokens=2))


@pytest.mark.slow
def test_a_question_that_makes_a_chat_template_fill_the_memory_is_its_row_s_error(tmp_path, monkeypatch):
    """Looked at ten times a second; the others are asked."""
    monkeypatch.setattr("hf_rap.engines.time_limit._GROWTH", 500 << 20)
    monkeypatch.setattr("hf_rap.engines.time_limit._LOOK", 0.01)
    asks = "{% if '? 1' in messages[-1].content[-1].text %}" + DOUBLED + "{% endif %}"
    engine = TransformersEngine(model_with(tmp_path, asks), device="cpu")
    evidence = collect_evidence(rows((84,), (84,)), Rollouts(engine, attempts=1, max_new_tokens=2))
    assert evidence["rap_error"][0] is None
    assert evidence["rap_error"][1].startswith("engine_failed: MemoryError: the chat template of the model takes more")
