"""What to paste into a trainer of process reward models."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .writing import command

if TYPE_CHECKING:
    from pathlib import Path

# InternVL's own of its fine-tuning scripts (internvl_chat/shell), beside what the data says.
_INTERNVL = (
    "--conv_style internvl2_5 --force_image_size 448 --max_dynamic_patch 6 --down_sample_ratio 0.5 --ps_version v2",
    "--dynamic_image_size True --use_thumbnail True --vision_select_layer -1 --drop_path_rate 0.4",
    "--freeze_llm False --freeze_mlp False --freeze_backbone True --grad_checkpoint True --group_by_length True",
    "--do_train True --bf16 True --learning_rate 1e-5 --weight_decay 0.05 --warmup_ratio 0.03 --lr_scheduler_type cosine",
    "--num_train_epochs 1 --per_device_train_batch_size 1 --max_seq_length 8192 --dataloader_num_workers 4",
    "--save_strategy steps --save_steps 200 --logging_steps 1 --deepspeed zero_stage1_config.json",
)


def internvl_lines(meta: Path, *, rows: int, gpus: int, model: str | None) -> str:
    """The command for a checkout of InternVL, in its folder `internvl_chat`.

    Args:
        meta: the file that names the rows to it.
        rows: in all.
        gpus: of the machine.
        model: that is trained; None takes InternVL2.5 with 8B parameters.
    """
    return command(
        f"torchrun --nproc_per_node={gpus} internvl/train/internvl_chat_finetune.py",
        shlex.join(["--model_name_or_path", model or "OpenGVLab/InternVL2_5-8B"]),
        shlex.join(["--meta_path", str(meta)]),
        shlex.join(["--output_dir", f"{meta.parent}-out"]),
        f"--gradient_accumulation_steps {max(1, min(16, rows // gpus))}",
        *_INTERNVL,
    )


def trl_lines(file: Path, *, rows: int, gpus: int, model: str | None) -> str:
    """A program for TRL up to 1.13, which has no command for it.

    Args:
        file: the rows.
        rows: in all.
        gpus: of the machine.
        model: a text model, that is trained; None takes Qwen2.5 with 0.5B parameters.
    """
    return f"""\
# as train_prm.py, for: {f"accelerate launch --num_processes {gpus} train_prm.py" if gpus > 1 else "python train_prm.py"} (pip install trl==1.13.0)
from datasets import load_dataset
from transformers import AutoModelForTokenClassification, AutoTokenizer
from trl.experimental.prm import PRMConfig, PRMTrainer

model = {(model or "Qwen/Qwen2.5-0.5B-Instruct")!r}
PRMTrainer(
    model=AutoModelForTokenClassification.from_pretrained(model, num_labels=2),
    processing_class=AutoTokenizer.from_pretrained(model),
    train_dataset=load_dataset("parquet", data_files={str(file)!r}, split="train"),
    args=PRMConfig(
        output_dir={f"{file.parent}-out"!r},
        per_device_train_batch_size=1,
        gradient_accumulation_steps={max(1, min(16, rows // gpus))},
        max_length=4096,
        logging_steps=1,
    ),
).train()"""
