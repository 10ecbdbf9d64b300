"""What a page holds: rows with pictures, replies and golds, of any content, in one file or a folder."""

import base64
import gzip
import json
import re

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from hf_rap import report, select_cognitive
from hf_rap.errors import LayoutError, SettingError
from hf_rap.reports import pages
from hf_rap.reports.details import MAX_TEXT

SETTINGS = json.dumps(
    {"model": "m", "verifier": "hf_rap", "verifier_version": "1", "instruction": " Box it.", "correct": 1}
)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202eabc\x00 {{7*7}} <!-- data -->"


def asked(**changes):
    """Three rows: needed, guessed, and one whose picture is broken."""
    columns = {
        "id": ["a", "b", "c"],
        "problem": ["<image>How many?", "<image>Which colour?", "<image>Where?"],
        "images": [[Image.new("RGB", (300, 200), "red")], [Image.new("RGB", (20, 30), "blue")], [b"no picture"]],
        "answer": ["4", "blue", "left"],
        "rap_id": ["a", "b", "c"],
        "rap_image_responses": [[r"I see \boxed{4}", "It is 5."], ["blue", "blue"], []],
        "rap_text_responses": [["7", "8"], ["blue", "red"], []],
        "rap_image_rewards": [[1.0, 0.0], [1.0, 1.0], []],
        "rap_text_rewards": [[0.0, 0.0], [1.0, 0.0], []],
        "rap_image_tokens": [[9, 5], [2, 2], []],
        "rap_text_tokens": [[1, 1], [1, 1], []],
        "rap_image_truncated": [[False, True], [False, False], []],
        "rap_text_truncated": [[False, False], [False, False], []],
        "rap_cde": [0.5, 0.5, None],
        "rap_difficulty": [0.5, 0.0, None],
        "rap_error": [None, None, "image_unreadable: broken"],
        "rap_settings": [SETTINGS] * 3,
        **changes,
    }
    # Pictures as files inside, as a dataset holds them.
    columns["images"] = [
        [picture if isinstance(picture, bytes) else png(picture) for picture in row] for row in columns["images"]
    ]
    return Dataset.from_dict(columns)


def png(picture):
    """The file of a picture."""
    from io import BytesIO

    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def selection(**changes):
    """Row a is kept; b, always solved, and c, unreadable, are not."""
    return select_cognitive(asked(**changes), min_cde=0.4)


def unpacked(content):
    """What a part says."""
    return json.loads(gzip.decompress(base64.b64decode(content)))


def parts_of(text):
    """Every part of a page in one file."""
    return {
        name: unpacked(content)
        for name, content in re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]*)</script>', text)
    }


def test_a_page_shows_prompt_gold_and_graded_replies(tmp_path):
    """The answer is where it stands in the reply: `\\boxed{4}` has its 4 at 13."""
    page = report(selection(), tmp_path / "page.html", title="three rows")
    parts = parts_of(page.read_text())
    a, b, c = parts["details-00000"]
    assert a["prompt"] == "user: <image>How many? Box it."
    assert (a["gold"], b["read_as"]) == ("4", ["blue (words)"])
    assert a["arms"]["image"][0] == {
        "reward": 1.0, "tokens": 9, "cut": False, "right": True, "text": r"I see \boxed{4}", "answer": [13, 14],
    }  # fmt: skip
    assert a["arms"]["image"][1]["cut"] is True
    assert (c["error"], c["pictures"], c["arms"]["image"]) == ("image_unreadable: broken", 0, [])
    facts = parts["facts"]
    assert (facts["rows"], facts["kept"], facts["keep"]) == (3, 1, [1, 0, 0])
    assert facts["numbers"]["rap_cde"]["values"] == [0.5, 0.5, None]
    assert facts["numbers"]["rap_image_tokens"]["values"] == [7.0, 2.0, None]
    small = [
        None if content is None else Image.open(__import__("io").BytesIO(base64.b64decode(content))).size
        for content in parts["small-00000"]
    ]
    assert small == [(144, 96), (20, 30), None]


def test_replies_that_were_read_again_bring_their_tokens(tmp_path):
    """How much likelier the image makes each; what could not be read, has no other arm, or numbers that are none, has none."""
    read = {"tokens": ["I", " see"], "image": [-0.5, -0.25], "text": [-0.5, -2.25]}
    unread = {"tokens": None, "image": None, "text": None}
    overflown = {**read, "image": [-0.5, float("nan")]}
    rows = selection(rap_reply_logprobs=[[read, None], [unread, {**read, "text": None}, overflown], None])
    page = report(rows, tmp_path / "page.html")
    assert [row.get("dependence") for row in parts_of(page.read_text())["details-00000"]] == [
        [{"tokens": ["I", " see"], "arm": "text", "nats": [0.0, 2.0]}, None],
        [None, None, None],
        None,
    ]


def test_replies_whose_attention_was_read_bring_what_is_stared_at(tmp_path):
    """psi of each token with three behind it, of the highest: e to the difference of the logarithms; numbers that are none bring nothing."""
    read = {
        "error": None,
        "tokens": ["I", " see", " it", ".", "!"],
        "window_max": [-3.0, -1.0, -9.0, -9.0, -9.0],
        "image_shares": [0.5, 0.25, 0.0, 0.0, 0.0],
    }
    overflown = {**read, "window_max": [float("nan")] * 5}
    nowhere = {**read, "image_shares": [float("inf")] * 5}
    rows = selection(rap_attention=[[read, None], [overflown, nowhere], None])
    page = report(rows, tmp_path / "page.html")
    assert [row.get("attention") for row in parts_of(page.read_text())["details-00000"]] == [
        [{"tokens": read["tokens"], "psi": [0.135, 1.0], "image_shares": read["image_shares"]}, None],
        [None, None],
        None,
    ]


