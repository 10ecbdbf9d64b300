"""The wrapper inside TRL's GRPOTrainer, on the small model: real pictures, real replies, two steps."""

import json
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset

from hf_rap.columns import EPOCH_REWARDS
from hf_rap.demo import MODEL, make_planted
from hf_rap.rows.logged import facts_of_logs, read_attempts
from hf_rap.rows.prompts import DEFAULT_PROMPT
from hf_rap.scorers import add_limr_score
from hf_rap.select.trained import rewards_by_row
from hf_rap.training import WEIGHTS, RewardLog, accuracy_reward, add_epoch_rewards, difficulty_weighted

pytest.importorskip("trl", reason="in the dev group")

GROUP = 4
STEPS = 2
UNWEIGHTED = "spread_out_unweighted"


def spread_out(completions, **_):
    """1 for every second distinct reply of a batch, so that groups are mixed whatever the model says."""
    texts = [completion[0]["content"] for completion in completions]
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return [float(place[text] % 2) for text in texts]


def spread_out_too(**batch):
    """The same under another name."""
    return spread_out(**batch)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two steps of training with the wrapper: the dataset, the trainer, the weights that moved, the output folder."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    ds = make_planted(40).filter(lambda kind: kind == "hard", input_columns="kind")
    ds = ds.map(lambda problem: {"prompt": DEFAULT_PROMPT.messages(problem)}, input_columns="problem")
    ds = ds.select_columns(["id", "prompt", "images", "answer"])
    folder = tmp_path_factory.mktemp("grpo")
    config = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=2 * GROUP,
        num_generations=GROUP,
        scale_rewards="none",
        reward_weights=[1.0, 0.0],
        max_completion_length=16,
        temperature=2.0,
        learning_rate=1e-3,
        max_steps=STEPS,
        logging_steps=1,
        log_completions=True,
        num_completions_to_print=0,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        seed=0,
    )
    model = AutoModelForImageTextToText.from_pretrained(MODEL)
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    trainer = GRPOTrainer(
        model=model,
        processing_class=AutoProcessor.from_pretrained(MODEL),
        # The second has no say in the advantages; its groups are checked by prompts with their pictures.
        reward_funcs=[
            difficulty_weighted(spread_out, "exponential", group_size=GROUP, id_column="id"),
            difficulty_weighted(RewardLog(spread_out_too, log_of(folder)), "linear", group_size=GROUP),
        ],
        args=config,
        train_dataset=ds,
    )
    trainer.train()
    moved = [name for name, weights in model.named_parameters() if not torch.equal(weights, before[name])]
    return ds, moved, folder


def log_of(folder: Path):
    """Beside the output of the trainer, which has completions that are read as well."""
    return folder.with_name(f"{folder.name}-rewards")


def completions(folder: Path):
    import pyarrow.parquet as pq

    files = sorted((folder / "completions").glob("*.parquet"))
    return [pq.read_table(file).to_pylist() for file in files]


def test_advantages_are_w_times_centred_rewards(run):
    """Computed by hand from the unweighted rewards that the trainer logged, group by group."""
    _, moved, folder = run
    steps = completions(folder)
    assert len(steps) == STEPS
    mixed = 0
    for rows in steps:
        assert len(rows) == 2 * GROUP
        for start in range(0, len(rows), GROUP):
            group = rows[start : start + GROUP]
            assert len({row["rap_id"] for row in group}) == 1
            rewards = [row[UNWEIGHTED] for row in group]
            mean = sum(rewards) / GROUP
            assert [row["spread_out_too"] for row in group] == pytest.approx([(1.5 - mean) * one for one in rewards])
            by_hand = [WEIGHTS["exponential"](mean) * (reward - mean) for reward in rewards]
            assert [row["advantage"] for row in group] == pytest.approx(by_hand, abs=1e-6)
            mixed += 0 < mean < 1
    assert mixed >= 2, "groups of equal rewards prove nothing"
    assert any("vision" in name for name in moved), "the pictures were not trained on"


