"""The blocks of code on README and the pages of docs, read by Sybil: their kinds, and when they run.

CONTRIBUTING.md ("Blocks of code on pages") says how a page is written; `test_blocks.py` holds it, by the sentences of
`block_checks.py` without running a block, and by running it as `block_runs.py` does.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from block_runs import evaluate
from sybil import Document, Region, Sybil
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
TIERS = ("fast", "slow", "exhaustive")  # when a block runs
RUN = ("python", "console")
COMPILED = ("py", "bash", "sh")

FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<kind>[^\n]*)\n", re.MULTILINE))
MARKS = DirectiveInHTMLCommentLexer("fast|slow|exhaustive|not run|file")
HIDDEN = DirectiveInHTMLCommentLexer("invisible-code(?:-block)?", "python")


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    kind: str
    code: str
    reason: str | None  # why it is not run
    tier: int  # place in TIERS
    line: int
    file: str | None  # the name under which it lies in the folder of the page
    output_of: "Block | None"  # a block of text: what printed it

    @property
    def runs(self) -> bool:
        """Whether it has to be run, or is what a block printed."""
        return self.reason is None and (self.kind in (*RUN, "text") or self.file is not None)


def parse(document: Document):
    """Sybil's parser: a region for each block; marks hold for the block below (a reason) or for all below (a tier)."""
    fences = [*FENCES(document)]
    inside = [(fence.start, fence.end) for fence in fences]
    others = [
        region
        for lexer in (MARKS, HIDDEN)
        for region in lexer(document)
        if not any(start < region.start < end for start, end in inside)
    ]
    tier, reason, file, last = 0, None, None, None
    for region in sorted([*fences, *others], key=lambda region: region.start):
        mark = region.lexemes.get("directive")
        if mark in TIERS:
            tier = TIERS.index(mark)
        elif mark == "not run":
            reason = region.lexemes["arguments"].strip()
        elif mark == "file":
            file = region.lexemes["arguments"].strip()
        else:
            kind = "python" if mark else region.lexemes["kind"].strip()
            line = document.text.count("\n", 0, region.start) + 1
            block = Block(kind, region.lexemes["source"], reason, tier, line, file, last if kind == "text" else None)
            reason, file, last = None, None, block
            yield Region(region.start, region.end, parsed=block, evaluator=evaluate)


SYBIL = Sybil([parse], path=str(ROOT), filenames=[Path(page).name for page in PAGES])


def read(page: str) -> Document:
    """A page of the repository."""
    return SYBIL.parse(ROOT / page)


def blocks(page: str, kind: str | None = None) -> list[Block]:
    """Of a page, in their order; of one kind, or all."""
    found = [example.parsed for example in read(page).examples()]
    return [block for block in found if kind in (None, block.kind)]


def whole(page: str) -> list[Document]:
    """A page behind those that it continues, all with one namespace: `<!-- continues: PAGE -->` at its top."""
    document = read(page)
    before = re.match(r"(?:#.*\s+)?<!-- continues: (\S+) -->", document.text)
    if before is None:
        return [document]
    documents = whole(before[1])
    document.namespace = documents[0].namespace
    return [*documents, document]


def tiers(page: str) -> set[int]:
    """Those in which something of the page runs."""
    return {block.tier for block in blocks(page) if block.runs}
