"""Stored replies read again: which tokens they are, and what happens to those that cannot be read."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
import transformers

from hf_rap.engines import forced_passes, teacher_forcing
from hf_rap.engines.base import Reply, ReplyAttention, Request, Sampling
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.probe import AttentionProbe
from hf_rap.engines.teacher_forcing import attend
from hf_rap.errors import RowError

from . import tiny_models
from .tiny_models import CONTEXT, ask, build, picture
from .tiny_models import FAMILIES as ALL_FAMILIES

WINDOW = 4
FAMILIES = ("qwen2_5_vl", "llava_llama", "gemma3", "idefics3")


def loaded(family: str = "qwen2_5_vl", batch_size: int = 16) -> LoadedModel:
    return LoadedModel(*build(family), batch_size=batch_size)


def question(row_id: str = "a", size: int = 24, text: str = "<image>What is this?") -> Request:
    return ask(row_id, text, picture(size, size), attempts=1)


def replies() -> list[Reply]:
    """Six replies to four questions, of different lengths, one without a picture."""
    texts = ("A red square, I think.", "12", "It is <think>the</think> one on the left: 3.", "a b", "Yes.", "x" * 40)
    requests = [question("a"), question("b", 8), question("a"), question("c", 40, "<image>x"), question("b", 8)]
    requests.append(ask("t", "2 + 2?", arm="text"))
    return [Reply(request, text) for request, text in zip(requests, texts, strict=True)]


def numbers(answer: ReplyAttention | RowError) -> list[float]:
    assert isinstance(answer, ReplyAttention), answer
    return [*answer.products["max"], *answer.windows["mean"], *answer.image_shares, *answer.entropies]


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_size_and_order_do_not_change_a_number(family: str) -> None:
    """One at a time, in batches of four, and backwards: the same to rounding."""
    alone = attend(loaded(family, 1), replies(), window=WINDOW)
    together = attend(loaded(family, 4), replies()[::-1], window=WINDOW)[::-1]
    for one, other in zip(alone, together, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), rel=1e-3, abs=1e-4)
    assert alone[5].image_shares == []
    assert [len(one.tokens) for one in alone] == [len(one.products["max"]) for one in alone]


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_prompt_is_run_once_for_all_its_replies(family: str) -> None:
    """The same numbers as from whole sequences, in float64, and each picture is seen once where the cache allows."""
    model = LoadedModel(copy.deepcopy(build(family)[0]).double(), build(family)[1], batch_size=3)
    one, other = question("a"), question("b", 33, "<image>How many are red, and which stands at the left?")
    texts = [(one, "A red square, I think."), (other, "12"), (one, "It is 3."), (one, "x" * 40), (other, "No, two.")]
    asked = [Reply(request, text) for request, text in texts]
    tokens = [model.texts.reply_tokens(reply.text) for reply in asked]
    probe = AttentionProbe(model.model, tokens[0][0])
    expected = forced_passes.whole(
        model, probe, [reply.request for reply in asked], tokens, cuts=[0] * 5, window=WINDOW
    )
    with mock.patch.object(model, "encode", wraps=model.encode) as encode:
        found = attend(model, asked, window=WINDOW)
    seen = [len(call.args[0]) for call in encode.call_args_list]
    assert seen == ([2] if model.shares_prefixes else [2, 3, 2])
    assert model.shares_prefixes == (family not in {"qwen3_5", "gemma3", "llava_mistral", "mllama"})
    for answer, (columns, _) in zip(found, expected, strict=True):
        whole = [*columns.products["max"], *columns.windows["mean"], *columns.image, *columns.entropy]
        assert numbers(answer) == pytest.approx([float(value) for value in whole], rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_an_earlier_call_left_behind_does_not_matter(family: str) -> None:
    """Qwen-VL keeps the positions of the last prompt; replies read after it are the same."""
    model = loaded(family)
    expected = [numbers(one) for one in attend(model, replies(), window=WINDOW)]
    model.complete([question("z", 40)], Sampling(max_new_tokens=2))
    model.model.generate(**model.encode([question("z", 40)]), max_new_tokens=2, do_sample=False)
    assert [numbers(one) for one in attend(model, replies(), window=WINDOW)] == expected


def test_tokens_spell_the_reply() -> None:
    """Control tokens written out in a reply are text, spaces stay where they are."""
    text = "The <|im_end|> and <|image_pad|> of it."
    (answer,) = attend(loaded(), [Reply(question(), text)], window=WINDOW)
    assert isinstance(answer, ReplyAttention)
    assert len(answer.tokens) == len(text)  # one token per byte in this vocabulary
    assert "".join(answer.tokens).replace("\u0120", " ") == text


@functools.cache
def thinking_model() -> LoadedModel:
    """A model in which `<think>` and `</think>` are control tokens."""
    with mock.patch.object(tiny_models, "QWEN_CONTROLS", (*tiny_models.QWEN_CONTROLS, "<think>", "</think>")):
        model, processor = tiny_models.qwen2_5_vl()
    return LoadedModel(tiny_models.randomised(model), processor)


def written(text: str, model: LoadedModel) -> tuple[int, ...]:
    """The tokens that a model writes for a text with control tokens."""
    ids = model.processor.tokenizer(text + "<|im_end|>", add_special_tokens=False).input_ids
    assert model.processor.tokenizer.convert_tokens_to_ids("</think>") in ids
    return tuple(ids)


def test_token_ids_are_read_as_they_are() -> None:
    """One token for `</think>`, where the text alone gives one per letter; the end token is left out."""
    model, text = thinking_model(), "so4</think>Itis"
    by_ids, by_text = attend(
        model, [Reply(question(), text, token_ids=written(text, model)), Reply(question(), text)], window=WINDOW
    )
    assert isinstance(by_ids, ReplyAttention)
    assert isinstance(by_text, ReplyAttention)
    assert by_ids.tokens == ["s", "o", "4", "</think>", "I", "t", "i", "s"]
    assert by_text.tokens == list(text)
    assert (by_ids.thinking, by_text.thinking) == (4, 11)


def test_sampled_replies_are_read_with_the_tokens_that_were_sampled() -> None:
    """All 24 replies of a model: as many tokens as it wrote, but for the end."""
    model = thinking_model()
    (answers,) = model.complete([replace(question(), attempts=24)], Sampling(max_new_tokens=40))
    assert isinstance(answers, list)
    asked = [Reply(question(), one.text, token_ids=one.token_ids) for one in answers]
    read = attend(model, asked, window=WINDOW)
    for reply, found in zip(asked, read, strict=True):
        said = model.texts.without_ends(reply.token_ids or ())
        if len(said) > 1:
            assert isinstance(found, ReplyAttention), found
            assert found.tokens == model.processor.tokenizer.convert_ids_to_tokens(said)
    assert len({len(one.token_ids or ()) for one in answers}) > 1


def test_token_ids_of_another_tokenizer_are_refused() -> None:
    """They would be other words, without a remark."""
    model = thinking_model()
    ids = written("so5</think>Itis", model)
    (found,) = attend(model, [Reply(question(), "so4</think>Itis", token_ids=ids)], window=WINDOW)
    assert isinstance(found, RowError)
    assert found.code == "tokens_changed"
    # What servers leave out of a text, or put into it, is no other word.
    served = [
        Reply(question(), text, token_ids=written("so4</think>Itis", model))
        for text in ("so4Itis", "<think>so4</think> It is")
    ]
    assert all(isinstance(one, ReplyAttention) for one in attend(model, served, window=WINDOW))


def test_thinking_is_read_by_itself_as_a_shorter_reply_is() -> None:
    """Its columns are those of a reply that ends with the thought; those of the answer are the last ones of the whole."""
    thought, answer = "<think>so 4 it is</think>", " The answer is 4."
    whole, alone = attend(loaded(), [Reply(question(), thought + answer), Reply(question(), thought)], window=WINDOW)
    assert isinstance(whole, ReplyAttention)
    assert isinstance(alone, ReplyAttention)
    assert whole.thinking == alone.thinking == len(thought)
    assert alone.thinking_products == {}  # all of the reply: read once
    for reading in ("max", "mean", "max_reply", "mean_reply"):
        assert whole.thinking_products[reading] == pytest.approx(alone.products[reading], rel=1e-4)
        assert whole.thinking_windows[reading] == pytest.approx(alone.windows[reading], rel=1e-4)


@pytest.mark.parametrize(
    ("tokens", "opened", "thinking"),
    [
        (["<think>", " 3", "</think>", " 3"], False, 3),
        (["<", "think", ">", "3", "</th", "ink>\n", "\n3"], False, 6),  # a token that ends the thought is thinking
        (["3", "</think>", "3"], True, 2),  # begun by the prompt
        (["3", "</think>", "3"], False, 2),
        (["<think>", "a", "</think>", "b", "</think>", "c"], False, 5),  # the last end counts, as for the verifier
        (["<think>", "3"], False, 2),  # never closed
        (["3", " so"], True, 2),
        (["3", " so"], False, 0),
        (["3", "</think>"], False, 2),
    ],
)
def test_where_the_thinking_ends(tokens: list[str], opened: bool, thinking: int) -> None:
    """Up to the last `</think>`, however it is cut into tokens."""
    assert teacher_forcing.thinking_tokens(tokens, opened=opened) == thinking


def test_thinking_that_the_prompt_begins_is_seen() -> None:
    """Some chat templates end with `<think>`; one in the question, or closed there, is none."""
    model = thinking_model()
    processor = copy.copy(model.processor)
    begins = LoadedModel(model.model, processor)
    closed = [Reply(question(text="<image>Use <think>?"), "so 4 it is"), Reply(question(), "so 4 it is")]
    assert [one.thinking for one in attend(model, closed, window=WINDOW)] == [0, 0]
    processor.chat_template = processor.chat_template + "<think>\n"
    assert [one.thinking for one in attend(begins, closed, window=WINDOW)] == [10, 10]


def test_replies_that_cannot_be_read_cost_themselves_only() -> None:
    """No text, one token, too long for the context: an error each, and their neighbours keep their numbers."""
    fine = Reply(question(), "It is 3.")
    bad = [Reply(question(), ""), Reply(question(), "3"), Reply(question(), "long " * CONTEXT)]
    (expected,) = attend(loaded(), [fine], window=WINDOW)
    found = attend(loaded(), [bad[0], fine, bad[1], bad[2], fine], window=WINDOW)
    errors = [str(one) for one in found if isinstance(one, RowError)]
    assert errors[0] == "reply_empty: the reply has no text"
    assert errors[1] == "reply_too_short: the reply has a single token, so no token looks at another"
    assert errors[2].startswith("too_long: the prompt has ")
    assert errors[2].endswith(f"the text behind it {5 * CONTEXT}, but the model's context is {CONTEXT}")
    for one in (found[1], found[4]):
        assert numbers(one) == pytest.approx(numbers(expected), rel=1e-3, abs=1e-4)


def test_nothing_but_unreadable_replies() -> None:
    """A batch without a single good reply, and no replies at all."""
    assert [str(one).split(":")[0] for one in attend(loaded(), [Reply(question(), "")], window=WINDOW)] == [
        "reply_empty"
    ]
    assert attend(loaded(), [], window=WINDOW) == []


def with_fewer_pixels() -> Any:
    """The processor of Qwen2.5-VL with another limit of pixels."""
    processor = copy.copy(build("qwen2_5_vl")[1])
    processor.image_processor = transformers.Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2, min_pixels=8 * 8, max_pixels=16 * 16
    )
    return processor


def test_an_image_of_other_size_is_an_error_of_its_row() -> None:
    """The reply was generated with 36 image tokens at most, and is read with 4: never a wrong number."""
    model = loaded()
    small, large = question("a", 8), question("b", 32)
    (generated,) = model.complete([small], Sampling(max_new_tokens=4))
    (other,) = model.complete([large], Sampling(max_new_tokens=4))
    counts = [answer[0].prompt_tokens for answer in (generated, other) if not isinstance(answer, RowError)]
    asked = [Reply(request, "It is 3.", tokens) for request, tokens in zip((small, large), counts, strict=True)]
    assert all(isinstance(one, ReplyAttention) for one in attend(model, asked, window=WINDOW))
    shrunk = attend(LoadedModel(model.model, with_fewer_pixels()), asked, window=WINDOW)
    assert isinstance(shrunk[0], ReplyAttention)  # so small that both limits let it pass
    assert isinstance(shrunk[1], RowError)
    assert shrunk[1].code == "image_tokens_changed"
    assert f"but had {counts[1]} when the reply was generated" in str(shrunk[1])


def test_a_reply_that_breaks_the_model_is_an_error_of_its_row() -> None:
    """The batch is halved until the row at fault stands alone."""
    model = LoadedModel(copy.deepcopy(build("llava_llama")[0]), build("llava_llama")[1])
    usual = model.model.forward
    (expected,) = attend(model, [Reply(question(), "fine one")], window=WINDOW)
    poison = model.processor.tokenizer.convert_tokens_to_ids("~")

    @functools.wraps(usual)
    def forward(*args: Any, **inputs: Any) -> Any:
        if (inputs["input_ids"] == poison).any():
            raise ValueError("no ~ please")
        return usual(*args, **inputs)

    model.model.forward = forward
    found = attend(model, [Reply(question(), text) for text in ("fine one", "bad ~", "fine one")], window=WINDOW)
    assert str(found[1]) == "engine_failed: ValueError: no ~ please"
    for one in (found[0], found[2]):
        assert numbers(one) == pytest.approx(numbers(expected), rel=1e-3, abs=1e-4)


def test_half_precision_gives_nearly_the_same() -> None:
    """In bfloat16 weights are computed in float32 from rounded queries and keys: psi moves by a few percent."""
    model, processor = build("qwen2_5_vl")
    single = attend(LoadedModel(model, processor), replies()[:1], window=WINDOW)[0]
    half = LoadedModel(copy.deepcopy(model).to(torch.bfloat16), processor)
    assert isinstance(single, ReplyAttention)
    found = attend(half, replies()[:1], window=WINDOW)[0]
    assert isinstance(found, ReplyAttention)
    assert found.entropies == pytest.approx(single.entropies, abs=0.3)


def test_a_reply_for_which_the_model_overflows_is_an_error_of_its_own() -> None:
    """As in half precision: its attention is no number, and no score is made of it; its neighbours keep theirs."""
    model = LoadedModel(copy.deepcopy(build("llava_llama")[0]), build("llava_llama")[1])
    request = ask("a", "2 + 2", arm="text")
    usual = attend(model, [Reply(request, "so 4")], window=WINDOW)
    poison = model.processor.tokenizer.convert_tokens_to_ids("~")
    with torch.no_grad():
        model.model.get_input_embeddings().weight[poison] = torch.nan
    found = attend(model, [Reply(request, "so 4"), Reply(request, "so ~ 4")], window=WINDOW)
    assert str(found[1]) == (
        "engine_failed: the model gives attention weights that are not finite numbers; with another dtype (bfloat16, float32) it may not"
    )
    assert found[0].entropies == pytest.approx(usual[0].entropies, rel=1e-5)
