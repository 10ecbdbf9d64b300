"""What to paste into a trainer of process reward models."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from hf_rap.papers import NUMBERS

from .writing import command

if TYPE_CHECKING:
    from pathlib import Path

_OF: dict[str, Any] = {name.removeprefix("bis."): number.value for name, number in NUMBERS.items()}
_NAME = "hf_rap_prm"  # of the rows, in the table of Qwen-VL's fine-tuning code

# The same in the script of the release (JinYuanLi0012/Balanced-Info-MPRM, commit 81c3de6, shell/scripts/visualprm400k_train.sh)
# and in those of InternVL's fine-tuning (internvl_chat/shell), beside what the data says.
_INTERNVL = (
    "--conv_style internvl2_5 --force_image_size 448 --max_dynamic_patch 6 --down_sample_ratio 0.5 --ps_version v2",
    "--dynamic_image_size True --use_thumbnail True --vision_select_layer -1 --drop_path_rate 0.4",
    "--freeze_llm False --freeze_mlp False --freeze_backbone True --grad_checkpoint True --group_by_length True",
    f"--do_train True --bf16 True --learning_rate {_OF['learning_rate']} --weight_decay {_OF['weight_decay']}",
    f"--warmup_ratio {_OF['warmup']} --lr_scheduler_type cosine --num_train_epochs {_OF['epochs']}",
    "--max_seq_length 8192 --dataloader_num_workers 4 --save_strategy steps --save_steps 50 --logging_steps 1",
)
# Form -> the checkout, its program, and its settings of DeepSpeed: InternVL's own loader knows no <prm>.
_PROGRAMS = {
    "prm-token": (
        "Balanced-Info-MPRM",
        "PYTHONPATH=src torchrun",
        "src/internvl/train/internvl_chat_finetune.py",
        "--use_fast_tokenizer False --deepspeed configs/zero_stage3_config.json",
    ),
    "turns": (
        "InternVL, in its folder internvl_chat",
        "torchrun",
        "internvl/train/internvl_chat_finetune.py",
        "--deepspeed zero_stage1_config.json",
    ),
}


def internvl_lines(meta: Path, *, rows: int, gpus: int, model: str | None, form: str = "prm-token") -> str:
    """The command for a checkout.

    Args:
        meta: the file that names the rows to it.
        rows: in all.
        gpus: of the machine.
        model: that is trained; None takes InternVL2.5 with 8B parameters.
        form: of the rows.
    """
    checkout, launcher, program, deepspeed = _PROGRAMS[form]
    each = _OF["batch_of_a_gpu"]
    steps = max(1, min(_OF["batch"] // (each * gpus), rows // (each * gpus)))
    return f"# in a checkout of {checkout}\n" + command(
        f"{launcher} --nproc_per_node={gpus} {program}",
        shlex.join(["--model_name_or_path", model or "OpenGVLab/InternVL2_5-8B"]),
        shlex.join(["--meta_path", str(meta)]),
        shlex.join(["--output_dir", f"{meta.parent}-out"]),
        f"--per_device_train_batch_size {each} --gradient_accumulation_steps {steps}",
        *_INTERNVL,
        deepspeed,
    )


def qwen_lines(file: Path, *, root: str, rows: int, gpus: int, model: str | None) -> str:
    """What to add to a checkout of QwenLM/Qwen3-VL, and the command, both in its folder `qwen-vl-finetune`.

    Args:
        file: the rows.
        root: the folder that the names of images are below.
        rows: in all.
        gpus: of the machine.
        model: that is trained; None takes Qwen2.5-VL with 7B parameters.
    """
    entry = json.dumps({"annotation_path": str(file), "data_path": root}, ensure_ascii=False)
    return (
        f"# in qwenvl/data/__init__.py, at its end:\ndata_dict[{_NAME!r}] = {entry}\n\n"
        "# in the folder qwen-vl-finetune of a checkout of QwenLM/Qwen3-VL\n"
        + command(
            f"torchrun --nproc_per_node={gpus} qwenvl/train/train_qwen.py --dataset_use {_NAME}",
            shlex.join(["--model_name_or_path", model or "Qwen/Qwen2.5-VL-7B-Instruct"]),
            shlex.join(["--output_dir", f"{file.parent}-out"]),
            # Of its script sft_7b.sh: the vision tower stays as it is.
            "--tune_mm_vision False --tune_mm_mlp True --tune_mm_llm True --data_flatten False --bf16 True",
            f"--per_device_train_batch_size 1 --gradient_accumulation_steps {max(1, min(16, rows // gpus))}",
            f"--learning_rate {_OF['learning_rate']} --weight_decay {_OF['weight_decay']} --warmup_ratio {_OF['warmup']}",
            f"--lr_scheduler_type cosine --num_train_epochs {_OF['epochs']} --model_max_length 8192",
            "--gradient_checkpointing True --save_strategy steps --save_steps 200 --logging_steps 1 --report_to none",
            "--deepspeed scripts/zero3.json",
        )
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