def test_a_page_asks_for_nothing_and_holds_no_text_of_rows_as_html(tmp_path):
    """Whatever rows say stands compressed in base64; the page names no other host."""
    hostile = selection(
        problem=[f"<image>{HOSTILE}"] * 3, answer=[HOSTILE] * 3, rap_image_responses=[[HOSTILE, "1"], ["a", "b"], []]
    )
    text = report(hostile, tmp_path / "page.html", title=HOSTILE, source=HOSTILE).read_text()
    assert "alert(" not in text
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text.replace("http://www.w3.org/2000/svg", ""))
    assert parts_of(text)["details-00000"][0]["gold"] == HOSTILE
    assert parts_of(text)["facts"]["title"] == HOSTILE


def test_the_same_selection_gives_the_same_bytes(tmp_path):
    """So that a version with a page has one content."""
    one, two = (report(selection(), tmp_path / name, title="t").read_bytes() for name in ("a.html", "b.html"))
    assert one == two


def test_a_folder_has_the_same_parts_as_scripts(tmp_path):
    """And its facts as JSON for programs; pictures are as large as a screen shows them."""
    folder = report(selection(), tmp_path / "page", title="t")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "details-00000.js", "index.html", "large-00000.js", "report.json", "small-00000.js", "texts-00000.js",
    ]  # fmt: skip
    name, content = re.fullmatch(
        r'part\("([\w-]+)","([^"]+)"\)\n', (folder / "parts" / "details-00000.js").read_text()
    ).groups()
    assert name == "details-00000"
    assert [row["id"] for row in unpacked(content)] == ["a", "b", "c"]
    assert json.loads((folder / "report.json").read_text())["hf_rap_report"] == 1


def test_what_is_too_much_for_one_file_is_refused_and_nothing_is_there(tmp_path, monkeypatch):
    """With the way out."""
    monkeypatch.setattr(pages, "MAX_BYTES", 2_000)
    with pytest.raises(SettingError, match=r"give a folder.*--out report/"):
        report(selection(), tmp_path / "page.html", title="t")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_pictures_shrink_until_a_page_fits(tmp_path, monkeypatch):
    """Noise does not compress: three pictures of 1024 x 1024 do not fit into 300 kB, smaller ones do."""
    noise = [
        Image.fromarray(np.random.default_rng(place).integers(0, 255, (1024, 1024, 3), dtype=np.uint8))
        for place in range(3)
    ]
    monkeypatch.setattr(pages, "MAX_BYTES", 300_000)
    page = report(selection(images=[[picture] for picture in noise]), tmp_path / "page.html", title="t")
    assert page.stat().st_size < 300_000 + 60_000  # beside the data there is the page itself
    assert parts_of(page.read_text())["facts"]["has_large"] is True


def test_two_selections_show_what_changed(tmp_path):
    """Of rows matched by id: a went, b came in, c is the same, and d was there alone."""
    before = asked(rap_cde=[0.1, 0.9, None], rap_difficulty=[0.5, 0.2, None])
    extra = before.select([1]).remove_columns("rap_id").add_column("rap_id", ["d"])
    from datasets import concatenate_datasets

    then = select_cognitive(concatenate_datasets([before, extra]), min_cde=0.4)
    page = report(selection(), tmp_path / "page.html", before=then, title="t")
    facts = parts_of(page.read_text())["facts"]
    was = [None if place is None else facts["was"]["names"][place] for place in facts["was"]["index"]]
    assert was == ["image_helps_little", "image_needed", "image_unreadable", "image_needed"]
    assert (facts["keep"], facts["kept_before"]) == ([1, 0, 0, 0], [0, 1, 0, 1])
    assert facts["numbers"]["rap_cde before"]["values"] == [0.1, 0.9, None, 0.9]
    assert facts["decide"]["kind"] is None


def test_a_long_reply_keeps_its_beginning_and_its_end(tmp_path):
    """And says how much is left out."""
    long = "x" * MAX_TEXT + r"\boxed{4}"
    page = report(selection(rap_image_responses=[[long, "5"], ["a", "b"], []]), tmp_path / "page.html", title="t")
    reply = parts_of(page.read_text())["details-00000"][0]["arms"]["image"][0]
    assert "[... 9 characters are left out here ...]" in reply["text"]
    assert reply["text"][slice(*reply["answer"])] == "4"


def test_places_are_counted_as_a_browser_counts(tmp_path):
    """An emoji is two units of UTF-16."""
    page = report(
        selection(rap_image_responses=[["\U0001f600 \\boxed{4}", "5"], ["a", "b"], []]),
        tmp_path / "page.html",
        title="t",
    )
    assert parts_of(page.read_text())["details-00000"][0]["arms"]["image"][0]["answer"] == [10, 11]


def test_what_cannot_be_shown_is_refused(tmp_path):
    """With what to give instead."""
    with pytest.raises(SettingError, match="a version: its folder, or user/name@v1"):
        report("no-such-thing", tmp_path / "page.html")
    with pytest.raises(LayoutError):
        report(select_cognitive(Dataset.from_dict({"rap_cde": [0.9], "rap_difficulty": [0.1]})), tmp_path / "page.html")
