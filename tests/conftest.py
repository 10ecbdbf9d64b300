"""What all tests share: no network, no progress bars, a cache of their own, one torch thread."""

import gc
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import hypothesis
import pytest

# `make test-all`; tests that say how many examples they take keep to that.
hypothesis.settings.register_profile("exhaustive", max_examples=1_000, deadline=None)

# Servers, trainers and runs in processes of their own: `make test` runs them, `make test-fast` does not.
SLOW_FOLDERS = {"endpoint", "hostile", "hub", "runs", "training"}


def pytest_collection_modifyitems(items):
    """Marks the tests of the slow folders, but for those of the parts of other libraries, which start nothing."""
    for item in items:
        if item.path.parent.name in SLOW_FOLDERS and item.path.name != "test_compat.py":
            item.add_marker("slow")


def pytest_collection_finish():
    """The libraries are loaded now and stay: the garbage collector need not walk through them again and again."""
    gc.collect()
    gc.freeze()


# A busy machine is no fault of a function; what takes long shows in --durations.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# What is noted about a model is noted there, by the tests and the processes that they start.
HOME = tempfile.TemporaryDirectory(prefix="hf-home-")
os.environ["HF_HOME"] = HOME.name
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # a thread that asks a server of metrics, long after the test
os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start: small models gain nothing from two


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Caches of datasets go with the tests."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets-cache")
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.fixture(autouse=True)
def servers_are_new():
    """Ports are given out again: what is remembered of a server must not be told of the server of another test."""
    yield
    if memory := sys.modules.get("hf_rap.engines.endpoint_memory"):
        memory.forget_all()


# What no test may tell to anybody: the token of all tests, which a process that they start inherits, and those that the
# Hub on this machine knows.
TOKEN = os.environ["HF_TOKEN"] = "hf_canarySECRETcanary"


@pytest.fixture(scope="session")
def caught_texts():
    """Texts that the tests catch before pytest does: of errors, of processes, of commands, of captured output."""
    from click.testing import Result

    from hf_rap.errors import RapError

    texts = []

    def keep(owner, name, texts_of):
        really = getattr(owner, name)

        def kept(self, *args, **options):
            result = really(self, *args, **options)
            texts.append((texts_of, self, result))
            return result

        patched.setattr(owner, name, kept)

    with pytest.MonkeyPatch.context() as patched:
        keep(RapError, "__init__", lambda error, _: _chain(error))
        keep(subprocess.CompletedProcess, "__init__", lambda done, _: [done.stdout, done.stderr])
        keep(subprocess.Popen, "communicate", lambda _, output: output)
        keep(Result, "__init__", lambda result, _: [result.stdout_bytes, result.stderr_bytes])
        keep(pytest.CaptureFixture, "readouterr", lambda _, output: output)
        yield texts
    home = Path(HOME.name)
    assert [path for path in home.rglob("*") if path.is_file() and leaks(path.read_bytes())] == []


def _chain(error):
    """All that an error and those behind it say."""
    while error is not None:
        yield f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__


def leaks(text):
    """Where a token stands in a text or in bytes, with what is around it."""
    content = text.encode(errors="replace") if isinstance(text, str) else text or b""
    tokens = [TOKEN, *getattr(sys.modules.get("fake_hub"), "TOKENS", ())]
    places = [content.find(token.encode()) for token in tokens]
    return [content[max(0, place - 200) :][:400] for place in places if place >= 0]


@pytest.fixture(autouse=True)
def no_token_is_told(request, caught_texts):
    """No test leaves a token in what is printed, logged, raised or written."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    caught_texts.clear()
    yield
    texts = [text for texts_of, owner, result in caught_texts for text in texts_of(owner, result)]
    texts += [text for _, _, text in request.node._report_sections]
    if folder is not None:
        texts += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    caught_texts.clear()
    assert [leak for text in texts for leak in leaks(text)] == []


@pytest.fixture(scope="session")
def part_of():
    """For tests of the compat files: whatever goes wrong within says which library has moved, and what is gone."""

    @contextmanager
    def part_of(library, part, *, room):
        try:
            yield
        except Exception as error:
            said = (str(error).strip() or "no message").splitlines()[0]
            raise AssertionError(
                f"{library} {version(library)} has moved: {part} is gone or means something else "
                f"({type(error).__name__}: {said}). hf_rap reaches it through hf_rap/{room}/compat.py alone."
            ) from error

    return part_of


class HubCache:
    """What huggingface_hub has downloaded, made by hand: repositories of models with branches and commits."""

    def __init__(self, path):
        self.path = path

    def commit(self, repo, folder, *, branch="main"):
        """The files of a folder as a commit that a branch points to; gives its hash."""
        home = self.path / f"models--{repo.replace('/', '--')}"
        number = len(list(home.glob("snapshots/*")))
        commit = hashlib.sha1(f"{repo} {number}".encode()).hexdigest()
        shutil.copytree(folder, home / "snapshots" / commit)
        self.point(repo, branch, commit)
        return commit

    def point(self, repo, branch, commit):
        """Let a branch name this commit."""
        ref = self.path / f"models--{repo.replace('/', '--')}" / "refs" / branch
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the Hub, without a network."""
    cache = tmp_path / "hub-cache"
    cache.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return HubCache(cache)


@pytest.fixture(scope="session")
def other_grid(tmp_path_factory):
    """The built-in model after some training: all files the same but the weights, and they of the same size."""
    from safetensors.numpy import load_file, save_file

    from hf_rap.demo import MODEL

    folder = Path(shutil.copytree(MODEL, tmp_path_factory.mktemp("trained") / MODEL.name))
    weights = load_file(folder / "model.safetensors")
    for name, tensor in weights.items():
        weights[name] = (tensor * (1.3 if "layers" in name else 1)).astype(tensor.dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def make_adapter():
    """Saves a LoRA adapter on the built-in model, with random weights, as peft does."""

    def make(folder, **options):
        import peft
        import torch
        from transformers import AutoModelForImageTextToText

        from hf_rap.demo import MODEL

        model = AutoModelForImageTextToText.from_pretrained(str(MODEL))
        options = {"r": 2, "target_modules": r".*language_model.*(q_proj|v_proj)", **options}
        adapted = peft.get_peft_model(model, peft.LoraConfig(**options))
        generator = torch.Generator().manual_seed(0)
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.data = torch.randn(weight.shape, generator=generator) * (0.5 if "lora_B" in name else 0.1)
        adapted.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def grid_adapter(tmp_path_factory, make_adapter):
    """An adapter on the attention of the text layers that changes what the built-in model says."""
    return make_adapter(tmp_path_factory.mktemp("lora") / "grid-lora")
