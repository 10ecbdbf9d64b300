"""What attention evidence costs: time and peak memory against a plain forward pass and against output_attentions.

    python benchmarks/attention.py [--prompts 1024 2048] [--reply 256] [--replies 5] [--rounds 3]

The replies to one prompt, five as `Rollouts` asks for, are read in one batch. Four ways:

- plain: a forward pass over prompt and reply, as the model's own kernel (sdpa) does it, nothing read;
- probe: the same pass with the probe of the last layer;
- engine: what `Attention` does: the same numbers, with the prompt run once for all replies;
- output_attentions: transformers' way to the same numbers, with the eager kernel.

Each way and length runs in a process of its own, so that its peak memory (`ru_maxrss`) is its own; in
turns, `rounds` times. The model is a decoder of random weights, 12 layers of 512, 8 heads, on the
CPU in float32. Times are of the processor (so that other work on the machine counts little), one
thread, the fastest of `passes` passes in a process. Memory is what the process holds at its peak
above what it held before the first pass ("passes") and altogether ("process").
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from random import Random

WAYS = ("plain", "probe", "engine", "output_attentions")
RATIOS = (("probe", "plain"), ("engine", "plain"), ("output_attentions", "probe"), ("output_attentions", "engine"))
LAYERS, WIDTH, HEADS = 12, 512, 8
INNER = 1376  # the ratio of Llama 7B, 11,008 to 4,096


def make_model(way: str):
    """A model of the demo's kind, larger, with random weights, and the demo's processor."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    from hf_rap.demo import MODEL
    from hf_rap.engines.loaded_model import LoadedModel

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(MODEL)
    text = config.text_config
    text.hidden_size, text.num_hidden_layers, text.num_attention_heads = WIDTH, LAYERS, HEADS
    text.num_key_value_heads, text.head_dim, text.intermediate_size = HEADS // 2, WIDTH // HEADS, INNER
    text.max_position_embeddings = 8192
    attention = "eager" if way == "output_attentions" else "sdpa"
    model = AutoModelForImageTextToText.from_config(config, attn_implementation=attention)
    return LoadedModel(model, AutoProcessor.from_pretrained(MODEL))


def make_replies(loaded, prompt: int, reply: int, replies: int):
    """`replies` replies of `reply` words to one prompt of `prompt` tokens."""
    from hf_rap.engines.base import Reply, Request

    rng = Random(0)
    vocabulary = sorted(loaded.processor.tokenizer.get_vocab())
    words = [token[1:] for token in vocabulary if token[0] == "\u0120" and token[1:].isalpha()]  # one token each

    def text(length: int) -> str:
        return " ".join(["red", *rng.choices(words, k=length - 1)])

    def request(length: int) -> Request:
        return Request("row", "text", [{"role": "user", "content": [{"type": "text", "text": text(length)}]}], (), 1)

    around = loaded.encode([request(100)])["input_ids"].shape[1] - 100
    asked = request(prompt - around)
    return [Reply(asked, text(reply)) for _ in range(replies)]


def measure(way: str, prompt: int, reply: int, replies: int, passes: int) -> dict[str, float]:
    """Seconds and bytes of one way, in this process."""
    import torch

    from hf_rap.engines.probe import AttentionProbe, Span
    from hf_rap.engines.teacher_forcing import attend

    torch.set_num_threads(1)
    loaded = make_model(way)
    model = loaded.model
    asked = make_replies(loaded, prompt, reply, replies)
    tokenizer = loaded.processor.tokenizer
    ids = loaded.encode([one.request for one in asked])["input_ids"]
    behind = torch.tensor([tokenizer(one.text, add_special_tokens=False).input_ids for one in asked])
    ids = torch.cat([ids, behind], dim=1)
    if ids.shape != (replies, prompt + reply):
        raise SystemExit(f"the sequences have the shape {tuple(ids.shape)}, not {(replies, prompt + reply)}")
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    probe = AttentionProbe(model, int(ids[0, -1])) if way == "probe" else None

    def once() -> None:
        if way == "engine":
            attend(loaded, asked, window=16)
            return
        if probe is not None:
            probe.run(inputs, [Span(row, prompt, prompt + reply) for row in range(replies)])
            return
        with torch.inference_mode():
            output = model(**inputs, use_cache=False, logits_to_keep=1, output_attentions=way == "output_attentions")
        if way == "output_attentions":  # psi by the matrix, as its definition says
            for row in range(replies):
                attention = output.attentions[-1][row, :, prompt:].max(0).values
                square = (attention / attention.sum(-1, keepdim=True))[:, prompt:].log().tril()
                square.sum(0).max()

    before = peak()
    seconds = []
    for _ in range(passes):
        started = time.process_time()
        once()
        seconds.append(time.process_time() - started)
    return {"seconds": min(seconds), "process": peak(), "passes": peak() - before}


def peak() -> float:
    """The most memory that this process ever held, in MB."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024 / (1024 if sys.platform == "darwin" else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="*", default=[1024, 2048])
    parser.add_argument("--reply", type=int, default=256)
    parser.add_argument("--replies", type=int, default=5, help="to one prompt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.prompts[0], args.reply, args.replies, args.passes)))
        return
    for prompt in args.prompts:
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(args.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--way", way, "--prompts", str(prompt), "--reply", str(args.reply)]
                command += ["--replies", str(args.replies), "--passes", str(args.passes)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
        print(
            f"\nprompt of {prompt:,} tokens, {args.replies} replies of {args.reply}; "
            f"median of {args.rounds} processes (lowest to highest)"
        )
        print(f"{'':<18} {'seconds':>22} {'process, MB':>24} {'passes, MB':>22}")
        for way, runs in found.items():
            cells = [
                f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
                if key == "seconds"
                else f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"
                for key in ("seconds", "process", "passes")
                for values in [[run[key] for run in runs]]
            ]
            print(f"{way:<18} {cells[0]:>22} {cells[1]:>24} {cells[2]:>22}")
        for one, other in RATIOS:
            for key in ("seconds", "process", "passes"):
                ratios = [new[key] / old[key] for new, old in zip(found[one], found[other], strict=True)]
                print(
                    f"{one} / {other}, {key}: {statistics.median(ratios):.2f}x "
                    f"({min(ratios):.2f}x to {max(ratios):.2f}x)"
                )


if __name__ == "__main__":
    main()