def test_the_log_has_every_reward_before_it_is_weighed(run):
    """The same as TRL wrote, row by row and step by step, with what is known of the model."""
    ds, _, folder = run
    log = [(attempt.id, attempt.step, attempt.reward) for attempt in read_attempts(log_of(folder))]
    written = [
        (row["rap_id"], row["step"], row["spread_out_too_unweighted"]) for rows in completions(folder) for row in rows
    ]
    assert log == written
    (facts,) = facts_of_logs(log_of(folder))
    assert (facts.function, facts.model, facts.sampling["temperature"]) == ("spread_out_too", str(MODEL), 2.0)
    seen = rewards_by_row(Dataset.from_dict({"rap_id": ds["id"]}), log_of(folder), last_steps=1)
    assert sum(len(row or ()) for row in seen.rewards) == 2 * GROUP


@pytest.mark.exhaustive
def test_what_trl_evaluates_is_kept_apart(tmp_path):
    """The same rows are trained on and evaluated: of two steps with an evaluation after each the log counts those of training."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    ds = make_planted(20).select(range(4))
    ds = ds.map(lambda problem: {"prompt": DEFAULT_PROMPT.messages(problem)}, input_columns="problem")
    ds = ds.select_columns(["id", "prompt", "images", "answer"])
    config = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=GROUP,
        per_device_eval_batch_size=GROUP,
        gradient_accumulation_steps=2,
        num_generations=GROUP,
        max_completion_length=16,
        max_steps=STEPS,
        eval_strategy="steps",
        eval_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    GRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(MODEL),
        processing_class=AutoProcessor.from_pretrained(MODEL),
        reward_funcs=RewardLog(accuracy_reward, tmp_path / "rewards"),
        args=config,
        train_dataset=ds,
        eval_dataset=ds,
    ).train()
    (file,) = (tmp_path / "rewards").glob("*.jsonl")
    phases = Counter(json.loads(line)["phase"] for line in file.read_text().splitlines())
    assert phases == {"train": STEPS * 2 * GROUP, "eval": STEPS * len(ds) * GROUP}
    assert Counter(attempt.step for attempt in read_attempts(tmp_path / "rewards")) == {1: 2 * GROUP, 2: 2 * GROUP}


def test_the_run_gives_epoch_rewards_by_id(run):
    """The completions of the same run, one step per epoch, as `add_limr_score` reads them."""
    ds, _, folder = run
    with_rewards, report = add_epoch_rewards(ds, folder, steps_per_epoch=1, reward=UNWEIGHTED)
    assert (report.epochs, report.attempts, report.keyed_by, report.strangers) == (STEPS, STEPS * 2 * GROUP, "id", 0)
    expected = {name: [None] * STEPS for name in ds["id"]}
    for epoch, rows in enumerate(completions(folder)):
        for name in {row["rap_id"] for row in rows}:
            rewards = [row[UNWEIGHTED] for row in rows if row["rap_id"] == name]
            expected[name][epoch] = sum(rewards) / len(rewards)
    found = [rewards or [None] * STEPS for rewards in with_rewards[EPOCH_REWARDS.name]]
    assert found == list(expected.values())
    assert report.rows_seen == sum(score is not None for score in add_limr_score(with_rewards)["rap_limr"])


def test_the_run_gives_epoch_rewards_by_prompt(run, tmp_path):
    """Without ids: the text of the prompt, where two rows that ask the same are told apart by nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ds, _, folder = run
    for step, rows in enumerate(completions(folder), 1):
        for row in rows:
            del row["rap_id"]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"completions_{step:05d}.parquet")
    _, report = add_epoch_rewards(
        ds.rename_column("answer", "solution"), tmp_path, steps_per_epoch=1, reward=UNWEIGHTED
    )
    texts = [prompt[0]["content"][-1]["text"] for prompt in ds["prompt"]]
    assert (report.keyed_by, report.strangers) == ("prompt", 0)
    assert report.duplicates == sum(texts.count(text) > 1 for text in texts)
