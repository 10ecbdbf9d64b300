"""What a trainer would refuse, drop or crash on, found before anything is written.

Most loaders check little: verl and ms-swift drop a row that fails without a word, InternVL replaces
it by another one, and too few rows end in an assertion after the model was loaded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from hf_rap.errors import ExportError
from hf_rap.rows.presets import name_of
from hf_rap.rows.prompts import BARE

from .asked import prompt_in
from .lengths import most_tokens
from .problems import AS_SCORED, check_row, mend, usual_verifier_reads
from .rows import ExportRows, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hf_rap.rows.prompts import PromptTemplate

    from .base import Trainer
    from .limits import Limits

_OTHER_PIXELS = "an image is transparent, has 16 bits or lies on its side, and its loader opens it otherwise"
SEEN_OTHERWISE = "trained with other pixels than were scored"
_PROMPTS = {"": "the question alone, since nothing says how it was asked,", "own": "one of the publisher's own"}


@dataclass(frozen=True)
class Handoff:
    """What would happen to the rows in a trainer.

    Attributes:
        trainer: its name.
        rows: how many there are.
        refused: rows that it would refuse or could not learn from; a row has one entry.
        fixed: what was changed so that it takes the row -> rows; empty unless asked for.
        fixable: what could be -> rows.
        held_out: the numbers of those that are to validate on.
        prompt_tokens: that no prompt exceeds, at the trainer's own limits of pixels.
        seen_otherwise: rows with an image that its loader opens with other pixels than were scored.
        notes: what is no reason to refuse, but worth knowing.
        ready: rows that can be handed over.
        max_images: in one row.
        prompts: how the rows were asked -> rows: the name of a preset, "own" for another one, "" where nothing says it.
        prompt: the only one of them; None where rows differ, or nothing says it.
        system_turn: some of them were asked with one.
        chat_template_kwargs: what the chat template was given.

    """

    trainer: str
    rows: int
    refused: tuple[Refused, ...]
    fixed: dict[str, int]
    fixable: dict[str, int]
    notes: tuple[str, ...]
    ready: int
    max_images: int
    prompts: dict[str, int] = field(default_factory=dict)
    prompt: PromptTemplate | None = None
    system_turn: bool = False
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    seen_otherwise: tuple[Refused, ...] = ()
    held_out: tuple[int, ...] = ()
    prompt_tokens: int = 0

    @property
    def train(self) -> int:
        """Rows to train on: the largest batch that can be filled."""
        return self.ready - len(self.held_out)

    @property
    def bare(self) -> bool:
        """Nothing says of any row how it was asked."""
        return set(self.prompts) <= {""}

    @property
    def codes(self) -> dict[str, int]:
        """Reason -> refused rows, the most frequent first."""
        return dict(Counter(row.code for row in self.refused).most_common())

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {**asdict(self), "codes": self.codes}

    def table(self, show: int = 5) -> str:
        """For people: what would be refused, the first rows of each reason spelled out."""
        lines = [f"{self.trainer}: {self.ready:,} of {self.rows:,} rows ready, up to {self.max_images} image(s) in one"]
        lines += (
            [f"  held out: {len(self.held_out):,} row(s) to validate on, in a file of their own"]
            if self.held_out
            else []
        )
        lines += [f"  prompt: {_PROMPTS.get(name, name)} in {rows:,} row(s)" for name, rows in self.prompts.items()]
        lines += [f"  fixed: {what} in {rows:,} row(s)" for what, rows in self.fixed.items()]
        lines += [f"  can be fixed: {what} in {rows:,} row(s)" for what, rows in self.fixable.items()]
        for code, rows in self.codes.items():
            lines.append(f"  {code}: {rows:,}")
            lines += _shown([row for row in self.refused if row.code == code], show)
        if self.seen_otherwise:
            lines.append(f"  {SEEN_OTHERWISE}: {len(self.seen_otherwise):,}")
            lines += _shown(self.seen_otherwise, show)
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _shown(rows: Sequence[Refused], show: int) -> list[str]:
    """Lines on the first of these rows."""
    lines = [f"    row {row.index} ({row.row_id}): {row.message}" for row in rows[:show]]
    return [*lines, f"    and {len(rows) - show:,} more"] if len(rows) > show else lines


def check_rows(rows: ExportRows, trainer: Trainer, limits: Limits, *, fix: bool = False) -> Handoff:
    """What `trainer` would refuse of `rows`."""
    refused: list[Refused] = []
    fixed: Counter[str] = Counter()
    fixable: Counter[str] = Counter()
    unread, several_golds, text_only, most_images = 0, 0, [], 0
    seen_otherwise: list[Refused] = []
    ids: dict[int, str] = {}
    prompt_tokens = 0
    prompts: Counter[PromptTemplate | None] = Counter()
    arguments: dict[str, Any] | None = None
    system_turn = False
    for index, read in enumerate(rows):
        if isinstance(read, Refused):
            refused.append(read)
            continue
        outcome = check_row(read, trainer.accepts, limits, arguments, fix=fix)
        row = outcome.row
        fixed.update(outcome.fixed)
        fixable.update(outcome.fixable)
        if outcome.problem:
            refused.append(Refused(index, row["id"], *outcome.problem))
            continue
        if AS_SCORED in outcome.fixable and not fix:
            seen_otherwise.append(Refused(index, row["id"], "other_pixels", _OTHER_PIXELS))
        prompt = prompt_in(row)
        ids[index] = row["id"]
        prompt_tokens = max(prompt_tokens, most_tokens(row["messages"], row["images"], trainer.accepts.pixels))
        prompts[prompt] += 1
        arguments = dict((prompt or BARE).chat_template_kwargs)
        system_turn |= (prompt or BARE).system is not None
        unread += not usual_verifier_reads(row["answer"], trainer.accepts)
        several_golds += len(row["extra_info"]["accepted"]) > 1
        most_images = max(most_images, len(row["images"]))
        if not row["images"]:
            text_only.append(Refused(index, row["id"], "no_image", f"{trainer.title} fails on a batch that mixes "
                                     "rows with and without an image; export those without one on their own"))  # fmt: skip
    if text_only and most_images and not trainer.accepts.mixes_text_only:
        refused = sorted([*refused, *text_only], key=lambda row: row.index)
        for alone in text_only:
            del ids[alone.index]
    held_out = _held_out(ids, limits.held_out(len(ids), needed=trainer.accepts.validates))
    train = len(ids) - len(held_out)
    notes = _notes(
        trainer, limits, ready=train, unread=unread, otherwise=rows.prompts.otherwise, several_golds=several_golds
    )
    if rows.hinted and not rows.hints:
        notes = (
            *notes,
            f"the hints in {', '.join(rows.hinted)} are not in the prompt: hints=True (--hints) puts them there",
        )
    return Handoff(
        trainer.name,
        len(rows),
        tuple(refused),
        dict(fixed),
        {} if fix else dict(fixable),
        notes,
        len(ids),
        most_images,
        _by_name(prompts),
        # With hints each row has another one.
        next(iter(prompts)) if len(prompts) == 1 and not rows.hints else None,
        system_turn,
        arguments or {},
        tuple(seen_otherwise),
        held_out,
        prompt_tokens,
    )


def _by_name(prompts: Counter[PromptTemplate | None]) -> dict[str, int]:
    """The name of a preset, "own" for another prompt, "" where nothing says it -> rows."""
    names: Counter[str] = Counter()
    for prompt, rows in prompts.items():
        names["" if prompt is None else name_of(prompt) or "own"] += rows
    return dict(names.most_common())


def _held_out(ids: dict[int, str], count: int) -> tuple[int, ...]:
    """So many rows, the same of the same ids, whatever stands beside them.

    Raises:
        ExportError: no row is left to train on.
    """
    if count and count >= len(ids):
        raise ExportError(f"{count:,} rows are to be held out of {len(ids):,}, so that none is left to train on.")
    order = sorted(ids, key=lambda index: (blake2b(ids[index].encode("utf-8", "surrogatepass")).digest(), index))
    return tuple(sorted(order[:count]))


def ready_rows(
    rows: ExportRows, trainer: Trainer, limits: Limits, handoff: Handoff, *, held_out: bool = False
) -> Iterator[dict[str, Any]]:
    """The rows to train on, or those that are held out, mended where `handoff` says so."""
    refused = {refused_row.index for refused_row in handoff.refused}
    apart = set(handoff.held_out)
    for index, row in enumerate(rows):
        if index not in refused and (index in apart) == held_out and not isinstance(row, Refused):
            yield mend(row, trainer.accepts, limits)[0] if handoff.fixed else row


def _notes(
    trainer: Trainer, limits: Limits, *, ready: int, unread: int, otherwise: int, several_golds: int
) -> tuple[str, ...]:
    notes = []
    if several_golds and trainer.accepts.first_gold_only:
        readers = " and ".join(trainer.accepts.first_gold_only)
        notes.append(
            f"{several_golds:,} row(s) have several accepted answers, of which the rewards of {readers} see the first"
        )
    if otherwise:
        notes.append(f"{otherwise:,} row(s) were scored with another prompt than they are trained with here")
    if unread:
        notes.append(
            f"{unread:,} answer(s) that its usual reward ({trainer.accepts.verifier}) cannot read; "
            "the reward function of hf_rap reads them all"
        )
    wanted = limits.rollout_batch
    if wanted and ready < wanted:
        notes.append(f"{ready:,} rows do not fill one batch of {wanted:,}: use a rollout batch of {ready:,} or less")
    elif ready < trainer.accepts.default_batch and not wanted:
        notes.append(
            f"{ready:,} rows do not fill its default batch of {trainer.accepts.default_batch:,}: "
            "the lines to paste set one that they fill"
        )
    elif wanted and ready % wanted:
        notes.append(f"an incomplete batch is dropped: {ready % wanted:,} of {ready:,} rows wait for the next epoch")
    return tuple(notes)
