"""One vLLM for all tests of a session: it takes half a minute to start."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Without vLLM they are skipped, and say what makes an environment with it."""
    if find_spec("vllm") is None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed here: scripts/check_vllm.sh"))


os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB


@pytest.fixture(scope="session")
def engine():
    """The small model in vLLM, in float32 like everywhere."""
    from hf_rap import VLLMEngine
    from hf_rap.demo import MODEL

    made = VLLMEngine(str(MODEL), enforce_eager=True, max_num_seqs=256)
    made.load()
    yield made
    made.close()


@pytest.fixture(scope="session")
def plain():
    """The same in transformers."""
    from hf_rap.demo import demo_engine

    return demo_engine()


@pytest.fixture(scope="session")
def planted():
    """300 planted rows."""
    from hf_rap.demo import make_planted

    return make_planted(300, seed=5)


@pytest.fixture(scope="session")
def expected(plain, planted):
    """Their evidence by transformers."""
    from hf_rap import Rollouts, collect_evidence

    return collect_evidence(planted, Rollouts(plain, max_new_tokens=64))
