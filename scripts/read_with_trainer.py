"""Reads an export with a trainer's own classes and compares it with what was exported.

    python scripts/read_with_trainer.py TRAINER FOLDER

FOLDER is what `trainer_fixture.py` wrote. Runs in the trainer's environment: it imports that
trainer, datasets and Pillow, and of hf_rap only the reward function.
"""

import asyncio
import base64
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

Seen = tuple[str, object, list[str]]  # prompt with <image>, gold, hashes of the pixels


def pixels(image: object) -> str:
    """Of an image in any form that a loader hands on, as its processor opens it."""
    if isinstance(image, dict):
        image = image.get("image") or image.get("bytes") or image["path"]
    if isinstance(image, bytes):
        image = io.BytesIO(image)
    opened = image if isinstance(image, Image.Image) else Image.open(image)
    return hashlib.sha256(opened.convert("RGB").tobytes()).hexdigest()


def of_blocks(content: object) -> str:
    """The text of a turn of blocks, with its placeholders."""
    if isinstance(content, str):
        return content
    return "".join("<image>" if block["type"] == "image" else block["text"] for block in content)


def of_chat(chat: list[dict]) -> str:
    """The texts of all turns, with their roles."""
    return "\n\n".join(f"{turn['role']}: {of_blocks(turn['content'])}" for turn in chat)


