"""The lines to paste are whole: batches that divide, lengths that fit, rows to validate on that are not trained on."""

import math
import random
import re
import shlex

import pyarrow.parquet as pq
import pytest
import yaml
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from hf_rap import Limits, check_export, export
from hf_rap.errors import ExportError, SettingError
from hf_rap.exports.lengths import image_tokens, most_tokens, rounded
from hf_rap.exports.steps import prompts_per_step
from hf_rap.exports.trainers import TRAINERS

from .awkward import awkward, dataset, picture, row

EASYR1 = TRAINERS["easyr1"].accepts.pixels
GRPO = [name for name in TRAINERS if name not in ("jsonl", "llama-factory", "openai-chat", "conversations")]


@pytest.mark.parametrize(
    ("rows", "gpus", "group", "most", "dealt", "prompts"),
    [
        (3, 1, 8, 512, False, 3),
        (79, 1, 8, 512, False, 79),
        (1000, 1, 8, 512, False, 125),  # eight steps of 125: none is left over
        (1000, 8, 8, 512, True, 120),  # eight steps of 125 are no multiple of 8 GPUs
        (79, 8, 8, 1024, True, 72),
        (79, 8, 8, 4, False, 3),  # 20 steps of 3, where 19 of 4 would leave three over
        (79, 16, 8, 1024, False, 78),  # 16 GPUs and 8 replies: an even number of prompts
        (12, 3, 8, 4, False, 3),
    ],
)
def test_a_step_divides(rows, gpus, group, most, dealt, prompts):
    """Worked out by hand: the fewest steps of up to 128 prompts, as large as all of them can be."""
    assert prompts_per_step(rows, gpus, group, most=most, dealt=dealt) == prompts


@pytest.mark.parametrize("dealt", [False, True])
def test_replies_of_a_step_are_shared_by_the_gpus(dealt):
    """Whatever there is of rows, GPUs and replies, or it is refused."""
    rng = random.Random(0)
    for _ in range(500):
        rows, gpus, group, most = (
            rng.randint(1, 3000),
            rng.randint(1, 16),
            rng.randint(2, 16),
            rng.choice((4, 128, 1024)),
        )
        unit = gpus if dealt else gpus // math.gcd(gpus, group)
        if rows < unit:
            with pytest.raises(ExportError, match="cannot be shared by"):
                prompts_per_step(rows, gpus, group, most=most, dealt=dealt)
            continue
        prompts = prompts_per_step(rows, gpus, group, most=most, dealt=dealt)
        assert 1 <= prompts <= rows
        assert prompts * group % gpus == 0
        assert not dealt or prompts % gpus == 0


def test_a_batch_that_the_user_wants_has_to_divide():
    """And is taken as it is."""
    assert prompts_per_step(100, 4, 6, most=4, dealt=False, wanted=10) == 10
    with pytest.raises(ExportError, match="A step of 9 prompts with 6 replies each cannot be shared by 4 GPUs"):
        prompts_per_step(100, 4, 6, most=4, dealt=False, wanted=9)


def test_images_have_at_most_these_tokens():
    """84 x 60 are 6 tokens to the processor. EasyR1 enlarges to 605 x 432 first: 22 x 15 tokens, and at most 22 x 16."""
    assert image_tokens(84, 60, (3136, 12845056)) == 9
    assert image_tokens(84, 60, EASYR1) == 22 * 16


