"""A Hub on this machine for every test, and a client that knows nothing else."""

import importlib.util
import sys
import time
from pathlib import Path

import pytest

# Tests are imported one by one, so their neighbours are not on the path.
_spec = importlib.util.spec_from_file_location("fake_hub_server", Path(__file__).parent / "server.py")
server = sys.modules["fake_hub_server"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(server)

WRITER, READER, OTHER = server.TOKENS


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The server, with the clients of this process pointed at it as HF_ENDPOINT does for a new one."""
    import datasets
    import huggingface_hub
    from huggingface_hub import constants

    with server.FakeHub(tmp_path / "hub") as hub:
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
        monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
        monkeypatch.setattr(datasets.config, "HUB_DATASETS_URL", hub.url + "/datasets/{repo_id}/resolve/{revision}/{path}")
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

    def sleep(seconds):
        waited.append(seconds)
        really(min(seconds, 0.01))

    monkeypatch.setattr(time, "sleep", sleep)
    return waited
