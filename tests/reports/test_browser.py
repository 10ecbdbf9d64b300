"""The page in a real browser: the system's Chromium, driven by Playwright (scripts/requirements/browser.txt).

Where one of the two is missing there is nothing to run.
"""

import csv
import io
import random
import shutil

import pytest

from hf_rap import report, select_cognitive, select_difficulty, select_top

from .test_pages import HOSTILE, asked, selection

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
playwright = pytest.importorskip("playwright.sync_api", reason="scripts/requirements/browser.txt is not installed")
pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]
ROWS = 240


@pytest.fixture(scope="module")
def browser():
    """One for all tests."""
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser):
    """(page on disk, options) -> the page in the browser, whose console has to stay empty and which may ask for nothing."""
    pages = []

    def open_page(path, **options):
        page = browser.new_page(**{"viewport": {"width": 1600, "height": 1000}, **options})
        said, asked_for = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked_for.append(request.url))
        page.goto(f"file://{path / 'index.html' if path.is_dir() else path}")
        page.wait_for_selector("#grid[data-ready]")
        pages.append((page, said, asked_for))
        return page

    yield open_page
    for page, said, asked_for in pages:
        assert said == []
        assert [url for url in asked_for if not url.startswith(("file://", "data:", "blob:"))] == []
        page.close()


@pytest.fixture(scope="module")
def many():
    """240 rows with pictures and replies: every pair of pass rates of five attempts."""
    draw = random.Random(3)
    three = asked()
    columns = {name: [] for name in three.column_names}
    for place in range(ROWS):
        row = three[place % 2]
        right, guessed = draw.randint(0, 5), draw.randint(0, 5)
        row |= {
            "id": f"row-{place}",
            "rap_id": f"row-{place}",
            "problem": f"<image>Question {place}?",
            "rap_image_rewards": [1.0] * right + [0.0] * (5 - right),
            "rap_text_rewards": [1.0] * guessed + [0.0] * (5 - guessed),
            "rap_image_responses": [r"\boxed{4}"] * 5,
            "rap_text_responses": ["5"] * 5,
            "rap_image_tokens": [draw.randint(3, 90) for _ in range(5)],
            "rap_text_tokens": [3] * 5,
            "rap_image_truncated": [False] * 5,
            "rap_text_truncated": [False] * 5,
            "rap_cde": (right - guessed) / 5,
            "rap_difficulty": (5 - right) / 5,
        }
        for name, values in columns.items():
            values.append(row[name])
    from datasets import Dataset

    return Dataset.from_dict(columns)


def kept_in(page):
    """The first number of the header."""
    return int(page.inner_text("#count").split(" of ")[0].replace(",", ""))


def move(page, name, value):
    """Type a threshold and leave the field."""
    page.fill(f"#handle-{name}", str(value))
    page.dispatch_event(f"#handle-{name}", "change")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.parametrize("kind", ["rap", "difficulty", "top"])
def test_moved_thresholds_count_as_python_does(opened, many, tmp_path, kind):
    """Twenty random settings of each rule, typed into the page: header, and every row."""
    draw = random.Random(kind)
    make = {
        "rap": lambda **options: select_cognitive(many, **options),
        "difficulty": lambda **options: select_difficulty(many, **options),
        "top": lambda **options: select_top(many, by="rap_cde", per=None, **{"ratio": 0.2, **options}),
    }[kind]
    page = opened(report(make(), tmp_path / "page.html", title=kind))
    for _ in range(20):
        if kind == "rap":
            options = {name: round(draw.uniform(-1, 1), 2) for name in ("min_cde", "min_replacement_cde")}
        elif kind == "difficulty":
            low, high = sorted(round(draw.random(), 2) for _ in range(2))
            move(page, "low", 0)
            options = {"high": high, "low": low}
        else:
            options = {"ratio": round(draw.uniform(0.01, 1), 2)}
        for name, value in options.items():
            move(page, name, value)
        wanted = make(**options)
        assert kept_in(page) == len(wanted.kept_rows), options
        assert page.evaluate("() => rap.decision.reason") == wanted.scored["rap_reason"][:], options
    move(page, next(iter(options)), next(iter(options.values())))
    page.click("#reset")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert kept_in(page) == len(make().kept_rows)


