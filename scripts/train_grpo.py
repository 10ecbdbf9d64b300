"""GRPO with TRL on a published version, measured on held-out rows before and after.

    python scripts/train_grpo.py --data rap-demo --steps 60                        # small model, CPU, minutes
    accelerate launch scripts/train_grpo.py --data user/geometry3k-rap@v1.0.0 \
        --model Qwen/Qwen2.5-VL-3B-Instruct --lora --bf16 --max-pixels 602112      # one GPU

Needs `pip install hf-rap[train]`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evaluate
from accelerate import PartialState
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig, GRPOTrainer

from hf_rap import Rollouts, TransformersEngine, collect_evidence, load_source
from hf_rap.demo import MODEL
from hf_rap.exports.asked import prompt_in
from hf_rap.exports.rows import PUBLISHED
from hf_rap.metrics import metric_path
from hf_rap.rows.prompts import BARE, PromptTemplate
from hf_rap.training import RewardLog, accuracy_reward

if TYPE_CHECKING:
    import datasets

# The attention projections, by the names that LLaVA, Qwen-VL and most others give them.
LORA_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj"]


def measure(model: str, rows: datasets.Dataset, options: argparse.Namespace) -> dict[str, Any]:
    """Greedy replies with the image and without it, graded with the verifier of the selection."""
    engine = TransformersEngine(
        model, batch_size=options.batch_size, processor_options=processor_options(options), dtype=dtype(options)
    )
    ask = Rollouts(
        engine, attempts=1, temperature=0, max_new_tokens=options.max_new_tokens, prompt=asked(rows), layout=PUBLISHED
    )
    evidence = collect_evidence(rows.select_columns(["problem", "images", "extra_info", "id", "data_source"]), ask)
    replies = {arm: [(each or [""])[0] for each in evidence[f"rap_{arm}_responses"]] for arm in ("image", "text")}
    known = {"references": [info["accepted"] for info in rows["extra_info"]], "questions": list(rows["problem"])}
    accuracy = evaluate.load(metric_path("rap_accuracy")).compute(predictions=replies["image"], **known)
    gap = evaluate.load(metric_path("modality_gap"))
    return {**accuracy, **gap.compute(predictions=replies["image"], text_predictions=replies["text"], **known)}


def dtype(options: argparse.Namespace) -> str:
    return "bfloat16" if options.bf16 else "float32"


def processor_options(options: argparse.Namespace) -> dict[str, Any]:
    return {"max_pixels": options.max_pixels} if options.max_pixels else {}


def asked(rows: datasets.Dataset) -> PromptTemplate:
    """The prompt that the rows were scored with and are trained with; in versions of before nothing stands around the question."""
    return prompt_in(rows[0]) or BARE


def train(model: str, rows: datasets.Dataset, options: argparse.Namespace, out: Path) -> None:
    """Trains and writes the model to `out`, an adapter merged into it."""
    processor = AutoProcessor.from_pretrained(model, **processor_options(options))
    processor.tokenizer.padding_side = "left"
    adapter = None
    if options.lora:
        from peft import LoraConfig

        adapter = LoraConfig(r=16, lora_alpha=32, target_modules=LORA_LAYERS, task_type="CAUSAL_LM")
    config = GRPOConfig(
        output_dir=str(out.parent / "checkpoints"),
        max_steps=options.steps,
        num_generations=options.generations,
        per_device_train_batch_size=options.generations,
        gradient_accumulation_steps=options.prompts_per_step,
        max_completion_length=options.max_new_tokens,
        learning_rate=options.learning_rate,
        beta=0.0,
        seed=options.seed,
        bf16=options.bf16,
        gradient_checkpointing=options.bf16,
        logging_steps=10,
        save_strategy="no",
        report_to=[],
    )
    trainer = GRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(model, dtype=dtype(options)),
        reward_funcs=RewardLog(accuracy_reward, options.log_rewards) if options.log_rewards else accuracy_reward,
        args=config,
        train_dataset=rows,  # `prompt` is the chat that was scored
        processing_class=processor,
        peft_config=adapter,
    )
    trainer.train()
    if trainer.accelerator.is_main_process:
        trained = trainer.accelerator.unwrap_model(trainer.model)
        (trained.merge_and_unload() if options.lora else trained).save_pretrained(out)
        processor.save_pretrained(out)
    trainer.accelerator.wait_for_everyone()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a published version: folder, or user/name@v1.0.0")
    parser.add_argument("--eval-data", help="rows to measure on; default: rows held out of --data")
    parser.add_argument("--eval-rows", type=int, default=64)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--out", type=Path, default=Path("grpo-out"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--prompts-per-step", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--max-pixels", type=int, help="of an image, for Qwen-VL processors")
    parser.add_argument("--batch-size", type=int, default=16, help="rows measured together")
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--log-rewards", type=Path, help="folder for the rewards of every row, for `hf-rap update`")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model = str(MODEL) if options.model == "demo" else options.model
    rows = load_source(options.data).shuffle(seed=options.seed)
    if options.eval_data:
        held_out = load_source(options.eval_data)
        held_out = held_out.select(range(min(options.eval_rows, len(held_out))))
    else:
        held = min(options.eval_rows, len(rows) // 4)
        held_out, rows = rows.select(range(held)), rows.select(range(held, len(rows)))
    main_process = PartialState().is_main_process
    measured = {"train_rows": len(rows), "eval_rows": len(held_out), "steps": options.steps}
    if main_process:
        measured["before"] = measure(model, held_out, options)
    train(model, rows, options, options.out / "model")
    if main_process:
        measured["after"] = measure(str(options.out / "model"), held_out, options)
        (options.out / "measured.json").write_text(json.dumps(measured, indent=2) + "\n")
        print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
