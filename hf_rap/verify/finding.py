r"""Finds what a reply states as its answer, in the order of the reply.

A gold answer is read by the same rules, since it may be a whole solution: GSM8K ends in "#### 42",
multimodal-open-r1 has "<think>...</think><answer>42</answer>", MATH has "\boxed{42}".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Cues and lines are searched for in the end of a reply only.
MAX_TAIL_CHARS = 20_000
# Longer answers are WRONG unread.
MAX_ANSWER_CHARS = 2000
# A clause this long after "the answer is" is cut off.
_MAX_CLAUSE_CHARS = 500
# Of the boxes, the tags and the cues of a reply, the last so many are looked at.
_MAX_MARKS = 20

_HAS_CONTENT = re.compile(r"[^\W_]|[<>=]")
_THINKING_ENDS = re.compile(r"</think(?:ing)?>|◁/think▷")
_THINKING = re.compile(r"<think(?:ing)?>|◁think▷")
# Tokens that open and end the turns of the usual chat templates, should they not have been stripped.
SPECIAL_TOKEN = re.compile(
    r"<\|(?!(?:begin|end)_of_box\|)[^<>|\n]{1,40}\|>|</?s>|<[be]os>|<(?:start|end)_of_turn>|<pad>|\[/?INST\]"
)
_BOX = re.compile(r"(?:\\(?:boxed|fbox|framebox)(?![a-zA-Z])|\x08oxed|(?<![\\\w])boxed(?=\s{0,9}\{))\s{0,9}")
_TAG = re.compile(
    r"<\s{0,9}(answer|conclusion|final_answer)\s{0,9}>|<\|begin_of_box\|>"
    r"|[\"'](?:final[_ ])?answer[\"']\s{0,9}:\s{0,9}(?P<json>\"(?:[^\"\\]|\\.){0,2000}\"|\[[^\[\]]{0,2000}\]|[^\s,}\"\[]{1,99})|\#\#\#\#",
    re.IGNORECASE,
)
_TAG_END = re.compile(r"</\s{0,9}(?:answer|conclusion|final_answer)\s{0,9}>|<\|end_of_box\|>", re.IGNORECASE)
# Between marks that belong together: "\boxed{3} and \boxed{5}", and a list of all options in boxes.
_BETWEEN = re.compile(
    r"(?:[\s,;$.&、]|\\q?quad|\\text\s?\{\s*(?:and|or)\s*\}|\b(?:and|or|maybe|perhaps|possibly)\b|</?\w+>)*",
    re.IGNORECASE,
)
_BETWEEN_CHARS = 50

_CUE = re.compile(
    r"(?:"
    r"(?:\b(?:(?:answers?|solution|correction|result|letter|antwort|respuesta|réponse|resposta|risposta|ответ)\b"
    r"|ans\b\.?|(?:final|correct|right|best|selected|my)\s+(?:final\s+)?(?:choice|option)s?\b)|^\W{0,9}choice\b)"
    r"(?:\s+(?:correct[ae]?|corretta|correta|juste|finale?)\b)?(?:\s+(?:to|for)\s[^.\n]{1,80}?)?[\s*_]*"
    r"(?:\b(?:is|are|ist|lautet|es|est|é|è|(?:would|should|could|must|will|seems\s+to|appears\s+to)\s+be)\b|(?<=ans\.)|[:：=]|\s[-–—](?=\s))"
    r"|(?:答案|结果)(?:\s*应该|应)?\s*[是为:：]|选项\s*[是为:：]|(?:答え|正解)\s*[は:：]|(?:정답|답)\s*[은는:：]"
    r")[\s*_:：]*(?:\$\$\s*|\\\[\s*)?"
    r"|(?:故|应|应该|应当|因此|所以)选(?:择)?\s*[:：]?\s*(?=[(（]?[A-Z])",
    re.IGNORECASE | re.MULTILINE,
)
_CUE_WORDS = ("answer", "ans", "correction", "solution", "result", "letter", "choice", "option", "antwort", "respuesta", "réponse", "resposta", "risposta", "ответ", "答", "结果", "选", "正解", "답")  # fmt: skip
# Lines and sentences that say nothing about the question.
_COURTESY = (
    r"(?:i (?:really )?hope|hope (?:this|that|it)|let me know|feel free|please\b|thanks?\b|thank you|is there anything|if you (?:have|need|want|would)"
    r"|i'?m happy to|happy to|do you (?:have|need|want)|would you like|good luck|have a (?:nice|great)|希望)"
)
_POLITE = re.compile(rf"\W*{_COURTESY}", re.IGNORECASE)
# An answer alone on the first line, and then "Explanation: ...".
_EXPLAINS = re.compile(r"\W*(?:explanation|reason(?:ing)?|justification|rationale|解析|解释)\b", re.IGNORECASE)
_BARE_CHARS = 30
# Ends the answer that follows a cue. "B. 30" and "Dr. Who" go on after the full stop.
_CLAUSE_END = re.compile(
    r"\n|。|(?<!^[A-Za-z])(?<!^\([A-Z]\))(?<!\b[DMS][rst])(?<!\bMrs)[.!]\s|[.!]\s+(?i:(?="
    + _COURTESY
    + r"))|\.\s+(?=[A-Z]\s(?:is|are|was|and)\b)|[,;]?\s+(?:because|since|which|where|as\s(?:it|the|there))\b"
)
_END = re.compile(r"(?:입니다|です|だ)[.。]?$|(?<!\.)\.$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


class Statement(NamedTuple):
    """What a text states as its answer; `explicit` when the text itself marks it by a box, a tag or "####"."""

    text: str
    explicit: bool = True


def statements(reply: str) -> list[Statement]:
    r"""All that a reply marks as its answer, in its order: boxes, tags, and what follows "the answer is".

    Only what stands after the reply's thinking counts; thinking that never ends leaves nothing. Marks side by side
    are one statement with several answers. A box that is never closed is an empty statement.

    >>> [statement.text for statement in statements(r"It is \boxed{40}? The answer is (C). I hope this helps!")]
    ['40', '(C)']

    """
    text = after_thinking(reply)
    boxes = list(_boxes(text))
    marked = [(start, Statement(inner)) for start, inner in _joined(text, sorted([*boxes, *_tags(text)]))]
    tail = max(0, len(text) - MAX_TAIL_CHARS)
    if not _has_cue_word(text.lower()):  # ten times as fast as to find no cue
        return [statement for _, statement in marked]
    marked += [
        (cue.start(), Statement(_behind(text, cue.end()), explicit=False))
        for cue in list(_CUE.finditer(text, tail))[-_MAX_MARKS:]
        if not any(start < cue.start() < end for start, end, _ in boxes)
    ]
    return [statement for _, statement in sorted(marked, key=lambda pair: pair[0])]


def _has_cue_word(text: str) -> bool:
    for word in _CUE_WORDS:  # noqa: SIM110 - a generator takes three times as long
        if word in text:
            return True
    return False


def stated_last(text: str) -> str:
    r"""The last statement of a text, "" when it marks none.

    >>> stated_last(r"Adding up, we get \boxed{42}."), stated_last("42")
    ('42', '')
    """
    last = last_of(statements(text))
    return last.text if last else ""


def last_of(stated: list[Statement]) -> Statement | None:
    """The last that says anything."""
    return next((statement for statement in reversed(stated) if statement.text), None)


def find_answer(reply: str) -> Statement:
    r"""What a reply states last, or its last line where it marks nothing; for graders of your own.

    >>> find_answer("I count them. There are\n12 dots. I hope this helps!").text
    '12 dots.'
    """
    return last_of(statements(reply)) or Statement((lines_of(reply) or [""])[-1], explicit=False)


def lines_of(reply: str) -> list[str]:
    """The lines of the end of a reply that may say something, without its thinking and its courtesies."""
    lines = after_thinking(reply)[-MAX_TAIL_CHARS:].split("\n")
    kept = [
        _without_courtesies(line.strip().removeprefix("# "))
        for line in lines
        if _HAS_CONTENT.search(line) and not _POLITE.match(line)
    ]
    if len(kept) > 1 and len(kept[0]) <= _BARE_CHARS and _EXPLAINS.match(kept[1]):
        return kept[:1]
    return kept


def _without_courtesies(line: str) -> str:
    sentences = _SENTENCE_END.split(line[-MAX_ANSWER_CHARS:])
    return sentences[0] if len(sentences) == 1 else " ".join(part for part in sentences if not _POLITE.match(part))


def after_thinking(text: str) -> str:
    """What follows the last thinking, without the special tokens of chat templates."""
    if "think" in text:
        text = _THINKING.split(_THINKING_ENDS.split(text)[-1], maxsplit=1)[0]
    return SPECIAL_TOKEN.sub("\n", text) if "<" in text or "[" in text else text


def _boxes(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, content) of the last boxes."""
    if "box" not in text and "oxed" not in text:
        return
    for box in list(_BOX.finditer(text))[-_MAX_MARKS:]:
        rest = text[box.end() : box.end() + MAX_ANSWER_CHARS + 1]
        if rest.startswith("{"):
            length = _closing(rest)
            yield box.start(), box.end() + length + 1, rest[1:length]
        elif box[0].startswith("\\"):
            word = re.split(r"[\s$]", rest, maxsplit=1)[0]
            yield box.start(), box.end() + len(word), word


