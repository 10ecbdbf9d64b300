"""Limits on pixels are taken or refused, never left out: they decide how much of a picture a model sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.errors import EngineError, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Each with the side of `size` that Qwen-VL and others keep it in.
_LIMITS = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}


def check_limits(options: Mapping[str, Any]) -> None:
    """Raise `SettingError` where `processor_options` limit the pixels in two ways, of which processors take one."""
    both = [name for name in _LIMITS if options.get(name) is not None]
    if options.get("size") is not None and both:
        raise SettingError(
            f"processor_options has size and {' and '.join(both)}, which say the same in two ways, and processors take one of "
            'them: leave size out, or write it as size={"shortest_edge": min_pixels, "longest_edge": max_pixels}.'
        )


def check_taken(processor: Any, options: Mapping[str, Any]) -> None:
    """Raise `EngineError` where a limit that was asked for is not in the processor that was loaded with it."""
    images = processor.image_processor
    for name, side in _LIMITS.items():
        value = options.get(name)
        if value is None:
            continue
        held = getattr(images, name, None)
        size = getattr(images, "size", None)
        held = held if held is not None else getattr(size, side, None) if not isinstance(size, dict) else size.get(side)
        if held != value:
            raise EngineError(
                f"{type(images).__name__} does not take {name}={value}: pictures would be as large as before. It has "
                f"size={_shown(size)}; change that in processor_options instead."
            )


def _shown(size: Any) -> dict[str, Any]:
    """A size without what it leaves open."""
    return {name: value for name, value in dict(size or {}).items() if value is not None}