def test_search_filter_open_mark_and_export(opened, many, tmp_path):
    """What a person does with hands on the keyboard and the mouse."""
    made = select_cognitive(many)
    page = opened(report(made, tmp_path / "page.html", title="hands", source="scored.parquet"))
    page.keyboard.press("/")
    page.keyboard.type("question 17?")
    page.wait_for_function("() => rap.shown.length === 1")
    page.keyboard.press("Escape")
    page.focus("#grid")
    page.keyboard.press("Enter")
    page.wait_for_selector("#right .reply mark")
    assert page.inner_text("#right h2") == "row 17: row-17"
    assert page.inner_text("#right .reply mark >> nth=0") == "4"
    page.keyboard.press("w")
    page.click("#close")
    page.click("#clear")
    page.wait_for_function(f"() => rap.shown.length === {ROWS}")
    reason = next(name for name in made.reasons if name == "solved_without_image")
    page.click(f"#reasons button:has-text('{reason}')")
    assert page.evaluate("() => rap.shown.length") == made.reasons[reason]
    page.focus("#grid")
    page.keyboard.press("Home")
    page.keyboard.press("k")
    first = page.evaluate("() => rap.shown[0]")
    with page.expect_download() as waiting:
        page.click("#export-marks")
    lines = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
    wanted = sorted([(17, "wrong_gold"), (first, "keep")])
    assert lines == [{"rap_id": f"row-{row}", "mark": mark} for row, mark in wanted]
    move(page, "min_cde", 0.4)
    line = "hf-rap select scored.parquet --min-cde 0.4 --overrides marks.csv --out selection.parquet"
    assert page.evaluate("() => rap.commandLine()") == line
    assert page.evaluate("() => rap.pythonLine()") == 'hf_rap.select_cognitive(ds, min_cde=0.4, overrides="marks.csv")'
    again = select_cognitive(many, min_cde=0.4, overrides={mark["rap_id"]: mark["mark"] for mark in lines})
    assert again.reasons["by_hand"] == again.reasons["wrong_gold"] == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 900, 1600])
@pytest.mark.parametrize("form", ["page.html", "folder"])
def test_nothing_overflows_at_any_width(opened, many, tmp_path, width, scheme, form):
    """One row open, too; in one file and in a folder."""
    page = opened(
        report(select_cognitive(many), tmp_path / form, title="widths " * 30),
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
    )
    page.click(".cell >> nth=0")
    page.wait_for_selector("#right .pictures img")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "() => { const right = document.getElementById('right'); return right.scrollWidth <= right.clientWidth + 1; }"
    )
    if width == 400:
        page.click("#close")
        page.click("#toggle-left")
        page.fill("#handle-min_cde", "0.1")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_selections_filter_by_what_changed(opened, many, tmp_path):
    """The rows that a looser rule brings in."""
    now, then = select_cognitive(many, min_cde=0.1), select_cognitive(many, min_cde=0.7)
    page = opened(report(now, tmp_path / "page.html", before=then, title="diff"))
    came = len(set(now.kept_rows.tolist()) - set(then.kept_rows.tolist()))
    page.click("#changes button:has-text('came in')")
    assert page.evaluate("() => rap.shown.length") == came
    page.click(".cell >> nth=0")
    page.wait_for_selector("#verdict:has-text('before:')")