def _closing(text: str) -> int:
    """Where the first brace is closed, 0 when nowhere."""
    first = text.find("}")
    if not ("{" in text[1:first] or "\\" in text[1:first]):  # as in most boxes
        return max(first, 0)
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return 0


def _tags(text: str) -> Iterator[tuple[int, int, str]]:
    if not ("<" in text or "{" in text or "####" in text):
        return
    for tag in list(_TAG.finditer(text))[-_MAX_MARKS:]:
        if tag["json"]:
            yield tag.start(), tag.end(), _from_json(tag["json"])
        elif tag[0] == "####":
            line = text[tag.end() : tag.end() + MAX_ANSWER_CHARS + 1].partition("\n")[0]
            if line.strip() and not text[tag.end() + len(line) :].strip():  # else it is a heading
                yield tag.start(), tag.end() + len(line), line
        else:
            end = _TAG_END.search(text, tag.end())
            yield tag.start(), end.end() if end else len(text), text[tag.end() : end.start() if end else len(text)]


def _from_json(text: str) -> str:
    try:
        value = json.loads(text)
        return ", ".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else text
    except (ValueError, RecursionError):
        return text.strip("\"'")


def _joined(text: str, marks: list[tuple[int, int, str]]) -> list[tuple[int, str]]:
    """Marks with nothing between them that parts them are one, with each of their texts once."""
    groups: list[tuple[int, list[str]]] = []
    last = len(text)
    for start, end, inner in marks:
        if 0 <= start - last < _BETWEEN_CHARS and _BETWEEN.fullmatch(text, last, start):
            groups[-1][1].append(inner.strip())
        else:
            groups.append((start, [inner.strip()]))
        last = end
    return [(start, ", ".join(dict.fromkeys(texts))) for start, texts in groups]


def _behind(text: str, start: int) -> str:
    clause = _CLAUSE_END.split(text[start : start + _MAX_CLAUSE_CHARS], maxsplit=1)[0]
    if clause.count("}") > clause.count("{"):
        clause = clause.rpartition("}")[0]  # of "\\text{Answer: B}"
    return _END.sub("", clause.strip(" *_").rstrip("!"))  # "It is 14!" is no factorial
