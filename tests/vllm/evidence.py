"""Whether two engines gave the same evidence, but for what they drew."""

import math

ARMS = ("image", "text")
# Of a standard normal distribution: equal engines pass it in 9,995 of 10,000 comparisons.
LARGEST_Z = 3.5


def solved(row, arm):
    """Replies that were right, and how many there are."""
    rewards = row[f"rap_{arm}_rewards"] or []
    return sum(reward == 1 for reward in rewards), len(rewards)


def z_of(ours, theirs, arm):
    """Difference of the sums of solved replies over all rows, in standard deviations, if every row has one pass rate.

    Of row i with k and h of n replies solved, the variance of k - h is estimated without bias by 2 n p (1 - p) 2n / (2n - 1),
    p = (k + h) / 2n.
    """
    difference = variance = 0.0
    for row, other in zip(ours, theirs, strict=True):
        (k, n), (h, m) = solved(row, arm), solved(other, arm)
        assert n == m
        if n:
            p = (k + h) / (2 * n)
            difference += k - h
            variance += 2 * n * p * (1 - p) * 2 * n / (2 * n - 1)
    return difference / math.sqrt(variance)


def check_same(ours, theirs):
    """Same rows, columns, errors and prompts; pass rates within sampling error."""
    assert ours.column_names == theirs.column_names
    assert ours["id"] == theirs["id"]
    assert ours["rap_error"] == theirs["rap_error"]
    found = {arm: z_of(ours, theirs, arm) for arm in ARMS}
    print({arm: round(z, 2) for arm, z in found.items()})
    assert all(abs(z) < LARGEST_Z for z in found.values()), found


def check_readings(ours, theirs):
    """Same tokens of every reply, and log-probabilities of every token that are equal but for rounding."""
    assert sum(row is not None for row in theirs["rap_reply_logprobs"]) > 10
    for mine, other in zip(ours["rap_reply_logprobs"], theirs["rap_reply_logprobs"], strict=True):
        assert (mine is None) == (other is None)
        for reply, its in zip(mine or (), other or (), strict=True):
            assert [text.strip() for text in reply["tokens"]] == [text.strip() for text in its["tokens"]]
            assert (reply["error"], its["error"]) == (None, None)
            for arm in ARMS:
                gaps = [abs(x - y) for x, y in zip(reply[arm], its[arm], strict=True)]
                assert max(gaps) < 1e-3, (arm, reply, its)
