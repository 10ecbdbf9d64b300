"""Multiple choice: the options of a question, and the letters that an answer names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .words import same_words
from .writing import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_OPTION_MARKERS = (
    re.compile(r"\(([A-Z])\)"),
    re.compile(r"(?:^|(?<=[\s,;:]))([A-Z])[.．、](?=.)"),
    re.compile(r"(?:^|(?<=[\s,;:]))([A-Z])[):：]"),
    re.compile(r"\(([a-z])\)"),
    re.compile(r"(?:^|(?<=[\s,;:]))([a-z])\)"),
)
_KIND = r"(?:(?i:the|la|le|die|der)\s+)?(?:(?i:option|opción|choice|answer|letter|point|figure|graph|image|picture|选项)\s*)?"
_ALONE = re.compile(rf"{_KIND}[(\[]?([A-Z])[)\]]?(?:选项)?[.:]?|[(\[]?([a-z])[)\]]?[.:]?")
# Each separator can be read in one way only, else a long list takes for ever.
_SEVERAL = re.compile(
    r"[(\[]?[A-Z][)\]]?(?:(?:\s*[,;&、]\s*(?:and\s+)?|\s+and\s+|\s+|(?<=[)\]])(?=[(\[]))[(\[]?[A-Z][)\]]?)+"
)
# "B. 30", "(B), no", "B - blue", "B (no)"; "B, which"; never "A or D".
_WITH_TEXT = re.compile(
    rf"{_KIND}(?:[(\[]([A-Z])[)\]]\s*[.,:-]?|([A-Z])(?:[).:、]|\s+-\s(?=[A-Za-z]{{2}})|\s+(?=\([a-z]{{2}}))|([A-Z]),\s*(?=(?<=\s)(?:[a-z]{{2,}}|\d)|[\u4e00-\u9fff])(?!.*\b[A-Z]\b))\s*"
    r"((?!\s*(?:\(?[A-Z]\b(?!\s*$)|(?:is|are|was|can|could|must|or)\b|and\b|[,/&?]))(?!.*\b(?:or|and)\s+\(?[A-Z](?:[).:]|$)).+)"
)
_CAPITAL = re.compile("[A-Z]")
_LETTER_FIRST = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:]?\s+(.+)")
_TEXT_FIRST = re.compile(r"(.+?)\s*\(([A-Z])\)")
_BUT_NOT = re.compile(r"[,;]?\s+(?:(?:and|but)\s+)?(?:not|rather than|instead of)\s+(?:option\s+)?\(?[A-Z]\b.*")
_STATED = re.compile(
    r"\b(?i:option|choice|letter)\s*[:：]?\s*[(\[]?(?P<a>[A-Z])\b"
    r"|(?:\b(?i:say|leaves|so,?|thus,?|hence,?|therefore,?)|[→⇒])\s+[(\[*]*(?P<g>[A-Z])[.!)\]*]*\s*$"
    r"|\b(?i:choos\w+|select\w*|pick\w*|go(?:ing)?\s+with|went\s+with|it'?s|it\s+is|must\s+be)\s+[(\[*]*(?P<b>[A-Z])(?=[.,;:!)\]*]|\s*$|\s+[-–—]\s|\s+(?:because|since|as)\b)"
    r"|(?<![\w(])[(\[*]*(?P<c>[A-Z])[)\]*.]*\s+(?:is|would\s+be|must\s+be|seems)\s+(?:the\s+)?(?:only\s+)?(?:correct|right|best|answer|true)\b(?!-)"
    r"|\((?P<d>[A-Z])\)"
    r"|选(?:项|择)?\s*[:：]?\s*[(（]?(?P<e>[A-Z])|(?P<f>[A-Z])(?:选项)?(?:是|为)?(?:正确|对的)"
)
_ALL = re.compile(
    r"(?:\b[Bb]oth\s+)?\b([A-Z](?:\s*,\s*[A-Z])*\s*,?\s+and\s+[A-Z])\s+are\s+(?:both\s+|all\s+)?(?:the\s+)?(?:correct|right|true)\b"
)
_MAYBE = re.compile(
    r"\b(?:or|maybe|perhaps|possibly|(?:might|could)\s+(?:also\s+)?be)\s+(?:(?:option|maybe|perhaps|possibly|even)\s+)*[(\[]?([A-Z])[)\].!?]*$"
)
_CONFIRMED = re.compile(r"[)\]*]*\s+is\s+(?:the\s+)?(?:only\s+)?(?:correct|right|best|answer)\b")
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|neither|nor|than|of|unlike|except|exclud\w+|eliminat\w+|rul\w+\s+out|like|from|with|between)|n't|不选?|排除)\s+(?:the\s+)?(?:option\s+|choice\s+)?$",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"[)\]*]*\s*(?:\([^)]*\)\s*)?(?:选项)?\s*(?:(?:is|are|was|seems|looks|must be|can|could|does|do|would)\s*)?(?:also\s+|both\s+|all\s+|clearly\s+)?"
    r"(?:incorrect|wrong|false|not\b|n't\b|impossible|是?错|不|是不)",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\b(?:not|no|never|neither|nor|than|except|without|unlike|followed by|compared (?:to|with))\b|n't\b", re.IGNORECASE
)

_CLAUSE = re.compile(r"[,;.:]\s|\bbut\b")
_SO = re.compile(r"\b(?:so|thus|hence|therefore)\b,?\s")


class Choice(NamedTuple):
    """The letters that an answer names ("B", or "AC" for several), and the option's text behind them."""

    letters: str
    text: str = ""


