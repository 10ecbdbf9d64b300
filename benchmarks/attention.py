"""What the attention probe costs: time and peak memory against a plain forward pass and against output_attentions.

    python benchmarks/attention.py [--prompts 1024 2048] [--reply 256] [--rounds 3]

Each way and length runs in a process of its own, so that its peak memory (`ru_maxrss`) is its own; in
turns, `rounds` times. The model is a Llama of random weights, 12 layers of 512, 8 heads, on the CPU in
float32; a batch is one reply behind its prompt. Times are of the processor (so that other work on the
machine counts little), one thread, the fastest of three passes in a process. Memory is what the process holds at its peak above what it held before the first pass ("passes") and
altogether ("process").
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

WAYS = ("plain", "probe", "output_attentions")
LAYERS, WIDTH, HEADS, VOCABULARY = 12, 512, 8, 32_000
INNER = 1376  # the ratio of Llama 7B, 11,008 to 4,096
PASSES = 3


def measure(way: str, prompt: int, reply: int) -> dict[str, float]:
    """Seconds and bytes of one way, in this process."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from hf_rap.engines.probe import AttentionProbe, Span

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        max_position_embeddings=4096,
        attn_implementation="eager" if way == "output_attentions" else "sdpa",
    )
    model = LlamaForCausalLM(config).eval()
    length = prompt + reply
    ids = torch.randint(5, VOCABULARY, (1, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    probe = AttentionProbe(model, 5) if way == "probe" else None

    def once() -> None:
        if probe is not None:
            probe.run(inputs, [Span(0, prompt, length)])
            return
        with torch.inference_mode():
            output = model(**inputs, use_cache=False, logits_to_keep=1, output_attentions=way == "output_attentions")
        if way == "output_attentions":  # psi by the matrix, as its definition says
            attention = output.attentions[-1][0, :, prompt:].max(0).values
            square = (attention / attention.sum(-1, keepdim=True))[:, prompt:].log().tril()
            square.sum(0).max()

    before = peak()
    seconds = []
    for _ in range(PASSES):
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.prompts[0], args.reply)))
        return
    for prompt in args.prompts:
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(args.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--way", way, "--prompts", str(prompt), "--reply", str(args.reply)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
        print(
            f"\nprompt of {prompt:,} tokens, reply of {args.reply}; median of {args.rounds} processes (lowest to highest)"
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
        for one, other in (("probe", "plain"), ("output_attentions", "probe")):
            for key in ("seconds", "process", "passes"):
                ratios = [new[key] / old[key] for new, old in zip(found[one], found[other], strict=True)]
                print(
                    f"{one} / {other}, {key}: {statistics.median(ratios):.2f}x "
                    f"({min(ratios):.2f}x to {max(ratios):.2f}x)"
                )


if __name__ == "__main__":
    main()
