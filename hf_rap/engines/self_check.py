"""Whether this engine makes of a model what transformers makes of it: asked on first use, and remembered.

The engine runs prompts in padded batches, goes on from repeated caches and reads attention on the way. What a model keeps
beside its tokens can be lost there, in a way that gives fluent replies to another question. So two prompts with
pictures go through the engine as every batch does, and one by one through plain forward passes and `generate`.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from hf_rap.errors import EngineError, RowError, first_line
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.stats.settings import noted

from . import compat
from .base import Reply, Request, Sampling
from .forced_passes import with_replies
from .remembered import is_remembered, remember
from .teacher_forcing import attend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image

    from .loaded_model import LoadedModel

VERSION = "1"  # raise it when a model that has passed should be asked again

_GREEDY = Sampling(temperature=0.0, max_new_tokens=8)
_ATTEMPTS = 2
_WINDOW = 16
_SHORT = "<image>What is this?"
_LONG = (
    "<image>Look at the picture first. Say which colours it has, how many parts you can tell from each other, which of them "
    "stands at the left and which at the right, and then whether any two of them are alike."
)
# What two ways of computing the same may differ by: the root of the mean square over the vocabulary, as a share of the
# logits' own spread; and the mean over the columns of log psi. In bfloat16 rounding alone made up to 0.04 and 0.08 (36 layers
# of random weights), in float32 0.000001; a lost mask, other positions or another layer make 0.3 and more.
_LARGEST = (5e-3, 1e-2)
_LARGEST_IN_HALF = (0.2, 0.25)


def check_once(loaded: LoadedModel, what: str, loading: Mapping[str, Any]) -> None:
    """Makes one of the checks, "replies" or "attention", unless it was passed before: here, or on this machine.

    Args:
        loaded: the model.
        what: which check.
        loading: JSON-able: which model it is, and how it was loaded, as far as the model does not know.

    Raises:
        EngineError: it is not passed.
    """
    if what in loaded.checked:
        return
    device = loaded.device
    fact = {
        **noted({**loaded.describe(), **loading}),
        "check": f"{what} {VERSION}",
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }
    if not is_remembered(fact):
        {"replies": check_replies, "attention": check_attention}[what](loaded)
        remember(fact)
    loaded.checked.add(what)


def check_replies(loaded: LoadedModel) -> None:
    """Raise where replies of a batch are not those that plain `generate` gives to each prompt.

    Raises:
        EngineError: they differ by more than rounding explains; a picture does not reach the model; or it cannot answer.
    """
    _say_what_failed(loaded, "answer two short questions with pictures", lambda: _check_replies(loaded))


def check_attention(loaded: LoadedModel) -> None:
    """Raise where psi is not what the attention of a plain forward pass makes it.

    Raises:
        EngineError: it differs by more than rounding explains, or the attention cannot be read.
    """
    _say_what_failed(loaded, "be asked where it looks", lambda: _check_attention(loaded))


def _say_what_failed(loaded: LoadedModel, what: str, check: Callable[[], None]) -> None:
    try:
        check()
    except EngineError:
        raise
    except Exception as error:  # a model can fail in any way; here it is still the model and not a row
        raise EngineError(
            f"{type(loaded.model).__name__} could not {what}, before the first row: {type(error).__name__}: "
            f"{first_line(error).rstrip('.')}. {_REPORT}"
        ) from error


_REPORT = "If plain transformers can, report this with the output of `hf-rap env` and the name of the model."


def _is_exact(loaded: LoadedModel) -> bool:
    """Whether sums round so little that every token of a reply can be compared: not in half precision, nor quantised."""
    whole = loaded.model.dtype in (torch.float32, torch.float64)
    return whole and loaded.quantization is None


@torch.inference_mode()
def _check_replies(loaded: LoadedModel) -> None:
    requests = _requests(loaded)
    batch = loaded.encode(requests)
    engine = _Steps()
    made = loaded.sample(batch, requests, _GREEDY, before=[engine])[:, batch["input_ids"].shape[1] :].tolist()
    blind = True
    for place, request in enumerate(requests):
        alone, plain = loaded.encode([request]), _Steps()
        seen = _last_logits(loaded, alone)
        others = (_picture(*request.images[0].size, seed=3),)
        blind &= torch.equal(seen, _last_logits(loaded, loaded.encode([replace(request, images=others)])))
        with loaded.own_positions():
            expected = loaded.model.generate(
                **alone,
                max_new_tokens=_GREEDY.max_new_tokens,
                do_sample=False,
                logits_processor=LogitsProcessorList([plain]),
            )[0, alone["input_ids"].shape[1] :].tolist()
        _compare(loaded, plain.of_row(0), [seen], [expected[0]], [expected[0]], way="`generate`")
        for row in range(place * _ATTEMPTS, (place + 1) * _ATTEMPTS):
            _compare(loaded, engine.of_row(row), plain.of_row(0), made[row], expected)
    if blind:
        raise EngineError(
            f"{type(loaded.model).__name__} does not see pictures here: with another picture of the same size it computes "
            f"the same to the last bit. Its vision weights, or what leads from them to the text, are not there. {_REPORT}"
        )


def _last_logits(loaded: LoadedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with loaded.own_positions():
        logits: torch.Tensor = loaded.model(**inputs, use_cache=False).logits[0, -1].float().cpu()
    return logits


def _compare(
    loaded: LoadedModel,
    ours: list[torch.Tensor],
    plain: list[torch.Tensor],
    made: list[int],
    told: list[int],
    *,
    way: str = "a batch in this engine",
) -> None:
    """Logits step by step, for as long as the tokens are the same; in half precision those of the first step alone.

    Where tokens part although the logits agree, two of them were as good as equally likely.
    """
    exact = _is_exact(loaded)
    largest, _ = _LARGEST if exact else _LARGEST_IN_HALF
    for step in range(min(len(ours), len(plain)) if exact else 1):
        spread = (plain[step] - plain[step].mean()).square().mean().sqrt()
        off = float((ours[step] - plain[step]).square().mean().sqrt() / spread.clamp(min=1e-9))
        if not off <= largest:
            dtype = str(loaded.model.dtype).removeprefix("torch.")
            raise EngineError(
                f"{type(loaded.model).__name__} does not answer the same in {way} as by itself: at token {step + 1} of a "
                f"reply its logits are off by {off:.2g} of their spread, and rounding in {dtype} explains {largest:g}. Its "
                f"replies would be those to another question. {_REPORT}"
            )
        if made[step] != told[step]:
            return


class _Steps(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Keeps the logits of every step as they come out of the model."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        self.steps.append(scores.float().cpu())
        return scores

    def of_row(self, row: int) -> list[torch.Tensor]:
        return [step[row] for step in self.steps]


@torch.inference_mode()
def _check_attention(loaded: LoadedModel) -> None:
    requests = [request for request in _requests(loaded) for _ in range(_ATTEMPTS)]
    texts = (
        "It shows a few coloured shapes, and the one at the left is the largest.",
        "Two of them are alike, I think.",
    )
    replies = [Reply(request, text) for request, text in zip(requests, texts * _ATTEMPTS, strict=True)]
    _, largest = _LARGEST if _is_exact(loaded) else _LARGEST_IN_HALF
    for reply, read in zip(replies, attend(loaded, replies, window=_WINDOW), strict=True):
        if isinstance(read, RowError):
            raise read
        tokens = loaded.texts.reply_tokens(reply.text)
        sequences, (span,) = with_replies(loaded.encode([reply.request]), [tokens])
        weights = _eager_weights(loaded, sequences)[0, :, span.start : span.stop].amax(0)
        pooled = (weights[:, span.start : span.stop] / weights.sum(-1, keepdim=True)).tolist()
        off = [
            abs(ours - sum(logs) / len(logs))
            for place, ours in enumerate(read.windows["max"])
            # What eager attention rounds to 0 has no logarithm.
            if (logs := [math.log(row[place] or math.nan) for row in pooled[place : place + _WINDOW]])
        ]
        off = [each for each in off if not math.isnan(each)]
        worst = sum(off) / max(1, len(off))
        if not worst <= largest:
            raise EngineError(
                f"The attention of {type(loaded.model).__name__} cannot be read right: psi is off by a factor of "
                f"{math.exp(worst):.2f} from what output_attentions of a plain forward pass makes it, and rounding "
                f"explains {math.exp(largest):.2f}. Leave attention (ACE) out for this model. {_REPORT}"
            )


def _eager_weights(loaded: LoadedModel, sequences: dict[str, torch.Tensor]) -> torch.Tensor:
    """The attention of the last text layer, (rows, heads, n, n), as transformers gives it."""
    usual = compat.attention_name(loaded.model.config)
    loaded.model.set_attn_implementation("eager")
    try:
        with loaded.own_positions():
            output = loaded.model(**sequences, use_cache=False, output_attentions=True)
    finally:
        loaded.model.set_attn_implementation(usual)
    weights: torch.Tensor = [each for each in output.attentions if each is not None][-1].float()
    return weights


def _requests(loaded: LoadedModel) -> list[Request]:
    """A short prompt and a long one, as the context allows, with a square picture and a wide one.

    Of those a processor that cuts pictures into tiles makes one, and two or more. Where it cannot put the two into one
    batch, batches are of pictures of one size, and so are these.
    """
    square, wide = _picture(56, 56, seed=1), _picture(168, 64, seed=2)
    try:
        loaded.encode(_asked((_SHORT, _SHORT), (square, wide)))
    except Exception:  # noqa: BLE001 - whatever a processor says to that; what else is wrong shows again
        wide = _picture(56, 56, seed=2)
    words = _LONG.split(" ")
    while True:
        made = _asked((_SHORT, " ".join(words)), (square, wide))
        room = loaded.context_tokens
        if room is None or loaded.encode(made)["input_ids"].shape[1] + 32 <= room or len(words) < 8:
            return made
        words = words[: len(words) // 2]


def _asked(questions: tuple[str, str], pictures: tuple[Image.Image, Image.Image]) -> list[Request]:
    return [
        Request(str(number), "image", PromptTemplate().messages(question), (picture,), _ATTEMPTS)
        for number, (question, picture) in enumerate(zip(questions, pictures, strict=True))
    ]


def _picture(width: int, height: int, seed: int) -> Image.Image:
    """Random pixels: any two such pictures look different to a model."""
    from PIL import Image

    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))
