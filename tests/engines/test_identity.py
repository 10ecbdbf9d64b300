"""A name is no identity: which model it is stands in the commit of the Hub or in the files of a folder."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from pathlib import Path

import datasets.utils._dill
import dill
import numpy as np
import pytest
import transformers
from datasets.fingerprint import Hasher
from safetensors.numpy import save_file

from hf_rap.demo import MODEL, demo_engine
from hf_rap.engines import transformers_engine
from hf_rap.engines.endpoint import EndpointEngine
from hf_rap.engines.identity import find_identity, folder_digest
from hf_rap.engines.options import Apart
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.errors import EngineError
from hf_rap.stats.settings import model_in


@pytest.fixture(autouse=True)
def forget_models():
    """What another test has loaded is not there."""
    transformers_engine._loaded.clear()


@pytest.fixture
def copied(tmp_path):
    """The built-in model in a folder of another name, to be changed."""
    return Path(shutil.copytree(MODEL, tmp_path / "checkpoint-500"))


def grid(name, **options):
    """The engine of a small model on the CPU."""
    return TransformersEngine(str(name), device="cpu", **options)


def first_weight(engine):
    """One number that tells two sets of weights apart."""
    weight = engine.load().model.model.language_model.layers[0].self_attn.q_proj.weight
    return weight[0, 0].item()


def train_over(folder, other):
    """New weights under the old names."""
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")


class TestHub:
    def test_branch_is_resolved_without_a_network(self, hub_cache, other_grid):
        """As it was last downloaded; a branch, the default one and the commit itself are one identity."""
        old = hub_cache.commit("me/grid", MODEL)
        new = hub_cache.commit("me/grid", other_grid, branch="v2")
        assert str(grid("me/grid").identity) == f"me/grid@{old}"
        assert str(grid("me/grid", revision="v2").identity) == f"me/grid@{new}"
        assert grid("me/grid", revision=new).identity == grid("me/grid", revision="v2").identity
        assert Hasher.hash(grid("me/grid")) == Hasher.hash(grid("me/grid", revision=old))

    def test_what_is_loaded_is_the_commit_that_was_hashed(self, hub_cache, other_grid):
        """The branch moves between `map`'s look at the engine and the loading of the weights."""
        old = hub_cache.commit("me/grid", MODEL)
        engine = grid("me/grid")
        before = Hasher.hash(engine)
        new = hub_cache.commit("me/grid", other_grid)
        assert first_weight(engine) == first_weight(grid("me/grid", revision=old))
        assert engine.describe()["revision"] == old
        assert Hasher.hash(engine) == before
        moved = grid("me/grid")
        assert moved.describe()["revision"] == new
        assert first_weight(moved) == first_weight(grid(other_grid))
        assert Hasher.hash(moved) != before

    def test_push_while_loading_mixes_nothing(self, hub_cache, other_grid, monkeypatch):
        """The branch moves after the config was read: processor and weights are of the first commit as well."""
        old = hub_cache.commit("me/grid", MODEL)
        read = transformers.AutoProcessor.from_pretrained

        def push_and_read(*args, **options):
            hub_cache.commit("me/grid", other_grid)
            return read(*args, **options)

        monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", push_and_read)
        engine = grid("me/grid")
        assert first_weight(engine) == first_weight(grid(MODEL))
        assert engine.describe()["revision"] == old

    def test_commit_travels_to_other_processes(self, hub_cache, other_grid):
        """With what `num_proc` (dill) and Ray (pickle) send: a worker that starts later loads the same."""
        old = hub_cache.commit("me/grid", MODEL)
        engine = grid("me/grid", batch_size=4)
        engine.identify()
        sent = [pickle.dumps(engine), dill.dumps(engine), pickle.dumps(engine.on_rank(1))]
        hub_cache.commit("me/grid", other_grid)
        for arrived in (pickle.loads(sent[0]), dill.loads(sent[1]), pickle.loads(sent[2])):
            assert arrived == engine
            assert arrived.identity.model.commit == old

    def test_model_that_cannot_be_found_has_no_hash(self, hub_cache):
        """Rather no key than one without an identity."""
        with pytest.raises(EngineError, match=r"^The model 'me/grid@v9' cannot be read: "):
            Hasher.hash(grid("me/grid", revision="v9"))
        with pytest.raises(EngineError, match=r"^The model 'me/grid' cannot be read: "):
            _ = grid("me/grid").identity

    def test_commit_needs_no_look_at_the_hub_to_be_hashed(self, hub_cache):
        """It is its own identity, downloaded or not."""
        assert grid("me/grid", revision="a" * 40).identity.model.commit == "a" * 40
        assert Hasher.hash(grid("me/grid", revision="a" * 40)) != Hasher.hash(grid("me/grid", revision="b" * 40))

    def test_settings_name_the_commit(self, hub_cache):
        """Never null: what a card and a run fold in."""
        commit = hub_cache.commit("me/grid", MODEL)
        told = grid("me/grid").describe()
        assert (told["identity"], told["model"], told["revision"]) == (f"me/grid@{commit}", "me/grid", commit)
        assert model_in(told) == f"me/grid@{commit}"
        assert "identity" not in told["not_counted"]


