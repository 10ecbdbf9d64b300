"""What the engine does with rows that fail, memory that runs out, and text that looks like a control token."""

from __future__ import annotations

import copy
import gc
import logging
import re
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from tokenizers import AddedToken
from transformers.cache_utils import DynamicCache, DynamicSlidingWindowLayer

from hf_rap.engines.base import Completion, Request, Sampling
from hf_rap.engines.compat import CACHE, cache_of
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.texts import too_long
from hf_rap.errors import EngineError, RowError, SettingError
from hf_rap.rows.prompts import PromptTemplate

from .tiny_models import CONTEXT, FAMILIES, ask, build, picture

SAMPLING = Sampling(max_new_tokens=8, seed=1)


def rows(count: int, **more: Any) -> list[Request]:
    return [ask(f"row {n}", f"<image>Question {n}?", picture(12 + n, 20, n), **more) for n in range(count)]


def broken(row_id: str = "broken") -> Request:
    """A row whose picture the processor refuses."""
    return replace(ask(row_id, "<image>Question?", picture(16, 16)), images=(_Unreadable(),))


class _Unreadable:
    """Has the size of a picture, and nothing else."""

    width = height = 16


def tiny(**options: Any) -> LoadedModel:
    return LoadedModel(*build("llava_llama"), **options)


class LimitedMemory:
    """A model that runs out of memory when a batch has more than `limit` rows."""

    def __init__(self, model: Any, limit: int) -> None:
        self.model, self.limit = model, limit
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def eval(self) -> LimitedMemory:
        return self

    def generate(self, **inputs: Any) -> Any:
        if CACHE not in inputs:
            self.batches.append(len(inputs["input_ids"]))
            if self.batches[-1] > self.limit:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines.")
        return self.model.generate(**inputs)


class TestFailures:
    def test_failing_row_fails_alone(self) -> None:
        """The row at fault gets the error; every other row gets the replies it has without it."""
        requests = [*rows(3), broken(), *rows(6)[3:]]
        answers = tiny().complete(requests, SAMPLING)
        error = answers.pop(3)
        assert isinstance(error, RowError)
        assert error.code == "engine_failed"
        assert str(error).startswith("engine_failed: ")
        assert "\n" not in str(error)
        assert answers == tiny().complete(rows(6), SAMPLING)

    def test_two_failing_rows_beside_each_other_are_not_the_end(self) -> None:
        """They share a half of the first batch, and nothing has been answered yet."""
        requests = [broken("one"), broken("two"), *rows(4)]
        answers = tiny().complete(requests, SAMPLING)
        assert [isinstance(answer, RowError) for answer in answers] == [True, True, False, False, False, False]

    @pytest.mark.parametrize("batch_size", [1, 2, 16])
    def test_failing_rows_from_the_start_are_the_fault_of_the_model(self, batch_size: int) -> None:
        """Twenty failures and no answer: the run stops, and says why, before it has tried all rows."""
        loaded = tiny(batch_size=batch_size)
        with pytest.raises(EngineError, match=r"^The model failed on all of its first (8|16) rows; engine_failed: \w+"):
            loaded.complete([broken(f"row {n}") for n in range(20)], SAMPLING)

    def test_error_of_the_engine_keeps_its_cause(self) -> None:
        """The first failure's own exception is chained, for the one who has to find the reason."""
        with pytest.raises(EngineError) as caught:
            tiny().complete([broken("one"), broken("two")], SAMPLING)
        assert isinstance(caught.value.__cause__, Exception)
        assert not isinstance(caught.value.__cause__, RowError)

    def test_single_failing_row_is_a_row_error(self) -> None:
        """One row says nothing about the model."""
        (answer,) = tiny().complete([broken()], SAMPLING)
        assert isinstance(answer, RowError)

    def test_failures_after_an_answer_are_rows(self) -> None:
        """A model that has answered once is not given up."""
        loaded = tiny()
        loaded.complete(rows(1), SAMPLING)
        answers = loaded.complete([broken(f"row {n}") for n in range(10)], SAMPLING)
        assert all(isinstance(answer, RowError) for answer in answers)

    def test_pictures_that_do_not_fit_the_placeholders_fail_alone(self) -> None:
        """A row with one placeholder and two pictures; LLaVA would take the second for the next row's."""
        wrong = replace(ask("wrong", "<image>Question?", picture(16, 16)), images=(picture(16, 16), picture(16, 16)))
        answers = tiny().complete([wrong, *rows(3)], SAMPLING)
        assert isinstance(answers[0], RowError)
        assert answers[1:] == tiny().complete(rows(3), SAMPLING)

    def test_rows_that_fail_only_together_are_reported(self, caplog: pytest.LogCaptureFixture) -> None:
        """They get their replies, one by one; that this is slow, and why, must not go unnoticed."""

        class Lonely(LimitedMemory):
            def generate(self, **inputs: Any) -> Any:
                if CACHE not in inputs and len(inputs["input_ids"]) > self.limit:
                    raise ValueError("one row only, please\nmore lines")
                return self.model.generate(**inputs)

        model, processor = build("llava_llama")
        answers = LoadedModel(Lonely(model, 1), processor).complete(rows(2), SAMPLING)
        assert answers == tiny().complete(rows(2), SAMPLING)
        assert caplog.messages == [
            "2 rows failed together (ValueError: one row only, please) but not apart: results are right, batches are slow."
        ]

    def test_no_requests_no_answers(self) -> None:
        """An empty batch is answered without touching the model."""
        assert tiny().complete([], SAMPLING) == []

    def test_processor_without_chat_template_is_refused(self) -> None:
        """No template, no prompt: said when the model is loaded."""
        model, processor = build("llava_llama")
        bare = copy.copy(processor)
        bare.chat_template = None
        with pytest.raises(EngineError, match=r"^LlavaProcessor has no chat template.* instruction-tuned model"):
            LoadedModel(model, bare)


