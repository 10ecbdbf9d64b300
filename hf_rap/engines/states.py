"""What a model in memory holds of a prompt before it answers: the hidden states of the prompt's last token."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch

from hf_rap.errors import EngineError, RowError, warnings_stay_warnings

from . import compat
from .answers import answering
from .asking import half
from .loaded_model import estimated_tokens, likeness
from .probe import last_logits_only, layers_of
from .texts import too_long

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .base import Request
    from .loaded_model import LoadedModel


@warnings_stay_warnings()
def prompt_states(
    loaded: LoadedModel, requests: Sequence[Request], *, depths: Sequence[float]
) -> list[NDArray[np.float16] | RowError]:
    """Per request (n_depths, width): what leaves the text layers at these depths at the prompt's last token, or its error.

    One pass over each prompt; nothing is generated. Requests that share a batch are of one kind (`LoadedModel.kind_of`)
    and of similar length.
    """
    if not requests:
        return []
    layers = text_layers(loaded)
    chosen = [layers[max(1, round(depth * len(layers))) - 1] for depth in depths]
    order = sorted(range(len(requests)), key=lambda index: (loaded.kind_of(requests[index]), likeness(requests[index])))

    def run(part: list[int]) -> list[NDArray[np.float16] | RowError]:
        return _read_batch(loaded, [requests[index] for index in part], chosen)

    with answering(len(requests)) as answers:
        for _, group in groupby(order, key=lambda index: loaded.kind_of(requests[index])):
            for batch, answered in loaded.in_batches(
                "states",
                list(group),
                lambda index: estimated_tokens(requests[index]),
                lambda part: loaded.in_halves(part, run),
            ):
                answers.add(batch, answered)
        return answers.all()


def text_layers(loaded: LoadedModel) -> list[Any]:
    """The layers that run one after the other when a model reads text, in their order; those of its vision part do not.

    Raises:
        EngineError: there is no list of such layers.

    """
    candidates = layers_of(loaded.model)
    ran: list[str] = []
    hooks = [layer.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, layer in candidates.items()]
    prompt = torch.full((1, 3), loaded.texts.reply_tokens("a")[-1], device=compat.input_device(loaded.model))
    try:
        with torch.inference_mode():
            loaded.model(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                use_cache=False,
                **last_logits_only(loaded.model),
            )
    finally:
        for hook in hooks:
            hook.remove()
    if not ran:
        raise EngineError(
            f"{type(loaded.model).__name__} has no list of layers that run one after the other: its states cannot be read."
        )
    of_text = ran[-1].rpartition(".")[0]
    return [candidates[name] for name in dict.fromkeys(ran) if name.rpartition(".")[0] == of_text]


def _read_batch(
    loaded: LoadedModel, requests: list[Request], layers: list[Any]
) -> list[NDArray[np.float16] | RowError]:
    inputs = loaded.encode(requests)
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    errors = [too_long(length, 0, loaded.context_tokens) for length in lengths]
    if any(errors):
        fitting = [request for request, error in zip(requests, errors, strict=True) if error is None]
        answers = iter(_read_batch(loaded, fitting, layers) if fitting else [])
        return [error or next(answers) for error in errors]
    with torch.inference_mode(), loaded.own_positions(), _last_tokens(layers) as states:
        loaded.model(**inputs, use_cache=False, **last_logits_only(loaded.model))
    loaded.answered = True
    stacked = torch.stack([state.float().cpu() for state in states], dim=1).numpy()  # (rows, depths, width)
    return [half(of_row) for of_row in stacked]


@contextmanager
def _last_tokens(layers: list[Any]) -> Iterator[list[torch.Tensor]]:
    """Fills the list with what each layer gives at the last token of every row, (rows, width), in the pass made inside.

    Prompts are padded on the left, so that all end at the right edge.
    """
    states: list[torch.Tensor] = [torch.empty(0)] * len(layers)

    def note(place: int, _module: Any, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        states[place] = hidden[:, -1].detach()

    hooks = [layer.register_forward_hook(partial(note, place)) for place, layer in enumerate(layers)]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()
