r"""Takes the final answer out of a text, and writes it in one plain way.

The text is a model's reply or a gold answer. A gold answer may be a whole solution: GSM8K ends in
"#### 42", multimodal-open-r1 has "<think>...</think><answer>42</answer>", MATH has "\boxed{42}".
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Only the end of a reply is searched for an answer that nothing marks.
MAX_TAIL_CHARS = 2000

_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_VULGAR_FRACTIONS = re.compile("[¼-¾⅐-⅞]")
# What looks like a minus, a degree sign or a common operator, and what is not printed at all.
_LOOKALIKES = str.maketrans({
    **dict.fromkeys("−–—‒‐‑﹣－", "-"),
    **dict.fromkeys("º˚", "°"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    "×": r"\times ",
    "·": r"\cdot ",
    "÷": "/",
    "⁄": "/",
    "π": r"\pi ",
    "√": r"\sqrt ",
    "∞": r"\infty ",
    "±": r"\pm ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "∠": r"\angle ",
    "≈": r"\approx ",
    **{letter: rf"\{unicodedata.name(letter).split()[-1].lower()} " for letter in "αβγδεηθλρστφω"},
})  # fmt: skip

# (what, by what), in this order. A tie (~) remembers that upright text was glued to what stands
# before it: `5\text{ m}` is five metres, `5m` may be five times m.
_LATEX = tuple((re.compile(pattern), by) for pattern, by in (
    (r"(?<!\\)\\[()\[\]]", ""),
    (r"\\(?:left|right)(?![a-zA-Z])(?:\.(?!\d))?|\\(?:[bB]igg?|displaystyle|limits)(?![a-zA-Z])", ""),
    (r"\{,\}|,\\!", ","),
    (r"\\!", ""),
    (r"(?<!\\)\\[,;: ]|\\q?quad(?![a-zA-Z])|~", " "),
    (r"\\[dtc]frac", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree(?![a-zA-Z])", "°"),
    (r"\\([%$#&])", r"\1"),
    (r"\\(?:leq|geq)(?![a-zA-Z])", lambda match: match[0][:-1]),
    (r"(?<=[\w)])\*\*(?=\d)", "^"),
    (r"\*\*|__|`", ""),
))  # fmt: skip
_MARKUP = re.compile(r"[\\*_~`{]")
_UPRIGHT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mbox|operatorname|bf|rm)\s*\{([^{}]*)\}"
)
_SPACES = re.compile(r"\s+")
_TRIMMED = ' \t\n\r.,;:。，；："“”'

_HAS_CONTENT = re.compile(r"[^\W_]|[<>=]")

_CUE = re.compile(
    r"(?:\banswers?\b|\bcorrect\s+(?:option|choice)\b|答案|故选)"  # the word
    r"(?:\s+(?:to|for)\s[^.\n]{1,80}?)?[\s*_]*"  # "to the question"
    r"(?:\b(?:is|are|would\s+be|should\s+be)\b|[:：=是为])[\s*_:：]*(?:\$\$\s*|\\\[\s*)?"
    r"|故选\s*(?=[A-J])",
    re.IGNORECASE,
)
# Ends the answer that follows a cue. "B. 30" and "Dr. Who" go on after the full stop.
_CLAUSE_END = re.compile(
    r"\n|。|(?<!^[A-Ja-j])(?<!\b[DMS][rst])(?<!\bMrs)\.\s|[,;]?\s+(?:because|since|which|where|as\s(?:it|the|there))\b"
)


@dataclass(frozen=True)
class Found:
    """What was taken for the answer; `marked` when the text itself says that this is it.

    Without a mark `text` is the last line and `opening` the first.
    """

    text: str
    marked: bool
    opening: str = ""


def find_answer(text: str) -> Found:
    r"""The final answer of a text, by the first of these that is there.

    1. Only the text after the last `</think>` counts; a `<think>` that is never closed leaves nothing.
    2. The last `\boxed{...}` with balanced braces. One that is empty or never closed is no answer.
    3. The last `<answer>...</answer>`, also when a stop string cut off the closing tag.
    4. `#### ...` when it is the last line.
    5. The last "the answer is ..." or "Answer: ...", up to the end of the sentence or the line.
    6. Otherwise the last line, as a guess (`marked` is False).

    >>> find_answer(r"Half of it, so \boxed{\frac{1}{2}}.")
    Found(text='\\frac{1}{2}', marked=True, opening='')
    >>> find_answer("I count them. There are\n12 dots.")
    Found(text='12 dots.', marked=False, opening='I count them. There are')
    """
    text = _after_thinking(text)
    for find in (_in_box, _in_tag, _after_hashes, _after_cue):
        answer = find(text)
        if answer is not None:
            inner = _after_cue(answer)
            return Found((inner or answer).strip(), marked=True)
    lines = [line for line in text.splitlines() if _HAS_CONTENT.search(line)] or [""]
    return Found(lines[-1].strip()[-MAX_TAIL_CHARS:], marked=False, opening=lines[0].strip()[:MAX_TAIL_CHARS])


def _after_thinking(text: str) -> str:
    text = text[text.rfind("</think>") + len("</think>") :] if "</think>" in text else text
    return text.partition("<think>")[0] if "<think>" in text else text


def _in_box(text: str) -> str | None:
    start = max(text.rfind(r"\boxed"), text.rfind(r"\fbox"))
    if start < 0:
        return None
    rest = text[start:].partition("box" if text.startswith(r"\fbox", start) else "boxed")[2].lstrip()
    if not rest.startswith("{"):
        return re.split(r"[\s$]", rest, maxsplit=1)[0]
    depth = 0
    for match in re.finditer(r"\\.|[{}]", rest, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return rest[1 : match.start()]
    return ""


def _in_tag(text: str) -> str | None:
    start = text.rfind("<answer>")
    return None if start < 0 else text[start + len("<answer>") :].partition("</answer>")[0]


def _after_hashes(text: str) -> str | None:
    last_line = text.rstrip().rpartition("\n")[2]
    _, hashes, answer = last_line.rpartition("####")
    return answer if hashes else None


def _after_cue(text: str) -> str | None:
    cues = list(_CUE.finditer(text))
    return _CLAUSE_END.split(text[cues[-1].end() :], maxsplit=1)[0].strip(" *_") if cues else None


def clean(text: str) -> str:
    r"""The same text in one plain way: NFKC, a plain minus, no LaTeX for layout, no end punctuation.

    >>> clean(r"$\left(-\dfrac12\right)$.")
    '(-\\frac{1}{2})'
    >>> clean(r"30^{\circ}")
    '30°'
    """
    text = _SUPERSCRIPTS.sub(lambda match: "^{" + unicodedata.normalize("NFKC", match[0]) + "}", text)
    text = _VULGAR_FRACTIONS.sub(lambda match: " " + unicodedata.normalize("NFKC", match[0]), text)
    # Twice: NFKC makes a full-width sign an ordinary one, and would make "º" an "o".
    text = unicodedata.normalize("NFKC", text.translate(_LOOKALIKES)).translate(_LOOKALIKES)
    if _MARKUP.search(text):
        for pattern, by in _LATEX:
            text = pattern.sub(by, text)
        previous = None
        while previous != text:
            previous, text = text, _UPRIGHT.sub(r"~\1", text)
    if text.count("$") >= 2:  # one alone is dollars
        text = text.replace("$", "")
    return _SPACES.sub(" ", text.strip().lstrip("~")).lstrip(_TRIMMED.replace(".", "")).rstrip(_TRIMMED)


def options_in(question: str) -> dict[str, str]:
    """The options of a multiple-choice question by letter; empty when they cannot be told apart.

    Known forms: "(A) 30 (B) 40", "A. 30" and "A) 30" or "A: 30", on one line or on several. The
    letters must run A, B, C, ... and each must have a text of its own.

    >>> options_in("How many? Choices: (A) 30 (B) 40")
    {'A': '30', 'B': '40'}
    """
    for marker in _OPTION_MARKERS:
        markers = list(marker.finditer(question))
        letters = "".join(match[1] for match in markers)
        if len(letters) < 2 or letters != "ABCDEFGHIJ"[: len(letters)]:
            continue
        ends = [match.start() for match in markers[1:]] + [len(question)]
        texts = [
            clean(question[match.end() : end].strip().partition("\n")[0])
            for match, end in zip(markers, ends, strict=True)
        ]
        if not {"", "?", "!"} & set(texts) and len({text.casefold() for text in texts}) == len(texts):
            return dict(zip(letters, texts, strict=True))
    return {}


_OPTION_MARKERS = (
    re.compile(r"\(([A-J])\)"),
    re.compile(r"(?:^|(?<=[\s,;:]))([A-J])[.．、](?=\s|\S)"),
    re.compile(r"(?:^|(?<=[\s,;:]))([A-J])[):：]"),
)
