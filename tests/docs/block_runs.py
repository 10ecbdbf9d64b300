"""What a block of a page does when it runs."""

import ast
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from doctest import ELLIPSIS, OutputChecker
from io import StringIO
from pathlib import Path
from unittest import mock

from hf_rap import plugins
from hf_rap.cli import main

ROOT = Path(__file__).parents[2]
# An output may leave out what differs from run to run: `...` stands for anything.
OUTPUT = OutputChecker()


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
            if wanted.strip() and (trouble := _differs(wanted, printed, part=False)):
                return f"`{command}`: {trouble}"
            names["__printed__"] = printed
    elif block.kind == "text" and block.file is None:
        return _differs(block.code, names["__printed__"], part=len(names["__printed__"]) > 1)
    return None


def commands(block) -> list[tuple[str, str]]:
    """Each command of a block with what stands below it: in `console` its output, in `bash` nothing."""
    text = block.code.replace("\\\n", " ")
    if block.kind != "console":
        return [(line, "") for line in text.splitlines()]
    text = re.sub(r"^# .*\n", "", text, flags=re.MULTILINE)  # remarks
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


def taken_for_granted(code: str) -> set[str]:
    """Names that a block reads before it sets them."""
    read, told = set(), set()
    for statement in ast.parse(code).body:
        found = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        read |= {node.id for node in found if isinstance(node.ctx, ast.Load)} - told
        told |= {node.id for node in found if isinstance(node.ctx, ast.Store)}
    return read


def _differs(wanted: str, printed: list[str], part: bool) -> str | None:
    """None where it is one of these (what went to stdout, or all that was said), or whole lines of it."""
    wanted = wanted.strip("\n") + "\n"
    around = "...\n" if part else ""
    for text in printed:
        if OUTPUT.check_output(f"{around}{wanted}{around[:3]}", f"{around and chr(10)}{text}", ELLIPSIS):
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
    everything, code = StringIO(), 0
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
