"""The pages under Help: glossary."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
LINK = re.compile(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)")


def sections(page):
    """Heading -> text below it."""
    return dict(part.split("\n", 1) for part in (DOCS / page).read_text("utf-8").split("\n## ")[1:])


def test_every_word_of_the_glossary_leads_to_its_page():
    """In the order of the alphabet, in at most three sentences; `see` another word is enough."""
    words = sections("glossary.md")
    asked = "Arm Attempt Evidence Gold Planted Version Floor Band Jaccard GRPO cde Posterior Prior Probe Part Rule Reason Shard"
    assert {*asked.split(), "Pass rate", "Run folder"} <= set(words)
    assert list(words) == sorted(words, key=str.lower)
    for word, text in words.items():
        assert LINK.search(text) or text.strip().startswith("See ["), word
        prose = LINK.sub("", text)
        assert len(re.findall(r"[.:] [A-Z`\[]", prose)) <= 4, word
