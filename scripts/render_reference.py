"""Write docs/reference from the code: columns, reasons and error codes, commands with their options, names in Python,
layouts, prompts, the numbers of papers and rules.

python scripts/render_reference.py
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import click
from page_tables import table
from render_api import PAGES as API_PAGES
from render_manifest import manifest_page
from render_reasons import all_reasons
from render_recipes import papers_page
from render_rules import rules_page

from hf_rap import columns
from hf_rap.cli import GROUPS, cli
from hf_rap.columns import MAKERS, Column
from hf_rap.rows.examples import table as layouts_table
from hf_rap.rows.presets import presets_table

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_LONG_TYPE = 40  # characters; of a longer one only the outside is shown
WHAT_TO_DO = {
    "no_image": "Nothing, or `hf-rap select --text-rows band` beside rows with images; where there is none, `--method difficulty`.",
    "gold_unreadable": "Give a short final answer (`--answer`), or a grader of your own (`--verifier`).",
    "question_missing": "Name the column (`--question`), or leave the row out.",
    "image_unreadable": "Write the picture anew; `hf-rap inspect` says what is wrong with it.",
    "placeholder_mismatch": "Name the columns of all pictures (`--images a,b`), or mend the text.",
    "too_long": "A smaller picture (`--max-pixels`), a shorter `--max-new-tokens`, or a model with more room.",
    "engine_failed": "Read the message; start the same command again with `--retry-errors`.",
    "not_judged": "`hf-rap score --regrade` with another `--verifier`.",
    "rate_unknown": "Roll these rows out yourself.",
    "cut_off": "`hf-rap rollouts --continue-cut --max-new-tokens N` on the same `--run`.",
    "below_prescreen": "An earlier release left it out: roll it out.",
    "below_probe": "Roll out without `--probe`, on the same `--run`.",
    "options_unreadable": "Name the options (`--choices`).",
    "several_turns": "Say which question is asked (`--turns`).",
    "in_test_set": "Nothing: it was asked for (`--without`).",
    "media_unsupported": "Leave the row out: only pictures are asked about.",
    "line_broken": "Mend the line that the message names.",
    "image_missing": "Name the folder of the pictures (`--media-root`).",
    "steps_missing": "`hf-rap annotate-steps --steps-by`, or leave the row out.",
    "score_invalid": "Score the step again.",
    "reply_empty": "Nothing: there is nothing to look at.",
    "reply_too_short": "Nothing: one token alone is not compared.",
    "image_tokens_changed": "Read with the prompt, the processor and the pixels of the rollouts.",
    "tokens_changed": "Read with the model of the rollouts, or keep its tokens (`--keep-ids`).",
    "text_empty": "Spell the gold answer in letters that the model reads.",
    "text_unknown": "Spell the gold answer in letters that the model reads; keep the tokens of replies (`--keep-ids`).",
    "no_donor": "More rows, or the control `blank`.",
    "not_asked": "Roll the row out first.",
}
CODES = {
    "rap_error": columns.ERROR_CODES,
    "the `error` of an attempt in `rap_attention`": columns.ATTENTION_ERROR_CODES,
    "rap_likelihood_error": columns.LIKELIHOOD_ERROR_CODES,
    "the `error` of a reply in `rap_reply_logprobs`": columns.REPLY_ERROR_CODES,
    "the error of a control, `rap_blank_error` and so on": columns.CONTROL_ERROR_CODES,
}


def columns_page() -> str:
    """Every column, in the order of the file that says what they mean."""
    named = [value for value in vars(columns).values() if isinstance(value, Column)]
    every = {each.name: each for each in (*named, *columns.CONTROL_EVIDENCE)}
    rows = [
        (f"`{each.name}`", _type(each.dtype), plain(each.meaning), MAKERS.get(each.name, "")) for each in every.values()
    ]
    return f"""# Columns

