"""JSON lines of conversations with the paths of images beside them: what VLM-R1, AReaL, slime and miles read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .base import Accepts, Given
from .pictures import Opening
from .writing import command, option, write_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import datasets

    from .base import Target


# VLM-R1 takes the first turn for the question, and splits lists of files at ":". slime opens files by qwen_vl_utils.
_ACCEPTS = Accepts(
    "math-verify", path_without=":", system_turn=False, opens=Opening(), template_arguments=None, default_batch=128
)


@dataclass(frozen=True)
class Conversations:
    """The paths are absolute: the folder must stay where it is exported to."""

    name: str = "conversations"
    title: str = "VLM-R1 (commit 90052f4), slime (commit 624b824), miles, AReaL"
    reads: str = (
        "`conversations` (human with `<image>`, gpt with the answer) and `image` for VLM-R1 and AReaL; "
        "`messages` (text with `<image>`), `images` and `answer` for slime and miles"
    )
    accepts: Accepts = _ACCEPTS

    def write(self, rows: Iterable[dict[str, Any]], features: datasets.Features, target: Target) -> None:  # noqa: ARG002
        """`train.jsonl` and `images/`; the paths inside are those of the finished folder."""

        def make(row: dict[str, Any], paths: list[Path]) -> dict[str, Any]:
            images = [str(target.final / path) for path in paths]
            turns = [("human", row["prompt_text"]), ("gpt", row["answer"])]
            return {
                "id": row["id"],
                # A row without image has none there, and not an empty list.
                **({"image": images} if images else {}),
                "conversations": [{"from": role, "value": text} for role, text in turns],
                "messages": row["messages"],
                "images": images,
                "answer": row["answer"],
                "problem": row["problem"],
            }

        write_json_lines(rows, target, make)

    def snippet(self, given: Given) -> str:
        """What of each says where the rows are; VLM-R1 puts images first and words of its own around the question."""
        train = given.folder / "train.jsonl"
        prompts = given.step(self.accepts)
        slime = command(
            "python3 train.py",
            option("prompt-data", train),
            "--input-key messages --label-key answer --apply-chat-template",
            """--multimodal-keys '{"image": "images"}'""",
            f"--rollout-batch-size {prompts} --n-samples-per-prompt {given.group} --global-batch-size {prompts * given.group}",
            f"--rollout-max-prompt-len {given.prompt_tokens} --rollout-max-response-len {given.reply_tokens} --rm-type math",
        )
        vlm_r1 = command(
            "torchrun src/open_r1/grpo_jsonl.py",
            option("data_file_paths", train),
            option("image_folders", given.folder),
            option("model_name_or_path", given.model),
            f"--num_generations {given.group} --max_completion_length {given.reply_tokens}",
            option("output_dir", given.output),
        )
        return (
            f"# slime and miles: beside these the model and its conversion, as in its examples/geo3k_vlm\n{slime}\n\n"
            f"# VLM-R1: beside these what its run_scripts say\n{vlm_r1}"
        )
