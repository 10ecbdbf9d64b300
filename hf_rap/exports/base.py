"""What every trainer's export is: which rows its loader takes, what is written, what to paste."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hf_rap.options import check_choice

from .lengths import PROCESSOR_PIXELS
from .pictures import ANY, Opening
from .steps import prompts_per_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import datasets

    from hf_rap.rows.prompts import PromptTemplate

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
# Beside <image>, trainers that train on more than pictures take these out of the text of a question.
OTHER_MEDIA = ("<video>", "<audio>")


@dataclass(frozen=True)
class Accepts:
    """What a trainer's loader and its usual reward can take."""

    verifier: Literal["math-verify", "mathruler", "none"]
    """What its examples compare answers with."""
    several_golds: bool = False
    """Its reward function sees columns, so a list of accepted answers arrives there."""
    first_gold_only: tuple[str, ...] = ()
    """Trainers that read the same file, and whose reward sees the first of several accepted answers."""
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
    pixels: tuple[int, int] = PROCESSOR_PIXELS
    """The fewest and the most of an image, where the user sets none."""
    default_batch: int = 1
    """Prompts per step when the user sets none: with fewer rows it stops, or trains on nothing."""
    deals_prompts: bool = False
    """Each GPU is dealt as many prompts of a step as the others."""
    validates: bool = False
    """It does not start without rows to validate on."""

    def __post_init__(self) -> None:
        check_choice("verifier", self.verifier, ("math-verify", "mathruler", "none"))


@dataclass(frozen=True)
class Given:
    """What a snippet is filled in with."""

    folder: Path
    rows: int
    """To train on."""
    max_images: int
    """In one row."""
    held_out: int = 0
    """Rows in the file to validate on."""
    model: str = MODEL
    gpus: int = 1
    group: int = 8
    """Replies to a prompt."""
    rollout_batch: int | None = None
    """Prompts per step that the user asked for."""
    prompt_tokens: int = 1024
    """That no prompt exceeds."""
    reply_tokens: int = 2048
    """Of the longest reply."""
    prompted: bool = False
    """The rows say how they were asked, so the trainer must not add a prompt of its own."""
    prompt: PromptTemplate | None = None
    """How all of them were asked; None where they differ, or nothing says it."""
    system_turn: bool = False
    """Some were asked with one."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the chat template was given."""

    @property
    def output(self) -> Path:
        """Where the trainer writes: beside the rows, which stay as they are."""
        return self.folder.with_name(f"{self.folder.name}-out")

    def step(self, accepts: Accepts) -> int:
        """Prompts per step of a trainer, so that its batches divide.

        Raises:
            ExportError: there are too few rows for so many GPUs.
        """
        return prompts_per_step(
            self.rows,
            self.gpus,
            self.group,
            most=accepts.default_batch,
            dealt=accepts.deals_prompts,
            wanted=self.rollout_batch,
        )


@dataclass(frozen=True)
class Target:
    """Where an export is written."""

    folder: Path
    """Exists; empty, but for the rows to train on when `split` is "val"."""
    final: Path
    """What it will be called, absolute; nothing is there yet."""
    prompt: PromptTemplate | None = None
    """How all rows were asked; None where they differ, or nothing says it."""
    split: str = "train"
    """What the file is called: "train", and in a second call "val", where rows are held out."""


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
        """The command line or config to paste, whole: it starts as it is.

        Raises:
            ExportError: no batch divides.
        """
        ...