def load_module(path: Path) -> object:
    """As trainers load a reward function."""
    spec = importlib.util.spec_from_file_location("custom_reward", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trl(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:  # noqa: ARG001
    from datasets import load_dataset
    from trl.data_utils import is_conversational, prepare_multimodal_messages

    ds = load_dataset(str(folder), split="train")
    assert is_conversational(ds[0])
    seen = []
    for row in ds:
        chat = prepare_multimodal_messages(row["prompt"], images=row["images"])
        inside = [block["image"] for turn in chat for block in turn["content"] if block["type"] == "image"]
        seen.append((of_chat(chat), row["solution"], [pixels(image) for image in inside]))
    return seen, ds.column_names


def declare_torchvision() -> object:
    """qwen_vl_utils imports torchvision for videos, whose wheel is built for CUDA.

    With the two operators declared that it misses beside a CPU torch, its Python half imports.
    """
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators


def verl(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:
    operators = declare_torchvision()  # noqa: F841 - they go when the library does
    from omegaconf import OmegaConf
    from transformers import AutoProcessor
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    processor = AutoProcessor.from_pretrained(model)
    config = OmegaConf.create(
        {
            "prompt_key": "messages" if universal else "prompt",
            "image_key": "images",
            "filter_overlong_prompts": True,  # also tokenizes every row with its images
            "filter_overlong_prompts_workers": 1,
            "max_prompt_length": 256,
            "cache_dir": str(folder / "cache"),
        }
    )
    ds = RLHFDataset(str(folder / "train.parquet"), processor.tokenizer, config, processor)
    rows = [ds[index] for index in range(len(ds))]
    collate_fn(rows)
    seen = []
    for row in rows:
        chat = list(row["raw_prompt"])
        blocks = [block for turn in chat if not isinstance(turn["content"], str) for block in turn["content"]]
        inside = [block for block in blocks if block["type"] == "image"]
        seen.append((of_chat(chat), row["reward_model"]["ground_truth"], [pixels(image) for image in inside]))
    return seen, list(rows[0])


def ms_swift(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:  # noqa: ARG001
    from swift.dataset import load_dataset
    from swift.template.base import Template

    ds, _ = load_dataset(str(folder / "train.parquet"), strict=True, remove_unused_columns=False)  # as GRPO calls it
    seen = [
        (
            of_chat(row["messages"]),
            row["solution"],
            [pixels(Template._load_image(image, load_images=True)) for image in row["images"]],  # noqa: SLF001 - its own
        )
        for row in ds
    ]
    return seen, ds.column_names


def llama_factory(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:  # noqa: ARG001
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    # It imports torchaudio for sound alone; the wheel of the registry needs CUDA.
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)
    from llamafactory.data.loader import _get_merged_dataset
    from llamafactory.data.mm_plugin import get_mm_plugin
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    ds = _get_merged_dataset(
        ["hf_rap"],
        ModelArguments(model_name_or_path=model),
        DataArguments(dataset="hf_rap", dataset_dir=str(folder), template="default"),
        Seq2SeqTrainingArguments(output_dir=str(folder / "out"), use_cpu=True),
        "sft",
    )
    plugin, bounds = (
        get_mm_plugin("qwen2_vl", image_token="<|image_pad|>"),
        {"image_max_pixels": 589824, "image_min_pixels": 28},
    )
    seen = [
        (
            of_chat([{"role": "system", "content": row["_system"]}, *row["_prompt"]]),
            row["_response"][0]["content"],
            [pixels(image) for image in plugin._regularize_images(row["_images"], **bounds)["images"]],  # noqa: SLF001 - its own
        )
        for row in ds
    ]
    return seen, ds.column_names


def openrlhf(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:
    from types import SimpleNamespace

    from openrlhf.datasets import PromptDataset
    from openrlhf.datasets.utils import blending_datasets
    from openrlhf.utils.vlm_utils import load_images, process_prompt_with_images
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(model)
    names = {"input_key": "prompt", "label_key": "answer" if universal else "label"}
    data = SimpleNamespace(**names, apply_chat_template=True, image_key="images")
    strategy = SimpleNamespace(args=SimpleNamespace(data=data, use_ms=False), print=print, is_rank_0=lambda: False)
    raw = blending_datasets(str(folder / "train.parquet"), strategy=strategy)
    ds = PromptDataset(raw, processor, strategy)
    seen = []
    for index in range(len(ds)):
        _, prompt, label, images = ds[index]
        tokens, tensors, opened = process_prompt_with_images(processor, prompt, images)
        assert tokens
        assert tensors["pixel_values"].shape[0] == len(opened)
        system, _, question = prompt.removeprefix("<|system|>").removesuffix("<|assistant|>").partition("<|user|>")
        chat = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        seen.append((of_chat(chat), label, [pixels(image) for image in load_images(images)]))
    return seen, raw.column_names


def easyr1(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:
    sys.path.insert(0, os.environ["EASYR1_SRC"])
    operators = declare_torchvision()  # noqa: F841
    from transformers import AutoProcessor
    from verl.utils.dataset import RLHFDataset, process_image

    processor = AutoProcessor.from_pretrained(for_transformers_4(model, folder))
    ds = RLHFDataset(
        str(folder / "train.parquet"),
        processor.tokenizer,
        processor,
        prompt_key="prompt_text" if universal else "problem",
        format_prompt=None if universal else str(folder / "format_prompt.jinja"),
        answer_key="answer",
        image_key="images",
        max_prompt_length=256,
    )
    raw = [ds.dataset[index] for index in range(len(ds))]
    read = [ds[index] for index in range(len(ds))]
    seen = [
        (
            of_chat(ds._build_messages(one)),  # noqa: SLF001 - its own
            row["ground_truth"],
            [pixels(process_image(image, None, None)) for image in one["images"]],
        )
        for one, row in zip(raw, read, strict=True)
    ]
    return seen, list(read[0])


def for_transformers_4(model: str, folder: Path) -> Path:
    """The small model, whose files transformers 5 wrote, with the names that version 4 knows."""
    copy = folder / "model"
    if not copy.exists():
        shutil.copytree(model, copy)
        told = json.loads((copy / "tokenizer_config.json").read_text())
        told |= {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "additional_special_tokens": told.pop("extra_special_tokens"),
        }
        (copy / "tokenizer_config.json").write_text(json.dumps(told))
        inside = json.loads((copy / "processor_config.json").read_text()).pop("image_processor")
        (copy / "preprocessor_config.json").write_text(
            json.dumps(inside | {"processor_class": told["processor_class"]})
        )
    return copy


def mm_eureka(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:  # noqa: ARG001
    operators = declare_torchvision()  # noqa: F841
    from transformers import AutoProcessor

    # The file alone: its package imports deepspeed.
    path = Path(os.environ["MM_EUREKA_SRC"]) / "openrlhf/models/lmm_kits/base/data_processor.py"
    own = load_module(path).BaseDataProcessor
    hollow = dict.fromkeys(own.__abstractmethods__)
    processor = type("Processor", (own,), hollow)(AutoProcessor.from_pretrained(model), 4 * 28 * 28, 640 * 28 * 28)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text("utf-8").splitlines()]
    seen = []
    for row in rows:
        opened = processor.get_images_from_messages([row["message"]])
        seen.append((of_chat(json.loads(row["message"])), row["answer"], [pixels(image) for image in opened]))
    return seen, list(rows[0])


def skyrl(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:  # noqa: ARG001
    operators = declare_torchvision()  # noqa: F841 - the environment is verl's
    from transformers import AutoTokenizer

    # The file alone: its package imports more than its loader needs.
    own = load_module(Path(os.environ["SKYRL_SRC"]) / "skyrl/train/dataset/dataset.py").PromptDataset
    ds = own(str(folder / "train.jsonl"), AutoTokenizer.from_pretrained(model), 512, num_workers=1)
    seen = []
    for chat, _, extra, _ in (ds[index] for index in range(len(ds))):
        parts = [part for turn in chat for part in turn["content"] if part["type"] == "image_url"]
        files = [base64.b64decode(part["image_url"]["url"].partition(",")[2]) for part in parts]
        texts = [
            {
                **turn,
                "content": [
                    {"type": part["type"].removesuffix("_url"), "text": part.get("text")} for part in turn["content"]
                ],
            }
            for turn in chat
        ]
        seen.append((of_chat(texts), extra["reward_spec"]["ground_truth"], [pixels(file) for file in files]))
    return seen, ["prompt", *ds[0][2]]


def slime(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:  # noqa: ARG001
    operators = declare_torchvision()  # noqa: F841
    sys.path.insert(0, os.environ["SLIME_SRC"])
    from slime.utils.data import Dataset
    from transformers import AutoProcessor

    class Chats:
        """In the place of the tokenizer: hands the chat back that slime made, in which the images are."""

        def apply_chat_template(self, chat: list[dict], **_: object) -> list[dict]:
            return chat

    ds = Dataset(
        str(folder / "train.jsonl"),
        Chats(),
        AutoProcessor.from_pretrained(model),
        None,
        prompt_key="messages",
        multimodal_keys={"image": "images"},
        label_key="answer",
        apply_chat_template=True,
    )
    seen = [
        (of_chat(sample.prompt), sample.label, [pixels(image) for image in sample.multimodal_inputs["images"]])
        for sample in ds.samples
    ]
    return seen, ["messages", "images", "answer"]


def easyr1_schema(folder: Path, universal: bool, model: str) -> tuple[list[Seen], list[str]]:  # noqa: ARG001
    """Its documented columns, read the way its loader does: a Parquet file through datasets."""
    from datasets import load_dataset

    ds = load_dataset("parquet", data_files=str(folder / "train.parquet"), split="train")
    assert all(isinstance(row["prompt_text"], str) and isinstance(row["answer"], str) for row in ds)
    assert all(row["prompt_text"].count("<image>") == len(row["images"]) for row in ds)
    return [
        (f"user: {row['prompt_text']}", row["answer"], [pixels(image) for image in row["images"]]) for row in ds
    ], ds.column_names


def rewards(trainer: str, folder: Path, pairs: list[list]) -> list[float | None]:
    """Of all pairs, through the file and the call that this trainer makes, in the thread in which it makes it."""
    replies, golds = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if trainer == "trl":
        from hf_rap.training import accuracy_reward

        async def batch() -> list[float | None]:  # as its asynchronous rewards are awaited, in a loop of its own thread
            return accuracy_reward([[{"role": "assistant", "content": reply}] for reply in replies], golds)

        return in_thread(lambda: asyncio.run(batch()))
    module = load_module(folder / f"reward_{trainer.split('-schema', maxsplit=1)[0].replace('-', '_')}.py")
    if trainer == "verl":
        with ThreadPoolExecutor(8) as threads:
            scores = list(threads.map(lambda *pair: module.compute_score("x", *pair), replies, golds))
        return [score["score"] for score in scores]
    if trainer.startswith("easyr1"):
        batch = [{"response": reply, "ground_truth": gold} for reply, gold in zip(replies, golds, strict=True)]
        return [score["overall"] for score in module.compute_score(batch)]
    if trainer == "ms-swift":
        from swift.rewards import orms

        return orms["hf_rap"]()(replies, solution=golds)
    asked = "<|user|><image>What?<|assistant|>"
    queries = [f"<|user|>{'<image>' * 9}What?<|assistant|>{reply}<|end|>" for reply in replies]
    told = in_thread(lambda: module.reward_func(queries, [asked] * len(queries), golds))
    return told["rewards"].tolist()


def in_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


READERS = {
    "trl": trl,
    "verl": verl,
    "ms-swift": ms_swift,
    "llama-factory": llama_factory,
    "openrlhf": openrlhf,
    "easyr1": easyr1,
    "mm-eureka": mm_eureka,
    "skyrl": skyrl,
    "slime": slime,
    "easyr1-schema": easyr1_schema,
}
# It writes every decoded image anew, a JPEG with other pixels; its own export holds bytes.
REENCODES = {("ms-swift", "universal")}
PACKAGES = {"llama-factory": "llamafactory"}
CHECKOUTS = ("easyr1", "mm-eureka", "skyrl", "slime")
# They are given no reward function by the export, or one that cannot be called here, and do not read the universal file.
WITHOUT_REWARD = ("llama-factory", "mm-eureka", "skyrl", "slime")
WITHOUT_SYSTEM = ("easyr1", "slime")
# The export that a trainer reads, where it has another name.
EXPORTS = {"skyrl": "openai-chat", "slime": "conversations"}


def main() -> None:
    trainer, top = sys.argv[1], Path(sys.argv[2])
    told = json.loads((top / "expected.json").read_text())
    own = trainer.removesuffix("-schema")
    version = trainer if own in CHECKOUTS else importlib.metadata.version(PACKAGES.get(own, own))
    print(f"\n{own} {version}, datasets {importlib.metadata.version('datasets')}")
    results = {"trainer": own, "version": version, "datasets": importlib.metadata.version("datasets")}
    exported = EXPORTS.get(own, own)
    for name in (exported,) if own in WITHOUT_REWARD else (exported, "universal"):
        seen, keys = READERS[trainer](top / name, name == "universal", told["model"])
        system = [] if own in WITHOUT_SYSTEM else [{"role": "system", "content": told["system"]}]
        wanted = [
            (
                of_chat([*system, {"role": "user", "content": question}]),
                gold,
                [pixels(base64.b64decode(one)) for one in files],
            )
            for question, gold, files in told["rows"]
        ]
        pairs = list(zip(seen, wanted, strict=False))
        prompts, golds = (sum(one[place] == other[place] for one, other in pairs) for place in (0, 1))
        images = [pair for one, other in pairs for pair in zip(one[2], other[2], strict=True)]
        alike = sum(one == other for one, other in images)
        lost = told["lossy"] if (own, name) in REENCODES else 0
        found = {
            "rows": f"{len(seen)} of {len(wanted)}",
            "golds": f"{golds} of {len(wanted)}",
            "pixels as scored": f"{alike} of {len(images)}",
            "prompt as scored": f"{prompts} of {len(wanted)}",
        }
        print(f"  {name}: {', '.join(f'{what} {share}' for what, share in found.items())}; keys: {', '.join(keys)}")
        if not len(seen) == len(wanted) == golds == prompts or alike != len(images) - lost:
            wrong = [index for index, (one, other) in enumerate(pairs) if one != other]
            sys.exit(f"FAILED {own} on {name}: different: {wrong}\n{seen}\n{wanted}")
        results.setdefault("exports", {})[name] = found
    if own not in WITHOUT_REWARD:
        pairs = told["verdicts"]
        rewarded = rewards(trainer, top / own, pairs)
        differing = [pair for pair, reward in zip(pairs, rewarded, strict=True) if (pair[2] or 0.0) != (reward or 0.0)]
        if differing:
            sys.exit(f"FAILED {own}: another verdict on {differing}")
        print(f"  reward: {len(pairs)} of {len(pairs)} verdicts as in scoring")
        results["verdicts"] = f"{len(pairs)} of {len(pairs)}"
    note_results(top, results)


def note_results(top: Path, results: dict) -> None:
    """For `trainers_table.py`."""
    with (top / "results.jsonl").open("a") as file:
        file.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
