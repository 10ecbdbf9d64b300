"""The blocks of code on README and the pages of docs, read by Sybil: their kinds, when they run, and what is wrong with them.

CONTRIBUTING.md ("Blocks of code on pages") says how a page is written; `test_blocks.py` holds it.
"""

import ast
import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from doctest import ELLIPSIS, OutputChecker
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path
from unittest import mock

import click
import yaml
from markdown_it import MarkdownIt
from sybil import Document, Region, Sybil
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, RawFencedCodeBlockLexer

import hf_rap
from hf_rap import plugins
from hf_rap.cli import COMMANDS, cli, main
from hf_rap.errors import SettingError, SourceError

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
TIERS = ("", "slow", "exhaustive")  # the marks of a block that runs
RUN = ("python", "console")
COMPILED = ("py", "bash", "sh")
READ = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "csv": lambda text: [*csv.reader(text.splitlines(), strict=True)],
}

FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<kind>[^\n]*)\n", re.MULTILINE))
MARKS = DirectiveInHTMLCommentLexer("slow|exhaustive|not run|file")
HIDDEN = DirectiveInHTMLCommentLexer("invisible-code(?:-block)?", "python")
# An output may leave out what differs from run to run: `...` stands for anything.
OUTPUT = OutputChecker()


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


# What is wrong with a block, without running it.


def problems(page: str) -> list[str]:
    """A sentence for each, with its line."""
    found = [
        f"{page}:{token.map[0] + 1}: an indented block has no kind; put it between fences and say which."
        for token in MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8"))
        if token.type == "code_block"
    ]
    for block in blocks(page):
        found += [f"{page}:{block.line}: {problem}" for problem in _problems(block)]
    return found


def _problems(block: Block):
    if block.kind in COMPILED and not block.reason:
        yield f"`{block.kind}` is not run, and nothing says why: `<!-- not run: REASON -->` above it, or make it `{RUN[block.kind != 'py']}`."
    if block.reason == "":
        yield "`<!-- not run: REASON -->` lacks its reason."
    if block.kind in ("python", "py"):
        yield from _of_python(block)
    elif block.kind in ("console", "bash", "sh"):
        yield from _of_commands(block)
    elif block.kind == "text":
        if (
            block.reason is None
            and block.file is None
            and (block.output_of is None or block.output_of.kind not in (*RUN, "text"))
        ):
            yield "`text` is the output of the block above it, which is neither `python` nor `console`."
    elif block.kind in READ:
        try:
            READ[block.kind](block.code)
        except ValueError as error:
            yield f"this is no {block.kind}: {error}"
    else:
        kinds = ", ".join([*RUN, "text", *COMPILED, *READ])
        yield f"a block of the kind `{block.kind}` is one that nothing checks; the kinds are {kinds}."


def _of_python(block):
    try:
        tree = ast.parse(block.code)
    except SyntaxError as error:
        yield f"this is no Python: {error}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hf_rap":
            module = import_module(node.module)
            yield from (f"{node.module} has no {name.name}." for name in node.names if not hasattr(module, name.name))
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "hf_rap":
                    import_module(name.name)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hf_rap" and not hasattr(hf_rap, node.attr):
            yield f"hf_rap has no {node.attr}."


def _of_commands(block):
    if block.kind == "console" and not block.code.startswith("$ "):
        yield "`console` begins with a command, behind `$ `."
    try:
        lines = [words for command, _ in commands(block) for words in split(command)]
    except ValueError as error:
        yield f"a shell would not read this: {error}"
        return
    for words in lines:
        problem = misuse(words)
        if problem:
            yield f"`{' '.join(words)}`: {problem}"


def commands(block: Block) -> list[tuple[str, str]]:
    """Each command of a block with what stands below it: in `console` its output, in `bash` nothing."""
    text = block.code.replace("\\\n", " ")
    if block.kind != "console":
        return [(line, "") for line in text.splitlines()]
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [part.partition("\n")[::2] for part in parts]


