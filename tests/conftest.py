"""What all tests share: no network, no progress bars, a cache of their own, one torch thread."""

import gc
import os
import tempfile
from contextlib import contextmanager
from importlib.metadata import version

import hypothesis
import pytest

# `make test-all`; tests that say how many examples they take keep to that.
hypothesis.settings.register_profile("exhaustive", max_examples=1_000, deadline=None)

# Servers, trainers and runs in processes of their own: `make test` runs them, `make test-fast` does not.
SLOW_FOLDERS = {"endpoint", "hub", "runs", "training"}


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
os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start: small models gain nothing from two


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Caches of datasets go with the tests."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets-cache")
    yield
    datasets.config.HF_DATASETS_CACHE = before


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
