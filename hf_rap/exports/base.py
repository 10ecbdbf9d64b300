"""What every trainer's export is: which rows its loader takes, what is written, what to paste."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hf_rap.options import check_choice

from .pictures import ANY, Opening

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import datasets

    from hf_rap.rows.prompts import PromptTemplate

# Beside <image>, trainers that train on more than pictures take these out of the text of a question.
OTHER_MEDIA = ("<video>", "<audio>")


@dataclass(frozen=True)
class Accepts:
    """What a trainer's loader and its usual reward can take."""

    verifier: Literal["math-verify", "mathruler", "none"]
    """What its examples compare answers with."""
    several_golds: bool = False
    """Its reward function sees columns, so a list of accepted answers arrives there."""
    mixes_text_only: bool = True
    """Rows with and without an image may share a batch."""
    reserved: tuple[str, ...] = ()
    """Words in a question that its loader takes for something else."""
    path_without: str = ""
    """Characters that must not be in the path, since its loader gives them a meaning."""
    system_turn: bool = True
    """It keeps a system turn."""
    template_arguments: tuple[str, ...] | None = ()
    """Arguments of the chat template that its command line or config has a place for; None: any."""
    opens: Opening = ANY
    """How it opens image files."""
    default_batch: int = 1
    """Prompts per step when the user sets none: with fewer rows it stops, or trains on nothing."""

    def __post_init__(self) -> None:
        check_choice("verifier", self.verifier, ("math-verify", "mathruler", "none"))


@dataclass(frozen=True)
class Given:
    """What a snippet is filled in with."""

    folder: Path
    rows: int
    max_images: int
    """In one row."""
    rollout_batch: int | None = None
    max_prompt_tokens: int | None = None
    prompted: bool = False
    """The rows say how they were asked, so the trainer must not add a prompt of its own."""
    prompt: PromptTemplate | None = None
    """How all of them were asked; None where they differ, or nothing says it."""
    system_turn: bool = False
    """Some were asked with one."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the chat template was given."""

    def batch(self, default: int) -> int:
        """Prompts per step: what the user asked for, else the trainer's own, else all rows."""
        return self.rollout_batch or min(default, self.rows)


@dataclass(frozen=True)
class Target:
    """Where an export is written."""

    folder: Path
    """Exists and is empty."""
    final: Path
    """What it will be called, absolute; nothing is there yet."""
    prompt: PromptTemplate | None = None
    """How all rows were asked; None where they differ, or nothing says it."""


class Trainer(Protocol):
    """The export for one trainer. Instances are frozen; the table is `hf_rap.exports.trainers.TRAINERS`."""

    @property
    def name(self) -> str:
        """What `--to` takes."""
        ...

    @property
    def title(self) -> str:
        """What people call it, and the version that was checked."""
        ...

    @property
    def reads(self) -> str:
        """For the docs: which columns are what to it."""
        ...

    @property
    def accepts(self) -> Accepts:
        """What its loader takes."""
        ...

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """Write rows with the universal columns (and scores) in the layout of this trainer.

        Args:
            rows: images as {"bytes", "path"}.
            features: of these rows.
            target: where to.

        """
        ...

    def snippet(self, given: Given) -> str:
        """The command line or config to paste."""
        ...
