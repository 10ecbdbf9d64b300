"""Copies docs/ to build/docs, where links that lead out of docs/ are text: a site has no file to send them to.

A notebook becomes a page with what its cells show, and its pictures files beside it.
"""

import json
import re
import shutil
from base64 import b64decode
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK_OUT = re.compile(r"(?<!!)\[([^\]]*)\]\((?:\.\./)+[^)]*\)")
STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
FENCED = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)


def without_links_out(text: str, depth: int) -> str:
    """`text` of a page `depth` folders below docs/, links above docs/ as their words; blocks of code stay as they are."""
    above = "../" * (depth + 1)
    parts = FENCED.split(text)
    for place in range(0, len(parts), 2):
        parts[place] = LINK_OUT.sub(lambda link: link[1] if f"]({above}" in link[0] else link[0], parts[place])
    return "".join(parts)


def page_of(notebook: dict, name: str) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its pictures by the name of their file."""
    parts, pictures = [], {}
    for number, cell in enumerate(notebook["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for place, output in enumerate(cell["outputs"]):
            data = output.get("data", {})
            if "image/png" in data:
                file = f"{name}-{number}-{place}.png"
                pictures[file] = b64decode("".join(data["image/png"]))
                parts.append(f"![What the cell above draws]({file})")
            elif "text/html" in data:
                # Styles of one cell would hold for the whole page; a blank line would end the HTML.
                html = STYLE.sub("", "".join(data["text/html"]))
                html = "\n".join(line for line in html.splitlines() if line.strip())
                parts.append(f'<div style="overflow-x:auto">\n{html}\n</div>')
            else:
                shown = "".join(data.get("text/plain") or output.get("text", ""))
                parts.append(f"```text\n{shown.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


def prepare(source: Path, target: Path) -> None:
    """Makes `target` anew."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    for notebook in target.rglob("*.ipynb"):
        text, pictures = page_of(json.loads(notebook.read_text("utf-8")), notebook.stem)
        notebook.with_suffix(".md").write_text(text, "utf-8")
        for file, content in pictures.items():
            (notebook.parent / file).write_bytes(content)
    for page in target.rglob("*.md"):
        depth = len(page.relative_to(target).parts) - 1
        page.write_text(without_links_out(page.read_text("utf-8"), depth), "utf-8")


if __name__ == "__main__":
    prepare(ROOT / "docs", ROOT / "build" / "docs")