def test_hostile_rows_only_show(opened, tmp_path):
    """HTML, scripts, the end of a script, letters that turn round, null bytes, 10,000 characters."""
    texts = [f"<image>{HOSTILE}", f"<image>{'long ' * 2_000}", "<image>\u202e\u2066evil\x00"]
    made = selection(
        problem=texts,
        answer=[HOSTILE] * 3,
        rap_id=[HOSTILE, "b", "\x00"],
        rap_image_responses=[[HOSTILE, "1"], ["a", "b"], []],
    )
    page = opened(report(made, tmp_path / "page.html", title=HOSTILE, source=HOSTILE))
    page.on("dialog", lambda dialog: pytest.fail(f"a row opened a dialog: {dialog.message}"))
    for place in range(3):
        page.click(f".cell >> nth={place}")
        page.wait_for_selector(f"#right h2:has-text('row {place}')")
    assert page.evaluate("document.images.length") <= 4
    assert page.evaluate("document.scripts.length") == page.evaluate("document.querySelectorAll('script').length")
    assert page.evaluate("document.querySelectorAll('#right script, #right img[src=x]').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1600


HOSTILE_TOKEN = "<img src=x onerror=alert(2)>"


def shades_in(page, reply):
    """Of each token of a reply that is shaded: its text, its tooltip, and (red, green, blue, opacity) of its background as it is drawn."""
    return page.evaluate(
        """(place) => {
            const dot = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            return [...document.querySelectorAll("#right .reply")[place].querySelectorAll(".token")].map((token) => {
                dot.clearRect(0, 0, 1, 1);
                dot.fillStyle = getComputedStyle(token).backgroundColor;
                dot.fillRect(0, 0, 1, 1);
                return [token.textContent, token.title, [...dot.getImageData(0, 0, 1, 1).data]];
            });
        }""",
        reply,
    )


@pytest.mark.parametrize("form", ["page.html", "folder"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_image_shades_what_the_image_makes_likelier(opened, tmp_path, scheme, form):
    """Its tokens in the place of the text, one colour for likelier and one for less likely, as strong as it is; pressed again the text is back."""
    tokens = ["I", " see", HOSTILE_TOKEN, r" \boxed{4}"]
    likelier = {"tokens": tokens, "image": [-0.5, -1.0, -1.0, -3.0], "text": [-0.5, -3.0, -2.0, -1.0]}
    short = {"tokens": ["blue"], "image": [-0.25], "text": None, "blank": [-0.5]}
    text = "".join(tokens)
    made = selection(
        rap_image_responses=[[text, "It is 5."], ["blue", "blue"], []],
        rap_reply_logprobs=[
            [{**likelier, "blank": None}, None],
            [short, {"tokens": None, "image": None, "text": None, "blank": None}],
            None,
        ],
    )
    page = opened(report(made, tmp_path / form, title="shades"), color_scheme=scheme)
    page.on("dialog", lambda dialog: pytest.fail(f"a token opened a dialog: {dialog.message}"))
    page.click(".cell >> nth=0")
    page.wait_for_selector("#right h2:has-text('row 0')")
    buttons = page.locator("#right .reply button")
    assert buttons.all_inner_texts() == ["image"]  # the other reply was not read
    first = page.locator("#right .reply >> nth=0")
    assert first.locator(".text").inner_text() == text
    assert first.locator("mark").all_inner_texts() == ["4"]
    assert shades_in(page, 0) == []

    buttons.click()
    assert buttons.get_attribute("aria-pressed") == "true"
    assert first.locator(".text").inner_text() == text
    (same, two_more, one_more, two_less) = shades_in(page, 0)
    assert [same[0], two_more[0], one_more[0], two_less[0]] == tokens
    assert [shade[1] for shade in (same, two_more, one_more, two_less)] == [
        "0 nats likelier with the image than without it",
        "2 nats likelier with the image than without it",
        "1 nats likelier with the image than without it",
        "2 nats less likely with the image than without it",
    ]
    assert [shade[2][3] for shade in (same, two_more, one_more, two_less)] == pytest.approx([0, 204, 102, 204], abs=2)
    assert two_more[2][:3] == pytest.approx(one_more[2][:3], abs=3)
    assert max(abs(one - other) for one, other in zip(two_more[2][:3], two_less[2][:3], strict=True)) > 60
    assert shades_in(page, 1) == []

    buttons.click()
    assert buttons.get_attribute("aria-pressed") == "false"
    assert first.locator("mark").all_inner_texts() == ["4"]
    assert shades_in(page, 0) == []

    page.click(".cell >> nth=1")
    page.wait_for_selector("#right h2:has-text('row 1')")
    assert buttons.all_inner_texts() == ["image"]
    buttons.click()
    ((token, title, (*_, opacity)),) = shades_in(page, 0)
    assert (token, title) == ("blue", "0.25 nats likelier with the image than with a grey picture")
    assert opacity == pytest.approx(0.8 * 0.25 * 255, abs=2)  # a nat at least is the strongest
    for unread in (2, 0):  # without replies; and the first again, as it was at first
        page.click(f".cell >> nth={unread}")
        page.wait_for_selector(f"#right h2:has-text('row {unread}')")
        assert page.locator("#right .token").count() == 0
        assert buttons.count() == (0 if unread else 1)
        said = page.inner_text("#right")
        assert not [word for word in ("undefined", "NaN", "null", "nats") if word in said]


def test_one_of_two_shades_is_shown_at_a_time(opened, tmp_path):
    """ "attention" and "image" of the same reply: one button lets the other go."""
    tokens = [f"t{place} " for place in range(6)]
    looked = {
        "error": None,
        "tokens": tokens,
        "window_max": [-1.0, -2.0, -3.0, -1.0, -1.0, -1.0],
        "image_shares": [0.5] * 6,
    }
    read = {"tokens": tokens, "image": [-1.0] * 6, "text": [-3.0] * 6}
    made = selection(rap_attention=[[looked, looked], None, None], rap_reply_logprobs=[[read, None], None, None])
    page = opened(report(made, tmp_path / "page.html", title="two shades"))
    page.click(".cell >> nth=0")
    page.wait_for_selector("#right h2:has-text('row 0')")
    both = page.locator("#right .reply >> nth=0").locator("button")
    assert both.all_inner_texts() == ["attention", "image"]
    assert page.locator("#right .reply >> nth=1").locator("button").all_inner_texts() == ["attention"]
    for press, other in ((0, 1), (1, 0), (0, 1)):
        both.nth(press).click()
        assert (both.nth(press).get_attribute("aria-pressed"), both.nth(other).get_attribute("aria-pressed")) == (
            "true",
            "false",
        )
        assert [token for token, _, _ in shades_in(page, 0)] == tokens
        titled = sum("nats likelier" in title for _, title, _ in shades_in(page, 0))
        assert titled == (6 if press else 0)
    page.click(".cell >> nth=1")
    page.wait_for_selector("#right h2:has-text('row 1')")
    assert both.count() == 0
