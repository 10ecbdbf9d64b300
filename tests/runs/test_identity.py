"""One run folder and one cache of `map`: models of one name never mix, and one model of two names is asked once."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset
from stubs import stub_rollouts

from hf_rap import Attention, EndpointEngine, Rollouts, TransformersEngine, collect_evidence, collect_in_run, list_runs
from hf_rap.demo import MODEL, make_planted
from hf_rap.engines.loaded_model import LoadedModel
from hf_rap.evidence.collector import settings_of
from hf_rap.runs.folder import fingerprint_of
from hf_rap.stats.settings import counted, model_in


@pytest.fixture
def asked(monkeypatch):
    """How many requests a model has got."""
    counts = []
    really = LoadedModel.complete

    def complete(self, requests, sampling):
        counts.append(len(requests))
        return really(self, requests, sampling)

    monkeypatch.setattr(LoadedModel, "complete", complete)
    return counts


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Eight rows in a file, so that `map` caches what it makes of them."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    make_planted(8, seed=0).to_parquet(path)
    return path


@pytest.fixture
def ds(rows, tmp_path):
    """The rows, with a cache of their own."""
    return Dataset.from_parquet(str(rows), cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def ways(ds, tmp_path):
    """The replies of an engine, by way of the run folder and by plain `map`."""

    def in_run(engine, **options):
        rollouts = Rollouts(engine, attempts=2, max_new_tokens=24, **options)
        return collect_in_run(ds, rollouts, str(tmp_path / "run"))["rap_image_responses"][:]

    def in_map(engine, **options):
        rollouts = Rollouts(engine, attempts=2, max_new_tokens=24, **options)
        return ds.map(rollouts, batched=True)["rap_image_responses"][:]

    return {"run": in_run, "map": in_map}


def grid(name, **options):
    return TransformersEngine(str(name), device="cpu", dtype="float32", **options)


def replies_of(ds, engine):
    """As they are without any cache."""
    rollouts = Rollouts(engine, attempts=2, max_new_tokens=24)
    return rollouts(ds.with_format(None)[:])["rap_image_responses"]


@pytest.mark.parametrize("way", ["run", "map"])
class TestNeverMixed:
    def test_two_revisions(self, way, ways, ds, hub_cache, other_grid):
        """Other weights under one name: each revision has its own replies, however often they take turns."""
        old, new = hub_cache.commit("me/grid", MODEL), hub_cache.commit("me/grid", other_grid, branch="v2")
        engines = {name: grid("me/grid", revision=name) for name in ("main", "v2", old, new)}
        found = {name: ways[way](engine) for name, engine in engines.items()}
        assert found["main"] == found[old] == replies_of(ds, grid(MODEL))
        assert found["v2"] == found[new] == replies_of(ds, grid(other_grid))
        assert found["v2"] != found["main"] == ways[way](grid("me/grid"))

    def test_moved_branch(self, way, ways, ds, hub_cache, other_grid, asked):
        """`main` is another model tomorrow; when it moves back, nothing is asked."""
        old = hub_cache.commit("me/grid", MODEL)
        before = ways[way](grid("me/grid"))
        hub_cache.commit("me/grid", other_grid)
        assert ways[way](grid("me/grid")) == replies_of(ds, grid(other_grid)) != before
        hub_cache.point("me/grid", "main", old)
        count = len(asked)
        assert ways[way](grid("me/grid")) == before
        assert len(asked) == count

    def test_changed_folder(self, way, ways, ds, other_grid, tmp_path):
        """A checkpoint written over the one before, asked by the same engine object and by a new one."""
        folder = Path(shutil.copytree(MODEL, tmp_path / "last"))
        engine = grid(folder)
        before = ways[way](engine)
        shutil.copy(other_grid / "model.safetensors", folder)
        after = replies_of(ds, grid(other_grid))
        assert ways[way](engine) == ways[way](grid(folder)) == after != before
        shutil.copy(MODEL / "model.safetensors", folder)
        assert ways[way](engine) == before

    def test_adapter_on_and_off(self, way, ways, ds, grid_adapter):
        """The same base model."""
        off, on = ways[way](grid(MODEL)), ways[way](grid(MODEL, adapter=grid_adapter))
        assert on == replies_of(ds, grid(MODEL, adapter=grid_adapter)) != off
        assert ways[way](grid(MODEL)) == off

    def test_same_weights_under_two_names(self, way, ways, tmp_path, asked):
        """A copy in another folder, beside what its trainer left: nothing is asked again."""
        before = ways[way](grid(MODEL))
        copy = Path(shutil.copytree(MODEL, tmp_path / "best"))
        (copy / "trainer_state.json").write_text("{}")
        count = len(asked)
        assert ways[way](grid(copy)) == before
        assert len(asked) == count

    def test_what_only_changes_rounding(self, way, ways, asked):
        """Batch size, kernel and device neither ask again nor make a new fingerprint."""
        before = ways[way](grid(MODEL, batch_size=4))
        count = len(asked)
        assert ways[way](grid(MODEL, batch_size=7, attn_implementation="eager")) == before
        assert ways[way](TransformersEngine(str(MODEL), dtype="float32")) == before
        assert len(asked) == count
        assert ways[way](grid(MODEL), temperature=0.5) != before


def test_run_tells_which_models_it_holds(ways, hub_cache, other_grid, tmp_path, grid_adapter):
    """Name and identity of each fingerprint, never null."""
    old = hub_cache.commit("me/grid", MODEL)
    ways["run"](grid("me/grid"))
    new = hub_cache.commit("me/grid", other_grid)
    ways["run"](grid("me/grid"))
    ways["run"](grid("me/grid", adapter=grid_adapter))
    told = {held.settings["identity"] for held in list_runs(str(tmp_path / "run"))}
    assert {f"me/grid@{old}", f"me/grid@{new}"} < told
    assert {one.partition(" with files:")[0] for one in told} == {f"me/grid@{old}", f"me/grid@{new}"}
    assert len(told) == 3


def test_workers_load_the_model_that_was_hashed(ds, hub_cache, other_grid, tmp_path, monkeypatch):
    """`num_proc`: the branch moves after `map` has hashed the engine and before the workers load it."""
    hub_cache.commit("me/grid", MODEL)
    rollouts = Rollouts(grid("me/grid"), attempts=2, max_new_tokens=24)
    rollouts.identify()
    hub_cache.commit("me/grid", other_grid)
    evidence = ds.map(rollouts, batched=True, batch_size=4, num_proc=2)
    assert evidence["rap_image_responses"][:] == replies_of(ds, grid(MODEL))


def test_engine_that_tells_no_identity_says_so():
    """It stands in the settings and on the card, and counts for nothing: another release may tell one."""
    settings = stub_rollouts().settings()
    assert settings["identity"] == "not told by the engine"
    assert "identity" not in counted(settings)
    assert model_in(settings) == "stub"


def test_server_does_not_top_up_what_a_local_model_drew():
    """The engine is counted by itself, whatever else a server may come to tell."""
    local, served = (
        settings_of(Rollouts(engine, attempts=2))
        for engine in (grid(MODEL), EndpointEngine("http://h/v1", model="grid-vlm"))
    )
    assert (counted(local)["engine"], counted(served)["engine"]) == ("transformers", "endpoint")
    assert fingerprint_of({**local, "engine": "endpoint"}) != fingerprint_of(local)


def test_size_of_batches_is_no_part_of_the_key(ds, asked):
    """Nor is what it follows from, such as the concurrency of a server: `collect_evidence` asks once."""
    rollouts = Rollouts(grid(MODEL), attempts=2, max_new_tokens=24)
    before = collect_evidence(ds, rollouts, rows_per_step=3)
    count = len(asked)
    assert collect_evidence(ds, rollouts, rows_per_step=8)[:] == before[:]
    assert len(asked) == count > 0
    assert collect_evidence(ds, replace(rollouts, seed=1)).column_names == before.column_names
    assert len(asked) > count


def test_attention_of_rows_from_another_batch_size_is_read_once(ds, tmp_path, monkeypatch):
    """What the rollouts' settings only write down does not make other rows of them."""
    run = str(tmp_path / "run")
    small, large = (
        collect_evidence(ds, Rollouts(grid(MODEL, batch_size=size), attempts=1, temperature=0, max_new_tokens=24))
        for size in (2, 16)
    )
    reading = []
    really = TransformersEngine.attend
    monkeypatch.setattr(
        TransformersEngine,
        "attend",
        lambda self, replies, *, window: reading.extend(replies) or really(self, replies, window=window),
    )
    first = collect_in_run(small, Attention(grid(MODEL)), run)["rap_attention"][:]
    count = len(reading)
    assert collect_in_run(large, Attention(grid(MODEL)), run)["rap_attention"][:] == first
    assert len(reading) == count > 0
