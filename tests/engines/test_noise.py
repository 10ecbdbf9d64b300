"""The random numbers behind every reply: exact, independent, and the same for ever."""

from __future__ import annotations

import math

import pytest
import torch

from hf_rap.engines.base import stream_key
from hf_rap.engines.noise import GumbelNoise, gumbel

DRAWS = 200_000
PINNED_KEYS = (-718100507436732301, -5603014089454680696)
PINNED_NOISE = (  # tokens 0 to 3 of the first key and the last four of a vocabulary of 151,936 of the second, at step 5
    [0.1380248, 0.4995500, 1.9184320, -0.2297678],
    [3.4162749, 1.8494858, -0.6874094, 1.0191465],
)


def keys(count: int, *, seed: int = 0, arm: str = "image", attempt: int = 0) -> torch.Tensor:
    return torch.tensor([stream_key(seed, f"row {number}", arm, attempt) for number in range(count)])


def draw(logits: torch.Tensor) -> torch.Tensor:
    """How often each token is the argmax of logits plus noise, over `DRAWS` (row, step) pairs."""
    rows = keys(1000)
    counts = torch.zeros(len(logits), dtype=torch.int64)
    for step in range(DRAWS // len(rows)):
        winners = (logits + gumbel(rows, step, len(logits))).argmax(dim=1)
        counts += torch.bincount(winners, minlength=len(logits))
    return counts


@pytest.mark.parametrize(
    "probabilities",
    [
        [0.5, 0.5],
        [0.1] * 10,
        [0.6, 0.25, 0.1, 0.04, 0.01],
        [0.999, 0.0005, 0.0003, 0.0002],  # peaked, as a trained model is on most tokens
        [1 / 64] * 64,
    ],
    ids=["coin", "uniform", "skewed", "peaked", "wide"],
)
def test_draws_follow_the_softmax(probabilities: list[float]) -> None:
    """Chi-square of 200,000 draws stays below its 99.9 % quantile; the keys are fixed, so this never flickers."""
    expected = torch.tensor(probabilities, dtype=torch.float64) * DRAWS
    observed = draw(torch.tensor(probabilities).log())
    chi_square = float(((observed - expected) ** 2 / expected).sum())
    # Wilson and Hilferty: chi-square with k degrees of freedom is about k (1 - 2/9k + z sqrt(2/9k))^3.
    freedom = len(probabilities) - 1
    assert chi_square < freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
    assert int(observed.sum()) == DRAWS


def test_chi_square_notices_a_wrong_temperature() -> None:
    """The test above can fail: the same draws, held against slightly flatter probabilities."""
    logits = torch.tensor([0.6, 0.25, 0.1, 0.04, 0.01]).log()
    observed = draw(logits)
    expected = torch.softmax(logits / 1.03, dim=0) * DRAWS
    assert float(((observed - expected) ** 2 / expected).sum()) > 18.5  # 99.9 % quantile at 4 degrees


def test_far_tail_keeps_its_share() -> None:
    """A token of probability 1e-4 is drawn about 20 times in 200,000: the noise is exact where it is large."""
    rare = draw(torch.tensor([1 - 1e-4, 1e-4]).log())[1]
    assert 7 <= int(rare) <= 38  # 20 +- 4 standard deviations


def test_noise_has_the_moments_of_a_gumbel_variable() -> None:
    """Mean 0.5772 (Euler's constant), variance pi^2 / 6, over a million values."""
    noise = gumbel(keys(100), 3, 10_000).to(torch.float64)
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.004)
    assert float(noise.var()) == pytest.approx(math.pi**2 / 6, rel=0.01)


def test_values_never_change() -> None:
    """Published evidence can be drawn again only as long as these numbers stay."""
    assert stream_key(0, "row", "image", 0) == PINNED_KEYS[0]
    assert stream_key(7, "caf\u00e9", "text", 4) == PINNED_KEYS[1]
    noise = gumbel(torch.tensor(PINNED_KEYS), 5, 151_936)
    assert noise[0, :4].tolist() == pytest.approx(PINNED_NOISE[0], abs=1e-6)
    assert noise[1, -4:].tolist() == pytest.approx(PINNED_NOISE[1], abs=1e-6)


