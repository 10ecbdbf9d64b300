"""Every block of code on README and the pages of docs is run, or says why not and is read."""

import random
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from blocks import PAGES, TIERS, problems, tiers, whole

from hf_rap import Completion, Rollouts, TransformersEngine, add_scores, cde_score, difficulty_score, select_cognitive
from hf_rap.demo import MODEL, make_planted

RUNS = [
    pytest.param(
        page, tier, marks=[getattr(pytest.mark, TIERS[tier])] if tier else [], id=f"{page}-{TIERS[tier] or 'fast'}"
    )
    for page in PAGES
    for tier in sorted(tiers(page))
]


@dataclass(frozen=True)
class Knows:
    """An engine that is right in about two of three attempts with the image, and in one of four without."""

    golds: dict

    def complete(self, requests, sampling):
        return [
            [
                Completion(self.answer(request, attempt), 3, False)
                for attempt in range(request.first, request.first + request.attempts)
            ]
            for request in requests
        ]

    def answer(self, request, attempt):
        draw = random.Random(f"{request.row_id} {request.arm} {attempt}").random()
        right = draw < (0.65 if request.images else 0.25)
        return rf"\boxed{{{self.golds[request.row_id] if right else 'unknown'}}}"

    def describe(self):
        return {"engine": "knows", "model": "its golds"}


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The built-in model with room for the 1,024 tokens that a reply may have where a page does not say."""
    folder = Path(shutil.copytree(MODEL, tmp_path_factory.mktemp("model") / "roomy"))
    for file, limit in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        text = (folder / file).read_text(encoding="utf-8")
        assert f'"{limit}": 512' in text
        (folder / file).write_text(text.replace(f'"{limit}": 512', f'"{limit}": 4096'), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def given(model):
    """What pages take for granted: name -> what makes it, once."""

    @cache
    def ds():
        return make_planted(24)

    @cache
    def evidence():
        golds = dict(zip(ds()["id"], ds()["answer"], strict=True))
        return ds().map(Rollouts(Knows(golds), attempts=5), batched=True)

    @cache
    def scored():
        return add_scores(evidence(), cde_score, difficulty_score)

    return {
        "ds": ds,
        "engine": cache(lambda: TransformersEngine(str(model), device="cpu", dtype="float32", batch_size=16)),
        "evidence": evidence,
        "scored": scored,
        "selection": cache(lambda: select_cognitive(scored())),
    }


@pytest.fixture
def folder(given, model, tmp_path, monkeypatch):
    """Where a page runs: data and models of the Hub are small ones of the same names."""

    def furnish(text):
        for name in ("SOURCE", "hiyouga/geometry3k", "lmms-lab/ScienceQA-IMG", "AI4Math/MathVista"):
            if name in text:
                (tmp_path / name).mkdir(parents=True)
                given["ds"]().to_parquet(tmp_path / name / "train.parquet")
        for name in ("MODEL", "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).symlink_to(model)
        files = {"rows": "ds", "planted": "ds", **{name: name for name in ("evidence", "scored")}}
        for name, kind in files.items():
            if f"{name}.parquet" in text and f"--out {name}.parquet" not in text:
                given[kind]().to_parquet(tmp_path / f"{name}.parquet")
        if "selection.parquet" in text and "--out selection.parquet" not in text:
            given["selection"]().scored.to_parquet(tmp_path / "selection.parquet")

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return furnish


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_kind_and_is_sound(page):
    """Python compiles and imports what there is, commands and their options exist, what is not run says why."""
    assert problems(page) == []


@pytest.mark.parametrize(("page", "tier"), RUNS)
def test_blocks_run_and_print_what_the_page_says(page, tier, folder, given):
    """From the first on, in one folder and one namespace, up to those that only a longer round runs."""
    documents = whole(page)
    folder("".join(document.text for document in documents))
    documents[0].namespace["__given__"] = given
    for example in (example for document in documents for example in document.examples()):
        if example.parsed.runs and example.parsed.tier <= tier:
            example.evaluate()