@pytest.mark.parametrize("name", list(TRAINERS))
def test_no_image_has_more_than_that(name):
    """As the processor of Qwen2.5-VL resizes, within the limits of each trainer: the number is never too small."""
    rng = random.Random(name)
    least, most = TRAINERS[name].accepts.pixels
    for _ in range(300):
        width, height = rng.randint(8, 3000), rng.randint(8, 3000)
        if max(width, height) > 190 * min(width, height):
            continue
        tall, wide = smart_resize(height, width, 28, least, most)
        bound = image_tokens(width, height, (least, most))
        assert tall * wide // 28**2 <= bound
        # And not much too large: a row and a column of tokens more.
        assert bound <= (tall // 28 + 2) * (wide // 28 + 2)


def test_five_images_fit_the_length_that_is_printed(tmp_path):
    """A prompt of five 84 x 60 images is 1,685 tokens in EasyR1, where 1,024 would leave out every row without a word."""
    images = [picture(size=(84, 60), shade=shade) for shade in range(5)]
    done = export(dataset(row("a", images), row("b", images)), tmp_path / "out", to="easyr1")
    length = int(re.search(r"data.max_prompt_length=(\d+)", done.snippet)[1])
    assert 1685 <= length == rounded(done.handoff.prompt_tokens) <= 2048
    assert length % 64 == 0


def test_text_has_at_most_a_token_per_byte():
    """比 is three bytes; a turn has eight tokens around it, the chat 32 before it, an image two."""
    chat = [{"role": "user", "content": "比x"}]
    assert most_tokens(chat, [], (1, 10**9)) == 32 + 4 + 8
    image = {"bytes": picture(size=(56, 56)), "path": None}
    assert most_tokens(chat, [image], (3136, 10**9)) == 32 + 4 + 8 + 4 + 2


@pytest.mark.parametrize("name", list(TRAINERS))
def test_rows_that_are_held_out_are_not_trained_on(tmp_path, name):
    """As many as asked for, in a file of their own; the same rows of any version."""
    ds = dataset(*(row(f"row-{number}") for number in range(12)))
    done = export(ds, tmp_path / "out", to=name, limits=Limits(val_rows=3))
    kind = "jsonl" if name in ("mm-eureka", "jsonl", "openai-chat", "conversations") else "parquet"
    ids = {}
    for split in ("train", "val"):
        file = done.path / f"{split}.{kind}"
        ids[split] = (
            pq.read_table(file)["id"].to_pylist()
            if kind == "parquet"
            else re.findall(r'"id": "(row-\d+)"', file.read_text())
        )
    assert (len(ids["train"]), len(ids["val"])) == (9, 3)
    assert sorted(ids["train"] + ids["val"]) == sorted(ds["id"])
    fewer = ds.select([number for number in range(12) if number % 2 or f"row-{number}" in ids["val"]])
    again = export(fewer, tmp_path / "again", to=name, limits=Limits(val_rows=3))
    kept = {fewer["id"][index] for index in again.handoff.held_out}
    assert kept == set(ids["val"])
    assert (done.handoff.ready, done.handoff.train) == (12, 9)


@pytest.mark.parametrize("name", ["easyr1", "verl"])
def test_a_trainer_that_has_to_validate_is_given_rows(tmp_path, name):
    """A tenth, one at least and 64 at most; one row alone cannot be shared, which is said."""
    assert [Limits().held_out(ready, needed=True) for ready in (1, 2, 3, 79, 1000)] == [0, 1, 1, 7, 64]
    done = export(awkward(), tmp_path / "out", to=name)
    words = shlex.split(done.snippet)
    assert f'data.train_files="{done.path}/train.parquet"' in words
    assert f'data.val_files="{done.path}/val.parquet"' in words
    alone = export(dataset(row("a")), tmp_path / "alone", to=name)
    assert alone.snippet.startswith("# no rows are held out: give data.val_files rows that are not trained on")
    assert "data.val_files=" not in alone.snippet


@pytest.mark.parametrize("name", GRPO)
def test_model_replies_and_gpus_are_in_the_lines(tmp_path, name):
    """Nothing is left to fill in; what a trainer writes goes beside the rows."""
    limits = Limits(model="me/model", gpus=2, group=4, val_rows=1)
    snippet = export(awkward(), tmp_path / "out", to=name, limits=limits).snippet
    assert "me/model" in snippet
    assert str(tmp_path / "out-out") in snippet
    assert re.search(r"(n|group|num_generations|n_samples_per_prompt)=4\b", snippet)


def test_llama_factory_is_given_a_whole_file(tmp_path):
    """Valid YAML, with the template of the model, and a length that holds prompt and answer."""
    done = export(
        awkward(), tmp_path / "out", to="llama-factory", limits=Limits(model="Qwen/Qwen3-VL-4B-Instruct", val_rows=1)
    )
    told = yaml.safe_load(done.snippet)
    assert (told["template"], told["dataset"], told["eval_dataset"]) == ("qwen3_vl_nothink", "hf_rap", "hf_rap_val")
    assert told["cutoff_len"] > done.handoff.prompt_tokens
    assert (told["dataset_dir"], told["output_dir"]) == (str(done.path), f"{done.path}-out")


def test_universal_says_what_one_trainer_cannot_do(tmp_path):
    """Three rows cannot be dealt to eight GPUs by EasyR1; TRL takes them."""
    snippet = export(dataset(*map(row, "abc")), tmp_path / "out", limits=Limits(gpus=8)).snippet
    assert "# EasyR1 (commit b44b311)\n# 3 rows with 8 replies each cannot be shared by 8 GPUs" in snippet
    assert "--num_processes=8" in snippet
    with pytest.raises(ExportError, match="use fewer GPUs, or select more rows"):
        export(dataset(*map(row, "abc")), tmp_path / "easyr1", to="easyr1", limits=Limits(gpus=8))


@pytest.mark.parametrize("bad", [{"gpus": 0}, {"group": 1}, {"val_rows": -1}, {"model": ""}])
def test_numbers_of_a_run_that_cannot_work(bad):
    """Found at once."""
    with pytest.raises(SettingError):
        Limits(**bad)


def test_a_check_names_what_is_held_out():
    """Without writing anything."""
    found = check_export(awkward(), to="verl")
    assert "held out: 1 row(s) to validate on, in a file of their own" in found.table()
    assert (found.train, len(found.held_out)) == (3, 1)