class TestPrompt:
    def template(self, text: str) -> LoadedModel:
        model, processor = build("llava_llama")
        own = copy.copy(processor)
        own.chat_template = text
        return LoadedModel(model, own)

    def said(self, loaded: LoadedModel, prompt: PromptTemplate) -> str:
        request = ask("row", "Question?")
        messages = prompt.messages("Question?", with_images=False)
        request = replace(request, messages=messages, chat_template_kwargs=prompt.chat_template_kwargs)
        ids = loaded.encode([request])["input_ids"][0].tolist()
        text: str = loaded.processor.tokenizer.decode(ids)
        return text.removeprefix("<s>").replace("\u0120", " ").replace("\u010a", "\n")  # how its letters are spelled

    def test_arguments_reach_the_chat_template(self) -> None:
        """Only those that were given: the template has its own defaults."""
        loaded = self.template(
            "{% for turn in messages %}{{ turn['role'] }}: {{ turn['content'][0]['text'] }};{% endfor %}"
            "{% if enable_thinking is defined and not enable_thinking %}no thoughts{% else %}think{% endif %}"
        )
        prompts = [PromptTemplate(chat_template_kwargs=given) for given in ({"enable_thinking": False}, {})]
        found = [self.said(loaded, replace(prompt, system="Be brief.")) for prompt in prompts]
        assert found == [
            "system: Be brief.;user: Question?;no thoughts",
            "system: Be brief.;user: Question?;think",
        ]

    def test_an_argument_that_the_chat_template_does_not_read_is_said_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Jinja takes any name, so a mistyped one would change nothing, in silence."""
        loaded = self.template("{{ messages[0]['content'][0]['text'] }}{{ enable_thinking }}")
        prompt = PromptTemplate(chat_template_kwargs={"enable_thinking": True, "enable_thinkin": False})
        with caplog.at_level(logging.WARNING, logger="hf_rap"):
            assert {self.said(loaded, prompt) for _ in range(3)} == {"Question?True"}
        assert caplog.messages == [
            "The chat template of this model does not read 'enable_thinkin', so it changes nothing."
        ]

    @pytest.mark.parametrize("system", ["Be brief.", " Be brief.\n", "Say <image_1> is|fine"])
    def test_a_chat_template_that_leaves_the_system_turn_out_is_refused(self, system: str) -> None:
        """The model would be asked something else than the settings say; white space at its ends may go."""
        keeps = self.template("{% for turn in messages %}{{ turn['content'][0]['text'] | trim }}\n{% endfor %}")
        assert system.strip() in self.said(keeps, PromptTemplate(system=system))
        drops = self.template("{{ messages[-1]['content'][0]['text'] }}")
        request = replace(ask("row", "Q?"), messages=PromptTemplate(system=system).messages("Q?", with_images=False))
        for count in (1, 3):  # no row is at fault
            with pytest.raises(EngineError, match=r"leaves the system turn out: give a prompt without one"):
                drops.complete([request] * count, SAMPLING)


class TestMemory:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    @pytest.mark.slow
    def test_batch_is_halved_until_it_fits(self, limit: int, caplog: pytest.LogCaptureFixture) -> None:
        """The replies are those of a machine with enough memory; later batches are of the size that fits."""
        model, processor = build("llava_llama")
        limited = LimitedMemory(model, limit)
        loaded = LoadedModel(limited, processor, batch_size=8)
        with caplog.at_level(logging.WARNING, logger="hf_rap"):
            answers = loaded.complete(rows(20), SAMPLING)
        assert answers == tiny().complete(rows(20), SAMPLING)
        assert max(limited.batches[-5:]) <= limit
        assert caplog.messages[0] == (
            "Out of GPU memory with 8 rows in a batch; going on with 4, and with more again later."
        )

    def test_memory_too_small_for_one_row(self) -> None:
        """Nothing fits: the run stops and says so in one line."""
        model, processor = build("llava_llama")
        with pytest.raises(EngineError, match="first 8 rows; engine_failed: OutOfMemoryError: CUDA out of memory"):
            LoadedModel(LimitedMemory(model, 0), processor, batch_size=8).complete(rows(20), SAMPLING)

    @pytest.mark.slow
    def test_tensors_of_a_failed_batch_are_let_go(self) -> None:
        """While the halves run, nothing holds the inputs of the batch that did not fit."""
        model, processor = build("llava_llama")
        held: list[weakref.ref[torch.Tensor]] = []
        alive: list[int] = []

        class Watching(LimitedMemory):
            def generate(self, **inputs: Any) -> Any:
                gc.collect()
                alive.append(sum(ref() is not None for ref in held))
                if len(inputs["input_ids"]) == 4 and CACHE not in inputs:
                    held.append(weakref.ref(inputs["pixel_values"]))
                return super().generate(**inputs)

        LoadedModel(Watching(model, 2), processor, batch_size=4).complete(rows(4), SAMPLING)
        assert len(held) == 1
        assert set(alive) == {0}


class TestReplies:
    def test_each_row_gets_its_own_number_of_attempts(self) -> None:
        """Attempts differ within a call; attempt k of a row is the same however many were asked for."""
        requests = [replace(row, attempts=number) for row, number in zip(rows(6), [1, 5, 2, 5, 1, 3], strict=True)]
        answers = tiny().complete(requests, SAMPLING)
        assert [len(replies) for replies in answers] == [1, 5, 2, 5, 1, 3]
        five = tiny().complete(rows(6, attempts=5), SAMPLING)
        assert answers == [all_[: len(replies)] for all_, replies in zip(five, answers, strict=True)]

    def test_temperature_zero_gives_equal_attempts(self) -> None:
        """Greedy replies are all alike; sampled ones are not."""
        greedy = tiny().complete(rows(3, attempts=4), replace(SAMPLING, temperature=0.0))
        assert all(replies == [replies[0]] * 4 for replies in greedy)
        sampled = tiny().complete(rows(3, attempts=4), SAMPLING)
        assert all(len({reply.text for reply in replies}) == 4 for replies in sampled)

    def test_seed_and_arm_change_the_replies(self) -> None:
        """Same rows, other streams."""
        plain = tiny().complete(rows(3), SAMPLING)
        assert plain != tiny().complete(rows(3), replace(SAMPLING, seed=2))
        assert plain != tiny().complete(rows(3, arm="control"), SAMPLING)
        assert plain == tiny().complete(rows(3), SAMPLING)

    @pytest.mark.parametrize("limits", [{"top_k": 1}, {"top_p": 1e-6}])
    def test_one_token_left_is_greedy(self, limits: dict[str, Any]) -> None:
        """With a single token allowed the noise has nothing to choose."""
        only = tiny().complete(rows(3), replace(SAMPLING, **limits))
        assert only == tiny().complete(rows(3), replace(SAMPLING, temperature=0.0))

    def test_sampling_settings_of_a_checkpoint_are_not_used(self) -> None:
        """Published generation configs bring penalties and temperatures; pass rates are about the plain model."""
        model, processor = build("llava_llama")
        bent = copy.copy(model)
        bent.generation_config = copy.deepcopy(model.generation_config)
        bent.generation_config.update(repetition_penalty=5.0, temperature=0.1, top_k=2, do_sample=True)
        bent.generation_config.update(bad_words_ids=[[n] for n in range(200)])
        assert LoadedModel(bent, processor).complete(rows(3), SAMPLING) == tiny().complete(rows(3), SAMPLING)

    def test_reply_ends_with_the_end_token(self) -> None:
        """The end token counts, is not in the text, and what follows it is not read."""
        loaded = tiny()
        end = loaded.processor.tokenizer.eos_token_id
        ids = loaded.processor.tokenizer.encode("ab", add_special_tokens=False)
        pad = loaded.processor.tokenizer.pad_token_id
        ended = Completion(text="ab", tokens=3, truncated=False, token_ids=(*ids, end))
        assert loaded.texts.completion([*ids, end, pad, pad, pad, pad, pad], SAMPLING) == ended
        assert loaded.texts.completion([*ids, end, end, *ids], SAMPLING) == ended
        assert loaded.texts.completion([end, pad], SAMPLING) == Completion(
            text="", tokens=1, truncated=False, token_ids=(end,)
        )

    def test_reply_that_hits_the_limit_is_truncated(self) -> None:
        """Exactly when it did not end: an end token in the last place is an end."""
        loaded = tiny()
        end = loaded.processor.tokenizer.eos_token_id
        assert loaded.texts.completion([97] * 8, SAMPLING).truncated
        assert not loaded.texts.completion([97] * 7 + [end], SAMPLING).truncated

    def test_end_tokens_end_replies(self) -> None:
        """With every second id an end token, replies are those of the plain model, cut at the first of them."""
        model, processor = build("llava_llama")
        plain = LoadedModel(model, processor).complete(rows(6), SAMPLING)
        model = copy.copy(model)
        model.generation_config = copy.deepcopy(model.generation_config)
        model.generation_config.eos_token_id = list(range(0, 320, 2))
        loaded = LoadedModel(model, processor)
        vocabulary = processor.tokenizer.get_vocab()
        for replies, whole in zip(loaded.complete(rows(6), SAMPLING), plain, strict=True):
            for reply, long in zip(replies, whole, strict=True):
                ids = [vocabulary[token] for token in re.findall(r"<unused\d+>|.", long.text)]
                if len(ids) == 8:  # a control token that was drawn is not in the text
                    end = next((place for place, id_ in enumerate(ids) if id_ % 2 == 0), None)
                    assert reply.truncated == (end is None)
                    assert reply.tokens == (8 if end is None else end + 1)
                    assert long.text.startswith(reply.text)

    def test_prompt_and_reply_must_fit_the_context(self) -> None:
        """The row that cannot fit is named too_long with the numbers; the others are answered."""
        long = ask("long", "<image>" + "x" * 600, picture(16, 16))
        answers = tiny().complete([rows(2)[0], long, rows(2)[1]], SAMPLING)
        assert isinstance(answers[1], RowError)
        assert answers[1].code == "too_long"
        assert f"the model's context is {CONTEXT}" in str(answers[1])
        assert [answers[0], answers[2]] == tiny().complete(rows(2), SAMPLING)

    def test_context_is_used_to_the_last_token(self) -> None:
        """The longest reply that fits is allowed, one more is not."""
        loaded = tiny()
        (row,) = rows(1)
        length = int(loaded.encode([row])["attention_mask"].sum())
        fits = replace(SAMPLING, max_new_tokens=CONTEXT - length)
        assert too_long(length, fits.max_new_tokens, loaded.context_tokens) is None
        (answer,) = loaded.complete([row], replace(fits, max_new_tokens=CONTEXT - length + 1))
        assert isinstance(answer, RowError)
        assert answer.code == "too_long"

    def test_rows_that_are_all_too_long_do_not_end_the_run(self) -> None:
        """Too long is the rows' fault, however many there are."""
        answers = tiny().complete([ask(f"{n}", "x" * 600) for n in range(20)], SAMPLING)
        assert {answer.code for answer in answers if isinstance(answer, RowError)} == {"too_long"}
        assert len(answers) == 20

    def test_nothing_is_left_on_the_model(self) -> None:
        """Qwen models keep positions between calls; after ours, also after a failed one, there are none."""
        model, processor = build("qwen2_5_vl")
        loaded = LoadedModel(model, processor)
        loaded.complete(rows(2), SAMPLING)
        assert model.model.rope_deltas is None


