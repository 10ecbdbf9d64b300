"""The page about rules is what the table of rules says."""

from pathlib import Path

from hf_rap.select import METHODS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")


def test_the_page_is_written_from_the_table(monkeypatch):
    """Rendered again by the script that writes it; every method has its part."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from render_rules import page

    assert page() == TEXT
    assert [name for name in METHODS if f"\n## {name}\n" not in TEXT] == []
