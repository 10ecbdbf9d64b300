"""TRL trains on an export: two real steps of GRPO on the small model, and the example script."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import load_dataset

from hf_rap import export, publish_to_folder, select_cognitive
from hf_rap.demo import MODEL, make_planted

trl = pytest.importorskip("trl", reason="pip install hf-rap[train]")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows():
    return make_planted(40).filter(lambda kind: kind in ("needs_image", "hard"), input_columns="kind")


@pytest.mark.parametrize("to", ["trl", "universal"])
def test_two_steps_of_grpo(tmp_path, to):
    """The loader takes the folder, the reward gets its columns, every part of the model moves."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from hf_rap.training import accuracy_reward

    done = export(rows(), to=to, path=tmp_path / "out")
    ds = load_dataset(str(done.path), split="train", cache_dir=str(tmp_path / "cache"))
    model = AutoModelForImageTextToText.from_pretrained(MODEL)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    seen = []

    def reward(completions, **columns):
        found = accuracy_reward(completions, **columns)
        seen.append((columns["id"], found))
        # The small model may be right, or wrong, on a whole group, which teaches nothing: vary it.
        return [
            one + len(reply[0]["content"]) % 3 + number % 2
            for number, (one, reply) in enumerate(zip(found, completions, strict=True))
        ]

    processor = AutoProcessor.from_pretrained(MODEL)
    processor.tokenizer.padding_side = "left"
    config = trl.GRPOConfig(
        output_dir=str(tmp_path / "run"),
        per_device_train_batch_size=8,
        num_generations=4,
        max_steps=2,
        max_completion_length=32,
        learning_rate=1e-3,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
    )
    trainer = trl.GRPOTrainer(
        model=model, reward_funcs=reward, args=config, train_dataset=ds, processing_class=processor
    )
    trainer.train()
    assert len(seen) == 2
    assert all(one in {0.0, 1.0} for _, rewards in seen for one in rewards)
    assert {name for ids, _ in seen for name in ids} <= set(ds["id"])
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight.detach(), before[name])}
    assert any("vision" in name for name in moved)
    assert any("language" in name for name in moved)


@pytest.mark.exhaustive
def test_example_trains_and_measures(tmp_path):
    """scripts/train_grpo.py on a published version, with an adapter: figures before and after, a model that loads."""
    ds = rows()
    ds = ds.add_column("rap_cde", [0.8] * len(ds)).add_column("rap_image_rewards", [[1.0, 0.0]] * len(ds))
    publish_to_folder(select_cognitive(ds, replace_easy=False), tmp_path / "version")
    root = Path(__file__).parents[2]
    words = ["--data", str(tmp_path / "version"), "--out", str(tmp_path / "out"), "--steps", "2", "--eval-rows", "4"]
    subprocess.run(
        [sys.executable, str(root / "scripts" / "train_grpo.py"), *words, "--generations", "2", "--lora"],
        check=True,
        cwd=tmp_path,
        timeout=200,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    measured = json.loads((tmp_path / "out" / "measured.json").read_text())
    assert (measured["eval_rows"], measured["steps"]) == (4, 2)
    for when in ("before", "after"):
        assert measured[when]["judged"] + measured[when]["unreadable"] == 4
        assert -1 <= measured[when]["modality_gap"] <= 1
