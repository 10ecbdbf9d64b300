"""A LoRA adapter on a model: another model, under an identity of its own; what does not fit is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from datasets.fingerprint import Hasher
from safetensors.torch import load_file, save_file

from hf_rap.cli import cli
from hf_rap.demo import MODEL
from hf_rap.engines.base import Reply, Sampling
from hf_rap.engines.endpoint import EndpointEngine
from hf_rap.engines.identity import parts_of
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.errors import EngineError

from .tiny_models import ask, picture

REQUEST = ask("a", "<image>How many shapes are red ?", picture(84, 84))
GREEDY = Sampling(temperature=0, max_new_tokens=24)


def grid(adapter=None, model=MODEL, **options):
    """The built-in model, with an adapter."""
    return TransformersEngine(str(model), device="cpu", dtype="float32", adapter=adapter, **options)


@pytest.fixture
def copied(grid_adapter, tmp_path):
    """The adapter in another folder, to be changed."""
    return Path(shutil.copytree(grid_adapter, tmp_path / "another-lora"))


def logits(model, engine):
    """Of the prompt of a request."""
    with torch.inference_mode():
        return model(**engine.load().encode([REQUEST])).logits


class TestAnswers:
    def test_model_with_adapter_is_that_of_peft(self, grid_adapter):
        """Number by number; and another one than without."""
        import peft
        from transformers import AutoModelForImageTextToText

        base = AutoModelForImageTextToText.from_pretrained(str(MODEL))
        expected = peft.PeftModel.from_pretrained(base, str(grid_adapter)).eval()
        engine = grid(grid_adapter)
        found = logits(engine.load().model, engine)
        assert torch.equal(found, logits(expected, engine))
        assert (found - logits(grid().load().model, grid())).abs().max() > 1

    @pytest.mark.slow
    def test_generation_attention_and_likelihood_go_through_it(self, grid_adapter):
        """All that an engine can do, it does with the adapter on."""
        reply = Reply(REQUEST, "<think> red none </think>")

        def answers(engine):
            (completions,) = engine.complete([REQUEST], GREEDY)
            (attention,) = engine.attend([reply], window=4)
            (likelihood,) = engine.log_likelihoods([reply])
            return completions[0].text, attention.entropies, likelihood.logprob

        with_adapter, without = answers(grid(grid_adapter)), answers(grid())
        assert all(one != other for one, other in zip(with_adapter, without, strict=True))
        assert answers(grid(grid_adapter)) == with_adapter

    @pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
    def test_layers_saved_as_a_whole_are_put_in(self, tmp_path, make_adapter):
        """`modules_to_save`, as for new tokens: beside the matrices of LoRA the output layer."""
        folder = make_adapter(tmp_path / "with-head", modules_to_save=["lm_head"])
        head = load_file(folder / "adapter_model.safetensors")["base_model.model.lm_head.weight"] * 2
        weights = load_file(folder / "adapter_model.safetensors")
        save_file({**weights, "base_model.model.lm_head.weight": head}, folder / "adapter_model.safetensors")
        engine = grid(folder)
        found = dict(engine.load().model.named_parameters())
        assert torch.equal(found["lm_head.modules_to_save.default.weight"], head)


class TestIdentity:
    def test_on_and_off_are_two_models(self, grid_adapter, copied):
        """In hash and settings; a copy of the adapter is the same, and a changed one another."""
        on, off = grid(grid_adapter), grid()
        assert Hasher.hash(on) != Hasher.hash(off)
        assert Hasher.hash(grid(copied)) == Hasher.hash(on)
        told = on.describe()
        assert told["adapter"] == grid_adapter.name
        assert told["identity"].startswith(f"{off.describe()['identity']} with files:")
        config = json.loads((copied / "adapter_config.json").read_text())
        (copied / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 99}))
        assert Hasher.hash(grid(copied)) != Hasher.hash(on)

    def test_what_trainers_leave_beside_it_does_not_count(self, copied, grid_adapter):
        """TRL saves the tokenizer and its own state into the folder of an adapter."""
        shutil.copy(MODEL / "tokenizer.json", copied)
        shutil.copy(MODEL / "chat_template.jinja", copied)
        (copied / "training_args.bin").write_bytes(b"1")
        assert str(grid(copied).identity) == str(grid(grid_adapter).identity)

    def test_adapter_of_the_hub_is_pinned(self, hub_cache, grid_adapter, copied):
        """By branch or commit behind @; what is loaded is what was hashed, wherever the branch moves."""
        weights = load_file(copied / "adapter_model.safetensors")
        save_file({name: 2 * tensor for name, tensor in weights.items()}, copied / "adapter_model.safetensors")
        old = hub_cache.commit("me/lora", grid_adapter, branch="v1")
        engine = grid("me/lora@v1")
        before = Hasher.hash(engine)
        new = hub_cache.commit("me/lora", copied, branch="v1")
        assert engine.describe()["adapter"] == f"me/lora@{old}"
        assert torch.equal(
            logits(engine.load().model, engine), logits(grid(grid_adapter).load().model, grid(grid_adapter))
        )
        assert Hasher.hash(engine) == before == Hasher.hash(grid(f"me/lora@{old}"))
        assert grid("me/lora@v1").describe()["adapter"] == f"me/lora@{new}"

    def test_folder_with_an_at_sign_is_a_folder(self, tmp_path, grid_adapter):
        """The name of a folder that exists is not taken apart."""
        folder = shutil.copytree(grid_adapter, tmp_path / "lora@v2")
        assert parts_of(str(folder)) == (str(folder), None)
        assert grid(folder).identity.adapter.name == "lora@v2"


class TestRefusals:
    def test_peft_is_missing(self, grid_adapter, monkeypatch):
        """It is no dependency of hf_rap."""
        monkeypatch.setitem(sys.modules, "peft", None)
        with pytest.raises(EngineError, match=r"needs peft, which is not installed: pip install peft\.$"):
            grid(grid_adapter, batch_size=3).load()

    def test_peft_is_too_old(self, grid_adapter, monkeypatch):
        """transformers looks for a part that peft 0.18 does not have."""
        monkeypatch.setitem(sys.modules, "peft.utils.transformers_weight_conversion", None)
        with pytest.raises(EngineError, match=r"needs a newer peft than [0-9.]+: pip install -U peft\. \(.*"):
            grid(grid_adapter, batch_size=3).load()

    def test_weights_without_a_place(self, copied):
        """Names of layers have moved between versions of transformers: the adapter would be off without a word."""
        weights = load_file(copied / "adapter_model.safetensors")
        moved = {name.replace(".language_model.", ".decoder."): tensor for name, tensor in weights.items()}
        save_file(moved, copied / "adapter_model.safetensors")
        with pytest.raises(
            EngineError, match=r"does not fit .*: 32 of its weights have no place there or are missing, the"
        ):
            grid(copied).load()

    def test_weights_that_are_missing(self, copied):
        """One of the sixteen."""
        weights = load_file(copied / "adapter_model.safetensors")
        del weights["base_model.model.model.language_model.layers.3.self_attn.v_proj.lora_B.weight"]
        save_file(weights, copied / "adapter_model.safetensors")
        with pytest.raises(
            EngineError, match=r": 1 of its weights .*layers\.3\.self_attn\.v_proj\.lora_B\.default\.weight"
        ):
            grid(copied).load()

    def test_weights_of_another_size(self, copied):
        """An adapter of a larger model."""
        weights = load_file(copied / "adapter_model.safetensors")
        save_file({name: torch.cat([one, one]) for name, one in weights.items()}, copied / "adapter_model.safetensors")
        with pytest.raises(
            EngineError, match=r"^The adapter .*another-lora' (does not fit|cannot be put on)"
        ) as caught:
            grid(copied).load()
        assert "\n" not in str(caught.value)

    def test_layers_that_the_model_does_not_have(self, copied):
        """An adapter of another architecture."""
        config = json.loads((copied / "adapter_config.json").read_text())
        (copied / "adapter_config.json").write_text(json.dumps({**config, "target_modules": ["c_attn"]}))
        with pytest.raises(EngineError, match=r"cannot be put on .*c_attn") as caught:
            grid(copied).load()
        assert "\n" not in str(caught.value)

    def test_prompt_tuning(self, copied):
        """An adapter that is no layer but a piece of prompt."""
        config = {"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 4}
        (copied / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(EngineError, match=r"^The adapter .* cannot be put on"):
            grid(copied).load()

    def test_folder_without_an_adapter(self, tmp_path):
        """A whole model, or nothing."""
        with pytest.raises(EngineError, match=r"holds no adapter: it has no adapter_config\.json that can be read\.$"):
            grid(MODEL).load()
        with pytest.raises(EngineError, match=r"^There is no folder '/nowhere'\.$"):
            grid("/nowhere").load()

    def test_unknown_adapter_of_the_hub(self, hub_cache):
        """Offline, or no such repository."""
        with pytest.raises(EngineError, match=r"^The adapter 'me/nothing@v2' cannot be read: "):
            grid("me/nothing@v2").load()

    def test_adapter_and_server(self, tmp_path):
        """A server serves an adapter by a name."""
        rows = str(Path(__file__).parents[1] / "saved" / "flat_house" / "rows.parquet")
        options = [
            "--model",
            "m",
            "--endpoint",
            "http://host/v1",
            "--adapter",
            "a",
            "--out",
            str(tmp_path / "x.parquet"),
        ]
        done = CliRunner().invoke(cli, ["rollouts", rows, *options])
        assert done.exit_code == 2
        assert (
            "--adapter is for a local model; a server serves an adapter by a name of its own: --model." in done.output
        )
        done = CliRunner().invoke(cli, ["rollouts", rows, *options, "--engine", "parrot"])
        assert done.exit_code == 2
        assert "--adapter is for transformers and vllm: --engine parrot does not take one." in done.output


def commands_with_a_model():
    """Every command that loads a model, by its options."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        options = {option for parameter in command.params for option in parameter.opts}
        if {"--model", "--device"} <= options:
            yield name, options


def test_every_command_that_loads_a_model_takes_an_adapter():
    """None is forgotten."""
    found = dict(commands_with_a_model())
    assert set(found) == {
        "rollouts",
        "attention",
        "likelihood",
        "controls",
        "dependence",
        "annotate-steps",
        "run",
        "update",
    }
    assert all("--adapter" in options for options in found.values())


def test_hash_of_an_endpoint_is_of_url_and_name():
    """What the server serves under that name it does not prove."""
    hashes = {
        Hasher.hash(EndpointEngine(url, model=model)) for url in ("http://a/v1", "http://b/v1") for model in ("m", "n")
    }
    assert len(hashes) == 4
