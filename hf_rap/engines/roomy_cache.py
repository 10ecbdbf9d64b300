"""A cache that is written in place: its layers have room for what is to come.

The layers that transformers makes are copied whole for every token. Here a token is written behind the others, and
the layer is copied only when its room is used up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import compat

if TYPE_CHECKING:
    import torch

ROOM = 128  # tokens; a layer is copied once in so many steps


class _Strip:
    """Tokens of shape (rows, heads, tokens, n), one behind the other, with room at the end."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.start = self.stop = 0
        self.stored: torch.Tensor | None = None
        self.given: torch.Tensor | None = None

    def extended(self, held: torch.Tensor, new: torch.Tensor, kept: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """`held` with `new` behind it, and what to hold of that: the last `kept` tokens, None for all.

        Copies `held` where it is not what was given to hold last time, or where no room is left.
        """
        count = new.shape[-2]
        stored = self.stored
        if stored is None or held is not self.given or self.stop + count > stored.shape[-2]:
            tokens = held.shape[-2]
            stored = held.new_empty((*held.shape[:-2], tokens + max(self.room, count), held.shape[-1]))
            stored[..., :tokens, :] = held
            self.stored, self.start, self.stop = stored, 0, tokens
        stored[..., self.stop : self.stop + count, :] = new
        whole = stored[..., self.start : self.stop + count, :]
        self.stop += count
        if kept is not None:
            self.start = max(self.start, self.stop - kept)
        self.given = stored[..., self.start : self.stop, :]
        return whole, self.given


class _Roomy:
    """What both kinds of layers have in common: they are those of transformers but for `update`."""

    keys: torch.Tensor
    values: torch.Tensor

    @classmethod
    def of(cls, layer: Any, room: int) -> Any:
        """The layer with room; it takes over what the layer holds."""
        roomy: Any = cls.__new__(cls)
        vars(roomy).update(vars(layer))
        roomy.strips = (_Strip(room), _Strip(room))
        return roomy

    def _extend(
        self, new: tuple[torch.Tensor, torch.Tensor], kept: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self.strips  # type: ignore[attr-defined]
        all_keys, self.keys = keys.extended(self.keys, new[0], kept)
        all_values, self.values = values.extended(self.values, new[1], kept)
        return all_keys, all_values


class RoomyLayer(_Roomy, compat.PlainLayer):  # type: ignore[misc]  # transformers has no types
    """A layer that keeps every token."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values, those of new tokens behind the others."""
        return self._extend((key_states, value_states))


class RoomySlidingLayer(_Roomy, compat.SlidingLayer):  # type: ignore[misc]  # transformers has no types
    """A layer that keeps the tokens of a window."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values that the new tokens see."""
        self.cumulative_length += key_states.shape[-2]
        return self._extend((key_states, value_states), self.sliding_window - 1)


_KINDS = {compat.PlainLayer: RoomyLayer, compat.SlidingLayer: RoomySlidingLayer}


def make_room(cache: Any, room: int = ROOM) -> None:
    """Gives the layers of a filled cache room, in place; layers of other kinds (states, indexed keys) stay as they are."""
    for place, layer in enumerate(cache.layers):
        kind = _KINDS.get(type(layer))
        if kind is not None and layer.is_initialized and not getattr(layer, "record_past", False):
            cache.layers[place] = kind.of(layer, room)