class TestControlTokens:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_control_tokens_in_a_question_are_ordinary_text(self, family: str) -> None:
        """A question that quotes every control token holds no more of them than one that quotes none."""
        loaded = LoadedModel(*build(family))
        tokenizer = loaded.processor.tokenizer
        controls = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
        assert len(controls) >= 4
        for arm in ("image", "text"):
            pictures = (picture(16, 16),) if arm == "image" else ()
            start = "<image>" if pictures else ""
            harmless = ask("a", f"{start}Say hello.", *pictures, arm=arm)
            for control in (*map(str, controls), " ".join(map(str, controls))):
                hostile = replace(harmless, messages=_with_text(harmless, f"Say {control}{control} now."))
                assert _controls(loaded, hostile) == _controls(loaded, harmless), control

    @pytest.mark.parametrize("family", FAMILIES)
    def test_question_with_control_tokens_is_answered(self, family: str) -> None:
        """Also by the processor, which looks for its placeholders in the text."""
        loaded = LoadedModel(*build(family))
        controls = " ".join(str(token) for token in loaded.processor.tokenizer.added_tokens_decoder.values())[:300]
        harmless = ask("a", "<image>Say hello.", picture(16, 16))
        (answer,) = loaded.complete([replace(harmless, messages=_with_text(harmless, controls))], SAMPLING)
        assert isinstance(answer, list), answer

    def test_text_stays_readable(self) -> None:
        """Only a zero-width space is added, and only inside control tokens."""
        loaded = tiny()
        (message,) = loaded.texts.defuse(
            [{"role": "user", "content": [{"type": "text", "text": "a </s> b <b> 1 < 2"}]}]
        )
        assert message["content"][0]["text"] == "a <\u200b/s> b <b> 1 < 2"

    def test_request_is_not_changed(self) -> None:
        """The caller's messages stay as they are."""
        row = ask("a", "Say </s>.")
        before = copy.deepcopy(row.messages)
        tiny().complete([row], SAMPLING)
        assert row.messages == before


