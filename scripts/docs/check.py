"""Reads the built site: every link, anchor and picture is there, nothing is loaded from another host, no page is left out.

    scripts/docs/check.py SITE DOCS

Prints what is wrong, a line each, and fails; otherwise says what it read.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src")}
NOT_LOADED = {"canonical", "prev", "next", "alternate", "edit"}


class Page(HTMLParser):
    """What a page names and leads to: `anchors`, `links` and `loads`, addresses as they are written."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors, self.links, self.loads = {"", "__top"}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Keeps what a tag names or leads to."""
        values = dict(attrs)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        for name in ("href", "src"):
            if values.get(name) is None:
                continue
            is_loaded = (tag, name) in LOADED and values.get("rel") not in NOT_LOADED
            (self.loads if is_loaded else self.links).append(values[name])


def target_of(address: str, path: Path, site: Path) -> Path | None:
    """The file that an address on the page `path` leads to, whether it is there or not; None on another host."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    # The page of what is not found is served at any depth, so its addresses begin at the root.
    beginning = site if parts.path.startswith("/") else path.parent
    target = (beginning / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    return target / "index.html" if target.is_dir() else target


def dead_of(path: Path, pages: dict[Path, Page], site: Path) -> list[str]:
    """Of one page: what it loads from elsewhere, and its addresses that lead nowhere."""
    page, shown = pages[path], path.relative_to(site)
    dead = [f"{shown}: loads {address} from another host" for address in page.loads if urlsplit(address).netloc]
    for address in page.links + page.loads:
        target = target_of(address, path, site)
        if target is None:
            continue
        if not target.is_file():
            dead.append(f"{shown}: {address} leads to no file")
        elif target in pages and unquote(urlsplit(address).fragment) not in pages[target].anchors:
            dead.append(f"{shown}: {address} leads to no place on its page")
    return dead


def problems_of(site: Path, docs: Path) -> list[str]:
    """One sentence for each thing that is wrong."""
    site = site.resolve()
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    problems = [
        f"{source}: the site has no page of it"
        for source in sorted(docs.rglob("*.md"))
        if site / source.relative_to(docs).with_suffix(".html") not in pages
    ]
    reachable = {site / "index.html", site / "404.html"}
    for path, page in pages.items():
        problems += dead_of(path, pages, site)
        reachable |= {
            target for address in page.links if (target := target_of(address, path, site)) not in (None, path)
        }
    problems += [
        f"{path.relative_to(site)}: no page leads to it; name it under nav in mkdocs.yml"
        for path in pages
        if path not in reachable
    ]
    return problems if pages else [f"{site}: no page was built"]


if __name__ == "__main__":
    site, docs = map(Path, sys.argv[1:])
    problems = problems_of(site, docs)
    if problems:
        sys.exit("\n".join(problems))
    sizes = [path.stat().st_size for path in site.rglob("*") if path.is_file()]
    print(
        f"{len(list(site.rglob('*.html')))} pages, {sum(sizes) / 1e6:.1f} MB: every link, anchor and picture is there"
    )
