"""Pages for reading are short, say what to read next, and send nobody to a file that an installed hf-rap lacks."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    page.relative_to(DOCS).as_posix(): page.read_text(encoding="utf-8")
    for page in sorted(DOCS.rglob("*.md"))
    if "reference" not in page.relative_to(DOCS).parts
    and page.name not in ("glossary.md", "troubleshooting.md")  # these are for looking up
}
MOST = 1000  # words


def words(text):
    """What has a letter or a digit, with its punctuation; bars of tables and rules are none."""
    return [word for word in text.split() if any(letter.isalnum() for letter in word)]


def faults(text):
    """What a page of this text is not as it should be."""
    found = []
    if len(words(text)) > MOST:
        found.append(f"{len(words(text))} words")
    if not re.search(r"^Next: \[[^\n]*\n*\Z", text, re.MULTILINE):
        found.append("does not end with a line Next: [...]")
    shown = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    if re.search(r"\b(?:scripts|benchmarks|tests)/\w|`make [a-z]", shown) and "in the repository" not in text.lower():
        found.append("names files that a wheel lacks, and does not say: in the repository")
    return found


def test_pages_are_short_and_lead_on():
    """At most a thousand words, tables and code among them; a line with the next page at the end."""
    assert {name: faults(text) for name, text in PAGES.items() if faults(text)} == {}


def test_faults_are_found():
    """Each of the three, and none in a page as it should be."""
    good = "# Runs\n\n| a | b |\n|---|---|\n\nNext: [Servers](servers.md)\n"
    assert faults(good) == []
    assert faults("# Runs\n") == ["does not end with a line Next: [...]"]
    assert faults("word " * 1000 + f"\n{good}") == ["1005 words"]
    named = f"Run `benchmarks/runs.py`.\n\n{good}"
    assert len(faults(named)) == 1
    assert faults(f"In the repository, {named}") == []


def headings(page):
    """The addresses of a page's headings, as the site and GitHub make them."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    plain = [re.sub(r"[^\w\s-]", "", line.lstrip("#")).strip().lower() for line in text.splitlines() if line[:1] == "#"]
    names = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)  # the site puts a heading with this very address there
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain} | set(names)


def test_links_lead_somewhere():
    """To a file, and to a heading of it; `make docs` looks again at the built site."""
    dead = []
    for page in sorted(DOCS.rglob("*.md")):
        text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(((?!https?:)[^)\s]*)\)", text):
            name, _, heading = target.partition("#")
            path = page.parent / name if name else page
            if not path.exists() or (heading and heading not in headings(path)):
                dead.append((page.name, target))
    assert dead == []
