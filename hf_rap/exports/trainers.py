"""The one table of trainers: `hf-rap export --to`, the docs and the tests read it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from hf_rap.errors import SettingError
from hf_rap.options import check, check_text
from hf_rap.plugins import plugins

from .base import Accepts
from .conversations import Conversations
from .easyr1 import EasyR1
from .jsonl import JsonLines
from .llama_factory import LlamaFactory
from .mm_eureka import MMEureka
from .ms_swift import MsSwift
from .openai_chat import OpenAIChat
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
    OpenAIChat(),
    Conversations(),
    JsonLines(),
)
TRAINERS: dict[str, Trainer] = {trainer.name: trainer for trainer in _ALL}


def find_trainer(name: str) -> Trainer:
    """The trainer that `--to` names.

    Raises:
        SettingError: there is none of that name, or it is one from outside that cannot work.

    """
    trainers: dict[str, Trainer] = {**TRAINERS, **plugins("export", TRAINERS)}
    own = "one of your own (`hf_rap.exports.base.Trainer`) with `hf-rap --plugin module:attribute`"
    check(name in trainers, "to", name, f"one of {', '.join(trainers)}, or {own}")
    if name not in TRAINERS:
        _check_own(trainers[name])
    return trainers[name]


def _check_own(trainer: Trainer) -> None:
    """Raise `SettingError` for an export from outside that cannot work."""
    kind = type(trainer).__name__
    check(
        isinstance(trainer.accepts, Accepts), f"{kind}.accepts", trainer.accepts, "Accepts(...) of hf_rap.exports.base"
    )
    for part in ("title", "reads"):
        check_text(f"{kind}.{part}", getattr(trainer, part), empty=False)
    if inspect.iscoroutinefunction(trainer.write) or inspect.isgeneratorfunction(trainer.write):
        raise SettingError(
            f"{kind}.write is asynchronous or yields, so that nothing of it would run: it takes a function that writes files."
        )
    for part, arguments in (("write", ("rows", "features", "target")), ("snippet", ("given",))):
        try:
            inspect.signature(getattr(trainer, part)).bind(*arguments)
        except TypeError as error:
            raise SettingError(f"{kind}.{part} cannot be called with ({', '.join(arguments)}): {error}.") from error


def trainers_table() -> str:
    """The table as Markdown."""
    head = ["| `--to` | for | columns | rows without image | several golds |", "|---|---|---|---|---|"]
    rows = [
        f"| `{trainer.name}` | {trainer.title} | {trainer.reads} | {'mixed' if trainer.accepts.mixes_text_only else 'on their own'} "
        f"| {'yes' if trainer.accepts.several_golds else 'no'} |"
        for trainer in TRAINERS.values()
    ]
    return "\n".join([*head, *rows])
