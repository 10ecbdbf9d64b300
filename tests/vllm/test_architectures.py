"""Architectures of the field through `VLLMEngine`, with random weights: the prompt with its picture is read as transformers reads it."""

from dataclasses import replace

import pytest
import torch

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


def test_adapter_is_applied(tmp_path):
    """LoRA: the likelihoods are those of transformers with the adapter, and other ones than without it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    folder, adapter = tmp_path / "model", tmp_path / "adapter"
    MODELS["qwen2_5_vl"](folder)
    settings = LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)", init_lora_weights=False)
    torch.manual_seed(1)
    get_peft_model(AutoModelForImageTextToText.from_pretrained(folder), settings).save_pretrained(adapter)
    ds = make_planted(12, seed=3)
    options = {"dtype": "float32", "adapter": str(adapter)}
    engine = VLLMEngine(str(folder), enforce_eager=True, max_num_seqs=16, **options)
    plain = TransformersEngine(str(folder), device="cpu", **options)
    try:
        ours, theirs, without = (
            collect_evidence(ds, Likelihood(each))["rap_text_gold_logprobs"]
            for each in (engine, plain, replace(plain, adapter=None))
        )
    finally:
        engine.close()
    told = [place for place, value in enumerate(theirs) if value is not None]
    assert [ours[place] for place in told] == [pytest.approx(theirs[place], abs=0.02, rel=1e-3) for place in told]
    assert any(abs(a - b) > 0.1 for place in told for a, b in zip(theirs[place], without[place], strict=True))
