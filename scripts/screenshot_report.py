"""Photograph the page of the planted rows: the three questions of docs/look.md, each in at most five clicks.

python scripts/screenshot_report.py docs/images/look

Needs chromium and scripts/requirements/browser.txt. The pictures are checked by people; clicks that find nothing fail.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from hf_rap import Rollouts, add_scores, cde_score, collect_evidence, difficulty_score, report, select_cognitive
from hf_rap.demo import demo_engine, make_planted

ROWS = 600


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/screenshot_report.py OUT_PREFIX")
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("chromium is not installed: apt-get install chromium")
    one, other = (selected(seed) for seed in (0, 1))
    with tempfile.TemporaryDirectory() as work, sync_playwright() as started:
        page = report(one, Path(work) / "page.html", title="600 planted rows", source="scored.parquet")
        changed = report(other, Path(work) / "changed.html", before=one, title="600 planted rows, asked a second time")
        opened = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            shot = Photographer(opened, out, scheme)
            shot.take("page", page, [])
            shot.take("why", page, ["#reasons button:has-text('always_solved')", ".cell >> nth=1"])
            shot.take("lose", page, [("#handle-min_cde", "0.4"), ("#handle-min_replacement_cde", "0.4")])
            shot.take("changed", changed, ["#changes button:has-text('went out')", ".cell >> nth=0"])
            shot.take("narrow", page, [".cell >> nth=1"], width=400)
        opened.close()


def selected(seed: int) -> Any:
    rollouts = Rollouts(demo_engine(), attempts=5, max_new_tokens=64, seed=seed)
    evidence = collect_evidence(make_planted(ROWS), rollouts)
    return select_cognitive(add_scores(evidence, cde_score, difficulty_score))


class Photographer:
    """Takes pictures of pages in one colour scheme."""

    def __init__(self, browser: Any, out: Path, scheme: str) -> None:
        self.browser, self.out, self.scheme = browser, out, scheme

    def take(self, name: str, path: Path, clicks: list[Any], width: int = 1440) -> None:
        """Open a page, click, and photograph what is there then; a pair is a field and what is typed into it."""
        height = 900 if width > 700 else 800
        page = self.browser.new_page(viewport={"width": width, "height": height}, color_scheme=self.scheme)
        page.goto(f"file://{path}")
        page.wait_for_selector("#grid[data-ready]")
        for click in clicks:
            if isinstance(click, tuple):
                page.fill(*click)
                page.dispatch_event(click[0], "change")
            else:
                page.click(click)
        page.wait_for_timeout(400)
        picture = self.out.with_name(f"{self.out.name}-{name}-{self.scheme}.png")
        page.screenshot(path=str(picture))
        page.close()
        with Image.open(picture) as photo:
            photo.convert("P", palette=Image.Palette.ADAPTIVE).save(picture, optimize=True)
        print(picture)


if __name__ == "__main__":
    main()
