"""Train the small vision-language model that ships with hf_rap, from scratch, on a CPU.

    python scripts/train_demo_model.py --out first
    python scripts/train_demo_model.py --continue-from first --seed 1 --out hf_rap/demo/grid-vlm

About a quarter of an hour each on two free cores. The first run starts with captions alone, which
teach the vision tower; the second goes on with questions. The same seed gives the same lessons;
weights differ in the last digits between machines.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from hf_rap.demo.lesson import Lesson, make_lesson
from hf_rap.rows.prompts import DEFAULT_INSTRUCTION

PAD, END, USER, ASSISTANT, IMAGE = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<image>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
PICTURE, PATCH, WIDTH, CONTEXT = 48, 16, 128, 512


def make_processor() -> LlavaProcessor:
    rng = Random("tokenizer")
    lessons = [make_lesson(rng, captions=0.2, instruction=DEFAULT_INSTRUCTION) for _ in range(6000)]
    texts = [f"{lesson.question} {lesson.reply}" for lesson in lessons]
    texts += [" ".join(str(number) for number in range(100)) + " {" + "}{".join(map(str, range(100)))] * 20
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=[PAD, END, USER, ASSISTANT, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # Not special: a reply is decoded without special tokens, and its thinking should stay readable.
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE],
        model_max_length=CONTEXT,
        padding_side="left",
    )
    images = CLIPImageProcessorPil(
        size={"height": PICTURE, "width": PICTURE},
        crop_size={"height": PICTURE, "width": PICTURE},
        do_center_crop=False,
    )
    return LlavaProcessor(
        images,
        fast,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    tokenizer = processor.tokenizer
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=PICTURE,
        patch_size=PATCH,
        projection_dim=WIDTH,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(PICTURE // PATCH) ** 2,
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config)


def collate(processor: LlavaProcessor, lessons: list[Lesson]) -> dict[str, torch.Tensor]:
    tokenizer = processor.tokenizer
    image_tokens = IMAGE * (PICTURE // PATCH) ** 2
    ids, labels = [], []
    for lesson in lessons:
        place = image_tokens if lesson.image is not None else ""
        prompt = tokenizer(f"{USER}{place}{lesson.question}{ASSISTANT}").input_ids
        reply = tokenizer(lesson.reply + END).input_ids
        ids.append(prompt + reply)
        labels.append([-100] * len(prompt) + reply)
    longest = max(map(len, ids))
    pad = tokenizer.pad_token_id
    batch = {
        "input_ids": torch.tensor([row + [pad] * (longest - len(row)) for row in ids]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids]),
        "labels": torch.tensor([row + [-100] * (longest - len(row)) for row in labels]),
    }
    pictures = [lesson.image for lesson in lessons if lesson.image is not None]
    batch["pixel_values"] = processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
    return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("hf_rap/demo/grid-vlm"))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--continue-from", type=Path, help="folder of an earlier run; skips the captions-only part")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    if args.continue_from:
        processor = LlavaProcessor.from_pretrained(args.continue_from)
        model = LlavaForConditionalGeneration.from_pretrained(args.continue_from).train()
    else:
        processor = make_processor()
        model = make_model(processor).train()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(processor.tokenizer)} tokens", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=args.steps, pct_start=0.1)
    describing = 0 if args.continue_from else int(0.3 * args.steps)
    started = time.time()
    for step in range(args.steps):
        rng = Random(f"lesson {args.seed} {step}")
        captions = 1.0 if step < describing else 0.1
        lessons = [make_lesson(rng, captions=captions, instruction=DEFAULT_INSTRUCTION) for _ in range(args.batch)]
        loss = model(**collate(processor, lessons)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 50 == 0 or step == args.steps - 1:
            print(f"step {step} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
        if step % 400 == 399 or step == args.steps - 1:
            save(model, processor, args.out)
    print(f"saved to {args.out}")


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, folder: Path) -> None:
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


if __name__ == "__main__":
    main()
