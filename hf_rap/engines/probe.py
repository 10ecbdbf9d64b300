"""The last layer's attention of given tokens, reduced on the fly: no L x L matrix, no eager kernel.

A model runs as it always does, with its own kernels and masks in every layer. Only the attention of
its last text layer is sent through a function of ours, registered at transformers'
`AttentionInterface`: it calls the model's usual kernel, then recomputes the rows that are asked for
from query and key, a few at a time.

That one layer alone is rerouted, through a copy of its config, is deliberate: see `compat.rerouted`.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import AttentionInterface

from hf_rap.errors import EngineError

from . import compat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_NAME = "hf_rap_probe"
# Attention weights in memory at once, all heads together: 4 MB of float32.
_BLOCK = 1 << 20


# How the rows of A are pooled over heads and what they are divided by, see `Columns`.
READINGS = ("max", "mean", "max_reply", "mean_reply")


class Span(NamedTuple):
    """The tokens start to stop (exclusive) of row `row` of a batch; the first `cut` of them are also read by themselves."""

    row: int
    start: int
    stop: int
    cut: int = 0


@dataclass(frozen=True)
class Columns:
    """What the attention A of a span's tokens to each other says, of shape (n_tokens,) where nothing else is said.

    Heads are pooled in two ways: by the largest weight ("max"), or by the mean. Each row is divided by its sum, in two
    readings: over all keys, prompt included; or over the keys of the span alone ("_reply").

    Attributes:
        products: reading -> log of the product of column j of A, over the rows i >= j.
        windows: reading -> mean of the log of A[i, j] over the first `window` rows i >= j.
        image: share of the attention of row i that goes to image tokens, mean over heads.
        entropy: of the attention of row i over all keys, in nats, mean over heads.
        cut_products, cut_windows: the same of the first `span.cut` tokens: columns and rows of those alone, (cut,).

    """

    products: dict[str, torch.Tensor]
    windows: dict[str, torch.Tensor]
    image: torch.Tensor
    entropy: torch.Tensor
    cut_products: dict[str, torch.Tensor]
    cut_windows: dict[str, torch.Tensor]


class AttentionProbe:
    """Reads the attention of a model's last text layer during an ordinary forward pass.

    Args:
        model: a decoder of transformers, with or without a vision tower.
        token: id of any ordinary text token, for the short pass that finds the layer.

    Raises:
        EngineError: the last layer has no attention that can be read.
    """

    def __init__(self, model: Any, token: int) -> None:
        self.model = model
        self.layer = _last_attention(model, token)

    @torch.inference_mode()
    def run(
        self,
        inputs: Mapping[str, Any],
        spans: Sequence[Span],
        *,
        image_tokens: torch.Tensor | None = None,
        window: int = 16,
    ) -> list[Columns]:
        """One forward pass over `inputs`; the columns of each span.

        Args:
            inputs: of the model, without a cache; padded left or right, or packed.
            spans: what is read.
            image_tokens: bool of shape (batch, n_tokens), True where an image stands.
            window: rows of a column that its windowed mean takes, counted from the diagonal.

        """
        with self.reading(spans, image_tokens=image_tokens, window=window) as columns:
            self.model(**inputs, use_cache=False, **last_logits_only(self.model))
        return columns

    @contextmanager
    def reading(
        self, spans: Sequence[Span], *, image_tokens: torch.Tensor | None = None, window: int = 16
    ) -> Iterator[list[Columns]]:
        """Fills the list with the columns of each span, from the one forward pass that is made inside.

        That pass may go on from a cache. Spans and image tokens count from the first token of the
        sequence, in the cache or not; the tokens of spans are of the pass.
        """
        columns: list[Columns] = []

        def read(call: _Call) -> None:
            columns.extend(_columns(call, span, image_tokens, window) for span in spans)

        with compat.rerouted([self.layer], _NAME, hf_rap_read=read):
            yield columns
        if len(columns) != len(spans):
            raise EngineError(
                f"{type(self.model).__name__} called the attention of its last layer {len(columns) // len(spans)} times "
                "in one forward pass, not once: it cannot be read."
            )


class _Call(NamedTuple):
    """One call of the attention function: query (batch, heads, n, dim), key (batch, key heads, n_keys, dim)."""

    module: Any
    query: torch.Tensor
    key: torch.Tensor
    mask: Any
    options: dict[str, Any]


def _columns(call: _Call, span: Span, image_tokens: torch.Tensor | None, window: int) -> Columns:
    """Reduces a span's rows of attention, some rows at a time."""
    length = span.stop - span.start
    # float32 at least; float64 stays what it is, for comparisons.
    dtype = torch.promote_types(call.query.dtype, torch.float32)
    key = call.key[span.row].to(dtype)
    whole, first_part = (_Sums(key.new_zeros, stop, window) for stop in (length, span.cut))
    image, entropy = key.new_zeros(length), key.new_zeros(length)
    here = torch.arange(length, device=key.device)
    step = max(1, _BLOCK // (call.query.shape[1] * key.shape[1]))
    cached = call.key.shape[2] - call.query.shape[2]  # tokens of earlier passes
    for first in range(0, length, step):
        rows = here[first : first + step]
        logs = _log_weights(call, span.row, span.start - cached + rows, key)
        weights = logs.exp()
        entropy[rows] = torch.special.entr(weights).sum(-1).mean(0)
        if image_tokens is not None:
            image[rows] = weights[..., image_tokens[span.row].to(weights.device)].sum(-1).mean(0)
        seen = slice(span.start, span.start + int(rows[-1]) + 1)
        largest, mean = logs.amax(0), logs[..., seen].logsumexp(0) - math.log(len(logs))
        pooled = {
            "max": largest[:, seen] - largest.logsumexp(-1, keepdim=True),
            "mean": mean,
            "max_reply": largest[:, seen] - largest[:, seen].logsumexp(-1, keepdim=True),
            "mean_reply": mean - mean.logsumexp(-1, keepdim=True),
        }
        for reading, block in pooled.items():
            whole.add(reading, rows, block)
            if first < span.cut:
                first_part.add(reading, rows[: span.cut - first], block[: span.cut - first, : span.cut])
    return Columns(*whole.columns(), image, entropy, *first_part.columns())


class _Sums:
    """Sums over the rows of each of the first `stop` columns: the logs of its product, and those of a window of rows."""

    def __init__(self, zeros: Callable[[int], torch.Tensor], stop: int, window: int) -> None:
        self.window = window
        self.products = {reading: zeros(stop) for reading in READINGS if stop}
        self.windows = {reading: zeros(stop) for reading in READINGS if stop}

    def add(self, reading: str, rows: torch.Tensor, block: torch.Tensor) -> None:
        """Some rows of A, (n_rows, columns up to the last of them)."""
        columns = slice(0, block.shape[1])
        age = rows[:, None] - torch.arange(block.shape[1], device=rows.device)  # rows since the diagonal
        self.products[reading][columns] += block.where(age >= 0, 0).sum(0)
        self.windows[reading][columns] += block.where((age >= 0) & (age < self.window), 0).sum(0)

    def columns(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Logs of products, and means of the logs in the windows."""
        means = {}
        for reading, sums in self.windows.items():
            rows = len(sums) - torch.arange(len(sums), device=sums.device)
            means[reading] = sums / rows.clamp(max=self.window)
        return self.products, means


def _log_weights(call: _Call, row: int, positions: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Log of the attention of the tokens at `positions` of this pass of a row, shape (heads, n_positions, n_keys).

    In the log domain, since a softmax in float32 turns weights below e^-104 into zeros.
    """
    query = call.query[row, :, positions].to(key.dtype)
    heads, n_rows, dim = query.shape
    options = compat.kernel_options(call.options)
    grouped = query.view(len(key), heads // len(key), n_rows, dim)
    scores = (grouped @ key[:, None].transpose(-1, -2)).view(heads, n_rows, -1)
    scores *= dim**-0.5 if options.scaling is None else options.scaling
    if options.cap is not None:
        scores = (scores / options.cap).tanh() * options.cap
    scores = _masked(scores, call, row, positions)
    total = scores.logsumexp(-1, keepdim=True)
    if options.sinks is not None:
        total = torch.logaddexp(total, options.sinks.to(total.dtype).view(-1, 1, 1))
    return scores - total


def _masked(scores: torch.Tensor, call: _Call, row: int, positions: torch.Tensor) -> torch.Tensor:
    """The scores with what a token may not see at -inf, by the mask that the model made for its own kernel."""
    mask = call.mask
    if isinstance(mask, torch.Tensor) and mask.ndim == 4:
        mine = mask[row if len(mask) > 1 else 0][:, positions, : scores.shape[-1]]
        if mask.dtype == torch.bool:
            return scores.masked_fill(~mine, -torch.inf)
        # An additive mask hides with the smallest number of its type.
        return (scores + mine).masked_fill(mine <= torch.finfo(mask.dtype).min / 2, -torch.inf)
    if mask is not None and not (isinstance(mask, torch.Tensor) and mask.ndim == 2):
        raise EngineError(
            f"The attention probe cannot read a mask of type {type(mask).__name__}: "
            "load the model with attn_implementation='sdpa'."
        )
    # Kernels that know causality by themselves: sdpa without padding, flash attention.
    keys = torch.arange(scores.shape[-1], device=scores.device)
    at = positions + (call.key.shape[2] - call.query.shape[2])
    visible = keys <= at[:, None]
    window = compat.kernel_options(call.options).window
    if window is not None:
        visible &= keys > at[:, None] - window
    if mask is not None:
        visible &= mask[row].bool()
    return scores.masked_fill(~visible, -torch.inf)


def _probe_attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
) -> Any:
    """The attention function of the layer that is read: the model's own kernel, then the reading."""
    result = compat.usual_attention(module, query, key, value, attention_mask, **options)
    module.config.hf_rap_read(_Call(module, query, key, attention_mask, options))
    return result


AttentionInterface.register(_NAME, _probe_attention)


def _last_attention(model: Any, token: int) -> Any:
    """The attention module of the text layer that runs last, found by running a few tokens of text."""
    layers = layers_of(model)
    parts = {id(part): part for layer in layers.values() for part in layer.modules()}
    parts = {
        key: part for key, part in parts.items() if compat.attention_name(getattr(part, "config", None)) is not None
    }
    ran: list[str] = []
    called: list[_Call] = []
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: ran.append(name), always_call=False)
        for name, layer in layers.items()
    ]
    prompt = torch.full((1, 3), token, device=compat.input_device(model))
    try:
        with torch.inference_mode(), compat.rerouted(list(parts.values()), _NAME, hf_rap_read=called.append):
            model(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                use_cache=False,
                **last_logits_only(model),
            )
    finally:
        for hook in hooks:
            hook.remove()
    name = type(model).__name__
    if not ran:
        raise EngineError(f"{name} has no list of layers that run one after the other: its attention cannot be read.")
    inside = {id(part) for part in layers[ran[-1]].modules()}
    calls = [call for call in called if id(call.module) in inside]
    if len(calls) != 1:
        kinds = ", ".join(sorted({type(part).__name__ for part in layers[ran[-1]].children()}))
        raise EngineError(
            f"The last text layer of {name}, {ran[-1]!r}, has {len(calls)} attentions that go through transformers' "
            f"attention interface, and ACE needs one (its parts: {kinds}). Leave ACE out for this model, or take one "
            "whose last layer is ordinary attention."
        )
    compat.kernel_options(calls[0].options)  # raises what every pass would raise, before the first row
    return calls[0].module


def layers_of(model: Any) -> dict[str, Any]:
    """Name -> layer, of the outermost lists of layers with attention; Gemma 3n runs lists of projections behind them."""
    lists = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and any(compat.attention_name(getattr(part, "config", None)) for part in module.modules())
    ]
    outermost = [name for name in lists if not any(name.startswith(f"{outer}.") for outer in lists)]
    modules = dict(model.named_modules())
    return {f"{name}.{child}": layer for name in outermost for child, layer in modules[name].named_children()}


def last_logits_only(model: Any) -> dict[str, Any]:
    """Saves the logits of all tokens but the last, which nobody reads, where the model can leave them out."""
    import inspect

    return {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