def read_options(question: str, options: Sequence[str] | None = None) -> dict[str, str]:
    """The options of a multiple-choice question by letter; empty when they cannot be told apart.

    `options` goes before what stands in the question, where these forms are known: "(A) 30 (B) 40", "A. 30",
    "A) 30", "A: 30", "(a) 30", "a) 30", on one line or on several. The letters must run A, B, C, ... and each needs a text of its own.

    >>> read_options("How many? Choices: (A) 30 (B) 40")
    {'A': '30', 'B': '40'}
    >>> read_options("How many?", ["A. 30", "B. 40"]), read_options("How many?", ["thirty", "forty"])
    ({'A': '30', 'B': '40'}, {'A': 'thirty', 'B': 'forty'})
    """
    if options is not None:
        marked = all(re.match(rf"\(?{letter}[).:、]", text) for letter, text in zip(LETTERS, options, strict=False))
        texts = [clean(re.sub(r"^\(?[A-Z][).:、]+", "", text) if marked else text) for text in options]
        return dict(zip(LETTERS, texts, strict=False))
    if not question:
        return {}
    for marker in _OPTION_MARKERS:
        markers = list(marker.finditer(question))
        letters = "".join(match[1] for match in markers).upper()
        markers = markers[letters.rfind("A") :]
        letters = letters[letters.rfind("A") :]
        if len(letters) < 2 or letters != LETTERS[: len(letters)]:
            continue
        ends = [match.start() for match in markers[1:]] + [len(question)]
        texts = [
            clean(question[match.end() : end].strip().partition("\n")[0])
            for match, end in zip(markers, ends, strict=True)
        ]
        if not {"", "?", "!", "and", "or"} & set(texts) and len({text.casefold() for text in texts}) == len(texts):
            return dict(zip(letters, texts, strict=True))
    return {}


def read_choice(text: str, options: Mapping[str, str] | None = None) -> Choice | None:  # noqa: PLR0911 - one for each form
    """The option or options that a whole answer names.

    >>> read_choice("(B) 30"), read_choice("A, C"), read_choice("A or C"), read_choice("a cat")
    (Choice(letters='B', text='30'), Choice(letters='AC', text=''), None, None)
    """
    if len(text) > 3 and not options and not _CAPITAL.search(text):
        return None
    text = text.replace("~", " ").strip()
    text = _BUT_NOT.sub("", text).rstrip(" ,.;:")
    if match := _ALONE.fullmatch(text):
        return Choice((match[1] or match[2]).upper()) if match[1] or match[2] in _lower(options) else None
    match = _LETTER_FIRST.fullmatch(text) if options else None
    if match and options and same_words(match[2], options.get(match[1].upper(), "")):
        return Choice(match[1].upper(), match[2])
    if _SEVERAL.fullmatch(text) or (re.fullmatch("[A-H]{2,6}", text) and "".join(sorted(set(text))) == text):
        return Choice("".join(sorted(set(re.findall("[A-Z]", text)))))
    match = _WITH_TEXT.fullmatch(text)
    if match and (match[1] or match[2] or match[3]) in (options or LETTERS):
        return Choice(match[1] or match[2] or match[3], match[4].strip(" ()"))
    if options and (match := _TEXT_FIRST.fullmatch(text)) and same_words(match[1], options.get(match[2], "")):
        return Choice(match[2], match[1])
    return None


