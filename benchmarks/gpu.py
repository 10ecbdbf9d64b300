"""Attempts per second and milliseconds per decode step on one card, against transformers' `generate`.

    python benchmarks/gpu.py [--size 3b] [--rows 64 192 512] [--new-tokens 256] [--device cuda] [--dtype bfloat16]

The model is a Qwen2.5-VL of random weights, made in memory with its processor: nothing is downloaded. "3b" has the sizes of
Qwen2.5-VL-3B, "small" and "tiny" are for a look on a CPU. Each row has a picture and a question of its own length, so that every batch
has padding; five replies of `--new-tokens` tokens each, drawn at temperature 1. Ways:

- generate, row by row: `generate(do_sample=True, num_return_sequences=5)` on one row at a time;
- generate, 16 and 64 rows: the same on a padded batch;
- hf_rap, 16, 64 and auto: what `Rollouts` does, from opened pictures to texts.

Seconds are those of the clock, on a CPU those of the processor (so that other work on the machine counts little), from prompts
and pictures to tokens. A step is a pass over one token of each reply; its time
is the median over the steps of the last batch. "operations" counts what a step asks of torch, each about a kernel to launch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch.utils._python_dispatch import TorchDispatchMode

from hf_rap.engines.base import Request, Sampling
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.rows.prompts import PromptTemplate

ATTEMPTS = 5
CONTROLS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROPE = {"rope_type": "default", "rope_theta": 1e6}
# Widths, layers and heads; pixels of a picture; letters of a question, at least and at most.
SIZES = {
    "3b": {
        "vocabulary": 151_936,
        "text": {
            "hidden_size": 2048,
            "intermediate_size": 11_008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "rope_parameters": {**ROPE, "mrope_section": [16, 24, 24]},
        },
        "vision": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
        },
        "picture": (1024, 768),
        "letters": (100, 500),
    },
    "small": {
        "vocabulary": 32_000,
        "text": {
            "hidden_size": 512,
            "intermediate_size": 1024,
            "num_hidden_layers": 4,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "rope_parameters": {**ROPE, "mrope_section": [16, 8, 8]},
        },
        "vision": {"depth": 2, "hidden_size": 64, "intermediate_size": 96, "num_heads": 2, "out_hidden_size": 512}
        | {"fullatt_block_indexes": [1]},
        "picture": (448, 336),
        "letters": (100, 400),
    },
    "tiny": {
        "vocabulary": 320,
        "text": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "rope_parameters": {**ROPE, "mrope_section": [2, 1, 1]},
        },
        "vision": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        "picture": (112, 84),
        "letters": (10, 60),
    },
}


class Processor(transformers.Qwen2_5_VLProcessor):
    """Without its part for videos, which needs torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: object) -> None:
        """Take what comes."""


def make_model(size: str, device: str, dtype: str, attention: str | None = None):
    """The model, with random weights, and its processor."""
    shape = SIZES[size]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    fillers = [f"<word {number}>" for number in range(shape["vocabulary"] - len(letters) - len(CONTROLS))]
    tokenizer = Tokenizer(
        models.BPE(vocab={token: place for place, token in enumerate([*letters, *fillers])}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(control, special=True, normalized=False) for control in CONTROLS])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    ids = {f"{name}_token_id": fast.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    ids |= {f"{name}_token_id": fast.convert_tokens_to_ids(f"<|{name}_pad|>") for name in ("image", "video")}
    text = {**shape["text"], "vocab_size": shape["vocabulary"], "max_position_embeddings": 32_768}
    text |= {"bos_token_id": None, "eos_token_id": None, "tie_word_embeddings": True}
    config = transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config=shape["vision"], tie_word_embeddings=True, **ids
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.AutoModelForImageTextToText.from_config(
            config, dtype=getattr(torch, dtype), attn_implementation=attention
        )
    return model.eval(), Processor(transformers.Qwen2VLImageProcessorPil(), fast, None, CHAT)


def make_requests(size: str, rows: int) -> list[Request]:
    """Rows whose questions and pictures are of unlike size."""
    rng = Random(0)
    width, height = SIZES[size]["picture"]
    requests = []
    for number in range(rows):
        letters = rng.randint(*SIZES[size]["letters"])
        question = "<image>" + "".join(rng.choices("abcdefgh ", k=letters))
        shape = (int(height * rng.uniform(0.7, 1)), int(width * rng.uniform(0.7, 1)), 3)
        picture = Image.fromarray(np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8))
        requests.append(Request(str(number), "image", PromptTemplate().messages(question), (picture,), ATTEMPTS))
    return requests


