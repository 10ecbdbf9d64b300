"""The pages about rules are what the table of rules says."""

from pathlib import Path

from hf_rap.select import METHODS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_pages_are_written_from_the_table(monkeypatch):
    """Rendered again by the script that writes them; every method has its part."""
    monkeypatch.syspath_prepend(str(DOCS.parent / "scripts"))
    from render_rules import disagree, page, rules_page

    written = {"rules.md": page(), "rules/disagree.md": disagree(), "reference/rules.md": rules_page()}
    assert {name: (DOCS / name).read_text(encoding="utf-8") for name in written} == written
    assert [name for name in METHODS if f"\n## {name}\n" not in written["reference/rules.md"]] == []