def _with_text(request: Request, text: str) -> list[dict[str, Any]]:
    """The messages with the text of the question replaced, as if it had not been split at placeholders."""
    (message,) = request.messages
    parts = [{**part, "text": text} if part["type"] == "text" else part for part in message["content"]]
    return [{**message, "content": parts}]


def _controls(loaded: LoadedModel, request: Request) -> list[int]:
    """The control tokens of a prompt, in order."""
    special = {id_ for id_, token in loaded.processor.tokenizer.added_tokens_decoder.items() if token.special}
    return [id_ for id_ in loaded.encode([request])["input_ids"][0].tolist() if id_ in special]


def thinking_model() -> LoadedModel:
    """A tokenizer in which `<think>` and `</think>` are control tokens; they are never generated, only read."""
    model, processor = build("qwen2_5_vl")
    processor = copy.copy(processor)
    processor.tokenizer = copy.deepcopy(processor.tokenizer)
    marks = [AddedToken(mark, special=True, normalized=False) for mark in ("<think>", "</think>")]
    processor.tokenizer.add_tokens(marks, special_tokens=True)
    return LoadedModel(model, processor)


class TestReplyText:
    @pytest.mark.parametrize(
        ("written", "text"),
        [
            ("say 4</think>It is<|im_end|>", "say 4</think>It is"),
            ("<think>say 4</think>It is<|im_end|><|endoftext|><|endoftext|>", "<think>say 4</think>It is"),
            ("say 4</think>", "say 4</think>"),  # cut off there
            ("at <|vision_start|> 3<|im_end|>", "at <|vision_start|> 3"),
            ("It is<|im_start|>", "It is"),  # the mark of another turn, at the very end
            ("<|im_end|>", ""),
            ("It <|endoftext|>is", "It is"),  # padding
        ],
    )
    def test_reply_is_kept_as_the_model_wrote_it(self, written: str, text: str) -> None:
        """Control tokens stay, but for those that end or pad a reply; the token ids hold all up to the end."""
        loaded = thinking_model()
        tokenizer = loaded.processor.tokenizer
        ids = tokenizer(written, add_special_tokens=False).input_ids
        end = tokenizer.eos_token_id
        completion = loaded.texts.completion(ids, Sampling(max_new_tokens=len(ids)))
        assert completion.text.replace("\u0120", " ") == text
        assert completion.token_ids == tuple(ids[: ids.index(end) + 1] if end in ids else ids)
        assert completion.truncated == (end not in ids)

    def test_continued_reply_keeps_them_too(self) -> None:
        """What comes after a prefix."""
        loaded = thinking_model()
        ids = loaded.processor.tokenizer(" 4</think>It is<|im_end|>", add_special_tokens=False).input_ids
        completion = loaded.texts.completion(ids, Sampling(max_new_tokens=40), prefix="I say")
        assert completion.text.replace("\u0120", " ") == " 4</think>It is"


