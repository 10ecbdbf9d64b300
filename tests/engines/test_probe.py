"""The probe against the definition: psi from `output_attentions=True`, all in float64, on ten architectures.

The reference is eager attention with its softmax in float64 too: transformers' own is in float32
whatever the model's type, and rounds weights below e^-104 to zero.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import torch
import transformers
from torch import nn

from hf_rap.engines import forced_passes
from hf_rap.engines import probe as probing
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.probe import AttentionProbe, Span
from hf_rap.errors import EngineError
from hf_rap.evidence.psi import highest, log_psis

from .tiny_models import FAMILIES, VOCABULARY, ask, build, picture, randomised

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW = 4
TOKEN = 70
REPLIES = ("alpha beta gamma. delta", "x, y and z are all the same, which is why the answer is 42.", "ab", "The answer")


@pytest.fixture(autouse=True)
def small_blocks() -> Iterator[None]:
    """Blocks of two rows or so, so that every span takes several."""
    with mock.patch.object(probing, "_BLOCK", 1 << 10):
        yield


def teacher_forced(family: str) -> tuple[Any, dict[str, torch.Tensor], list[Span], torch.Tensor]:
    """A model in float64, a padded batch of four rows with pictures and replies, and where those are."""
    model, processor = build(family)
    loaded = LoadedModel(copy.deepcopy(model).double(), processor)
    requests = [
        ask("a", "<image>What is this?", picture(20, 30, 1)),
        ask("b", "<image>How many shapes are red, and which one of them stands at the left?", picture(33, 10, 2)),
        ask("c", "In <image>, left?", picture(8, 8, 3)),
        # Of Mllama only rows with equally many pictures share a batch.
        ask("d", "<image>Compare", picture(40, 40, 4))
        if family == "mllama"
        else ask("d", "<image>Compare with <image>", picture(40, 40, 4), picture(17, 25, 5)),
    ]
    tokens = [loaded.texts.reply_tokens(reply) for reply in REPLIES]
    inputs, spans = forced_passes.with_replies(loaded.encode(requests), tokens)
    # Read up to there by themselves: less than a window, more than one, one token, nothing.
    spans = [span._replace(cut=cut) for span, cut in zip(spans, (3, 40, 1, 0), strict=True)]
    images = forced_passes._image_tokens(loaded, inputs["input_ids"], spans)
    assert images is not None
    return loaded.model, inputs, spans, images


def padded_left(inputs: dict[str, torch.Tensor], spans: list[Span], images: torch.Tensor) -> tuple:
    """The same batch with its padding moved to the left, and the positions that belong to it."""
    real = inputs["attention_mask"].bool()
    shift = (~real).sum(1).tolist()
    moved = {
        name: torch.stack([row.roll(by) for row, by in zip(value, shift, strict=True)])
        if value.shape == real.shape
        else value
        for name, value in inputs.items()
    }
    images = torch.stack([row.roll(by) for row, by in zip(images, shift, strict=True)])
    spans = [span._replace(start=span.start + by, stop=span.stop + by) for span, by in zip(spans, shift, strict=True)]
    return moved, spans, images


def eager_attention(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The last layer's attention by `output_attentions=True`, (batch, heads, n, n), in float64 throughout."""
    original = nn.functional.softmax
    usual = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with (
            torch.no_grad(),
            mock.patch.object(nn.functional, "softmax", lambda x, dim=-1, dtype=None: original(x, dim=dim)),
        ):
            output = model(**inputs, use_cache=False, output_attentions=True)
    finally:
        model.set_attn_implementation(usual)
    attention = [each for each in output.attentions if each is not None][-1]
    assert attention.dtype == torch.float64
    return attention


