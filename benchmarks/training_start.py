"""The model that benchmarks/training.py starts from: it can see, but often answers without looking.

The built-in model is taught a bad habit, which is what the training has to undo: to questions about the picture it often
says "i guess" and boxes a random answer of the right kind, more often to some types of question than to others.
Everything else is taught as before.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from hf_rap.demo import MODEL, questions
from hf_rap.demo.lesson import HARD_VEIL, Lesson, make_lesson, reply_text
from hf_rap.demo.pictures import draw
from hf_rap.rows.prompts import DEFAULT_INSTRUCTION

if TYPE_CHECKING:
    from collections.abc import Callable

# How often it guesses.
GUESSES: dict[Callable[[Random], questions.Asked], float] = {
    questions.colour_at: 0.40,
    questions.form_at: 0.60,
    questions.count: 0.75,
    questions.where: 0.60,
}
STEPS, BATCH, LEARNING_RATE = 200, 32, 5e-4


def make_start(
    folder: Path, *, steps: int = STEPS, seed: int = 0, lesson: Callable[[Random], Lesson] | None = None
) -> None:
    """Trains the built-in model further and writes it to `folder`; `lesson` makes one example, by default with the habit."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
    from train_demo_model import collate

    make = lesson or habit
    torch.manual_seed(seed)
    processor = AutoProcessor.from_pretrained(MODEL)
    model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype="float32").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule: Any = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        rng = Random(f"habit {seed} {step}")
        loss = model(**collate(processor, [make(rng) for _ in range(BATCH)])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 50 == 0 or step == steps - 1:
            print(f"  start, step {step}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def habit(rng: Random) -> Lesson:
    """Three of five are about the picture, with the habit; the others are those of the built-in model."""
    if rng.random() < 0.4:
        return make_lesson(rng, captions=0.1, instruction=DEFAULT_INSTRUCTION)
    make = rng.choice(tuple(GUESSES))
    asked = make(rng)
    veil = rng.uniform(*HARD_VEIL) if rng.random() < 0.25 else 0.0
    image = None if rng.random() < 0.1 else draw(asked.scene, rng, veil=veil)
    guess = make(rng).answer
    reply = (
        f"<think> i guess {guess} </think> \\boxed{{{guess}}}" if rng.random() < GUESSES[make] else reply_text(asked)
    )
    return Lesson(image, f"{asked.question}{DEFAULT_INSTRUCTION}", reply)
