"""Results in a notebook: bounded, escaped, with pictures, in the colours of the page; as text a few lines."""

from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

import hf_rap
from hf_rap.demo import make_planted
from hf_rap.evidence.collector import Estimate
from hf_rap.select import Method, Reason, select_cognitive
from hf_rap.tables.notebook import MOST_BYTES, brief, html_page, html_table, html_text, picture
from hf_rap.versions.folder import publish_to_folder
from hf_rap.versions.plots import draw_curves

EVIL = "<img src=x onerror=alert(1)>\"'</td></script><script>alert(1)</script>&lt;\u202e\x00\x1b[31m שלום"


class Page(HTMLParser):
    """The elements of a page, their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.text, self.open = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def checked(html):
    """The page, which has nothing in it but what shows, and every element of which is closed."""
    page = Page(html)
    assert len(html.encode()) <= MOST_BYTES
    assert page.open == []
    shows = "div p strong table tbody tr th td code pre br img"
    assert set(page.elements) <= set(shows.split())
    assert {name for name, _ in page.attributes} <= {"style", "dir", "scope", "alt", "width", "height", "src"}
    assert all(value.startswith("data:image/jpeg;base64,") for name, value in page.attributes if name == "src")
    colours = [value for name, value in page.attributes if name == "style" and "color:" in value]
    assert all("color:inherit" in value or "currentColor" in value for value in colours)
    return page


def test_a_value_is_escaped_and_cut():
    """Markup and what turns letters round are spelled out; lines stay lines."""
    assert html_text(EVIL) == (
        "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&lt;/td&gt;&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
        "&amp;lt;\\u202e\\x00\\x1b[31m שלום"
    )
    assert html_text("a\nb" * 2, 4) == "a<br>ba..."
    assert [html_text(value) for value in (12345, 0.12345, None, True)] == ["12,345", "0.123", "", "True"]


def test_a_table_shows_thirty_rows():
    """And says how many others there are; numbers stand right."""
    page = checked(html_page("t", html_table(((place, "x") for place in range(1000)), ("n", "what"))))
    assert page.elements.count("tr") == 1 + 30 + 1
    assert page.text.endswith("and 970 more")


def test_a_page_ends_before_300_kb():
    """What does not fit is left out whole, and that is said; what stands before it stays."""
    hostile = html_table(["\U000e0001" * 200] * 9 for _ in range(30))
    assert len(hostile) > 500_000
    page = checked(html_page("title", "a sentence", hostile, "another"))
    assert page.text == "titlea sentenceMore would not fit here."


def test_a_drawn_figure_is_shown_as_a_picture():
    """Its bytes would be a line of a hundred thousand characters."""
    drawn = draw_curves({"a": [(0.0, 0.0), (1.0, 1.0)]}, x="x", y="y")
    assert repr(drawn) == f"<PNG of {len(drawn):,} bytes>"
    assert drawn._repr_png_() == drawn
    assert Pictures.open(BytesIO(drawn)).size == (1050, 540)  # 7 x 3.6 inches of 150 pixels


def test_fifteen_lines_of_text():
    """Fifteen stay as they are; of sixteen fourteen, and where the others are."""
    fifteen = "\n".join("abcdefghijklmno")
    assert brief(fifteen, "print(x)") == fifteen
    assert brief(f"{fifteen}\np", "print(x)").split("\n") == [*"abcdefghijklmn", "... 2 more lines: print(x)"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_a_picture_is_small(mode):
    """At most 128 pixels and 20 KB, noise of any mode too; the picture itself is not touched."""
    pixels = np.random.default_rng(0).integers(0, 255, (300, 900, 3), dtype=np.uint8)
    image = Pictures.fromarray(pixels) if mode == "RGB" else Pictures.fromarray(pixels).convert("L").convert(mode)
    page = Page(picture(image))
    assert dict(page.attributes)["width"] == "128"
    assert dict(page.attributes)["height"] == "43"
    assert len(picture(image)) < 27_500
    assert image.size == (900, 300)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The eight that a notebook shows, from forty planted rows of which half need their picture."""
    ds = make_planted(40)
    ds = ds.remove_columns([name for name in ("rap_id",) if name in ds.column_names])
    rewards = {"rap_image_rewards": [1.0, 1.0, 1.0, 1.0, 0.0], "rap_text_rewards": [0.0] * 5}
    for name, some in rewards.items():
        ds = ds.add_column(name, [some if place % 2 else [0.0] * 5 for place in range(40)])
    ds = ds.add_column("rap_id", [f"row-{place}" for place in range(40)])
    scored = hf_rap.add_scores(ds, hf_rap.cde_score, hf_rap.difficulty_score)
    selection = select_cognitive(scored, overrides={"row-0": "keep"})
    folder = tmp_path_factory.mktemp("notebook")
    published = publish_to_folder(selection, folder / "planted-rap")
    return {
        "Selection": selection,
        "Inspection": hf_rap.inspect_dataset(ds),
        "Comparison": hf_rap.compare_methods(scored, ["rap", "rap-paper", "rap-released", "difficulty", "random"]),
        "Stability": hf_rap.stability(selection, draws=4),
        "Published": published,
        "Exported": hf_rap.export(published.path, folder / "easyr1", to="easyr1", drop=True),
        "Estimate": Estimate(20, 13.2, 60_000, 1.5, 820.0, 11.1, 22.2),
        "Prior": hf_rap.fit_prior(scored),
    }