class Steps:
    """When each decode step of a model begins."""

    def __init__(self, model, clock) -> None:
        self.clock = clock
        self.began: list[float] = []
        model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _model, _args, inputs) -> None:
        one_token = inputs.get("input_ids") is not None and inputs["input_ids"].shape[1] == 1
        if not one_token:
            self.began.clear()  # another prompt
        else:
            self.began.append(self.clock())

    def milliseconds(self) -> float:
        """Per step, the median of the last batch."""
        gaps = [after - before for before, after in zip(self.began[1:], self.began[2:], strict=False)]
        return 1000 * statistics.median(gaps or [0.0])


def generate(loaded: LoadedModel, requests: list[Request], new_tokens: int) -> int:
    """Replies to a padded batch by transformers alone; gives their number."""
    inputs = loaded.encode(requests)
    with torch.inference_mode():
        made = loaded.model.generate(
            **inputs, do_sample=True, top_k=0, num_return_sequences=ATTEMPTS, max_new_tokens=new_tokens
        )
    loaded.processor.batch_decode(made[:, inputs["input_ids"].shape[1] :])
    return len(made)


class Operations(TorchDispatchMode):
    """Counts what is asked of torch."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def operations_per_step(loaded: LoadedModel, requests: list[Request]) -> int:
    """Of what this package does, the noise of sampling included."""
    counts = []
    for new_tokens in (3, 5):
        with Operations() as operations:
            loaded.complete(requests, Sampling(max_new_tokens=new_tokens))
        counts.append(operations.count)
    return (counts[1] - counts[0]) // 2


@contextmanager
def peak_memory(device: str):
    """GiB at the peak, weights included; a list that is filled at the end."""
    peak: list[float] = []
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield peak
    if device.startswith("cuda"):
        peak.append(torch.cuda.max_memory_allocated() / 2**30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="3b")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=(64, 192), help="For a batch of each size; the others are for auto."
    )
    parser.add_argument("--batches", type=int, nargs=2, default=(16, 64))
    parser.add_argument("--new-tokens", type=int, default=256)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16")
    args = parser.parse_args()

    model, processor = make_model(args.size, args.device, args.dtype)
    sampling = Sampling(max_new_tokens=args.new_tokens)
    loaded = LoadedModel(model, processor)
    clock = time.perf_counter if args.device.startswith("cuda") else time.process_time
    steps = Steps(model, clock)
    requests = make_requests(args.size, args.rows[0])
    generate(loaded, requests[:2], 4)  # kernels are loaded on first use
    loaded.complete(requests[:2], Sampling(max_new_tokens=4))

    def product(batch_size: int | None, asked: list[Request]) -> int:
        asks = LoadedModel(model, processor, batch_size=batch_size)  # knows nothing of earlier batches
        return sum(len(replies) for replies in asks.complete(asked, sampling))

    def plain(rows: int, batches: int) -> int:
        parts = [requests[start : start + rows] for start in range(0, rows * batches, rows)]
        return sum(generate(loaded, part, args.new_tokens) for part in parts)

    small, large = args.batches
    ways = {
        "generate, row by row": lambda: plain(1, min(4, len(requests))),
        f"generate, {small} x {ATTEMPTS}": lambda: plain(small, 1),
        f"generate, {large} x {ATTEMPTS}": lambda: plain(large, 1),
        f"hf_rap, {small} x {ATTEMPTS}": lambda: product(small, requests),
        f"hf_rap, {large} x {ATTEMPTS}": lambda: product(large, requests),
    }
    for rows in args.rows[1:]:
        ways[f"hf_rap, {rows} rows, auto"] = lambda rows=rows: product(None, make_requests(args.size, rows))
    card = torch.cuda.get_device_name() if args.device.startswith("cuda") else "a CPU"
    print(f"{card}, {datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, transformers {transformers.__version__}")
    tokens = loaded.encode(requests)["attention_mask"].sum(1)
    print(
        f"size {args.size}, {args.dtype}, prompts of {int(tokens.min())} to {int(tokens.max())} tokens, {args.new_tokens} new"
    )
    print("\n| way | attempts/s | ms a step | GiB at the peak |\n|---|---:|---:|---:|")
    per_step = {}
    for name, way in ways.items():
        with peak_memory(args.device) as peak:
            started = clock()
            attempts = way()
            seconds = clock() - started
        per_step[name] = steps.milliseconds()
        print(
            f"| {name} | {attempts / seconds:.2f} | {per_step[name]:.1f} | {f'{peak[0]:.1f}' if peak else ''} |",
            flush=True,
        )
    ratio = per_step[f"generate, {large} x {ATTEMPTS}"] / max(per_step[f"hf_rap, {large} x {ATTEMPTS}"], 1e-9)
    print(f"\na step of generate at {large} x {ATTEMPTS} takes {ratio:.1f} of ours (goal: 6)")
    print(f"operations per step: {operations_per_step(loaded, requests[:2])}")


if __name__ == "__main__":
    main()