def test_values_are_those_of_whole_number_arithmetic() -> None:
    """SplitMix64 written out in Python's integers, without wrap-around or float32, gives the same noise."""

    def mix(bits: int) -> int:
        bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) % 2**64
        bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) % 2**64
        return bits ^ bits >> 31

    def slow(key: int, step: int, token: int) -> float:
        stream = mix((key + step * 0x9E3779B97F4A7C15) % 2**64)
        uniform = ((mix((stream + token * 0x9E3779B97F4A7C15) % 2**64) >> 11) + 0.5) / 2**53
        return -math.log(-math.log1p(-uniform))

    fast = gumbel(keys(5), 12_345, 200)
    expected = [[slow(int(key), 12_345, token) for token in range(200)] for key in keys(5)]
    assert torch.allclose(fast, torch.tensor(expected), atol=1e-5)


def test_noise_of_a_row_does_not_depend_on_the_batch() -> None:
    """A row alone, first of many or last of many gets the same bits."""
    many = keys(50)
    noise = gumbel(many, 11, 500)
    for row in (0, 17, 49):
        assert torch.equal(gumbel(many[row : row + 1], 11, 500)[0], noise[row])
    assert torch.equal(gumbel(many.flip(0), 11, 500).flip(0), noise)


def test_noise_of_a_token_does_not_depend_on_the_width() -> None:
    """A vocabulary padded to another width draws the same tokens."""
    assert torch.equal(gumbel(keys(3), 2, 1000)[:, :700], gumbel(keys(3), 2, 700))


@pytest.mark.parametrize("other", [{"seed": 1}, {"arm": "text"}, {"attempt": 1}, {"row": 1}, {"step": 1}, {"token": 1}])
def test_streams_are_uncorrelated(other: dict[str, int | str]) -> None:
    """Seeds, arms, attempts, rows, steps and tokens next to each other share nothing: |r| < 4.5 / sqrt(10^6)."""
    named = {name: value for name, value in other.items() if name in {"seed", "arm", "attempt"}}
    row, step, token = (int(other.get(name, 0)) for name in ("row", "step", "token"))
    one = gumbel(keys(1000), 0, 1000)
    two = gumbel(keys(1000 + row, **named)[row:], step, 1000 + token)[:, token:]
    correlation = torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.0045


def test_parts_of_a_name_do_not_run_into_each_other() -> None:
    """Attempt 1 of row "1x" is not attempt 11 of row "x"."""
    names = [
        (0, "1x", "image", 1),
        (0, "x", "image", 11),
        (1, "x", "image", 1),
        (11, "x", "image", 1),
        (0, "x", "text", 11),
    ]
    assert len({stream_key(*name) for name in names}) == 5


def test_ten_million_values_are_finite() -> None:
    """No draw is infinite or NaN; the smallest possible one is -log(24 log 2), the largest 53 log 2 + log 2."""
    low, high = math.inf, -math.inf
    for step in range(10):
        noise = gumbel(keys(20), step, 50_000)
        assert bool(torch.isfinite(noise).all())
        low, high = min(low, float(noise.min())), max(high, float(noise.max()))
    assert -math.log(24 * math.log(2)) - 1e-5 <= low < -2.6
    assert 14 < high <= 54 * math.log(2) + 1e-5


def test_forbidden_tokens_stay_forbidden() -> None:
    """Top-k and top-p set a score to -inf; noise on top of it is still -inf, and it is never drawn."""
    scores = torch.full((200, 50), -math.inf)
    scores[:, [3, 41]] = 0.0
    noisy = GumbelNoise(keys(200).tolist(), prompt_length=4)(torch.zeros(200, 9, dtype=torch.int64), scores)
    assert bool(torch.isinf(noisy).sum() == 200 * 48)
    assert set(noisy.argmax(dim=1).tolist()) == {3, 41}


def test_step_counts_from_the_end_of_the_prompt() -> None:
    """Padding makes prompts longer; it must not move the stream."""
    many, scores = keys(4).tolist(), torch.zeros(4, 30)
    short = GumbelNoise(many, prompt_length=5)(torch.zeros(4, 8, dtype=torch.int64), scores)
    padded = GumbelNoise(many, prompt_length=105)(torch.zeros(4, 108, dtype=torch.int64), scores)
    assert torch.equal(short, padded)
    assert torch.equal(short, gumbel(keys(4), 3, 30))
