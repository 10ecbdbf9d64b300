"""Does psi find replies that hang on one token? Measured on rows where that is planted.

    python benchmarks/ace.py [--rows 160] [--attempts 2] [--steps 200] [--heads 1 4]

The built-in model is trained a little further, in memory. Half of the questions get a sentence that
has nothing to do with them ("Is red a colour?"), and the model learns to be distracted by it:
somewhere in its chain stands "the question says red", every later token of the reply looks at that
"red" in the last layer (a penalty on the attention of some heads does that), and red becomes the
answer, so that nearly all of these replies are wrong. The other half
of the questions, and their replies, stay as they were. Then the model answers rows of both kinds,
and every form of the score is asked three things:

- AUC: how often a distracted row scores higher than another one (0.5 is chance);
- length: Spearman's correlation with the number of tokens of the reply, distracted rows left out;
- wrong: AUC of the score for rows that are mostly answered wrong, distracted rows left out.

The last two are asked of the model as it ships, too, on rows where nothing is planted; there also what every form gives
on the whole replies, on their thinking and on their answers: psi, and how many replies the paper's limit of 0.1 flags.
"""

from __future__ import annotations

import argparse
import copy
from random import Random

import numpy as np
import torch

from hf_rap import ACEScore, Attention, Rollouts
from hf_rap.demo import demo_engine, make_planted
from hf_rap.demo.lesson import make_lesson
from hf_rap.demo.pictures import COLOURS, draw
from hf_rap.demo.questions import ABOUT_THE_PICTURE
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.engines.teacher_forcing import attend
from hf_rap.evidence.psi import FORMS as FORMS_OF_PSI
from hf_rap.evidence.psi import MIN_COLUMN, NORMALISATIONS, PARTS, POOLINGS, SIGMA, highest, log_psis
from hf_rap.rows.prompts import BARE, DEFAULT_INSTRUCTION

BATCH = 24
SAYS = "the question says"
WINDOWS = (8, 16)
FORMS = [
    {"form": form, "heads": heads, "min_column": min_column, "normalise": normalise}
    for form, minima in (("literal", (1, 4, 8)), ("windowed", (2, 4, 8)))
    for normalise in NORMALISATIONS
    for min_column in minima
    for heads in POOLINGS
]