All that hf-rap adds begins with `rap_`, and stands beside the columns of your dataset. Evidence is what a model did (made once, hours on a GPU), scores are
numbers made from it, decisions say keep or not and why (both seconds, redone at any time). **Null always means unknown**, never 0.

{_table(("column", "type", "meaning", "made by"), rows)}
"""


def reasons_page() -> str:
    """Reasons of every method, and codes of errors with what to do."""
    parts = []
    for where, codes in CODES.items():
        rows = [(f"`{code}`", plain(meaning), WHAT_TO_DO[code]) for code, meaning in codes.items()]
        title = where if " " in where else f"`{where}`"
        parts.append(f"## Codes in {title}\n\n{_table(('code', 'meaning', 'what to do'), rows)}\n")
    return f"""# Reasons and error codes

Every row of a selection has one reason, in `rap_reason`. A row that could not be scored has the code of its error as reason; the cell of the error is
`code: message`.

{chr(10).join(parts)}
## Reasons of the methods

{all_reasons()}
"""


def commands_page() -> str:
    """Every command in the groups of `hf-rap --help`, with all its options."""
    parts = [
        "# Commands\n",
        "`hf-rap COMMAND --help` says the same. Installed beside `huggingface_hub` it is also `hf rap`.\n",
    ]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in names:
            command = cli.get_command(click.Context(cli), name)
            assert command is not None, name
            parts.append(f"### hf-rap {name}\n\n{_help(command)}\n")
            words = [each.human_readable_name for each in command.params if isinstance(each, click.Argument)]
            parts.append(f"`hf-rap {' '.join([name, '[OPTIONS]', *words])}`\n")
            rows = [(_spelling(each), _said(each)) for each in command.params if isinstance(each, click.Option)]
            parts.append(_table(("option", "meaning"), rows) + "\n")
    return "\n".join(parts)


def layouts_page() -> str:
    """Every layout that is recognised."""
    head = """# Layouts

Each row below is recognised by the names of its columns, and read as the table says; [your data](../your-data.md) says what to do with any other.
"""
    return f"{head}\n{layouts_table()}\n"


def prompts_page() -> str:
    """Every prompt that has a name."""
    head = """# Prompts by name

Texts as JSON writes them, so that spaces at the ends and line breaks are seen. They are those of the files that are named, to the letter;
[prompts](../prompts.md) says how they are used.
"""
    return f"{head}\n{presets_table()}\n"


PAGES = {
    "columns.md": columns_page,
    "reasons.md": reasons_page,
    "commands.md": commands_page,
    "layouts.md": layouts_page,
    "prompts.md": prompts_page,
    "papers.md": papers_page,
    "rules.md": rules_page,
    "manifest.md": manifest_page,
    **API_PAGES,
}


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(table(head, rows))


def _type(dtype: str) -> str:
    outside, struct, _ = dtype.partition("struct<")
    is_long = len(dtype) > _LONG_TYPE and struct
    return f"`{outside}struct<...>{'>' * outside.count('<')}`" if is_long else f"`{dtype}`"


def _help(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "").replace("\b", "")
    return "\n\n".join(plain(" ".join(part.split())) for part in text.split("\n\n"))


def plain(text: str) -> str:
    """As Markdown that shows these very letters."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;").replace("*", "\\*") for part in parts)


def _spelling(option: click.Option) -> str:
    names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    choices = getattr(option.type, "choices", None)
    return f"{names} {', '.join(map(str, choices))}" if choices else names


def _said(option: click.Option) -> str:
    needed = " Required." if option.required else ""
    return plain(f"{option.help or ''}{needed}")


def main() -> None:
    """With --check nothing is written: it fails where a page is not what it would write."""
    written = {FOLDER / name: write() for name, write in PAGES.items()}
    if "--check" in sys.argv:
        old = [path for path, text in written.items() if not path.is_file() or path.read_text("utf-8") != text]
        sys.exit(f"python scripts/render_reference.py writes anew: {', '.join(map(str, old))}" if old else 0)
    for path, text in written.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
