"""The layers that run one after the other when a model reads text, and what they hold of the last token of a prompt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hf_rap.errors import EngineError

from . import compat
from .asking import half
from .probe import last_logits_only, layers_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray


def text_layers(model: Any, token: int) -> list[Any]:
    """The layers that run one after the other when a model reads text, in their order; those of its vision part do not.

    Args:
        model: of transformers.
        token: any one of a text.

    Raises:
        EngineError: there is no list of such layers.

    """
    candidates = layers_of(model)
    ran: list[str] = []
    hooks = [layer.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, layer in candidates.items()]
    prompt = torch.full((1, 3), token, device=compat.input_device(model))
    try:
        with torch.inference_mode():
            model(input_ids=prompt, attention_mask=torch.ones_like(prompt), use_cache=False, **last_logits_only(model))
    finally:
        for hook in hooks:
            hook.remove()
    if not ran:
        raise EngineError(
            f"{type(model).__name__} has no list of layers that run one after the other: its states cannot be read."
        )
    of_text = ran[-1].rpartition(".")[0]
    return [candidates[name] for name in dict.fromkeys(ran) if name.rpartition(".")[0] == of_text]


class LastTokens:
    """Notes what layers give at the last token of every row in the first pass that is made inside; later ones cost nothing.

    Prompts are padded on the left, so that all end at the right edge. Behind a cache of the other tokens of the prompts the
    first pass is that of their last ones.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = layers
        self._states: list[Any] = [None] * len(layers)
        self._hooks: list[Any] = []

    def __enter__(self) -> Self:
        self._hooks = [layer.register_forward_hook(partial(self._note, i)) for i, layer in enumerate(self._layers)]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def of_rows(self, repeated: int = 1) -> list[NDArray[np.float16]]:
        """Row by row (n_layers, width), of rows that stand `repeated` times side by side."""
        stacked = torch.stack([state[::repeated].float().cpu() for state in self._states], dim=1).numpy()
        return [half(of_row) for of_row in stacked]

    def _note(self, place: int, _module: Any, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        self._states[place] = hidden[:, -1].detach().clone()  # what it is a part of need not be kept
        self._hooks[place].remove()
