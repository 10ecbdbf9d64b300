"""Copies docs/ to build/docs, where links that lead out of docs/ are text: a site has no file to send them to."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK_OUT = re.compile(r"(?<!!)\[([^\]]*)\]\((?:\.\./)+[^)]*\)")
FENCED = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)


def without_links_out(text: str, depth: int) -> str:
    """`text` of a page `depth` folders below docs/, links above docs/ as their words; blocks of code stay as they are."""
    above = "../" * (depth + 1)
    parts = FENCED.split(text)
    for place in range(0, len(parts), 2):
        parts[place] = LINK_OUT.sub(lambda link: link[1] if f"]({above}" in link[0] else link[0], parts[place])
    return "".join(parts)


def prepare(source: Path, target: Path) -> None:
    """Makes `target` anew."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    for page in target.rglob("*.md"):
        depth = len(page.relative_to(target).parts) - 1
        page.write_text(without_links_out(page.read_text("utf-8"), depth), "utf-8")


if __name__ == "__main__":
    prepare(ROOT / "docs", ROOT / "build" / "docs")
