"""What holds for scores of any evidence."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from hf_rap.scorers import cde_score, difficulty_score

judged = st.sampled_from([0.0, 1.0])
partial = st.floats(0, 1, allow_nan=False)


def arms(reward):
    rewards = st.none() | st.lists(st.none() | reward, max_size=8)
    return st.lists(st.tuples(rewards, rewards), max_size=6)


def batch_of(rows):
    return {"rap_image_rewards": [image for image, _ in rows], "rap_text_rewards": [text for _, text in rows]}


def mean(rewards):
    known = [Fraction(reward) for reward in rewards or [] if reward is not None]
    return sum(known) / len(known) if known else None


@given(arms(judged))
def test_scores_are_the_nearest_to_the_exact_fractions(rows):
    """For rewards of 0 and 1, computed here with fractions."""
    means = [(mean(image), mean(text)) for image, text in rows]
    cde = [None if p1 is None or p0 is None else float(p1 - p0) for p1, p0 in means]
    difficulty = [None if p1 is None else float(1 - p1) for p1, _ in means]
    batch = batch_of(rows)
    assert cde_score(batch)["rap_cde"] == cde
    assert difficulty_score(batch)["rap_difficulty"] == difficulty


@given(arms(partial))
def test_scores_stay_in_their_range(rows):
    """Partial rewards too, without any rounding past the edge."""
    batch = batch_of(rows)
    assert all(x is None or -1 <= x <= 1 for x in cde_score(batch)["rap_cde"])
    assert all(x is None or 0 <= x <= 1 for x in difficulty_score(batch)["rap_difficulty"])


@given(arms(partial))
def test_swapping_the_arms_turns_the_sign(rows):
    """What helps one way misleads the other way."""
    swapped = cde_score(batch_of([(text, image) for image, text in rows]))["rap_cde"]
    assert [None if x is None else -x for x in swapped] == cde_score(batch_of(rows))["rap_cde"]


@given(arms(partial), st.randoms())
def test_the_order_of_attempts_does_not_matter(rows, random):
    """A mean has no order."""

    def shuffled(rewards):
        return rewards and random.sample(rewards, len(rewards))

    other = [(shuffled(image), shuffled(text)) for image, text in rows]
    assert cde_score(batch_of(other)) == cde_score(batch_of(rows))
