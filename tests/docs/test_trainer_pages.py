"""docs/trainers: the lines to paste are those that an export prints, and no trainer lacks its page."""

import re
from pathlib import Path

from hf_rap.exports.trainers import TRAINERS

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "trainers").glob("*.md")}


def test_lines_to_paste_are_those_of_an_export(monkeypatch):
    """Rendered again by the script that writes them."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from render_trainers import with_lines

    assert {name: with_lines(text) for name, text in PAGES.items()} == PAGES


def test_every_trainer_has_its_lines_on_one_page():
    """But the two layouts that belong to none."""
    marked = re.findall(r"<!-- scripts/render_trainers.py: ([\w-]+) -->", "".join(PAGES.values()))
    assert sorted(marked) == sorted(set(TRAINERS) - {"universal", "jsonl"})


def test_every_page_is_linked_from_the_overview():
    """Each trainer, and the parts that all have in common, in one click or along the next links."""
    overview = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((?:trainers/)?([\w-]+\.md)\)", "".join([overview, *PAGES.values()])))
    assert set(PAGES) <= linked
