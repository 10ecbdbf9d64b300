"""Does the likelihood of the gold answer foretell the sampled cde, and what would a screen by it lose?

    python benchmarks/likelihood.py [--rows 400] [--attempts 32] [--steps 2500]

Planted rows and the built-in model, twice: as it ships, which thinks before every answer and was never
shown one without; and a copy that is trained a little further, in memory, to answer at once when it is
asked to, as large models can, and to think otherwise. Rollouts are those of the thinking model in both
cases; truth is the cde of `--attempts` attempts, beside which stands the cde of five other ones.

Times are seconds of processor time of this process; only their ratio means something on a busy machine.
"""

from __future__ import annotations

import argparse
import copy
import time
from random import Random

import numpy as np
import torch
from ace import BATCH, InMemory, auc, spearman

from hf_rap import Likelihood, Rollouts
from hf_rap.demo import demo_engine, make_planted
from hf_rap.demo.lesson import make_lesson
from hf_rap.engines.likelihood import log_likelihoods
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.rows.prompts import AT_ONCE, BARE, DEFAULT_INSTRUCTION, DEFAULT_PROMPT, PromptTemplate
from hf_rap.scorers import LikelihoodCDEScore

FEW = 5  # attempts of an ordinary scoring
MIN_CDE = 0.5
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # of the rows, left out by a screen
PLACES = {
    "at once, `\\boxed{`": {"prompt": PromptTemplate(suffix=AT_ONCE), "lead": "\\boxed{"},
    "think, `\\boxed{`": {"prompt": DEFAULT_PROMPT, "lead": "\\boxed{"},
    "think, `<think></think> \\boxed{`": {"prompt": DEFAULT_PROMPT, "lead": "<think></think> \\boxed{"},
}
SCORES = [LikelihoodCDEScore(scale, pool) for scale in ("log", "probability") for pool in ("sum", "mean")]


class Engine(InMemory):
    """The engine around a model in memory, with likelihoods."""

    def log_likelihoods(self, replies):
        return log_likelihoods(self.loaded, replies)


def lessons(rng: Random, size: int) -> list[tuple]:
    """Picture or None, question, reply: half of them answered at once, because they ask for it."""
    found = []
    for _ in range(size):
        lesson = make_lesson(rng, captions=0.05, instruction=DEFAULT_INSTRUCTION)
        question, reply = lesson.question, lesson.reply
        if "\\boxed" in reply and rng.random() < 0.5:
            question = question.removesuffix(DEFAULT_INSTRUCTION) + AT_ONCE
            reply = reply[reply.index("\\boxed") :]
        found.append((lesson.image, question, reply))
    return found


