"""An engine is a name that travels: small, hashable, and clear about what it cannot load."""

from __future__ import annotations

import gc
import importlib.util
import json
import pickle
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import transformers
from datasets.fingerprint import Hasher

from hf_rap.engines.base import Sampling
from hf_rap.engines.identity import folder_digest
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.errors import EngineError, SettingError

from .tiny_models import ask, build, picture, qwen2_vl


@pytest.fixture(scope="session")
def llava_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model on disk: config, weights, processor, chat template."""
    folder = tmp_path_factory.mktemp("llava")
    model, processor = build("llava_llama")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(llava_folder: Path, tmp_path: Path) -> Path:
    """The same model, to be spoilt."""
    return Path(shutil.copytree(llava_folder, tmp_path / "model"))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and len(str(error)) < 600


class TestIdentity:
    def test_pickles_small(self, llava_folder: Path) -> None:
        """Names, no weights; an equal engine comes back, also after the model was loaded."""
        engine = TransformersEngine(str(llava_folder), processor_options={"min_pixels": 3136})
        replace(engine, processor_options=None).load()
        data = pickle.dumps(engine)
        assert len(data) < 2000
        assert pickle.loads(data) == engine
        assert hash(pickle.loads(data)) == hash(engine)

    @pytest.mark.slow
    def test_hash_is_equal_across_processes(self, llava_folder: Path) -> None:
        """The cache of `Dataset.map` finds what another process computed."""
        engine = TransformersEngine(str(llava_folder), dtype="float32", processor_options={"max_pixels": 9})
        code = (
            "from datasets.fingerprint import Hasher\n"
            "from hf_rap.engines.transformers_engine import TransformersEngine\n"
            f"engine = TransformersEngine({str(llava_folder)!r}, dtype='float32', processor_options={{'max_pixels': 9}})\n"
            "print(Hasher.hash(engine))"
        )
        printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        assert printed.strip() == Hasher.hash(engine)

    def test_hash_does_not_change_when_the_model_is_loaded(self, llava_folder: Path) -> None:
        """Loading leaves no trace in what is hashed."""
        engine = TransformersEngine(str(llava_folder))
        before = Hasher.hash(engine)
        engine.load()
        assert Hasher.hash(engine) == before

    def test_path_is_taken_as_text(self, llava_folder: Path) -> None:
        """`Path` and `str` name the same engine."""
        assert TransformersEngine(llava_folder) == TransformersEngine(str(llava_folder))  # type: ignore[arg-type]

    @pytest.mark.parametrize("batch_size", [0, -1])
    def test_batch_size_must_be_positive(self, batch_size: int) -> None:
        """Refused when it is set."""
        with pytest.raises(
            SettingError, match=rf"^batch_size is {batch_size}: it takes a whole number of 1 or more, or \"auto\"\.$"
        ):
            TransformersEngine("owner/model", batch_size=batch_size)

    def test_precision_must_be_one_of_those_offered(self) -> None:
        """Refused when it is set, not when the weights are read."""
        with pytest.raises(
            SettingError, match=r"^dtype is 'fp16': it takes one of auto, bfloat16, float16, float32\.$"
        ):
            TransformersEngine("owner/model", dtype="fp16")


class TestLoading:
    def test_model_is_loaded_once(self, llava_folder: Path) -> None:
        """Equal engines share the weights of a process."""
        engine = TransformersEngine(str(llava_folder))
        again = pickle.loads(pickle.dumps(engine))
        assert engine.load() is again.load() is TransformersEngine(str(llava_folder)).load()

    def test_another_model_takes_the_place_of_the_first(self, llava_folder: Path, copied: Path) -> None:
        """One model at a time is held."""
        first = weakref.ref(TransformersEngine(str(llava_folder)).load())
        second = TransformersEngine(str(copied)).load()
        gc.collect()
        assert first() is None
        assert TransformersEngine(str(copied)).load() is second

    def test_loaded_model_answers_like_the_model_in_memory(self, llava_folder: Path) -> None:
        """Saving and loading changes no token; so the folder test below tests the real thing."""
        from hf_rap.engines.loaded_model import LoadedModel

        sampling = Sampling(max_new_tokens=6)
        requests = [ask("a", "<image>What?", picture(20, 20)), ask("b", "Why?")]
        engine = TransformersEngine(str(llava_folder), device="cpu")
        assert engine.complete(requests, sampling) == LoadedModel(*build("llava_llama")).complete(requests, sampling)

    def test_description_is_json(self, llava_folder: Path) -> None:
        """Everything that could change a reply, and nothing that belongs to this machine."""
        description = TransformersEngine(str(llava_folder), device="cpu", dtype="float32").describe()
        assert json.loads(json.dumps(description)) == description
        assert description == {
            "engine": "transformers",
            "engine_version": "2",
            "identity": f"files:{folder_digest(llava_folder)}",
            "model": llava_folder.name,
            "processor_options": None,
            "trust_remote_code": False,
            "batch_size": "auto",
            "architecture": "LlavaForConditionalGeneration",
            "processor": "LlavaProcessor",
            "image_processor": description["image_processor"],
            "dtype": "float32",
            "attn_implementation": "sdpa",
            "device": "cpu",
            "transformers": transformers.__version__,
            "torch": description["torch"],
            "not_counted": ["attn_implementation", "batch_size", "device", "model", "torch", "transformers"],
        }

    def test_failed_load_is_tried_again(self, copied: Path) -> None:
        """An error is not kept: once the file is there, the same engine works."""
        weights = copied / "model.safetensors"
        engine = TransformersEngine(str(copied))
        weights.rename(copied / "elsewhere")
        with pytest.raises(EngineError):
            engine.load()
        (copied / "elsewhere").rename(weights)
        assert engine.load() is engine.load()


class TestRefusals:
    def test_unknown_hub_model(self) -> None:
        """Offline, or no such model: one line that names it."""
        with pytest.raises(EngineError, match=r"^The model 'hf-rap/no-such-model@v9' cannot be read: ") as caught:
            TransformersEngine("hf-rap/no-such-model", revision="v9").complete([ask("a", "?")], Sampling())
        assert one_line(caught.value)

    @pytest.mark.parametrize("path", ["/nowhere/model", "./nowhere", "~/nowhere"])
    def test_missing_folder(self, path: str) -> None:
        """A path that is not there is not looked for on the Hub."""
        with pytest.raises(EngineError, match=f"^There is no folder '{path}'.$"):
            TransformersEngine(path).load()

    def test_folder_without_config(self, tmp_path: Path) -> None:
        """An empty folder."""
        with pytest.raises(EngineError, match=r"cannot be read: .*config.json") as caught:
            TransformersEngine(str(tmp_path)).load()
        assert one_line(caught.value)

    def test_unknown_architecture(self, copied: Path) -> None:
        """A model type that this transformers does not have."""
        (copied / "config.json").write_text('{"model_type": "from_the_future"}')
        with pytest.raises(EngineError, match=r"cannot be read: .*from_the_future") as caught:
            TransformersEngine(str(copied)).load()
        assert one_line(caught.value)

    def test_text_model(self, tmp_path: Path) -> None:
        """A language model cannot be asked with an image."""
        config = transformers.LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
        )
        transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
        with pytest.raises(EngineError, match=r"is a llama model without a vision part.*image-text-to-text") as caught:
            TransformersEngine(str(tmp_path)).load()
        assert one_line(caught.value)

    def test_no_chat_template(self, copied: Path) -> None:
        """A base model."""
        (copied / "chat_template.jinja").unlink()
        with pytest.raises(EngineError, match="has no chat template, so no prompt can be built") as caught:
            TransformersEngine(str(copied)).load()
        assert one_line(caught.value)

    def test_no_processor(self, copied: Path) -> None:
        """Weights and tokenizer were saved, the processor was not: a common slip after fine-tuning."""
        for name in ("processor_config.json", "preprocessor_config.json"):
            (copied / name).unlink(missing_ok=True)
        with pytest.raises(EngineError, match=r"[Pp]rocessor of .* cannot be loaded|no image processor") as caught:
            TransformersEngine(str(copied)).load()
        assert one_line(caught.value)

    def test_no_weights(self, copied: Path) -> None:
        """The config is there, the weights are not."""
        (copied / "model.safetensors").unlink()
        with pytest.raises(EngineError, match=r"^The weights of .* cannot be loaded: ") as caught:
            TransformersEngine(str(copied)).load()
        assert one_line(caught.value)

    def test_damaged_weights(self, copied: Path) -> None:
        """A download that broke off."""
        weights = copied / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        with pytest.raises(EngineError, match=r"^The weights of .* cannot be loaded: ") as caught:
            TransformersEngine(str(copied)).load()
        assert one_line(caught.value)

    @pytest.mark.parametrize(("setting", "value"), [("attn_implementation", "no_such_kernel"), ("device", "warp:0")])
    def test_impossible_settings(self, llava_folder: Path, setting: str, value: str) -> None:
        """What transformers or torch cannot do is one line, too."""
        with pytest.raises(EngineError, match=f"cannot be loaded: .*{value.split(':', maxsplit=1)[0]}") as caught:
            TransformersEngine(str(llava_folder), **{setting: value}).load()  # type: ignore[arg-type]
        assert one_line(caught.value)

    @pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
    def test_processor_that_needs_torchvision(self, tmp_path: Path) -> None:
        """Qwen-VL processors load a video processor, which needs torchvision: the message says what to install."""
        model, processor = qwen2_vl()
        model.save_pretrained(tmp_path)
        processor.tokenizer.save_pretrained(tmp_path)
        processor.image_processor.save_pretrained(tmp_path)
        (tmp_path / "chat_template.jinja").write_text(processor.chat_template)
        stock = json.loads((tmp_path / "preprocessor_config.json").read_text())
        stock |= {"processor_class": "Qwen2VLProcessor", "image_processor_type": "Qwen2VLImageProcessor"}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(stock))
        with pytest.raises(EngineError, match=r"VideoProcessor requires .*`pip install torchvision`") as caught:
            TransformersEngine(str(tmp_path)).load()
        assert one_line(caught.value)