class TestSlidingWindow:
    def test_prompt_is_longer_than_the_window(self) -> None:
        """Otherwise the comparison of this architecture with plain `generate` shows nothing."""
        model, processor = build("llava_mistral")
        loaded = LoadedModel(model, processor)
        inputs = loaded.encode(rows(3))
        with torch.inference_mode():
            cache = cache_of(model(**inputs, use_cache=True))
        assert isinstance(cache, DynamicCache)
        assert all(isinstance(layer, DynamicSlidingWindowLayer) for layer in cache.layers)
        assert int(inputs["attention_mask"].sum(dim=1).min()) > cache.layers[0].sliding_window == 24

    def test_replies_longer_than_the_window(self) -> None:
        """The window slides over the end of the prompt and then over the reply itself."""
        model, processor = build("llava_mistral")
        long = replace(SAMPLING, max_new_tokens=40)
        together = LoadedModel(model, processor).complete(rows(5), long)
        assert together == LoadedModel(model, processor, batch_size=1).complete(rows(5), long)
        assert max(reply.tokens for replies in together for reply in replies) == 40


class TestSampling:
    @pytest.mark.parametrize(
        ("setting", "value", "message"),
        [
            ("temperature", -0.1, r"temperature is -0\.1: it takes a number of 0 or more"),
            ("top_p", 0.0, r"top_p is 0\.0: it takes a number above 0 and up to 1"),
            ("top_p", 1.1, r"top_p is 1\.1: it takes a number above 0 and up to 1"),
            ("top_k", -1, "top_k is -1: it takes a whole number of 0 or more"),
            ("max_new_tokens", 0, "max_new_tokens is 0: it takes a whole number of 1 or more"),
        ],
    )
    def test_impossible_settings_are_refused(self, setting: str, value: float, message: str) -> None:
        """When they are set, not after the model is loaded."""
        with pytest.raises(SettingError, match=message):
            Sampling(**{setting: value})