def by_definition(attention: torch.Tensor, span: Span, images: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """The columns of one span, straight from the matrix; of its first tokens by themselves, too, where it has a cut."""
    rows = attention[span.row, :, span.start : span.stop]
    found = {"entropy": torch.special.entr(rows).sum(-1).mean(0)}
    if images is not None:
        found["image"] = rows[..., images[span.row]].sum(-1).mean(0)
    largest = rows.max(0).values
    reply = slice(span.start, span.stop)
    squares = {
        "max": largest[:, reply] / largest.sum(-1, keepdim=True),
        "mean": rows.mean(0)[:, reply],
        "max_reply": largest[:, reply] / largest[:, reply].sum(-1, keepdim=True),
        "mean_reply": rows.mean(0)[:, reply] / rows.mean(0)[:, reply].sum(-1, keepdim=True),
    }
    for reading, whole in squares.items():
        for name, square in (("", whole), ("cut_", whole[: span.cut, : span.cut])):
            windows = [square[j : j + WINDOW, j].log().mean().exp() for j in range(len(square))]
            if len(square):
                found[f"{name}product_{reading}"] = torch.stack([square[j:, j].prod() for j in range(len(square))])
                found[f"{name}window_{reading}"] = torch.stack(windows)
    return found


def as_numbers(columns: probing.Columns) -> dict[str, torch.Tensor]:
    """The probe's columns out of the log domain."""
    found = {"entropy": columns.entropy, "image": columns.image}
    kinds = {"product": columns.products, "window": columns.windows}
    kinds |= {"cut_product": columns.cut_products, "cut_window": columns.cut_windows}
    for kind, of_kind in kinds.items():
        found |= {f"{kind}_{reading}": values.exp() for reading, values in of_kind.items()}
    return found


def assert_equal(found: list[probing.Columns], expected: list[dict[str, torch.Tensor]]) -> None:
    for one, reference in zip(found, expected, strict=True):
        numbers = as_numbers(one)
        assert set(reference) <= set(numbers)
        for name, values in reference.items():
            torch.testing.assert_close(
                numbers[name], values, rtol=1e-5, atol=1e-300, msg=lambda text, name=name: f"{name}: {text}"
            )


def psis(columns: probing.Columns) -> list[float]:
    """psi of a span in all forms, poolings and readings."""
    entry: dict[str, Any] = {f"product_{reading}": values.tolist() for reading, values in columns.products.items()}
    entry |= {f"window_{reading}": values.tolist() for reading, values in columns.windows.items()}
    best = [
        highest(log_psis(entry, form=form, heads=heads, sigma=2.0, normalise=normalise), 1)
        for form in ("literal", "windowed")
        for heads in ("max", "mean")
        for normalise in ("all", "reply")
    ]
    return [one[0] for one in best if one is not None]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
def test_probe_equals_the_definition(family: str, side: str) -> None:
    """Grouped heads, sliding windows, pictures of different sizes, replies of different lengths: to 1e-5 relative."""
    model, inputs, spans, images = teacher_forced(family)
    if side == "left":
        inputs, spans, images = padded_left(inputs, spans, images)
    assert (inputs["attention_mask"] == 0).any()
    found = AttentionProbe(model, TOKEN).run(inputs, spans, image_tokens=images, window=WINDOW)
    attention = eager_attention(model, inputs)
    assert_equal(found, [by_definition(attention, span, images) for span in spans])
    in_sight = family != "llava_mistral"  # there the picture is out of the window of 24 tokens
    assert (0 < float(found[0].image.mean()) < 1) == in_sight


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "llava_llama", "internvl", "smolvlm"])
def test_a_dropped_padding_mask_is_noticed(family: str) -> None:
    """The test above can fail: without the mask, left-padded rows come out wrong, and no other."""
    model, inputs, spans, images = teacher_forced(family)
    inputs, spans, images = padded_left(inputs, spans, images)
    attention = eager_attention(model, inputs)
    unmasked = {**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])}
    found = AttentionProbe(model, TOKEN).run(unmasked, spans, image_tokens=images, window=WINDOW)
    for one, span in zip(found, spans, strict=True):
        padded = bool((inputs["attention_mask"][span.row] == 0).any())
        if padded:
            with pytest.raises(AssertionError, match="not close"):
                assert_equal([one], [by_definition(attention, span, images)])


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_neighbours_do_not_change_psi(family: str) -> None:
    """A row in a batch has the psi that it has alone."""
    model, inputs, spans, images = teacher_forced(family)
    probe = AttentionProbe(model, TOKEN)
    together = probe.run(inputs, spans, image_tokens=images, window=WINDOW)
    loaded = LoadedModel(model, build(family)[1])
    request = ask("a", "<image>What is this?", picture(20, 30, 1))
    tokens = [loaded.texts.reply_tokens(REPLIES[0])]
    alone, (span,) = forced_passes.with_replies(loaded.encode([request]), tokens)
    (single,) = probe.run(alone, [span], window=WINDOW)
    assert psis(single) == pytest.approx(psis(together[0]), rel=1e-9)


