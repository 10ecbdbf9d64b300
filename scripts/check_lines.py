"""Passes the lines that `hf-rap export` prints through a trainer's own check of its arguments.

    python scripts/check_lines.py TRAINER FOLDER

FOLDER is what `trainer_fixture.py` wrote. Runs in the trainer's environment, as far as the trainer goes without a GPU:

    trl            the parser of `trl grpo`, with its checks of batches
    verl           Hydra's composition of its config, and `validate_config`
    easyr1         OmegaConf's merge with `examples/config.yaml`, `deep_post_init` and the checks of `RayPPOTrainer` (EASYR1_SRC)
    openrlhf       the argparse block of `train_ppo_ray`
    mm-eureka      the same of its checkout (MM_EUREKA_SRC)
    ms-swift       `RLHFArguments`
    llama-factory  `get_train_args`
"""

import ast
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from read_with_trainer import declare_torchvision, note_results

HOLLOW = (
    "vllm",
    "vllm.distributed",
    "vllm.lora",
    "vllm.lora.models",
    "vllm.lora.request",
    "vllm.lora.utils",
    "vllm.lora.worker_manager",
)


def words_of(snippet: str) -> list[str]:
    """As a shell takes them, without the comments, and without the words before the first option."""
    lines = "\n".join(line for line in snippet.splitlines() if not line.startswith("#"))
    return shlex.split(lines.replace("\\\n", " "))


def trl(case: dict, words: list[str]) -> int:
    from trl import GRPOConfig, ModelConfig, RLOOConfig, TrlParser
    from trl.scripts.grpo import GRPOScriptArguments
    from trl.scripts.rloo import RLOOScriptArguments
    from trl.scripts.utils import DatasetMixtureConfig

    assert words[0] == "trl"
    scripts = {"grpo": (GRPOScriptArguments, GRPOConfig), "rloo": (RLOOScriptArguments, RLOOConfig)}
    arguments, kind = scripts[words[1]]
    own = [word for word in words[2:] if not word.startswith("--num_processes")]
    # As it counts its processes, of which there is one here.
    config_of_all = type("Config", (kind,), {"world_size": case["gpus"]})
    parser = TrlParser((arguments, config_of_all, ModelConfig, DatasetMixtureConfig))
    script, config, *_ = parser.parse_args_and_config([*own, "--use_cpu=True", "--bf16=False"])
    assert config.eval_strategy == "steps"
    assert Path(script.dataset_name).is_dir()
    return config.generation_batch_size // config.num_generations


def verl(case: dict, words: list[str]) -> int:
    operators = declare_torchvision()  # noqa: F841 - they go when the library does
    import verl.trainer
    from hydra import compose, initialize_config_dir
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    assert words[:3] == ["python3", "-m", "verl.trainer.main_ppo"]
    with initialize_config_dir(str(Path(verl.trainer.__path__[0]) / "config"), version_base=None):
        config = compose("ppo_trainer", words[3:])
    validate_config(config, need_reference_policy(config), need_critic(config))
    assert config.trainer.n_gpus_per_node == case["gpus"]
    assert config.data.train_files != config.data.val_files
    for file in (config.data.train_files, config.data.val_files, config.reward.custom_reward_function.path):
        assert Path(file).is_file()
    replies = config.data.train_batch_size * config.actor_rollout_ref.rollout.n
    # As `DataProto.chunk` asserts of the agent loops, and its mini-batches of their GPUs.
    assert replies % config.actor_rollout_ref.rollout.agent.num_workers == 0
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size * config.actor_rollout_ref.rollout.n
    assert (replies % mini, mini % case["gpus"]) == (0, 0)
    return config.data.train_batch_size


def easyr1(case: dict, words: list[str]) -> int:
    source = os.environ["EASYR1_SRC"]
    sys.path.insert(0, source)
    os.chdir(source)
    operators = declare_torchvision()  # noqa: F841 - they go when the library does
    # Its classes name those of packages that are built for CUDA; none of them is called here.
    sys.modules |= {name: MagicMock() for name in HOLLOW}
    from omegaconf import OmegaConf
    from verl.trainer.config import PPOConfig
    from verl.trainer.ray_trainer import RayPPOTrainer

    assert words[:3] == ["python3", "-m", "verl.trainer.main"]
    given = OmegaConf.from_cli(words[3:])
    default = OmegaConf.merge(OmegaConf.structured(PPOConfig()), OmegaConf.load(given.pop("config")))
    config = OmegaConf.to_object(OmegaConf.merge(default, given))
    config.deep_post_init()
    # Of DAPO, which makes as many as it needs.
    batch = config.data.mini_rollout_batch_size or config.data.rollout_batch_size
    batches = range(case["train"] // batch)
    assert len(batches) >= 1
    RayPPOTrainer(config, None, None, batches, range(1), {}, None)
    assert Path(config.data.train_files).is_file()
    assert Path(config.data.val_files).is_file()
    assert config.data.train_files != config.data.val_files
    assert config.data.format_prompt is None or Path(config.data.format_prompt).is_file()
    # As `FSDPWorker` and the rollout check on the GPUs, and `DataProto.chunk` of the prompts.
    actor, rollout = config.worker.actor, config.worker.rollout
    assert config.data.rollout_batch_size % case["gpus"] == 0
    assert actor.global_batch_size * rollout.n // case["gpus"] % actor.micro_batch_size_per_device_for_update == 0
    assert rollout.max_num_batched_tokens >= rollout.prompt_length + rollout.response_length
    assert rollout.tensor_parallel_size <= config.trainer.n_gpus_per_node == case["gpus"]
    return config.data.rollout_batch_size


def block_of(path: Path, words: list[str]) -> Any:
    """The arguments that a script's `if __name__ == "__main__"` block gives to `train`, without its imports of CUDA."""
    tree = ast.parse(path.read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.dump(node.test))
    helpers = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name != "train"]
    light = ("argparse", "datetime", "typing", "torch", "openrlhf.utils.config", "openrlhf.utils.utils")
    imports = [
        node
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and (getattr(node, "module", None) or node.names[0].name).startswith(light)
    ]
    given: list[Any] = []
    names = {"train": given.append, "__name__": "__main__"}
    sys.argv = [str(path), *words]
    code = ast.Module([*imports, *helpers, *block.body], type_ignores=[])
    exec(compile(code, str(path), "exec"), names)
    return given[0]


