"""Architectures of the field through `VLLMEngine`, with random weights: the prompt with its picture is read as transformers reads it."""

import pytest

from hf_rap import Likelihood, Rollouts, TransformersEngine, VLLMEngine, collect_evidence
from hf_rap.demo import make_planted

from .small_models import MODELS

pytestmark = pytest.mark.exhaustive  # a start of vLLM for each


@pytest.mark.parametrize("family", MODELS)
def test_prompt_and_picture_are_those_of_transformers(family, tmp_path):
    """As many tokens, and the same likelihoods; random weights tell pictures apart."""
    MODELS[family](tmp_path)
    ds = make_planted(12, seed=3)
    plain = TransformersEngine(str(tmp_path), dtype="float32", device="cpu")
    engine = VLLMEngine(str(tmp_path), enforce_eager=True, max_num_seqs=16)
    try:
        ours, theirs = (collect_evidence(ds, Likelihood(each)) for each in (engine, plain))
        compared = 0
        for column in ("rap_image_gold_logprobs", "rap_text_gold_logprobs"):
            for one, other in zip(ours[column], theirs[column], strict=True):
                assert (one is None) == (other is None)
                compared += one is not None
                assert one is None or one == pytest.approx(other, abs=0.02, rel=1e-3)
        assert compared > 12
        ours, theirs = (
            collect_evidence(ds, Rollouts(each, attempts=1, temperature=0.0, max_new_tokens=8))
            for each in (engine, plain)
        )
        assert ours["rap_image_prompt_tokens"] == theirs["rap_image_prompt_tokens"]
        same = [a == b for a, b in zip(ours["rap_image_responses"], theirs["rap_image_responses"], strict=True)]
        print(family, f"{sum(same)} of {len(same)} most likely replies are the same")
        assert sum(same) > len(same) / 2  # where two tokens are as good as equally likely they part
    finally:
        engine.close()
