"""A Hub on this machine for every test, and a client that knows nothing else."""

import io
import logging
import sys
import threading
import time
from pathlib import Path

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from hf_rap.scorers import cde_score, difficulty_score
from hf_rap.scorers.base import add_scores
from hf_rap.select import select_cognitive
from hf_rap.versions.configs import batches_of

# Beside the tests, and beside those of runs (the stub engine).
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "runs")]
import fake_hub  # noqa: E402 - found by the line above

WRITER, READER, OTHER = fake_hub.TOKENS


@pytest.fixture(autouse=True)
def everything_is_logged(caplog):
    """A token may stand in what only a debugger sees; see `no_token_is_told` of all tests."""
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def tokens():
    """Tokens of the user for writing and for reading, and one of somebody else."""
    return {"writer": WRITER, "reader": READER, "other": OTHER}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The server, with the clients of this process pointed at it as HF_ENDPOINT does for a new one."""
    import datasets
    import huggingface_hub
    from huggingface_hub import constants

    with fake_hub.FakeHub(tmp_path / "hub") as hub:
        # The other tests are offline.
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
        monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
        monkeypatch.setattr(
            datasets.config, "HUB_DATASETS_URL", hub.url + "/datasets/{repo_id}/resolve/{revision}/{path}"
        )
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        yield hub
        huggingface_hub.close_session()


@pytest.fixture
def api(hub, client):
    """A client with a token that may write."""
    return client(WRITER)


@pytest.fixture
def client(hub):
    from huggingface_hub import HfApi

    return lambda token: HfApi(endpoint=hub.url, token=token)


@pytest.fixture
def no_waiting(monkeypatch):
    """Waits of the client and of ours take no time; what was waited for is in the list."""
    waited = []
    really = time.sleep
    others = {*threading.enumerate()} - {threading.current_thread()}  # of tests before: what they wait for is theirs

    def sleep(seconds):
        if threading.current_thread() in others:
            return really(seconds)
        waited.append(seconds)
        return really(min(seconds, 0.01))

    monkeypatch.setattr(time, "sleep", sleep)
    return waited


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Pictures.new("RGB", (8, 6), (shade, 255 - shade, 7)).save(file, "PNG")
    return file.getvalue()


def make_selection(rows: int = 4, *, min_cde: float = 0.5, topic: str = "shapes", rewards=None):
    """Rows with evidence and scores; every other one needs its picture."""
    ds = Dataset.from_dict(
        {
            "rap_id": [f"row-{number}" for number in range(rows)],
            "images": [[{"bytes": picture(number % 2), "path": None}] for number in range(rows)],
            "problem": [f"<image>What is in picture {number}?" for number in range(rows)],
            "answer": [str(number) for number in range(rows)],
            "topic": [topic] * rows,
            "rap_image_rewards": rewards
            or [[1.0, 1.0, 1.0, 0.0] if number % 2 else [1.0, 0.0] for number in range(rows)],
            "rap_text_rewards": [[0.0, 0.0]] * rows,
        },
        Features(
            {
                "rap_id": Value("string"),
                "images": List(Image()),
                "problem": Value("string"),
                "answer": Value("string"),
                "topic": Value("string"),
                "rap_image_rewards": List(Value("float64")),
                "rap_text_rewards": List(Value("float64")),
            }
        ),
    )
    return select_cognitive(add_scores(ds, cde_score, difficulty_score), min_cde=min_cde, replace_easy=False)


@pytest.fixture
def select():
    return make_selection


@pytest.fixture
def stored():
    """The rows of a dataset as they are stored, images not decoded."""
    return lambda ds: [row for _, table in batches_of(ds) for row in table.to_pylist()]
