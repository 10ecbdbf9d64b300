"""Rewards with the verifier that scored the rows, so that training and selection agree on what is right.

Each trainer calls its reward function in its own way; `easyr1`, `verl`, `ms_swift` and `openrlhf`
beside this file adapt it. They are loaded by trainers with old pins, so nothing here imports
datasets, torch or transformers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hf_rap.rows.chats import flatten_content, turns_of
from hf_rap.verify import Judgement, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_BLANKS = re.compile(r"\s*([<>/])\s*")


def judge_reply(reply: Any, gold: object, question: Any = "", options: Sequence[str] | None = None) -> Judgement:
    """The verdict on a reply as trainers hold it: text, or a chat whose last turn is the reply.

    It is the same in the main thread, in other threads, in event loops and in Ray actors, and it is None for no reply
    that a gold answer can be compared with: a reply that cannot be read is wrong.

    Args:
        reply: text, or a list of turns.
        gold: an answer, or a list of accepted ones.
        question: text, or a chat; where the options of a multiple choice stand.
        options: their texts, where they have a column of their own.

    """
    return judge(_text_of(reply, last=True), gold, question=_text_of(question) or "", options=options)


def accuracy_reward(
    completions: Sequence[Any],
    solution: Sequence[object] | None = None,
    prompts: Sequence[Any] | None = None,
    *,
    answer: Sequence[object] | None = None,
    accepted: Sequence[Sequence[object] | None] | None = None,
    problem: Sequence[str] | None = None,
    extra_info: Sequence[Mapping[str, Any] | None] | None = None,
    log_metric: Callable[[str, float], None] | None = None,
    log_extra: Callable[[str, list[Any]], None] | None = None,
    **columns: Any,
) -> list[float | None]:
    """1.0 correct, 0.0 wrong, None where nobody knows; a reward function for TRL.

    TRL leaves a None out of its group, so a gold answer that cannot be read teaches nothing; the
    share of them is logged as `unreadable`. A reply that cannot be compared is 0.0 and escapes nothing. Every column of the dataset arrives as a
    list; those of a published version and of an export to TRL are known.

    Args:
        completions: replies, texts or chats.
        solution: gold answers; `answer` is taken where it is None.
        prompts: the questions, texts or chats; `problem` goes before them.
        answer: see `solution`.
        accepted: lists of accepted answers, which go before `solution`.
        problem: the questions as text.
        extra_info: as in a published version; its `accepted` counts like `accepted`, and its `options` are those of the question.
        log_metric: how TRL takes a number to log.
        log_extra: how TRL takes a column of its log of completions: there `rap_id` says whose reward each is.
        **columns: of the others `rap_id`, else `id` are known.

    Raises:
        ValueError: the dataset has no column with the answers.

    """
    golds = _golds(len(completions), solution if solution is not None else answer, accepted, extra_info)
    questions = problem or prompts or [""] * len(completions)
    options = [(info or {}).get("options") or None for info in extra_info or [None] * len(completions)]
    judgements = [judge_reply(*row) for row in zip(completions, golds, questions, options, strict=True)]
    rewards = [judgement.reward for judgement in judgements]
    if log_metric is not None and rewards:
        log_metric("unreadable", sum(reward is None for reward in rewards) / len(rewards))
    log_ids(log_extra, columns.get("rap_id") or columns.get("id"), completions)
    return rewards


def has_form(reply: Any) -> bool:
    r"""Whether a reply thinks inside its tags and then boxes an answer.

    Source: the format reward of the release of arXiv 2506.04755 (Mrshenshen/RAP, commit 84cc32a,
    verl/utils/reward_score/math.py): `<think>.*</think>.*\boxed{.*}.*`, blanks around <, > and / left out of account.

    >>> has_form("<think> 1 + 1 </think> \\boxed{2}"), has_form("\\boxed{2}")
    (True, False)
    """
    text = _BLANKS.sub(r"\1", _text_of(reply, last=True) or "")
    if not text.startswith("<think>"):
        return False
    for part in ("</think>", "\\boxed{", "}"):  # each anywhere behind the one before
        _, found, text = text.partition(part)
        if not found:
            return False
    return True


def format_reward(completions: Sequence[Any], **_: Any) -> list[float]:
    """1.0 for a reply that `has_form`, else 0.0; a reward function for TRL, to stand beside `accuracy_reward`."""
    return [float(has_form(reply)) for reply in completions]


# The completions whose ids were logged last: several reward functions of a run are called with the same ones, and TRL
# would write the ids of each behind those of the other.
_logged: list[Any] = []


def log_ids(log_extra: Callable[[str, list[Any]], None] | None, ids: Sequence[Any] | None, completions: Any) -> None:
    """Tell TRL once which rows these completions are of, where it takes that and the dataset has ids."""
    if log_extra is None or ids is None or (_logged and _logged[0] is completions):
        return
    _logged[:] = [completions]
    log_extra("rap_id", [str(identity) for identity in ids])


def _golds(
    count: int,
    solution: Sequence[object] | None,
    accepted: Sequence[Sequence[object] | None] | None,
    extra_info: Sequence[Mapping[str, Any] | None] | None,
) -> list[object]:
    if accepted is None and extra_info is not None:
        accepted = [(info or {}).get("accepted") for info in extra_info]
    if accepted is None and solution is None:
        raise ValueError("accuracy_reward needs the gold answers in a column named solution, answer or accepted.")
    single: Sequence[object] = solution if solution is not None else [None] * count
    several = accepted if accepted is not None else [None] * count
    return [list(many) if many is not None and len(many) else gold for many, gold in zip(several, single, strict=True)]


def _text_of(value: Any, *, last: bool = False) -> str | None:
    """The text of a chat: all its turns, or the last one."""
    if value is None or isinstance(value, str):
        return value
    turns = turns_of(value) or []
    texts = [flatten_content(content)[0] for _, content in (turns[-1:] if last else turns)]
    return "\n".join(texts) if texts else None