def split(line: str) -> list[list[str]]:
    """The words of each command of a line, without its remark and what is set before it. (For shlex a word ends at `#`.)"""
    line = re.sub(r"(?:^|(?<=\s))#.*", "", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split, lexer.commenters = True, ""
    found = [[]]
    for word in lexer:
        if set(word) <= set("&|;"):
            found.append([])
        elif found[-1] or not re.match(r"\w+=", word):
            found[-1].append(word)
    return [words for words in found if words]


@cache
def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def misuse(words: list[str]) -> str | None:
    """What is wrong with a command of ours, a target or a script of the repository; of other programs nothing is known."""
    program, *rest = words
    if program == "make":
        unknown = [word for word in rest if "=" not in word and word not in _targets()]
        return f"the Makefile has no {unknown[0]}" if unknown else None
    scripts = [word for word in words if re.match(r"(?:scripts|benchmarks|tests)/.*\.(?:py|sh)$", word)]
    if missing := [name for name in scripts if not (ROOT / name).is_file()]:
        return f"there is no {missing[0]}"
    if program == "hf-rap":
        return _misuse_of_ours(rest)
    if "-m hf_rap" in " ".join(words):
        return _misuse_of_ours(words[words.index("hf_rap") + 1 :])
    return None


def _misuse_of_ours(words):
    while words[:1] == ["--plugin"]:
        words = words[2:]
    if words in (["--help"], ["--version"]):
        return None
    if not words or words[0] not in COMMANDS:
        return f"hf-rap has no command {words[:1]}"
    command = cli.get_command(click.Context(cli), words[0])
    try:  # all that click looks at, but for files: those of a page are not here
        with mock.patch.object(click.Path, "convert", lambda self, value, param, ctx: value):
            command.make_context(words[0], words[1:])
    except click.UsageError as error:
        return error.format_message()
    except (SettingError, SourceError):  # files of a page, and names that its plugins bring
        return None
    return None


# What a block does when it runs.


def evaluate(example) -> str | None:
    """Runs one in the current folder; a sentence where it does not do or print what the page says."""
    block, names = example.parsed, example.namespace
    if block.file is not None:
        Path(block.file).write_text(block.code, encoding="utf-8")
    if block.kind == "python":
        code = compile("\n" * block.line + block.code, example.path, "exec", dont_inherit=True)
        names["__name__"] = "__main__"
        for name in taken_for_granted(block.code) & {*names["__given__"]} - {*names}:
            names[name] = names["__given__"][name]()
        with redirect_stdout(StringIO()) as out:
            exec(code, names)
        names["__printed__"] = [out.getvalue()]
    elif block.kind == "console":
        names["__printed__"] = []
        for command, wanted in commands(block):
            code, *printed = _run(command)
            if code:
                return f"`{command}` ended with {code}: {printed[-1]}"
            if wanted.strip() and (trouble := _differs(wanted, printed)):
                return f"`{command}`: {trouble}"
            names["__printed__"] = printed
    elif block.kind == "text" and block.file is None:
        return _differs(block.code, names["__printed__"])
    return None


def taken_for_granted(code: str) -> set[str]:
    """Names that a block reads before it sets them."""
    read, told = set(), set()
    for statement in ast.parse(code).body:
        found = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        read |= {node.id for node in found if isinstance(node.ctx, ast.Load)} - told
        told |= {node.id for node in found if isinstance(node.ctx, ast.Store)}
    return read


def _differs(wanted: str, printed: list[str]) -> str | None:
    """None where it is one of these: what went to stdout, or all that was said."""
    if any(OUTPUT.check_output(wanted.strip("\n") + "\n", text.strip("\n") + "\n", ELLIPSIS) for text in printed):
        return None
    return f"the page has\n{wanted}\nbut this was printed\n{printed[0]}"


class Both(StringIO):
    """Text that another one takes, too."""

    def __init__(self, other: StringIO) -> None:
        super().__init__()
        self.other = other

    def write(self, text: str) -> int:
        self.other.write(text)
        return super().write(text)


def _run(command: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stdout with stderr: ours in this process, where the libraries are loaded, others by a shell."""
    (words, *more) = split(command)
    if words[0] != "hf-rap" or more:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=env)
        return done.returncode, done.stdout, done.stdout + done.stderr
    everything = StringIO()
    out = Both(everything)
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(everything))
        stack.enter_context(mock.patch.object(sys, "argv", words))
        stack.enter_context(mock.patch.object(sys, "path", [*sys.path]))
        stack.enter_context(mock.patch.object(plugins, "_named", {}))
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    return code, out.getvalue(), everything.getvalue()
