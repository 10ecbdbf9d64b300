"""A model on the Hub: the commit that a branch names now, pinned from the first look on."""

import pytest
from datasets.fingerprint import Hasher

from hf_rap.demo import MODEL
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.errors import EngineError

REPO = "user/grid"


@pytest.fixture
def push(api):
    """Makes a commit of a folder on the branch main, as `push_to_hub` does; gives its hash."""
    api.create_repo(REPO)
    return lambda folder: api.upload_folder(repo_id=REPO, folder_path=str(folder)).oid


def grid(**options):
    return TransformersEngine(REPO, device="cpu", dtype="float32", **options)


def first_weight(engine):
    return engine.load().model.model.language_model.layers[0].self_attn.q_proj.weight[0, 0].item()


@pytest.fixture(autouse=True)
def usual_client(api, client, tokens, monkeypatch):
    """What transformers asks the Hub with: a client of its own, which it keeps."""
    monkeypatch.setattr("transformers.utils.hub.hf_api", lambda: client(tokens["reader"]))
    monkeypatch.setenv("HF_TOKEN", tokens["reader"])


@pytest.mark.exhaustive
def test_moved_branch_is_seen_by_a_new_engine_and_not_by_one_in_use(push, other_grid):
    """Somebody pushes between the hash of `map` and the loading of the weights."""
    old = push(MODEL)
    engine = grid()
    key = Hasher.hash(engine)
    new = push(other_grid)
    assert engine.describe()["identity"] == f"{REPO}@{old}"
    assert Hasher.hash(engine) == key == Hasher.hash(grid(revision=old))
    weight = first_weight(engine)
    assert grid().describe()["identity"] == f"{REPO}@{new}"
    assert first_weight(grid()) == pytest.approx(1.3 * weight)
    assert Hasher.hash(grid()) != key


@pytest.mark.exhaustive
def test_hub_that_is_away_leaves_what_was_downloaded(hub, push, monkeypatch):
    """The branch then means the commit of the last look."""
    commit = push(MODEL)
    grid().load()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert grid().describe()["identity"] == f"{REPO}@{commit}"


def test_branch_that_does_not_exist(push):
    """No key and no run without an identity."""
    push(MODEL)
    with pytest.raises(EngineError, match=f"^The model '{REPO}@v9' cannot be read: Revision Not Found for url"):
        Hasher.hash(grid(revision="v9"))


@pytest.mark.exhaustive
def test_adapter_is_pinned_like_a_model(api, push, grid_adapter):
    """Both files come from the commit that was found."""
    push(MODEL)
    api.create_repo("user/lora")
    old = api.upload_folder(repo_id="user/lora", folder_path=str(grid_adapter)).oid
    engine = grid(adapter="user/lora@main")
    key = Hasher.hash(engine)
    api.delete_file("adapter_model.safetensors", "user/lora")
    assert engine.describe()["adapter"] == f"user/lora@{old}"
    assert Hasher.hash(grid(adapter="user/lora")) != key
    with pytest.raises(EngineError, match=r"^The adapter 'user/lora' has no adapter_model\.safetensors"):
        grid(adapter="user/lora").load()
