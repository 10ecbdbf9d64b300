"""How results are printed: aligned pairs for people, JSON for programs."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hf_rap.errors import visible

if TYPE_CHECKING:
    from collections.abc import Mapping


def print_pairs(pairs: Mapping[str, object]) -> None:
    """One `name  value` per line, aligned; numbers with thousands separators."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        echo(f"{name:<{width}}  {shown}")


def pairs_of_cut(ds: Any, *, as_json: bool) -> dict[str, Any]:
    """The share of replies of each arm that hit the token limit, for the closing table or for programs."""
    from hf_rap.stats.cut import shares_cut

    names = {"image": "cut replies with the image", "text": "cut replies on the text alone"}
    shares = shares_cut(ds)
    if as_json:
        return {names[arm]: share for arm, share in shares.items()}
    return {names[arm]: "none asked" if share is None else f"{share:.1%}" for arm, share in shares.items()}


def print_stability(facts: Mapping[str, Any] | None) -> None:
    """How far a fresh scoring would agree with a selection, from the facts."""
    if not facts or "jaccard" not in facts:
        why = f" ({facts['unknown']})" if facts and facts.get("unknown") else ""
        echo(f"Expected agreement with a fresh scoring: unknown{why}")
        return
    echo(
        f"Expected agreement with a fresh scoring: {facts['jaccard']:.1%} of the rows of either (Jaccard), "
        f"{facts['lowest']:.1%} to {facts['highest']:.1%} in {facts['draws']} simulated pairs"
    )
    cells = [
        (f"{point['attempts']}", "unknown" if point["jaccard"] is None else f"{point['jaccard']:.1%}")
        for point in facts["curve"]
    ]
    for title, place in (("attempts", 0), ("agreement", 1)):
        echo(f"  {title:<9}  " + "  ".join(f"{cell[place]:>7}" for cell in cells))
    if facts["note"]:
        echo(f"  {facts['note']}")
    if facts.get("held_out"):
        from hf_rap.select.stability import sentence_of

        echo(f"  {sentence_of(facts['held_out'])}")


def print_health(facts: Mapping[str, Any] | None) -> None:
    """Whether model and rows fit each other, and what to do where they do not, from `Health.as_dict`."""
    from hf_rap.stats.health import health_of

    if facts is not None:
        echo(str(health_of(facts)))


def print_adaptive(facts: Mapping[str, Any] | None) -> None:
    """What an adaptive collection made and spared, from `describe_adaptive`."""
    if facts is None:
        return
    arms = (
        f"{arm} {counts['min']} to {counts['max']}, mean {counts['mean']:.2f}"
        for arm, counts in facts["per_row"].items()
    )
    echo(f"Attempts per row: {'; '.join(arms)}")
    if facts["attempts_spared"] is not None:
        planned = facts["attempts"] + facts["attempts_spared"]
        echo(f"Attempts spared: {facts['attempts_spared']:,} of {planned:,} ({_share(facts, 'attempts')})")
        if facts["tokens_spared"] is not None:
            echo(f"Tokens spared: about {facts['tokens_spared']:,} ({_share(facts, 'tokens')})")


def _share(facts: Mapping[str, Any], name: str) -> str:
    spared, made = facts[f"{name}_spared"], facts[name]
    return f"{spared / (spared + made):.1%}" if spared + made else "none"


def print_json(value: Any) -> None:
    """`value` as JSON on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo("\n".join(line if line.isprintable() else "".join(map(_in_json, line)) for line in text.split("\n")))


def note(text: str) -> None:
    """A line for people, on stderr, so that stdout stays data."""
    echo(text, err=True)


def echo(text: object = "", *, err: bool = False) -> None:
    """Text with names and words of others in it: what would steer the terminal, or turn letters round, is spelled out."""
    click.echo("\n".join("\t".join(map(_line, line.split("\t"))) for line in str(text).split("\n")), err=err)


def _in_json(letter: str) -> str:
    """DEL, C1 and bidirectional characters, which JSON does not mind, as it spells others."""
    return letter if letter.isprintable() else "\\u007f" if letter == "\x7f" else json.dumps(letter)[1:-1]


def _line(text: str) -> str:
    return text if text.isprintable() else visible(text, len(text))


def paste(*words: object) -> str:
    r"""A command of ours to paste into a shell, every word quoted where it needs to be.

    A path is never taken for an option, and what would steer the terminal is written in the shell's own escapes.

    >>> paste("hf-rap", "select", "a$(touch b).parquet", Path("-a.parquet"))
    "hf-rap select 'a$(touch b).parquet' ./-a.parquet"
    >>> print(paste("a\x1b[2J"))
    $'a\x1b[2J'
    """
    return " ".join(map(_word, words))


def _word(word: object) -> str:
    text = f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
    if text.replace("\n", "").isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_in_shell, text))}'"


def _in_shell(letter: str) -> str:
    """A character between `$'` and `'`, as bash, zsh and ksh read it: bytes, so that no locale matters."""
    if letter in "\\'":
        return f"\\{letter}"
    return letter if letter.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))
