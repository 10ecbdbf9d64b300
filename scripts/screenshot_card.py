"""Render the card of a published folder to a page and photograph it, wide and narrow, light and dark.

python scripts/screenshot_card.py my-dataset-rap docs/images/card

Needs chromium. Fails when the page is wider than the window.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

WIDTHS = {"wide": 900, "narrow": 400}
# Page, text, lines, code and every second row of a table, links.
THEMES = {
    "light": ("#ffffff", "#1f2328", "#d1d9e0", "#f6f8fa", "#0969da"),
    "dark": ("#0d1117", "#f0f6fc", "#3d444d", "#151b23", "#4493f8"),
}
# As GitHub and the Hub show Markdown: a column of text; tables and code scroll by themselves.
PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>
body {{ margin: 0; background: {0}; color: {1}; font: 16px/1.5 -apple-system, "Segoe UI", "Noto Sans", sans-serif; }}
main {{ max-width: 868px; margin: 0 auto; padding: 16px; overflow-wrap: break-word; }}
h1, h2 {{ margin: 24px 0 16px; line-height: 1.25; padding-bottom: .3em; border-bottom: 1px solid {2}; }}
p, ul, table, pre, details {{ margin: 0 0 16px; }}
table {{ display: block; width: max-content; max-width: 100%; overflow: auto; border-spacing: 0; border-collapse: collapse; }}
td, th {{ border: 1px solid {2}; padding: 6px 13px; }}
tr:nth-child(2n) {{ background: {3}; }}
code {{ background: {3}; padding: .2em .4em; border-radius: 6px; font: 85%/1.45 ui-monospace, monospace; }}
pre {{ background: {3}; padding: 16px; border-radius: 6px; overflow: auto; }}
pre code {{ padding: 0; }}
img {{ max-width: 100%; }}
a {{ color: {4}; text-decoration: none; }}
</style><main>{5}</main>"""


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python scripts/screenshot_card.py FOLDER OUT_PREFIX")
    folder, out = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    card = (folder / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]
    body = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(card)
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("chromium is not installed: apt-get install chromium")
    for theme, colours in THEMES.items():
        with tempfile.TemporaryDirectory() as work:
            page = Path(work) / "card.html"
            based = f'<base href="file://{folder}/">'
            page.write_text(based + PAGE.format(*colours, body), encoding="utf-8")
            for name, width in WIDTHS.items():
                photograph(browser, page, width, out.with_name(f"{out.name}-{name}-{theme}.png"))


def photograph(browser: str, page: Path, width: int, picture: Path) -> None:
    # In a frame, since the window of a headless browser cannot be narrower than 500 pixels.
    frame = page.with_name("frame.html")
    height = int(measured(browser, page, frame, width, 2000)["height"])
    found = measured(browser, page, frame, width, height)
    if int(found["width"]) > width:
        raise SystemExit(f"{picture.name}: the page is {found['width']} pixels wide in a window of {width}")
    run(browser, f"--window-size={max(width, 500)},{height}", f"--screenshot={picture.absolute()}", f"file://{frame}")
    from PIL import Image

    with Image.open(picture) as photo:
        photo.crop((0, 0, width, photo.height)).convert("P", palette=Image.Palette.ADAPTIVE).save(
            picture, optimize=True
        )
    print(f"{picture}: {width} x {height}")


def measured(browser: str, page: Path, frame: Path, width: int, height: int) -> dict[str, str]:
    """Width and height that the page takes in a window of this width."""
    frame.write_text(
        f'<body style="margin:0"><iframe id="f" src="{page.name}" width="{width}" height="{height}" style="border:0">'
        "</iframe><script>document.getElementById('f').onload = event => { const s = "
        "event.target.contentDocument.scrollingElement; "
        "document.title = `width=${s.scrollWidth} height=${s.scrollHeight}` }</script>",
        encoding="utf-8",
    )
    text = run(browser, f"--window-size={max(width, 500)},{height}", "--dump-dom", f"file://{frame}")
    found = re.search(r"<title>width=(?P<width>\d+) height=(?P<height>\d+)", text)
    if found is None:
        raise SystemExit("the browser did not measure the page")
    return found.groupdict()


def run(browser: str, *words: str) -> str:
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files",
        "--virtual-time-budget=4000", *words,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


if __name__ == "__main__":
    main()
