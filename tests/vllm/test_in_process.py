"""`VLLMEngine` on the small model, against transformers."""

import json
from dataclasses import replace

import pytest

from hf_rap import Likelihood, ReplyLikelihood, Rollouts, StepRewards, collect_evidence, collect_in_run
from hf_rap.engines.base import Request, Sampling
from hf_rap.errors import EngineError, RunError
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.stats.settings import counted

from .evidence import check_readings, check_same

pytestmark = pytest.mark.slow


def request(ds, place, **options):
    """One row as it is asked with its image."""
    row = ds[place]
    options = {"attempts": 1, **options}
    return Request(row["id"], "image", PromptTemplate().messages(row["problem"]), tuple(row["images"]), **options)


def test_pass_rates_of_both_arms_are_those_of_transformers(engine, planted, expected, tmp_path):
    """300 rows, 5 replies in each arm, by way of a run folder; and an engine that is hardly ever without a request."""
    loaded = engine.load()
    before = loaded.busy_seconds
    check_same(collect_in_run(planted, Rollouts(engine, max_new_tokens=64), str(tmp_path)), expected)
    assert loaded.busy_seconds > before
    assert loaded.in_flight == 0


def test_most_likely_replies_are_the_same(engine, plain, planted):
    """Token for token at temperature 0, and so are the counts of tokens and the ends."""
    rows = planted.select(range(60))
    ours, theirs = (
        collect_evidence(rows, Rollouts(each, attempts=2, temperature=0.0, max_new_tokens=64, keep_ids=True))
        for each in (engine, plain)
    )
    for column in ("responses", "token_ids", "tokens", "truncated"):
        for arm in ("image", "text"):
            assert ours[f"rap_{arm}_{column}"] == theirs[f"rap_{arm}_{column}"], (arm, column)
    assert ours["rap_image_prompt_tokens"] == theirs["rap_image_prompt_tokens"]


def test_map_gives_the_same_columns(engine, planted):
    """Plain `map`, in batches of its own."""
    rows = planted.select(range(12))
    rollouts = Rollouts(engine, attempts=2, max_new_tokens=64)
    mapped = rows.map(rollouts, batched=True, batch_size=5)
    assert {name: mapped.features[name] for name in rollouts.features} == dict(rollouts.features)
    settings = json.loads(mapped["rap_settings"][0])
    assert (settings["engine"], settings["dtype"], settings["vllm"]) == ("vllm", "float32", "0.32.0")
    assert "vllm" not in counted(settings)


def test_replies_of_a_row_differ(engine, planted):
    """They are drawn one by one, though they share a prompt."""
    (answer,) = engine.complete([request(planted, 0, attempts=32)], Sampling(temperature=2.0, max_new_tokens=12))
    assert len({reply.text for reply in answer}) > 8


def test_sampling_that_vllm_does_not_take_is_said(engine, planted):
    """It has a limit of its own."""
    with pytest.raises(EngineError, match="vLLM does not draw so: temperature must be in"):
        engine.complete([request(planted, 0)], Sampling(temperature=3.0))


def test_row_that_is_too_long_gets_its_error_before_it_is_asked(engine, plain, planted):
    """In the same words as everywhere, and the others are answered."""
    requests = [
        request(planted, 0),
        replace(request(planted, 1), messages=PromptTemplate().messages("red " * 600), images=()),
    ]
    ours, theirs = (each.complete(requests, Sampling(max_new_tokens=64)) for each in (engine, plain))
    assert str(ours[1]) == str(theirs[1])
    assert str(ours[1]).startswith("too_long: the prompt has 6")
    assert len(ours[0]) == 1


def test_reply_that_hits_the_limit_is_cut(engine, planted):
    """As many tokens as were allowed, and marked so."""
    for most in (1, 3):
        (answer,) = engine.complete([request(planted, 0, attempts=2)], Sampling(max_new_tokens=most))
        assert [(reply.tokens, reply.truncated) for reply in answer] == [(most, True)] * 2


def test_likelihoods_are_those_of_transformers_in_any_order(engine, plain, planted):
    """Log-probabilities of golds, with prompts in the prefix cache and without."""
    rows = planted.select(range(40))
    backwards = rows.select(range(39, -1, -1))
    ours, theirs = (collect_evidence(rows, Likelihood(each)) for each in (engine, plain))
    turned = collect_evidence(backwards, Likelihood(engine))
    for column in ("rap_image_gold_logprobs", "rap_text_gold_logprobs"):
        for one, other, again in zip(ours[column], theirs[column], turned[column][::-1], strict=True):
            assert (one is None) == (other is None)
            assert one is None or one == pytest.approx(other, abs=1e-3)
            assert one is None or again == pytest.approx(other, abs=1e-3)
    assert ours["rap_gold_tokens"] == theirs["rap_gold_tokens"]
    assert ours["rap_likelihood_error"] == theirs["rap_likelihood_error"]


def test_stored_replies_are_read_token_by_token(engine, plain, expected):
    """Every token of replies that transformers wrote, in both arms, with prompts in the prefix cache and without."""
    rows = expected.select(range(24))
    ours, theirs = (collect_evidence(rows, ReplyLikelihood(each)) for each in (engine, plain))
    check_readings(ours, theirs)
    turned = collect_evidence(rows.select(range(24)[::-1]), ReplyLikelihood(engine))
    check_readings(turned.select(range(24)[::-1]), theirs)


def test_reply_goes_on_from_its_beginning(engine, plain, planted):
    """At temperature 0 as transformers goes on, white space included."""
    started = request(planted, 2, prefix="<think> the")
    ours, theirs = (each.complete([started], Sampling(temperature=0, max_new_tokens=40)) for each in (engine, plain))
    assert ours[0][0].text == theirs[0][0].text


def test_steps_are_scored(engine, planted):
    """Continuations from the end of each step."""
    ds = planted.select(range(4)).add_column("response", ["<think> red \n\n\n so </think> \\boxed{2}"] * 4)
    rewards = StepRewards(engine, continuations=4, max_new_tokens=64)
    annotated = collect_evidence(ds, rewards)
    assert set(rewards.features) <= set(annotated.column_names)


def test_run_that_was_stopped_goes_on_with_more_attempts(engine, planted, tmp_path):
    """A budget ends it; the same call goes on, and asks for what is missing."""
    rows = planted.select(range(30))
    rollouts = Rollouts(engine, attempts=2, max_new_tokens=32)
    with pytest.raises(RunError, match="Stopped at the budget"):
        collect_in_run(rows, rollouts, str(tmp_path), rows_per_part=5, max_total_tokens=1500)
    first = collect_in_run(rows, rollouts, str(tmp_path), rows_per_part=5)
    more = collect_in_run(rows, replace(rollouts, attempts=4), str(tmp_path), rows_per_part=5)
    for before, after in zip(first["rap_text_responses"], more["rap_text_responses"], strict=True):
        assert (after or [])[:2] == (before or [])
        assert before is None or len(after) == 4


def test_seeds_give_the_same_replies_in_the_same_batch(engine, planted):
    """Where the build takes them; that of the CPU draws anew each time."""
    from hf_rap.engines.vllm_model import runs_on_cpu

    requests = [request(planted, place, attempts=4) for place in range(6)]
    sampling = Sampling(max_new_tokens=24, temperature=1.5)
    once, again = (engine.complete(requests, sampling) for _ in range(2))
    assert (once == again) == (not runs_on_cpu())