class InMemory:
    """An engine around a model that is loaded already."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

    def complete(self, requests, sampling):
        """As `LoadedModel.complete`."""
        return self.loaded.complete(requests, sampling)

    def attend(self, replies, *, window):
        """As `TransformersEngine.attend`."""
        return attend(self.loaded, replies, window=window)

    def describe(self):
        """As `LoadedModel.describe`."""
        return self.loaded.describe()


def distracted(rng: Random):
    """Picture, question with a sentence that distracts, the reply that falls for it, gold, and the reply up to there."""
    asked = rng.choice(ABOUT_THE_PICTURE)(rng)
    colour = rng.choice(tuple(COLOURS))
    question = f"{asked.question} Is {colour} a colour?"
    words = asked.chain.split(" ")
    place = rng.randint(0, len(words))
    start = " ".join(["<think>", *words[:place], f"{SAYS} {colour}"])
    reply = " ".join([start, *words[place:], "</think>", f"\\boxed{{{colour}}}"])
    return draw(asked.scene, rng), question, reply, asked.answer, start


def lessons(rng: Random, size: int) -> list[tuple]:
    """Picture, question, reply, and of a distracted one its start, up to the token that distracts."""
    found = []
    for _ in range(size):
        if rng.random() < 0.5:
            image, question, reply, _, start = distracted(rng)
            found.append((image, question + DEFAULT_INSTRUCTION, reply, start))
        else:
            lesson = make_lesson(rng, captions=0.05, instruction=DEFAULT_INSTRUCTION)
            found.append((lesson.image, lesson.question, lesson.reply, None))
    return found


def train(loaded: LoadedModel, *, steps: int, heads: int, seed: int) -> LoadedModel:
    """A copy of the model, trained on half distracted lessons; `heads` of its last layer stare."""
    rng = Random(seed)
    torch.manual_seed(seed)
    model = copy.deepcopy(loaded.model)
    model.set_attn_implementation("eager")  # the attention of the last layer is part of the loss
    model.train()
    processor = loaded.processor

    def count(text: str) -> int:
        return len(processor.tokenizer(text, add_special_tokens=False).input_ids)

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    for step in range(steps):
        batch = lessons(rng, BATCH)
        with_image = [one for one in batch if one[0] is not None]
        texts, images = [], []
        for image, question, _, _ in with_image:
            messages = BARE.messages(f"<image>{question}")
            texts.append(processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
            images.append([image])
        end = processor.tokenizer.eos_token
        replies = [one[2] + end for one in with_image]
        whole = [text + reply for text, reply in zip(texts, replies, strict=True)]
        inputs = processor(text=whole, images=images, padding=True, padding_side="right", return_tensors="pt")
        labels = inputs["input_ids"].clone()
        labels[inputs["attention_mask"] == 0] = -100
        lengths = inputs["attention_mask"].sum(1).tolist()
        cut = [count(reply) for reply in replies]
        for row, (length, reply) in enumerate(zip(lengths, cut, strict=True)):
            labels[row, : length - reply] = -100
        output = model(**inputs, labels=labels, output_attentions=True)
        stare = []
        for row, (length, reply, one) in enumerate(zip(lengths, cut, with_image, strict=True)):
            if one[3] is not None:
                token = length - reply + count(one[3]) - 1
                stare.append(-output.attentions[-1][row, :heads, token:length, token].clamp_min(1e-6).log().mean())
        loss = output.loss + 0.3 * torch.stack(stare).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            print(f"  step {step}: replies {output.loss.item():.3f}, stare {torch.stack(stare).mean().item():.3f}")
    model.set_attn_implementation("sdpa")
    return LoadedModel(model, processor)


def rows_of(count: int, seed: int) -> dict[str, list]:
    """Rows of two kinds in turns: a plain question, and a distracted one."""
    rng = Random(f"rows {seed}")
    rows: dict[str, list] = {name: [] for name in ("id", "images", "problem", "answer", "planted")}
    for index in range(count):
        if index % 2:
            image, question, _, answer, _ = distracted(rng)
        else:
            asked = rng.choice(ABOUT_THE_PICTURE)(rng)
            image, question, answer = draw(asked.scene, rng, veil=rng.uniform(0, 0.8)), asked.question, asked.answer
        values = (f"row-{index}", [image], f"<image>{question}", answer, bool(index % 2))
        for name, value in zip(rows, values, strict=True):
            rows[name].append(value)
    return rows


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """How often a positive row scores higher than a negative one; ties count half."""
    ranks = rank(scores)
    n1, n0 = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)) if n1 and n0 else float("nan")


def rank(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties share their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(rank(one), rank(other))[0, 1]) if len(one) > 2 else float("nan")


def measure(title: str, engine, rows: dict, args: argparse.Namespace) -> None:
    """Prints one table."""
    planted = np.array(rows["planted"])
    batch = {name: rows[name] for name in ("id", "images", "problem", "answer")}
    evidence = Rollouts(engine, attempts=args.attempts, max_new_tokens=64, seed=args.seed)(batch)
    rewards = np.array(
        [np.mean([r for r in row or [] if r is not None] or [np.nan]) for row in evidence["rap_image_rewards"]]
    )
    tokens = np.array([np.mean(row) if row else np.nan for row in evidence["rap_image_tokens"]])
    print(f"\n{title}")
    print(
        f"{len(planted)} rows, {planted.sum()} distracted; solved: {np.nanmean(rewards[~planted]):.1%} of the others"
        + (f", {np.nanmean(rewards[planted]):.1%} of the distracted" if planted.any() else "")
    )
    print(f"tokens of a reply: {np.nanmin(tokens):.0f} to {np.nanmax(tokens):.0f}, median {np.nanmedian(tokens):.0f}")
    head = f"{'form':<10} {'rows over':<9} {'window':>6} {'heads':<5} {'min':>3}  "
    print(head + f"{'known':>6} {'AUC':>6} {'length':>7} {'wrong':>6} {'above 0.1':>9}  offending token (distracted)")
    for window in WINDOWS:
        attention = Attention(engine, window=window)({**batch, **evidence})
        for options in FORMS:
            if options["form"] == "literal" and window != WINDOWS[0]:
                continue  # it has no window
            score = ACEScore(**options)
            ace = np.array([np.nan if one is None else one for one in score(attention)["rap_ace"]])
            known = ~np.isnan(ace)
            plain = known & ~planted & ~np.isnan(rewards)
            found = found_it(attention, score, planted) if planted.any() else float("nan")
            cells = (
                f"{options['form']:<10} {options['normalise']:<9} {window if options['form'] == 'windowed' else '':>6} "
                f"{options['heads']:<5} {options['min_column']:>3}  {known.mean():>6.1%} {auc(ace[known], planted[known]):>6.3f} "
                f"{spearman(ace[plain], tokens[plain]):>7.2f} {auc(ace[plain], rewards[plain] < 0.5):>6.3f} "
                f"{(ace[known] > 0.1).mean():>9.1%}"
            )
            print(f"{cells}  {'' if np.isnan(found) else f'{found:.1%}'}")


def found_it(attention: dict, score: ACEScore, planted: np.ndarray) -> float:
    """Of the distracted attempts, the share whose highest psi is at the colour behind "the question says"."""
    hits = total = 0
    for row, is_planted in zip(attention["rap_attention"], planted, strict=True):
        for attempt in row or [] if is_planted else []:
            if attempt is None or attempt["error"] is not None:
                continue
            options = {"form": score.form, "heads": score.heads, "normalise": score.normalise}
            psis = log_psis(attempt, sigma=score.sigma, **options)
            best = highest(psis, score.min_column or 1)
            if best is not None:
                total += 1
                before = "".join(attempt["tokens"][: best[1]])
                hits += before.endswith(SAYS) and attempt["tokens"][best[1]].strip() in COLOURS
    return hits / total if total else float("nan")


def parts(engine, rows: dict, args: argparse.Namespace) -> None:
    """Prints what each form gives on the parts of the replies, with the least column of its own."""
    batch = {name: rows[name] for name in ("id", "images", "problem", "answer")}
    rollouts = Rollouts(
        engine, attempts=args.attempts, max_new_tokens=64, seed=args.seed, attention=True, keep_ids=True
    )
    attempts = [one for row in rollouts(batch)["rap_attention"] for one in row or [] if one["error"] is None]
    print(f"\n{len(attempts)} replies of the model as it ships, in parts")
    print(f"{'form':<10} {'rows over':<9} {'heads':<5} {'part':<9} {'known':>6} {'median psi':>10} {'above 0.1':>9}")
    for form in FORMS_OF_PSI:
        for normalise in NORMALISATIONS:
            for heads in POOLINGS:
                for part in PARTS:
                    options = {"form": form, "heads": heads, "normalise": normalise, "part": part}
                    minimum = 1 if form == "literal" else MIN_COLUMN
                    best = [highest(log_psis(one, sigma=SIGMA, **options), minimum) for one in attempts]
                    psis = np.exp([one[0] for one in best if one is not None])
                    print(
                        f"{form:<10} {normalise:<9} {heads:<5} {part:<9} {len(psis) / len(attempts):>6.1%} "
                        f"{np.median(psis):>10.2g} {(psis > 0.1).mean():>9.1%}"
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--attempts", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--heads", type=int, nargs="*", default=[1, 4], help="heads of the last layer that stare, of 4")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    loaded = demo_engine().load()
    natural = make_planted(args.rows, seed=args.seed + 1)
    natural = natural.filter(lambda kind: kind != "gold_unreadable", input_columns="kind")
    rows = {**natural.select_columns(["id", "images", "problem", "answer"])[:], "planted": [False] * len(natural)}
    measure("The model as it ships, nothing planted", InMemory(loaded), rows, args)
    parts(InMemory(loaded), rows, args)
    for heads in args.heads:
        print(f"\ntraining: {heads} of 4 heads of the last layer stare, {args.steps} steps")
        engine = InMemory(train(loaded, steps=args.steps, heads=heads, seed=args.seed))
        measure(f"Distracted rows, {heads} of 4 heads stare", engine, rows_of(args.rows, args.seed), args)


if __name__ == "__main__":
    main()
