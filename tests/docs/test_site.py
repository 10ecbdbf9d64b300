"""What `make docs` does before and after the build, and the built site in a real browser.

The browser's test needs a site (`make docs`), Chromium and scripts/requirements/browser.txt; where one is missing there is nothing to run.
"""

import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
CHROMIUM = next(
    (program for name in ("chromium", "chromium-browser", "google-chrome") if (program := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def without_links_out():
    """What scripts/docs/prepare.py makes of a page's text."""
    return runpy.run_path(str(ROOT / "scripts" / "docs" / "prepare.py"))["without_links_out"]


@pytest.fixture
def problems_of(tmp_path):
    """Pages of a site (name -> HTML), and of docs by name -> what scripts/docs/check.py says of them."""
    check = runpy.run_path(str(ROOT / "scripts" / "docs" / "check.py"))["problems_of"]

    def problems(pages, sources=()):
        for folder, names in (("site", pages), ("docs", dict.fromkeys(sources, "# A page"))):
            (tmp_path / folder).mkdir()
            for name, text in names.items():
                (tmp_path / folder / name).write_text(text, "utf-8")
        return check(tmp_path / "site", tmp_path / "docs")

    return problems


def test_links_out_of_the_pages_become_text(without_links_out):
    """A link above docs/ is its words, one within docs/ and one in a block of code stay."""
    text = "[README](../README.md), [runs](runs.md)\n```md\n[README](../README.md)\n```\n"
    assert without_links_out(text, 0) == "README, [runs](runs.md)\n```md\n[README](../README.md)\n```\n"
    text = "[runs](../runs.md), [README](../../README.md)"
    assert without_links_out(text, 1) == "[runs](../runs.md), README"


def test_a_notebook_becomes_a_page():
    """Words as they are, code and text in blocks, tables without their styles, pictures as files."""
    page_of = runpy.run_path(str(ROOT / "scripts" / "docs" / "prepare.py"))["page_of"]
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["two\n", "lines\n"]},
        {
            "data": {
                "text/html": ["<div>\n<style scoped>\n b {}\n\n</style>\n", "\n<b>t</b></div>"],
                "text/plain": ["t"],
            }
        },
        {"data": {"image/png": "UE5H\n", "text/plain": ["<Figure>"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": ["1 + 1"], "outputs": outputs},
        {"cell_type": "code", "source": ["x = 1"], "outputs": []},
    ]
    text, pictures = page_of({"cells": cells}, "name")
    assert text == (
        '# Title\nwords\n\n```python\n1 + 1\n```\n\n```text\ntwo\nlines\n```\n\n<div style="overflow-x:auto">\n<div>\n<b>t</b></div>\n</div>\n\n'
        "![What the cell above draws](name-1-2.png)\n\n```python\nx = 1\n```\n"
    )
    assert pictures == {"name-1-2.png": b"PNG"}


def test_whole_site_has_no_problems(problems_of):
    """Links to pages, to places on them and to other hosts, and a picture that is there."""
    pages = {
        "index.html": '<a href="a.html#b">a</a> <a href="https://example.org">out</a> <img src="p.png">',
        "a.html": '<h2 id="b">b</h2><a href="#b">b</a><a href=".">home</a>',
        "p.png": "",
    }
    assert problems_of(pages, ["index.md", "a.md"]) == []


@pytest.mark.parametrize(
    ("home", "problem"),
    [
        ('<a href="b.html">b</a>', "index.html: b.html leads to no file"),
        ('<a href="#b">b</a>', "index.html: #b leads to no place on its page"),
        ('<img src="p.png">', "index.html: p.png leads to no file"),
        ('<script src="https://unpkg.com/a.js">', "index.html: loads https://unpkg.com/a.js from another host"),
        ('<link rel="stylesheet" href="//a.org/a.css">', "index.html: loads //a.org/a.css from another host"),
    ],
)
def test_what_is_dead_is_named(problems_of, home, problem):
    """The page and the address."""
    assert problems_of({"index.html": home}) == [problem]


def test_page_that_is_left_out_is_named(problems_of):
    """A page that was not built, and one that was and to which nothing leads."""
    unbuilt, alone = problems_of({"index.html": "", "alone.html": ""}, ["index.md", "gone.md"])
    assert unbuilt.endswith("gone.md: the site has no page of it")
    assert alone == "alone.html: no page leads to it; name it under nav in mkdocs.yml"


@pytest.mark.exhaustive
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.skipif(not SITE.is_dir(), reason="there is no site: make docs")
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_asks_nothing_from_another_host(width, scheme):
    """Each page, served: no request elsewhere, nothing in the console, no wider than the window, formulas set, the reader's colours."""
    playwright = pytest.importorskip("playwright.sync_api", reason="scripts/requirements/browser.txt is not installed")
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    said, elsewhere, wide, wrong_colours, unset = [], [], [], [], []
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.on("console", lambda message: said.append((page.url, message.text)))
            page.on("pageerror", lambda error: said.append((page.url, str(error))))
            page.on("request", lambda request: elsewhere.append(request.url))
            for path in sorted(SITE.rglob("*.html")):
                page.goto(root + path.relative_to(SITE).as_posix(), wait_until="load")
                if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                    wide.append(path.name)
                if page.evaluate("[...document.querySelectorAll('.arithmatex')].some(e => !e.querySelector('.katex'))"):
                    unset.append(path.name)
                if page.get_attribute("body", "data-md-color-scheme") != {"light": "default", "dark": "slate"}[scheme]:
                    wrong_colours.append(path.name)
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
    assert said == []
    assert [url for url in elsewhere if not url.startswith((root, "data:", "blob:"))] == []
    assert wide == []
    assert unset == []
    assert wrong_colours == []