def llama(**options: Any) -> Any:
    """A text decoder in float64."""
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=None,
        **options,
    )
    return randomised(transformers.LlamaForCausalLM(config)).double()


def tokens(*shape: int) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, shape, generator=torch.Generator().manual_seed(1))


def test_packed_sequences_do_not_see_each_other() -> None:
    """Two sequences in one row, told apart by their positions, have the psi of two rows."""
    model = llama()
    ids = tokens(2, 12)
    probe = AttentionProbe(model, TOKEN)
    apart = probe.run({"input_ids": ids}, [Span(0, 4, 12), Span(1, 6, 12)], window=WINDOW)
    packed = {"input_ids": ids.view(1, 24), "position_ids": torch.arange(12).repeat(2)[None]}
    together = probe.run(packed, [Span(0, 4, 12), Span(0, 18, 24)], window=WINDOW)
    assert [psis(one) for one in together] == [pytest.approx(psis(one), rel=1e-9) for one in apart]


def test_the_layer_that_runs_last_is_found() -> None:
    """Not the last of the list: a model may run fewer layers than it holds."""
    model = llama()
    model.config.num_hidden_layers = 2
    assert AttentionProbe(model, TOKEN).layer is model.model.layers[1].self_attn


def test_lists_of_other_parts_behind_the_layers_are_no_layers() -> None:
    """Gemma 3n runs a list of projections after its last layer, and one whose keys are those of an earlier layer."""
    config = transformers.Gemma3nTextConfig(
        vocab_size=VOCABULARY,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size=32,
        hidden_size_per_layer_input=8,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        num_kv_shared_layers=1,
        laurel_rank=8,
        layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        activation_sparsity_pattern=[0.0] * 4,
        sliding_window=16,
    )
    model = randomised(transformers.Gemma3nForCausalLM(config)).double()
    probe = AttentionProbe(model, TOKEN)
    assert probe.layer is model.model.layers[3].self_attn
    ids, span = tokens(1, 12), Span(0, 3, 12)
    found = probe.run({"input_ids": ids}, [span], window=WINDOW)
    assert_equal(found, [by_definition(eager_attention(model, {"input_ids": ids}), span)])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vision_tower_is_never_taken(family: str) -> None:
    """The module that is read belongs to the decoder, and its config is put back."""
    model, inputs, spans, _ = teacher_forced(family)
    probe = AttentionProbe(model, TOKEN)
    (name,) = [name for name, module in model.named_modules() if module is probe.layer]
    assert "vision" not in name
    assert f"layers.{2 if family == 'mllama' else 1}." in f"{name}."
    before = probe.layer.config
    probe.run(inputs, spans)
    assert probe.layer.config is before


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_models_own_kernel_does_the_pass(attention: str) -> None:
    """Logits with and without the probe are the same bits, and so is psi with either kernel."""
    model = llama(attn_implementation=attention)
    ids = tokens(1, 12)
    seen: list[torch.Tensor] = []
    probe = AttentionProbe(model, TOKEN)
    hook = model.register_forward_hook(lambda _module, _args, output: seen.append(output.logits))
    found = probe.run({"input_ids": ids}, [Span(0, 3, 12)], window=WINDOW)
    hook.remove()
    with torch.no_grad():
        assert torch.equal(seen[0], model(input_ids=ids, logits_to_keep=1).logits)
    assert_equal(found, [by_definition(eager_attention(model, {"input_ids": ids}), Span(0, 3, 12))])


