"""One Parquet file that every trainer reads, with the settings that each needs for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf_rap.errors import ExportError

from .base import OTHER_MEDIA, Accepts, Given
from .easyr1 import EasyR1
from .ms_swift import MsSwift
from .openrlhf import OpenRLHF
from .trl import TRL
from .verl import Verl
from .writing import write_parquet, write_reward

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .base import Target, Trainer

# As they read the universal columns; LLaMA-Factory and MM-EUREKA need files of their own.
_READERS: tuple[Trainer, ...] = (
    TRL(),
    EasyR1(),
    Verl(prompt_key="messages"),
    MsSwift(),
    OpenRLHF(label_key="answer"),
)


# Several answers are in `extra_info`, where the rewards of hf_rap find them in TRL, verl and ms-swift.
_ACCEPTS = Accepts(
    "none",
    several_golds=True,
    first_gold_only=("EasyR1", "OpenRLHF"),
    mixes_text_only=False,
    reserved=OTHER_MEDIA,
    path_without=",@",
    template_arguments=None,
)


@dataclass(frozen=True)
class Universal:
    """The columns of `selected` in every published version, so that it loads in these trainers as it is."""

    name: str = "universal"
    title: str = "TRL, EasyR1, verl, ms-swift and OpenRLHF alike"
    reads: str = "all of the columns below, each the ones it knows"
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:
        """`train.parquet` and the reward functions of four trainers; TRL's is imported."""
        write_parquet(rows, features, target)
        write_reward(target.folder, "easyr1", "compute_score")
        write_reward(target.folder, "verl", "compute_score")
        write_reward(target.folder, "ms_swift", "HfRap")
        write_reward(target.folder, "openrlhf", "reward_func")

    def snippet(self, given: Given) -> str:
        """Of every trainer. The prompt is in the columns, for EasyR1 too."""
        given = replace(given, prompt=None)
        return "\n\n".join(f"# {reader.title}\n{_lines(reader, given)}" for reader in _READERS)


def _lines(reader: Trainer, given: Given) -> str:
    """What to paste, or a comment on why there is nothing."""
    try:
        return _lacks(reader, given) or reader.snippet(given)
    except ExportError as error:  # this one cannot share so few rows among so many GPUs
        return f"# {error}"


def _lacks(reader: Trainer, given: Given) -> str | None:
    """What of the prompt this trainer has no place for, as a comment; None where it has one for all."""
    if given.system_turn and not reader.accepts.system_turn:
        return "# has no system turn, and rows were asked with one: export them to it with another --prompt"
    known = reader.accepts.template_arguments
    if known is not None and not given.chat_template_kwargs.keys() <= set(known):
        return "# has no place for the arguments that the chat template was given: export to it with another --prompt"
    return None
