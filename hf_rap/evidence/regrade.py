"""Grades made again from stored replies: no model is needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_rap import columns
from hf_rap.errors import RowError
from hf_rap.rows.layouts import check_given
from hf_rap.rows.prompts import prompt_of_replies
from hf_rap.rows.questions import question_and_answer, raw_rows
from hf_rap.rows.settling import settle
from hf_rap.stats.settings import CORRECT, settings_in
from hf_rap.tables import whole_dataset

from .attempts import formatted, of_grades, ungraded
from .grading import Grade, Grading, Replies, check_correct

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    import datasets

    from hf_rap.rows.layouts import Layout

ROWS_AT_ONCE = 256
_COLLECT_FIRST = "Collect replies first: ds.map(Rollouts(...), batched=True), or `hf-rap rollouts`."


class Block(NamedTuple):
    """Arms that share one column of errors and one of settings."""

    arms: tuple[str, ...]
    error: columns.Column
    settings: columns.Column

    def within(self, available: Container[str]) -> Block:
        """The same of the arms whose replies are there: others publish those with the image alone."""
        there = tuple(arm for arm in self.arms if columns.ARM_COLUMNS[arm].responses.name in available)
        return self._replace(arms=there)

    @property
    def writes(self) -> tuple[columns.Column, ...]:
        """What new grades change."""
        return (*(columns.ARM_COLUMNS[arm].rewards for arm in self.arms), self.error, self.settings)

    @property
    def reads(self) -> tuple[columns.Column, ...]:
        """What they are made from."""
        of_arms = (columns.ARM_COLUMNS[arm] for arm in self.arms)
        return (*(column for arm in of_arms for column in (arm.responses, arm.truncated)), *self.writes)


ROLLOUTS = Block(columns.ARMS, columns.ERROR, columns.SETTINGS)
CONTROLS = {name: Block((name,), arm.error, arm.settings) for name, arm in columns.CONTROLS.items()}


def regrade(
    ds: datasets.Dataset,
    verifier: Any = None,
    *,
    correct: float = CORRECT,
    cut: str = "wrong",
    layout: Layout | None = None,
) -> datasets.Dataset:
    """The dataset with its stored replies graded anew, as `Rollouts` with these arguments would; asks no model.

    All arms that are there are graded, controls included. `rap_error` and `rap_settings` say what is so now, and evidence
    of the format is added where it is missing. Scores and decisions that came from the old grades are left out: score
    again. A row whose gold the earlier verifier could not read has no replies and stays as it is; a run asks it.

    Args:
        ds: evidence with its questions and answers.
        verifier: None is the built-in one; else any callable, see `Rollouts`.
        correct: the reward from which on a reply counts as solved.
        cut: what a reply that hit the token limit counts as.
        layout: which column is what; None recognises the layout from the column names.

    Raises:
        MissingColumnError: there are no replies.
        LayoutError: the layout is not recognised, or a column is missing.
        SettingError: the verifier cannot be called, or an option is out of its range.
    """
    ds = whole_dataset("regrade", ds)
    grading = Grading(verifier, cut, correct)
    check_given(layout)
    columns.require("regrade", ds.column_names, (columns.IMAGE_RESPONSES, columns.SETTINGS), _COLLECT_FIRST)
    layout, _ = settle(layout, ds)
    blocks = [
        block.within(ds.column_names)
        for block in (ROLLOUTS, *CONTROLS.values())
        if block.settings.name in ds.column_names
    ]
    formats = {arm: columns.FORMATTED[arm] for arm in blocks[0].arms}
    written = [*(column for block in blocks for column in block.writes), *formats.values()]
    needed = {column.name for block in blocks for column in block.reads}

    def grade(batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        evidence = {name: list(batch[name]) for name in needed if name in batch}
        new = regraded(raw_rows(batch, layout), layout, evidence, blocks, grading)
        prompts = [prompt_of_replies(settings_in(text)) for text in new[columns.SETTINGS.name]]
        for arm, column in formats.items():
            replies = evidence[columns.ARM_COLUMNS[arm].responses.name]
            new[column.name] = [formatted([of_row], prompt)[0] for of_row, prompt in zip(replies, prompts, strict=True)]
        return columns.typed({column: new[column.name] for column in written})

    tops = {name.partition(".")[0] for name in layout.columns} | set(layout.columns)
    read = [name for name in ds.column_names if name in needed | tops]
    made = (
        ds.select_columns(read)
        .with_format(None)
        .map(
            grade,
            batched=True,
            batch_size=ROWS_AT_ONCE,
            remove_columns=read,
            features=columns.features_of(written),
            load_from_cache_file=False,  # a grader may have changed without saying so
            desc="grading",
        )
    )
    return _replaced(ds, made)


def count_as_solved(ds: datasets.Dataset, correct: float) -> datasets.Dataset:
    """The dataset with another reward from which on a reply counts as solved; no reply is graded again.

    Scores and decisions are left out: score again. Rewards without `rap_settings` get some.

    Args:
        ds: evidence, or rewards of the user's.
        correct: in (0, 1].

    Raises:
        MissingColumnError: there are no rewards.
        SettingError: correct is out of its range.
    """
    import datasets

    ds = whole_dataset("count_as_solved", ds)
    check_correct(correct)
    columns.require("count_as_solved", ds.column_names, (columns.IMAGE_REWARDS,), _COLLECT_FIRST)
    name = columns.SETTINGS.name
    texts = ds[name][:] if name in ds.column_names else ["{}"] * len(ds)
    new_settings = {text: settings_with(text, {"correct": float(correct)}) for text in dict.fromkeys(texts)}
    features = columns.features_of([columns.SETTINGS])
    return _replaced(ds, datasets.Dataset.from_dict({name: [new_settings[text] for text in texts]}, features))


def regraded(
    raws: Sequence[Mapping[str, Any]],
    layout: Layout,
    evidence: Mapping[str, Sequence[Any]],
    blocks: Iterable[Block],
    grading: Grading,
) -> dict[str, list[Any]]:
    """The columns `writes` of these blocks, with new grades.

    Args:
        raws: the rows, for question and gold.
        layout: theirs.
        evidence: the columns `reads` of the blocks, or more.
        blocks: whose replies.
        grading: who grades.
    """
    blocks = list(blocks)
    questions = [_question(raw, layout, grading) for raw in raws]
    replies, places = [], []
    for block in blocks:
        for arm in block.arms:
            of_arm = columns.ARM_COLUMNS[arm]
            texts, cut = evidence[of_arm.responses.name], evidence[of_arm.truncated.name]
            for row, (question, gold, options) in enumerate(questions):
                if texts[row] is not None and not isinstance(gold, RowError):
                    flags = cut[row] or [False] * len(texts[row])
                    pairs = list(zip(texts[row], map(bool, flags), strict=True))
                    replies.append(Replies(question, gold, pairs, options))
                    places.append((row, arm))
    by_place = dict(zip(places, grading.grade(replies), strict=True))
    new: dict[str, list[Any]] = {}
    for block in blocks:
        rows = [_of_row(row, block, evidence, questions[row][1], by_place) for row in range(len(raws))]
        for arm in block.arms:
            grades = [of_row[arm] for of_row, _ in rows]
            name = columns.ARM_COLUMNS[arm].rewards.name
            new[name] = [None if of_row is None else [grade.reward for grade in of_row] for of_row in grades]
        new[block.error.name] = [error for _, error in rows]
        new[block.settings.name] = [settings_with(text, grading.settings()) for text in evidence[block.settings.name]]
    return new


def _of_row(
    row: int,
    block: Block,
    evidence: Mapping[str, Sequence[Any]],
    gold: Any,
    by_place: Mapping[tuple[int, str], list[Grade]],
) -> tuple[dict[str, list[Grade] | None], str | None]:
    """The grades of each arm of a row, and its error."""
    grades: dict[str, list[Grade] | None] = {}
    old: str | None = evidence[block.error.name][row]
    error = old if old is not None and not of_grades(old) else None
    for arm in block.arms:
        replies = evidence[columns.ARM_COLUMNS[arm].responses.name][row]
        if replies is None:
            grades[arm] = None
        elif isinstance(gold, RowError):
            grades[arm] = [Grade(None, str(gold))] * len(replies)
            error = error or str(gold)
        else:
            grades[arm] = of_arm = by_place[row, arm]
            # An arm whose replies are there was not left out for its gold, whatever the grader before said.
            error = None if (error or "").startswith("gold_unreadable") else error
            unknown = ungraded(arm, [grade.reason for grade in of_arm if grade.reward is None], len(of_arm))
            error = error or (None if unknown is None else str(unknown))
    return grades, error


def _question(raw: Mapping[str, Any], layout: Layout, grading: Grading) -> tuple[str, Any, tuple[str, ...]]:
    """The text, the gold as the grader wants it or why it cannot read it, and the options."""
    try:
        text, answer, options = question_and_answer(raw, layout)
        return text, grading.read_gold(answer, text, options), options
    except RowError as error:
        return "", error, ()


def settings_with(settings: str | None, changes: Mapping[str, Any]) -> str | None:
    """The settings of a row, with these in the place of what they said of them; null stays null."""
    return None if settings is None else json.dumps({**settings_in(settings), **changes}, sort_keys=True)


def _replaced(ds: datasets.Dataset, made: datasets.Dataset) -> datasets.Dataset:
    """The dataset with these columns in the place of its own, without what was computed from other grades."""
    import datasets

    stale = {column.name for column in columns.FROM_GRADES}
    order = dict.fromkeys([name for name in ds.column_names if name not in stale] + made.column_names)
    kept = ds.select_columns([name for name in order if name not in made.column_names])
    whole = datasets.concatenate_datasets([kept.with_format(None), made], axis=1)
    return whole.select_columns(list(order))
