"""What is wrong with a block of a page, found without running it: a sentence for each."""

import ast
import csv
import json
import re
import tomllib
from functools import cache
from importlib import import_module
from unittest import mock

import click
import yaml
from block_runs import commands, split
from blocks import COMPILED, ROOT, RUN, Block, blocks
from markdown_it import MarkdownIt

import hf_rap
from hf_rap.cli import COMMANDS, cli
from hf_rap.errors import SettingError, SourceError

READ = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "csv": lambda text: [*csv.reader(text.splitlines(), strict=True)],
}


def problems(page: str) -> list[str]:
    """A sentence for each, with its line."""
    found = [
        f"{page}:{token.map[0] + 1}: an indented block has no kind; put it between fences and say which."
        for token in MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8"))
        if token.type == "code_block"
    ]
    for block in blocks(page):
        found += [f"{page}:{block.line}: {problem}" for problem in problems_of(block)]
    return found


def problems_of(block: Block):
    if block.kind in COMPILED and block.reason is None:
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
        except (ValueError, yaml.YAMLError, csv.Error) as error:
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
    if block.kind == "console" and not re.match(r"(# .*\n)*\$ ", block.code):
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
    plugged = words[:1] == ["--plugin"]
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
    except SettingError as error:
        return None if plugged else str(error)  # a plugin brings names of its own
    except SourceError:  # of a file that the page writes
        return None
    return None
