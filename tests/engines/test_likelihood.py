"""log p(text | prompt): padded batches against one plain forward per row, in float64, on ten architectures."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from hf_rap.engines.base import LogLikelihood, Reply, Request, Sampling
from hf_rap.engines.likelihood import log_likelihoods
from hf_rap.engines.loaded_model import LoadedModel

from .tiny_models import CONTEXT, FAMILIES, ask, build, picture

if TYPE_CHECKING:
    from hf_rap.errors import RowError

LEAD = "It is \\boxed{"


def loaded(family: str = "qwen2_5_vl", batch_size: int = 16) -> LoadedModel:
    model, processor = build(family)
    return LoadedModel(copy.deepcopy(model).double(), processor, batch_size=batch_size)


def behind(request: Request, text: str, prefix: str = LEAD) -> Reply:
    return Reply(replace(request, prefix=prefix), text)


def asked() -> list[Reply]:
    """Seven texts behind five prompts: one to three pictures, or none; prefixes of several lengths, or none."""
    many = ask("m", "<image>Compare with <image> and <image>", *(picture(9 + n, 30, n) for n in range(3)))
    return [
        behind(ask("a", "<image>What is this?", picture(24, 24, 1)), "3}"),
        behind(ask("a", "<image>What is this?", picture(24, 24, 1)), "a long way round}"),
        behind(ask("b", "<image>How many shapes are red, and which is left?", picture(33, 10, 2)), "17}", ""),
        behind(many, "yes}", "<think>hm</think> "),
        behind(ask("t", "2 + 2?", arm="text"), "4}"),
        behind(ask("t", "What is the sum of two and two, and why?", arm="text"), "x"),
        behind(ask("c", "In <image>, left?", picture(8, 8, 3)), "x"),
    ]


def plain(model: LoadedModel, reply: Reply) -> LogLikelihood:
    """One unpadded forward pass over prompt, prefix and text as the processor gives them, all logits kept."""
    request = reply.request
    text = model.processor.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
    begin = model.processor.tokenizer.bos_token
    options: dict[str, Any] = {"return_tensors": "pt", "add_special_tokens": not (begin and text.startswith(begin))}
    inputs = model.processor(
        text=[text + request.prefix + reply.text], images=[list(request.images)] if request.images else None, **options
    )
    for module in model.model.modules():
        if hasattr(module, "rope_deltas"):
            module.rope_deltas = None
    with torch.no_grad():
        logits = model.model(**inputs.to(dtype=torch.float64)).logits[0]
    ids = inputs["input_ids"][0]
    counted = len(reply.text.encode())  # one token per byte in these vocabularies
    logprobs = logits[-counted - 1 : -1].log_softmax(-1).gather(1, ids[-counted:, None])
    return LogLikelihood(float(logprobs.sum()), counted)


def logprobs(answers: list[LogLikelihood | RowError]) -> list[float]:
    assert all(isinstance(one, LogLikelihood) for one in answers), answers
    return [one.logprob for one in answers if isinstance(one, LogLikelihood)]


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_batches_give_what_a_plain_forward_gives(family: str) -> None:
    """Together, one at a time and backwards: the same numbers as prompt by prompt, and the tokens of the text alone."""
    model = loaded(family)
    expected = [plain(model, reply) for reply in asked()]
    together = log_likelihoods(model, asked())
    assert logprobs(together) == pytest.approx([one.logprob for one in expected], rel=1e-9)
    assert [one.tokens for one in together if isinstance(one, LogLikelihood)] == [one.tokens for one in expected]
    for one in together:
        assert isinstance(one, LogLikelihood)
        assert sum(one.logprobs) == pytest.approx(one.logprob, rel=1e-9)
        assert len(one.logprobs) == len(one.texts) == one.tokens
    model.batch_size = 1
    assert logprobs(log_likelihoods(model, asked())) == pytest.approx(logprobs(together), rel=1e-9)
    model.batch_size = 3
    assert logprobs(log_likelihoods(model, asked()[::-1]))[::-1] == pytest.approx(logprobs(together), rel=1e-9)
    assert len({round(one, 3) for one in logprobs(together)}) == len(together)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_llama"])
def test_single_precision_is_close(family: str) -> None:
    """The models run in float32 or less: logits are compared in float32 then."""
    single = log_likelihoods(LoadedModel(*build(family)), asked())
    assert logprobs(single) == pytest.approx(logprobs(log_likelihoods(loaded(family), asked())), rel=1e-4)
    half = LoadedModel(copy.deepcopy(build(family)[0]).to(torch.bfloat16), build(family)[1])
    assert logprobs(log_likelihoods(half, asked())) == pytest.approx(logprobs(single), rel=0.1, abs=0.5)


def test_probabilities_of_all_next_tokens_sum_to_one() -> None:
    """One byte more is one token more: the 256 bytes and nothing else have less than all the mass."""
    model = loaded("llava_llama")
    (shape,) = log_likelihoods(model, [asked()[0]])
    assert isinstance(shape, LogLikelihood)
    letters = [chr(code) for code in range(33, 127)]
    found = logprobs(log_likelihoods(model, [behind(asked()[0].request, letter) for letter in letters]))
    assert 0 < torch.tensor(found).exp().sum() < 1


def test_what_an_earlier_call_left_behind_does_not_matter() -> None:
    """Qwen-VL keeps the positions of the last prompt; and none are left for the next one."""
    model = loaded("qwen2_5_vl")
    expected = logprobs(log_likelihoods(model, asked()))
    model.complete([asked()[3].request], Sampling(max_new_tokens=2))
    model.model.generate(**model.encode([asked()[3].request]), max_new_tokens=2, do_sample=False)
    assert logprobs(log_likelihoods(model, asked())) == expected
    assert not any(getattr(module, "rope_deltas", None) is not None for module in model.model.modules())


def test_texts_that_cannot_be_read_cost_themselves_only() -> None:
    """No token, and too long for the context: an error each, and their neighbours keep their numbers."""
    model = loaded("llava_llama")
    fine = asked()[0]
    (expected,) = logprobs(log_likelihoods(model, [fine]))
    found = log_likelihoods(model, [behind(fine.request, ""), fine, behind(fine.request, "y" * CONTEXT), fine])
    assert str(found[0]) == "text_empty: the tokenizer makes no token of the text"
    assert str(found[2]).startswith("too_long: the prompt has ")
    assert str(found[2]).endswith(f"the text behind it {CONTEXT + len(LEAD)}, but the model's context is {CONTEXT}")
    assert logprobs([found[1], found[3]]) == pytest.approx([expected] * 2, rel=1e-9)
    assert log_likelihoods(model, []) == []


def test_a_reply_is_read_by_the_tokens_that_the_model_wrote() -> None:
    """Its ids without those that end it, also where they are control tokens; ids that spell something else are refused."""
    model = loaded("llava_llama")
    request = asked()[0].request
    ids = tuple(model.texts.reply_tokens("17"))
    end = model.processor.tokenizer.eos_token_id
    written, plain_text, other, nothing = log_likelihoods(
        model,
        [
            Reply(request, "17", token_ids=(*ids, end)),
            Reply(request, "17"),
            Reply(request, "18", token_ids=ids),
            Reply(request, "", token_ids=(end,)),
        ],
    )
    assert written == plain_text
    assert str(other).startswith("tokens_changed: the token ids do not spell the reply with this model's tokenizer")
    assert str(nothing) == "text_empty: the reply has no tokens but those that end it"


def test_a_prompt_that_has_changed_is_told() -> None:
    """Pixel limits, say: the tokens of the image are others than when the reply was written."""
    (answer,) = log_likelihoods(loaded("llava_llama"), [Reply(asked()[0].request, "17", prompt_tokens=3)])
    assert str(answer).startswith("image_tokens_changed: the prompt has ")


def test_a_text_the_tokenizer_does_not_know_is_an_error() -> None:
    """The probability of "unknown" says nothing about the text."""
    model, processor = build("llava_llama")
    processor = copy.deepcopy(processor)
    processor.tokenizer.unk_token = "~"
    answers = log_likelihoods(LoadedModel(model, processor), [behind(asked()[0].request, "a~"), asked()[0]])
    assert str(answers[0]) == "text_unknown: the tokenizer has no token for a part of the text"
    assert isinstance(answers[1], LogLikelihood)


def test_a_model_without_logits_to_keep_gives_the_same() -> None:
    """All logits are made then, and the wanted ones taken."""
    model = loaded("llava_llama")
    expected = logprobs(log_likelihoods(model, asked()))
    usual = model.model.forward

    def forward(input_ids: Any, **inputs: Any) -> Any:
        return usual(input_ids=input_ids, **inputs)

    model.model.forward = forward
    assert logprobs(log_likelihoods(model, asked())) == pytest.approx(expected, rel=1e-9)


def test_a_text_that_breaks_the_model_is_an_error_of_its_row() -> None:
    """The batch is halved until the row at fault stands alone."""
    model = loaded("llava_llama")
    usual = model.model.forward
    (expected,) = logprobs(log_likelihoods(model, asked()[:1]))
    poison = model.processor.tokenizer.convert_tokens_to_ids("~")

    def forward(*args: Any, **inputs: Any) -> Any:
        if (inputs["input_ids"] == poison).any():
            raise ValueError("no ~ please")
        return usual(*args, **inputs)

    model.model.forward = forward
    found = log_likelihoods(model, [asked()[0], behind(asked()[0].request, "~"), asked()[0]])
    assert str(found[1]) == "engine_failed: ValueError: no ~ please"
    assert logprobs([found[0], found[2]]) == pytest.approx([expected] * 2, rel=1e-9)


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_a_text_for_which_the_model_overflows_is_an_error_of_its_row(number: float) -> None:
    """As in half precision: its log-probabilities are none, and no score is made of them; its neighbours keep theirs."""
    model = loaded("llava_llama")
    usual = model.model.forward
    expected = log_likelihoods(model, asked()[:1])
    poison = model.processor.tokenizer.convert_tokens_to_ids("~")

    @functools.wraps(usual)
    def forward(input_ids: Any, **inputs: Any) -> Any:
        answer = usual(input_ids=input_ids, **inputs)
        answer.logits[(input_ids == poison).any(dim=1), :, poison] = number
        return answer

    model.model.forward = forward
    found = log_likelihoods(model, [asked()[0], behind(asked()[0].request, "~"), asked()[0]])
    assert str(found[1]) == (
        "engine_failed: the model gives log-probabilities that are not finite numbers; with another dtype (bfloat16, float32) "
        "it may not"
    )
    assert logprobs([found[0], found[2]]) == pytest.approx(logprobs(expected) * 2, rel=1e-9)