def test_soft_capping_is_part_of_it() -> None:
    """Gemma 2 caps its scores, and runs eager for it; a cap of 1 changes psi a lot."""
    config = transformers.Gemma2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        attn_logit_softcapping=1.0,
        sliding_window=5,
        attn_implementation="eager",
    )
    model = randomised(transformers.Gemma2ForCausalLM(config)).double()
    inputs = {"input_ids": tokens(2, 14), "attention_mask": torch.tensor([[0] * 3 + [1] * 11, [1] * 14])}
    spans = [Span(0, 5, 14), Span(1, 2, 14)]
    found = AttentionProbe(model, TOKEN).run(inputs, spans, window=WINDOW)
    attention = eager_attention(model, inputs)
    assert_equal(found, [by_definition(attention, span) for span in spans])


def test_attention_sinks_take_their_share() -> None:
    """gpt-oss has a logit per head that attends to nothing: rows sum to less than 1."""
    config = transformers.GptOssConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=2,
        num_experts_per_tok=1,
        sliding_window=6,
        pad_token_id=None,
        eos_token_id=None,
        attn_implementation="eager",
        experts_implementation="eager",  # grouped matrix products know no float64
    )
    model = transformers.GptOssForCausalLM(config)
    for layer in model.model.layers:
        nn.init.normal_(layer.self_attn.sinks)
    model = randomised(model).double()
    ids = {"input_ids": tokens(1, 14)}
    found = AttentionProbe(model, TOKEN).run(ids, [Span(0, 4, 14)], window=WINDOW)
    assert_equal(found, [by_definition(eager_attention(model, ids), Span(0, 4, 14))])


@pytest.mark.parametrize("window", [None, 5])
def test_a_two_dimensional_mask_means_the_same(window: int | None) -> None:
    """Flash attention gets the padding alone, and knows causality and the sliding window by itself."""
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 4, 12, 8, generator=generator), torch.randn(2, 2, 12, 8, generator=generator)
    padding = torch.tensor([[0] * 3 + [1] * 9, [1] * 12])
    at = torch.arange(12)
    visible = (at[None, :] <= at[:, None]) & padding.bool()[:, None, None, :]
    if window is not None:
        visible &= at[None, :] > at[:, None] - window
    options = {"sliding_window": window}
    span = Span(0, 5, 12)
    flat = probing._columns(probing._Call(None, query, key, padding, options), span, None, WINDOW)
    square = probing._columns(probing._Call(None, query, key, visible, {}), span, None, WINDOW)
    assert psis(flat) == psis(square)
    open_ended = probing._columns(probing._Call(None, query, key, None, options), Span(1, 5, 12), None, WINDOW)
    masked = probing._columns(probing._Call(None, query, key, visible, {}), Span(1, 5, 12), None, WINDOW)
    assert psis(open_ended) == psis(masked)


def test_other_masks_are_refused() -> None:
    """What cannot be read is never guessed."""
    call = probing._Call(None, torch.randn(1, 2, 4, 8), torch.randn(1, 2, 4, 8), object(), {})
    with pytest.raises(EngineError, match="cannot read a mask of type object"):
        probing._columns(call, Span(0, 1, 4), None, WINDOW)


def test_a_last_layer_without_attention_is_refused() -> None:
    """Qwen3.5 with linear attention on top; the message names the layer and its parts."""
    _, processor = build("qwen3_5")
    config = copy.deepcopy(build("qwen3_5")[0].config)
    config.text_config.layer_types = ["full_attention", "linear_attention"]
    model = transformers.Qwen3_5ForConditionalGeneration(config).eval()
    assert processor is not None
    with pytest.raises(
        EngineError, match=r"The last text layer of Qwen3_5ForConditionalGeneration, .*1', has 0 attent"
    ):
        AttentionProbe(model, TOKEN)


def test_long_replies_do_not_underflow() -> None:
    """300 rows: products far below the smallest float stay finite in the log domain, and in float32."""
    model = llama(max_position_embeddings=512).float()
    (found,) = AttentionProbe(model, TOKEN).run({"input_ids": tokens(1, 310)}, [Span(0, 10, 310)], window=WINDOW)
    assert float(found.products["max"][0]) < -200
    assert torch.isfinite(found.products["max"]).all()