@pytest.mark.slow
def test_each_result_is_shown_in_a_notebook(results):
    """With its numbers: 20 rows have a cde of 0.8 and one is kept by hand."""
    shown = {
        "Selection": ["Selection: 21 of 40 rows", "image_needed20", "keptby_handrow 0, row-0", "never_solved19"],
        "Inspection": ["of 40 rows can be used", "as a model is asked"],
        "Comparison": ["Comparison: 5 selections from 40 rows", "rap200.20.8", "Jaccardraprap-paper"],
        "Stability": ["of the 21 kept rows are kept again", "16"],
        "Published": ["Published: version 1.0.0, 21 of 40 rows", "datasets.load_dataset(", "'selected')"],
        "Exported": ["Exported for easyr1: ", "python3 -m verl.trainer.main"],
        "Estimate": ["Estimate: about 11.1 h for 60,000 rows", "price22.2"],
        "Prior": ["Prior of 40 rows: mean pass rate 0.388 with the image", "up to 0.2"],
    }
    assert set(results) == set(shown)
    for name, result in results.items():
        page = checked(result._repr_html_())
        missing = [part for part in shown[name] if part not in page.text]
        assert missing == [], page.text[:2000]
    assert Page(results["Selection"]._repr_html_()).elements.count("img") == 8
    assert Page(results["Inspection"]._repr_html_()).elements.count("img") == 3
    assert "thumbnail" not in results["Inspection"].as_dict()["shown"][0]


@pytest.mark.slow
def test_each_result_has_at_most_fifteen_lines(results):
    """And begins with what it is; a line is no array of thousands of numbers."""
    for name, result in results.items():
        lines = repr(result).split("\n")
        assert len(lines) <= 15
        assert max(map(len, lines)) <= 250
        assert lines[0].startswith(name)


def test_hostile_rows_do_nothing_but_show():
    """Ids, questions, golds, reasons and meanings with markup; a picture of another's file is not opened."""
    file = BytesIO()
    Pictures.fromarray(np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)).save(file, "PNG")
    noise = {"bytes": file.getvalue(), "path": None}
    pictures = [[{"bytes": None, "path": "/etc/passwd"}], *[[noise]] * 9]
    ds = Dataset.from_dict(
        {
            "problem": ["<image>" + EVIL * 200] * 10,
            "images": pictures,
            "answer": [EVIL] * 10,
            "rap_id": [f"{EVIL}{place}" for place in range(10)],
            "rap_cde": [0.5] * 10,
        },
        Features(
            {
                **dict.fromkeys(("problem", "answer", "rap_id"), Value("string")),
                "images": List(Image(decode=False)),
                "rap_cde": Value("float64"),
            }
        ),
    )
    reasons = (Reason(f"in{EVIL}", kept=True, meaning=EVIL), Reason(f"out{EVIL}", kept=False, meaning=EVIL))
    method = Method("mine", lambda ds, _: [True] * 5 + [False] * 5, "mine", reasons=reasons)
    page = checked(select_cognitive(ds, method=method)._repr_html_())
    assert page.elements.count("img") >= 7
    assert "<script>alert(1)</script>" in page.text
    assert "\x00" not in page.text
    assert "\u202e" not in page.text


def test_rows_without_questions_are_shown_by_their_ids():
    """A table of scores alone is a selection, too."""
    ds = Dataset.from_dict({"rap_id": ["a", "b"], "rap_cde": [0.8, None], "rap_difficulty": [0.2, None]})
    page = checked(select_cognitive(ds)._repr_html_())
    assert "keptimage_neededrow 0, a0.8" in page.text
    assert "droppednot_scoredrow 1, bunknown" in page.text
