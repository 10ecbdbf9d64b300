"""Does TRL's process reward trainer take our export? Two training steps on a tiny model, with TRL 1.13.

The trainer was removed in TRL 1.14, so this runs in an environment of its own, not in the test suite:

    python -m venv trl113 && trl113/bin/pip install torch --requirement scripts/requirements/trl-prm.txt
    hf-rap demo-prm --out rap-demo-prm
    trl113/bin/python scripts/check_trl_prm.py rap-demo-prm/trl/train.parquet
"""

from __future__ import annotations

import sys
import tempfile

import torch
from datasets import load_dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForTokenClassification
from trl import __version__
from trl.experimental.prm import PRMConfig, PRMTrainer


def tokenizer() -> PreTrainedTokenizerFast:
    """Of the 256 bytes: needs no download and reads every text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "<bos>", "<eos>", "<pad>"])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


def main() -> None:
    rows = load_dataset("parquet", data_files=sys.argv[1], split="train")
    reader = tokenizer()
    torch.manual_seed(0)
    model = Qwen2ForTokenClassification(
        Qwen2Config(
            vocab_size=len(reader),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            num_labels=2,
            pad_token_id=reader.pad_token_id,
        )
    )
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    with tempfile.TemporaryDirectory() as folder:
        options = PRMConfig(
            output_dir=folder,
            max_steps=2,
            per_device_train_batch_size=4,
            logging_steps=1,
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
        )
        trainer = PRMTrainer(model=model, args=options, train_dataset=rows, processing_class=reader)
        trained = trainer.train_dataset
        supervised = sum(label != -100 for labels in trained["labels"] for label in labels)
        trainer.train()
    steps = sum(map(len, rows["labels"]))
    changed = sum(not torch.equal(before[name], weight) for name, weight in model.named_parameters())
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print(f"TRL {__version__}: {len(rows)} rows, {steps} steps, {supervised} supervised tokens in {len(trained)} rows")
    print(f"losses {losses}; {changed} of {len(before)} weights changed")
    if (len(trained), supervised) != (len(rows), steps) or len(losses) != 2 or not changed:
        raise SystemExit("The trainer did not take every row and step of the export.")


if __name__ == "__main__":
    main()