class TestFolder:
    def test_copy_under_another_name_is_the_same_model(self, copied):
        """Name, place, clock and what a trainer leaves beside the weights do not count."""
        (copied / "training.log").write_text("step 1")
        (copied / "README.md").write_text("mine")
        (copied / "trainer_state.json").write_text("{}")
        (copied / "training_args.bin").write_bytes(b"1")
        (copied / "checkpoint-100").mkdir()
        os.utime(copied / "model.safetensors", (1, 1))
        assert grid(copied).identity.model.digest == grid(MODEL).identity.model.digest
        assert Hasher.hash(grid(copied)) == Hasher.hash(grid(MODEL))
        assert Hasher.hash(grid(str(copied) + "/")) == Hasher.hash(grid(MODEL))

    @pytest.mark.parametrize(
        "name",
        [
            *("model.safetensors", "config.json", "generation_config.json", "processor_config.json"),
            *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        ],
    )
    def test_every_file_counts(self, copied, name):
        """One byte in the middle of any of them; the engine was made before."""
        engine = grid(copied)
        before = Hasher.hash(engine)
        content = bytearray((copied / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copied / name).write_bytes(content)
        assert Hasher.hash(engine) != before
        assert Hasher.hash(grid(copied)) == Hasher.hash(engine)

    @pytest.mark.parametrize("name", ["added_tokens.json", "modeling_grid.py", "model.bin", "qwen.tiktoken"])
    def test_new_file_counts(self, copied, name):
        """A template, code or tokenizer that was not there before."""
        before = folder_digest(copied)
        (copied / name).write_text("{}")
        assert folder_digest(copied) != before

    def test_weights_in_memory_keep_their_identity(self, copied, other_grid):
        """A folder that is trained over while its model answers: replies and settings are of the old weights."""
        engine = grid(copied)
        weight, told = first_weight(engine), engine.describe()
        train_over(copied, other_grid)
        assert (first_weight(engine), engine.describe()) == (weight, told)

    def test_next_use_of_the_same_engine_is_the_new_model(self, copied, other_grid):
        """`map` and a run look at the folder again: identity and weights change together."""
        engine = grid(copied)
        weight, old = first_weight(engine), engine.describe()["identity"]
        train_over(copied, other_grid)
        engine.identify()
        assert engine.describe()["identity"] not in (old, None)
        assert first_weight(engine) == pytest.approx(1.3 * weight)

    def test_change_between_hash_and_load_is_refused(self, copied, other_grid):
        """The key of `map` would be of one model and the replies of another."""
        engine = grid(copied)
        Hasher.hash(engine)
        train_over(copied, other_grid)
        with pytest.raises(EngineError, match=r"checkpoint-500' or its adapter has changed since hf_rap first looked"):
            engine.load()
        engine.identify()
        assert engine.load() is engine.load()

    def test_folder_has_no_revisions(self, copied):
        """A revision would be ignored without a word."""
        with pytest.raises(EngineError, match=r"is a folder, which has no revisions: leave out 'v2'\.$"):
            Hasher.hash(grid(copied, revision="v2"))

    def test_settings_name_the_content(self, copied):
        """The folder's name is for people and counts for nothing."""
        told = grid(copied).describe()
        assert told["identity"] == f"files:{folder_digest(copied)}"
        assert "revision" not in told
        assert {"model", "device", "batch_size", "attn_implementation", "torch"} <= set(told["not_counted"])
        assert str(copied.parent) not in json.dumps(told)


class TestLargeWeights:
    """Of large files some of every tensor is read."""

    TENSORS = 9

    def weights(self, folder, *, changed=None, renamed=None):
        """Nine tensors of 2 MiB each, of which one has other numbers, or another name."""
        folder.mkdir(exist_ok=True)
        tensors = {f"layer.{number}": np.full(1 << 19, number, np.float32) for number in range(self.TENSORS)}
        if changed is not None:
            tensors[f"layer.{changed}"] += np.float32(1)
        if renamed is not None:
            tensors["another"] = tensors.pop(f"layer.{renamed}")
        save_file(tensors, folder / "model.safetensors")
        return folder_digest(folder)

    def test_change_of_any_one_tensor_is_seen(self, tmp_path):
        """An adapter merged into one layer changes neither the size nor the ends of the file."""
        digests = [self.weights(tmp_path / "a", changed=number) for number in (None, *range(self.TENSORS))]
        assert len(set(digests)) == self.TENSORS + 1
        assert self.weights(tmp_path / "b") == digests[0]

    def test_tensor_with_another_name_is_seen(self, tmp_path):
        """All numbers are the same, and stand elsewhere in the model."""
        assert self.weights(tmp_path / "a") != self.weights(tmp_path / "b", renamed=8)

    @pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
    def test_file_that_is_no_safetensors_is_read_in_pieces(self, tmp_path, name):
        """A third of it changes, anywhere; or its end, where torch keeps checksums."""
        path, size = tmp_path / name, 24 << 20
        digests = set()
        for start, length in (
            (0, 0),
            (0, size // 3),
            (size // 3, size // 3),
            (2 * size // 3, size // 3),
            (size - 9, 9),
        ):
            content = io.BytesIO(bytes(size))
            content.seek(start)
            content.write(b"\1" * length)
            path.write_bytes(content.getvalue())
            digests.add(folder_digest(tmp_path))
        assert len(digests) == 5


class TestHash:
    def test_engine_that_is_hashed_is_not_loaded(self):
        """It looks at files and stays small."""
        engine = demo_engine()
        Hasher.hash(engine)
        assert not transformers_engine._loaded
        assert len(pickle.dumps(engine)) < 2000

    def test_datasets_without_its_private_table(self, copied, other_grid, monkeypatch):
        """Another release of datasets may hide it: then the key holds too much, and never too little."""
        monkeypatch.delitem(datasets.utils._dill.Pickler.dispatch, Apart, raising=False)
        monkeypatch.setitem(__import__("sys").modules, "datasets.utils._dill", None)
        before = Hasher.hash(grid(copied))
        assert Hasher.hash(grid(copied, batch_size=4)) != before
        assert Hasher.hash(grid(copied)) == before
        train_over(copied, other_grid)
        assert Hasher.hash(grid(copied)) != before

    def test_endpoint_is_hashed_while_its_server_is_away(self):
        """By URL and name; nobody is asked."""
        engine = EndpointEngine("http://127.0.0.1:9/v1", model="m")
        assert Hasher.hash(engine) == Hasher.hash(pickle.loads(pickle.dumps(engine)))
        assert engine.describe()["server"] == "not asked yet"
        assert engine.describe()["identity"] == "by name: a server does not prove which weights it has"


class TestAdapterAsModel:
    def test_folder_with_adapter_files_only(self, grid_adapter):
        """What trainers of LoRA save, given as the model."""
        with pytest.raises(EngineError) as caught:
            grid(grid_adapter).load()
        assert str(caught.value) == (
            f"'{grid_adapter}' is an adapter, not a model. Pass the model that it was trained on ({MODEL}), and the "
            f"adapter beside it: adapter='{grid_adapter}', --adapter {grid_adapter}."
        )

    def test_adapter_of_the_hub(self, hub_cache, grid_adapter):
        """The same for a repository."""
        hub_cache.commit("me/grid-lora", grid_adapter)
        with pytest.raises(
            EngineError, match=r"^'me/grid-lora' is an adapter, not a model\. .*--adapter me/grid-lora\.$"
        ):
            grid("me/grid-lora").load()

    def test_adapter_beside_a_config(self, copied, grid_adapter):
        """transformers would load the base that the adapter names, whatever it is today."""
        (copied / "model.safetensors").unlink()
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(grid_adapter / file, copied / file)
        with pytest.raises(EngineError, match="is an adapter, not a model"):
            grid(copied).load()


def test_identity_of_model_and_adapter_in_one_text(hub_cache, grid_adapter):
    """As it stands in settings and fingerprints."""
    base, lora = hub_cache.commit("me/grid", MODEL), hub_cache.commit("me/lora", grid_adapter, branch="v2")
    assert str(find_identity("me/grid", None, "me/lora@v2")) == f"me/grid@{base} with me/lora@{lora}"