def letter_of(text: str, options: Mapping[str, str]) -> str:
    """The first option with the words of a text, "" when none has them."""
    return next((letter for letter, option in options.items() if same_words(text, option)), "")


def choice_in_lines(lines: Sequence[str], options: Mapping[str, str]) -> Choice | None:
    """What the last line says that names an option: "B", "B. blue", "(B) is correct", "I would go with B".

    Lines that go through the options one by one name them all.
    """
    listed: set[str] = set()
    for line in reversed(lines):
        if choice := _choice_alone(line, options):
            listed.update(choice.letters)
        elif listed:
            break
        elif stated := _stated(line):
            return Choice(stated)
    return Choice("".join(sorted(listed))) if listed else None


def behind_list(lines: Sequence[str], options: Mapping[str, str]) -> Sequence[str]:
    """The conclusion behind lines that go through the options; all lines where none do, or no conclusion follows."""
    choices = [_choice_alone(line, options) for line in lines]
    last = max((place for place, choice in enumerate(choices) if choice), default=0)
    before = choices[last - 1] if last else None
    is_list = before and choices[last] != before
    return (is_list and lines[last + 1 :]) or lines


def _choice_alone(line: str, options: Mapping[str, str]) -> Choice | None:
    choice = read_choice(clean(line), options)
    return choice if choice and (len(choice.letters) > 1 or choice.text or len(line) < 20) else None


def _stated(line: str) -> str:
    if several := _ALL.search(line):
        return "".join(sorted(re.findall("[A-Z]", several[1])))
    stated = {"named": set[str](), "confirmed": set[str]()}
    for match in _STATED.finditer(line):
        denied = _DENIED_BEFORE.search(line[: match.start()][-40:]) or _DENIED_BEHIND.match(line, match.end())
        if not denied:
            confirmed = match["c"] or _CONFIRMED.match(line, match.end())
            stated["confirmed" if confirmed else "named"].update(filter(None, match.groups()))
    letters = stated["confirmed"] or stated["named"]
    return "".join(sorted(letters | set(_MAYBE.findall(line)))) if letters else ""


def option_named(line: str, options: Mapping[str, str]) -> str:
    """The letter of the one option whose text stands in a sentence, "" when none or several do; what follows "so" counts more."""
    if not options:
        return ""
    line = clean(line).casefold()
    *_, conclusion = _SO.split(line)
    named = _named(conclusion, options) or _named(line, options)
    return named[0] if len(named) == 1 else ""


def _named(line: str, options: Mapping[str, str]) -> list[str]:
    """The options whose text stands there, but not behind "not" or "than", nor inside the longer text of another."""
    texts = {letter: text.casefold() for letter, text in options.items() if len(text) > 1}
    named = [
        letter
        for letter, text in texts.items()
        if any(_NOT.search(text) or not denied for denied in _denials(text, line))
    ]
    return [
        letter for letter in named if not any(texts[letter] in texts[longer] for longer in named if longer != letter)
    ]


def _denials(text: str, line: str) -> Iterator[bool]:
    """For each place where the text stands, whether it is denied there."""
    for match in re.finditer(rf"(?<!\w){re.escape(text)}(?!\w)", line):
        yield bool(_NOT.search(_CLAUSE.split(line[: match.start()])[-1]))


def _lower(options: Mapping[str, str] | None) -> str:
    """Small letters that are options: "x" is one only where the question has so many."""
    return "".join(options).lower() if options else LETTERS[:10].lower()
