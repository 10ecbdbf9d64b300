"""The one table of trainers: `hf-rap export --to`, the docs and the tests read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_rap.options import check
from hf_rap.plugins import plugins

from .easyr1 import EasyR1
from .jsonl import JsonLines
from .llama_factory import LlamaFactory
from .mm_eureka import MMEureka
from .ms_swift import MsSwift
from .openrlhf import OpenRLHF
from .trl import TRL
from .universal_file import Universal
from .verl import Verl

if TYPE_CHECKING:
    from .base import Trainer

_ALL: tuple[Trainer, ...] = (
    Universal(),
    TRL(),
    EasyR1(),
    Verl(),
    MsSwift(),
    LlamaFactory(),
    OpenRLHF(),
    MMEureka(),
    JsonLines(),
)
TRAINERS: dict[str, Trainer] = {trainer.name: trainer for trainer in _ALL}


def find_trainer(name: str) -> Trainer:
    """The trainer that `--to` names.

    Raises:
        SettingError: there is none of that name.

    """
    trainers: dict[str, Trainer] = {**TRAINERS, **plugins("export", TRAINERS)}
    own = "one of your own (`hf_rap.exports.base.Trainer`) with `hf-rap --plugin module:attribute`"
    check(name in trainers, "to", name, f"one of {', '.join(trainers)}, or {own}")
    return trainers[name]


def trainers_table() -> str:
    """The table as Markdown."""
    head = ["| `--to` | for | columns | rows without image | several golds |", "|---|---|---|---|---|"]
    rows = [
        f"| `{trainer.name}` | {trainer.title} | {trainer.reads} | {'mixed' if trainer.accepts.mixes_text_only else 'on their own'} "
        f"| {'yes' if trainer.accepts.several_golds else 'no'} |"
        for trainer in TRAINERS.values()
    ]
    return "\n".join([*head, *rows])