def openrlhf(case: dict, words: list[str]) -> int:
    import importlib.util

    assert words[:3] == ["python3", "-m", "openrlhf.cli.train_ppo_ray"]
    package = importlib.util.find_spec("openrlhf").submodule_search_locations[0]
    args = block_of(Path(package) / "cli/train_ppo_ray.py", words[3:])
    replies = args.rollout.batch_size * args.rollout.n_samples_per_prompt
    assert args.train.batch_size % (args.train.micro_batch_size * case["gpus"]) == 0  # as DeepSpeed asserts
    assert replies % args.train.batch_size == 0
    assert Path(args.data.prompt_dataset).is_file()
    assert Path(args.reward.remote_url[0]).is_file()
    assert args.data.max_images_per_prompt == 1
    return args.rollout.batch_size


def mm_eureka(case: dict, words: list[str]) -> int:
    assert words[:3] == ["python3", "-m", "openrlhf.cli.train_ppo_ray"]
    args = block_of(Path(os.environ["MM_EUREKA_SRC"]) / "openrlhf/cli/train_ppo_ray.py", words[3:])
    assert args.rollout_batch_size % case["gpus"] == 0
    assert case["train"] // (args.rollout_batch_size // case["gpus"]) >= case["gpus"]
    assert args.train_batch_size % (args.micro_train_batch_size * case["gpus"]) == 0
    assert Path(args.prompt_data).is_file()
    assert Path(args.remote_rm_url[0]).is_file()
    return args.rollout_batch_size


def ms_swift(case: dict, words: list[str]) -> int:
    import transformers
    from swift.arguments import RLHFArguments
    from swift.utils import parse_args

    # As it counts its processes, of which there is one here.
    transformers.TrainingArguments.world_size = case["gpus"]

    words = [word for word in words if not word.startswith("NPROC_PER_NODE")]
    assert words[:2] == ["swift", "rlhf"]
    # What it knows of a model by its name on the Hub.
    args, rest = parse_args(
        RLHFArguments, [*words[2:], "--model_type", "qwen2_5_vl", "--template", "qwen2_5_vl", "--use_cpu", "true"]
    )
    assert rest == []
    replies = args.per_device_train_batch_size * args.gradient_accumulation_steps * case["gpus"]
    assert replies % args.num_generations == 0
    assert all(Path(file).is_file() for file in [*args.dataset, *args.val_dataset, *args.external_plugins])
    return replies // args.num_generations


def llama_factory(case: dict, words: list[str]) -> int:  # noqa: ARG001
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    sys.modules["torchaudio"] = ModuleType("torchaudio")
    sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)
    import yaml
    from llamafactory.hparams import get_train_args

    told = yaml.safe_load(case["snippet"])
    _, data, training, *_ = get_train_args(told | {"use_cpu": True, "bf16": False, "ddp_timeout": 180000000})
    assert (Path(data.dataset_dir) / "dataset_info.json").is_file()
    return training.per_device_train_batch_size * training.gradient_accumulation_steps


CHECKS = {
    "trl": trl,
    "verl": verl,
    "easyr1": easyr1,
    "openrlhf": openrlhf,
    "mm-eureka": mm_eureka,
    "ms-swift": ms_swift,
    "llama-factory": llama_factory,
}


def main() -> None:
    trainer, top = sys.argv[1], Path(sys.argv[2])
    cases = [case for case in json.loads((top / "lines.json").read_text()) if case["trainer"] == trainer]
    accepted = []
    for case in cases:
        prompts = CHECKS[trainer](case, words_of(case["snippet"]))
        # Nothing waits for rows that are not there.
        if trainer != "llama-factory" and not 1 <= prompts <= case["train"]:
            sys.exit(f"FAILED {trainer}: {prompts} prompts per step of {case['train']} rows")
        accepted.append(f"{case['rows']:,} rows on {case['gpus']} GPU(s): {prompts} per step")
    print(f"  lines: accepted for {'; '.join(accepted)}")
    note_results(top, {"trainer": trainer, "lines accepted": f"{len(accepted)} of {len(cases)}"})


if __name__ == "__main__":
    main()