def train(loaded: LoadedModel, *, steps: int, seed: int) -> LoadedModel:
    """A copy of the model that has learnt to answer at once when it is asked to."""
    rng = Random(seed)
    torch.manual_seed(seed)
    model = copy.deepcopy(loaded.model).train()
    processor = loaded.processor
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-4, total_steps=steps)
    for step in range(steps):
        batch = lessons(rng, BATCH)
        for part in ([one for one in batch if one[0] is not None], [one for one in batch if one[0] is None]):
            if not part:
                continue
            texts = []
            for image, question, _ in part:
                messages = BARE.messages(question if image is None else f"<image>{question}")
                texts.append(processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
            replies = [one[2] + processor.tokenizer.eos_token for one in part]
            inputs = processor(
                text=[text + reply for text, reply in zip(texts, replies, strict=True)],
                images=None if part[0][0] is None else [[one[0]] for one in part],
                padding=True,
                padding_side="right",
                return_tensors="pt",
            )
            labels = inputs["input_ids"].clone()
            labels[inputs["attention_mask"] == 0] = -100
            for row, (length, reply) in enumerate(zip(inputs["attention_mask"].sum(1).tolist(), replies, strict=True)):
                tokens = len(processor.tokenizer(reply, add_special_tokens=False).input_ids)
                labels[row, : length - tokens] = -100
            loss = model(**inputs, labels=labels).loss * len(part) / len(batch)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps - 1:
            print(f"  step {step}: loss {loss.item():.3f}", flush=True)
    return LoadedModel(model, processor)


def cde_of(rewards_with, rewards_without, part: slice) -> np.ndarray:
    """p1 - p0 of each row over a part of its attempts; NaN where nothing was judged."""

    def rate(rewards):
        known = [one for one in (rewards or [])[part] if one is not None]
        return np.mean(known) if known else np.nan

    return np.array([rate(one) - rate(other) for one, other in zip(rewards_with, rewards_without, strict=True)])


def measure(title: str, engine: Engine, args: argparse.Namespace) -> None:
    """Prints the tables of one model."""
    planted = make_planted(args.rows, seed=args.seed)
    engine.loaded.batch_size = 4
    rollouts = Rollouts(engine, attempts=FEW + args.attempts, max_new_tokens=64, seed=args.seed)
    started = time.process_time()
    evidence = rollouts(planted[:])
    seconds_of_few = (time.process_time() - started) * FEW / (FEW + args.attempts)
    engine.loaded.batch_size = 16
    rewards = evidence["rap_image_rewards"], evidence["rap_text_rewards"]
    few, truth = cde_of(*rewards, slice(FEW)), cde_of(*rewards, slice(FEW, None))
    needed = truth > MIN_CDE
    print(f"\n{title}: {args.rows} rows, {np.sum(needed)} with a cde above {MIN_CDE}")
    print("\n| gold stands | scale | pool | rank correlation with the truth | with five attempts | AUC |")
    print("|---|---|---|---:|---:|---:|")
    scores = {}
    for place, options in PLACES.items():
        started = time.process_time()
        likelihoods = Likelihood(engine, **options)(planted[:])
        seconds = time.process_time() - started
        for scorer in SCORES:
            values = np.array([np.nan if one is None else one for one in scorer(likelihoods)["rap_likelihood_cde"]])
            scores[place, scorer.scale, scorer.pool] = values
            known = ~np.isnan(values) & ~np.isnan(truth)
            numbers = [spearman(values[known], one[known]) for one in (truth, few)] + [
                auc(values[known], needed[known])
            ]
            print(f"| {place} | {scorer.scale} | {scorer.pool} | {' | '.join(f'{one:.2f}' for one in numbers)} |")
    known = ~np.isnan(truth) & ~np.isnan(few)
    print(
        f"| *five attempts themselves* | | | {spearman(few[known], truth[known]):.2f} | | {auc(few[known], needed[known]):.2f} |"
    )
    first = scores[next(iter(PLACES)), "log", "sum"]
    by_type(planted["source"], first, truth)
    as_a_screen("value", first, truth, few)
    as_a_screen("size, either sign", np.abs(first), truth, few)
    passes = 2 * int(known.sum())
    print(
        f"\ncost: {passes:,} sequences read once in {seconds:.1f} s of processor time; five attempts per arm "
        f"{seconds_of_few:.1f} s; the first look takes {seconds / seconds_of_few:.0%} of that"
    )


def by_type(types, values: np.ndarray, truth: np.ndarray) -> None:
    """The level of both scores for each type of question."""
    print(
        "\n| type of question | rows | likelihood_cde, median | cde, mean | rank correlation inside |\n|---|---:|---:|---:|---:|"
    )
    for name in sorted(set(types)):
        rows = np.array([one == name for one in types]) & ~np.isnan(values) & ~np.isnan(truth)
        print(
            f"| `{name}` | {rows.sum()} | {np.median(values[rows]):.2f} | {truth[rows].mean():.2f} "
            f"| {inside(values[rows], truth[rows])} |"
        )


def inside(values: np.ndarray, truth: np.ndarray) -> str:
    """Spearman's correlation; none where all rows have one value."""
    return f"{spearman(values, truth):.2f}" if np.ptp(values) and np.ptp(truth) else "-"


def as_a_screen(title: str, values: np.ndarray, truth: np.ndarray, few: np.ndarray) -> None:
    """What leaving out the lowest rows costs: of the rows that the truth keeps, and of those that five attempts keep."""
    known = ~np.isnan(values) & ~np.isnan(truth) & ~np.isnan(few)
    needed, selected = known & (truth > MIN_CDE), known & (few > MIN_CDE)
    print(f"\n| left out, lowest {title} | below | precision | recall | recall of what five attempts select |")
    print("|---:|---:|---:|---:|---:|")
    for share in SHARES:
        cut = np.quantile(values[known], share)
        left = known & (values < cut)
        precision = np.mean(truth[left] <= MIN_CDE) if left.any() else np.nan
        kept = [1 - np.sum(left & one) / np.sum(one) if one.any() else np.nan for one in (needed, selected)]
        print(f"| {np.sum(left) / np.sum(known):.0%} | {cut:.3g} | {precision:.1%} | {kept[0]:.1%} | {kept[1]:.1%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--attempts", type=int, default=32, help="of the truth; five more stand beside it")
    parser.add_argument("--steps", type=int, default=2500, help="of further training; 0 leaves that model out")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    shipped = demo_engine().load()
    measure("As it ships: always thinks first", Engine(shipped), args)
    if args.steps:
        print(f"\ntraining, {args.steps} steps")
        measure(
            "Trained further: can also answer at once", Engine(train(shipped, steps=args.steps, seed=args.seed)), args
        )


if __name__ == "__main__":
    main()
