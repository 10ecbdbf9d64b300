"""How much a selection would change if the model answered again."""

from datasets import Dataset

from hf_rap.scorers import cde_score, difficulty_score
from hf_rap.scorers.base import add_scores
from hf_rap.select import select_cognitive
from hf_rap.stability import estimate_stability


def select(image: list, text: list, **options):
    ds = Dataset.from_dict({"rap_image_rewards": image, "rap_text_rewards": text})
    return select_cognitive(add_scores(ds, cde_score, difficulty_score), replace_easy=False, **options)


def test_unanimous_rows_never_change():
    """All attempts right with the image and wrong without: every draw is the same."""
    selection = select([[1.0] * 4, [0.0] * 4], [[0.0] * 4] * 2)
    assert estimate_stability(selection) == {"draws": 20, "jaccard_mean": 1.0, "jaccard_min": 1.0, "sure": 1}


def test_rows_at_the_threshold_come_and_go():
    """3 of 4 right and a threshold of 1/2: P(at least 3 of 4 | p = 3/4) = 0.738 per row and draw."""
    selection = select([[1.0, 1.0, 1.0, 0.0]] * 200, [[0.0] * 4] * 200)
    found = estimate_stability(selection, draws=30)
    # Standard error of the share over 200 rows and 30 draws: sqrt(0.738 * 0.262 / 6000) = 0.006.
    assert abs(found["jaccard_mean"] - 0.738) < 0.025
    assert found["jaccard_min"] < found["jaccard_mean"]


def test_null_attempts_are_not_drawn():
    """Only what was judged counts."""
    selection = select([[1.0, None, 1.0], None], [[0.0, None], [0.0]])
    assert estimate_stability(selection)["sure"] == 1


def test_unknown_where_the_scores_came_from_elsewhere():
    """Without rewards, or with scores that do not follow from them."""
    scores = Dataset.from_dict({"rap_cde": [0.9, 0.1]})
    assert estimate_stability(select_cognitive(scores, replace_easy=False)) is None
    other = Dataset.from_dict({"rap_cde": [0.9], "rap_image_rewards": [[0.0]], "rap_text_rewards": [[0.0]]})
    assert estimate_stability(select_cognitive(other, replace_easy=False)) is None
