r"""Gold doubt: attempts that agree with each other and not with the gold, and what does not count as that.

Worked out by hand, with B(k of n; a, b) = beta(k + a, n - k + b) / beta(a, b) and prior odds 1/19. Five of five for another answer:
the other true 1/6, the gold true 1/6 * 1/21, so odds 21/19.
"""

import math

import pytest
from datasets import Dataset

from hf_rap import GoldDoubtScore, Layout, add_scores, gold_doubt_score, list_doubts
from hf_rap.errors import LayoutError, MissingColumnError, SettingError


def said(*answers):
    """Replies with these answers."""
    return [rf"I think so. \boxed{{{answer}}}" for answer in answers]


def doubt(image, text=None, /, *, gold="3", score=gold_doubt_score, **more):
    """The score of a row with these answers; an answer that is the text of the gold was graded right."""
    columns = {"image": image} | ({} if text is None else {"text": text})
    batch = {}
    for arm, answers in columns.items():
        batch[f"rap_{arm}_responses"] = [said(*answers)]
        batch[f"rap_{arm}_rewards"] = [[float(answer == gold) for answer in answers]]
    return score(batch | {name: [value] for name, value in more.items()})["rap_gold_doubt"][0]


def chance(odds):
    """The probability of these odds."""
    return pytest.approx(odds / (1 + odds))


def test_attempts_that_agree_on_another_answer_raise_doubt():
    """Five with the image: odds 21/19; five on the text alone as well, which may know nothing: (1/6 + 1/21) / (1/126 + 1/21) as much."""
    assert doubt(["7"] * 5) == chance(21 / 19)
    assert doubt(["7"] * 5, ["7"] * 5) == chance(21 * (27 / 7) / 19)


def test_attempts_that_give_the_gold_leave_none():
    """Five of five: the other story says that none of them, 1/6, gives the truth, and all of them, 1/126 * 4 * 4.5, one wrong answer."""
    no_truth, one_wrong = 1 / 6, math.gamma(6) * math.gamma(4) / math.gamma(10) / (1 / 4)
    gold_true = 1 / 6
    assert doubt(["3"] * 5) == chance(no_truth * one_wrong / gold_true / 19)
    assert doubt(["3"] * 5) < 0.001


def test_replies_that_scatter_say_little():
    """A row that is too hard is not taken for a wrong gold: odds 2.1/19, as worked out: 1/30 * 1/2 against 1/6 * 1/21."""
    assert doubt(["1", "2", "4", "5", "6"]) == chance(2.1 / 19)


def test_the_text_arm_speaks_for_the_gold_as_well():
    """The same replies with the image are less of a doubt where the question alone leads to the gold."""
    blind = 2 / 147
    assert doubt(["7"] * 5, ["3"] * 5) == chance(21 * (1 / 756 + blind) / (1 / 6 + blind) / 19)
    assert doubt(["7"] * 5, ["3"] * 5) < doubt(["7"] * 5, ["1", "2", "4", "5", "6"]) < doubt(["7"] * 5, ["7"] * 5)


def test_equal_answers_count_together_however_they_are_written():
    """As the verifier has it, not as texts: five ways to write seven are five votes for it."""
    assert doubt(["7", "7.0", "x = 7", "seven", "7 cm"]) == doubt(["7"] * 5)


def test_options_are_their_letters_where_the_layout_names_them():
    """B and its text are one answer with the options, and two without."""
    layout = Layout(question="question", images="images", answer="answer", choices="options", answers_as="letter")
    row = {"question": "Which?", "images": None, "answer": "A", "options": ["red", "blue", "green"]}
    answers = ["B", "blue", "(B)", "B. blue", "Blue"]
    assert doubt(answers, gold="A", score=GoldDoubtScore(layout=layout), **row) == chance(21 / 19)
    assert doubt(answers, gold="A") < 0.5


@pytest.mark.parametrize(
    "lost",
    [
        {"rap_image_rewards": [0.0] * 5 + [None] * 2},
        {"rap_image_truncated": [False] * 5 + [True] * 2, "rap_image_rewards": [0.0] * 7},
    ],
    ids=["not judged", "cut off"],
)
def test_what_was_not_judged_or_was_cut_off_is_no_witness(lost):
    """Two more replies that nobody could grade, or that have no end, change nothing."""
    batch = {"rap_image_responses": [said(*"7777799")], **{name: [cells] for name, cells in lost.items()}}
    assert gold_doubt_score(batch)["rap_gold_doubt"] == [chance(21 / 19)]


def test_a_reply_without_an_answer_agrees_with_nothing():
    """Five that give up are five attempts that miss, not five for one answer."""
    batch = {"rap_image_responses": [["I cannot tell."] * 5, [""] * 5], "rap_image_rewards": [[0.0] * 5] * 2}
    # The gold true: 1/6 * beta(1, 7) / beta(1, 2) = 1/6 * 2/7. The other true: 1/6 * beta(1, 9) / beta(1, 4) = 1/6 * 4/9.
    assert gold_doubt_score(batch)["rap_gold_doubt"] == [chance((4 / 9) / (2 / 7) / 19)] * 2


def test_solved_is_what_the_evidence_says():
    """A grade of 0.5 is for the gold where `correct` is 0.5."""
    batch = {"rap_image_responses": [said(*"77777")], "rap_image_rewards": [[0.5] * 5]}
    counted = gold_doubt_score({**batch, "rap_settings": ['{"correct": 0.5}']})["rap_gold_doubt"][0]
    assert counted < 0.001 < 0.5 < gold_doubt_score(batch)["rap_gold_doubt"][0]


def test_a_row_without_an_image_goes_by_its_text():
    """And a row whose image could not be opened by nothing: its text alone was never meant to be enough."""
    text = {"rap_text_responses": [said(*"77777")], "rap_text_rewards": [[0.0] * 5]}
    none = {"rap_image_responses": [None], "rap_image_rewards": [None]}
    assert gold_doubt_score({**text, **none, "rap_error": ["no_image: none"]})["rap_gold_doubt"] == [chance(21 / 19)]
    assert gold_doubt_score({**text, **none, "rap_error": ["image_unreadable: bad"]})["rap_gold_doubt"] == [None]


def test_another_verifier_decides_what_is_equal():
    """One to which all answers of one length are equal."""

    def same_length(reply, gold, question):
        return len(reply.partition("{")[2]) == len(gold) + 1

    assert doubt(["71", "82", "93", "64", "55"], score=GoldDoubtScore(verifier=same_length)) == chance(21 / 19)


def test_the_prior_is_the_share_of_wrong_golds_that_is_taken_for_granted():
    """At one half the odds are the witnesses' own."""
    assert doubt(["7"] * 5, score=GoldDoubtScore(prior=0.5)) == chance(21)


def test_bad_evidence_is_refused():
    """A grade that is none, and replies whose grades are missing."""
    batch = {"rap_image_responses": [said(*"77")], "rap_image_rewards": [[0.0, math.nan]]}
    with pytest.raises(LayoutError, match="rap_image_rewards"):
        gold_doubt_score(batch)
    with pytest.raises(LayoutError, match="Row 0 of the batch has 2 replies in rap_image_responses and 1 grades"):
        gold_doubt_score(batch | {"rap_image_rewards": [[0.0]]})
    with pytest.raises(MissingColumnError, match="rap_image_responses"):
        gold_doubt_score({"rap_image_rewards": [[0.0]]})
    with pytest.raises(SettingError, match="prior"):
        GoldDoubtScore(prior=1)


def evidence():
    """A wrong gold, a right one, a row that nobody answers, one that was not asked, and one of a mild doubt."""
    image = ["7777777777", "3333333333", "1245678912", None, "7777777763"]
    return Dataset.from_dict(
        {
            "id": list("abcde"),
            "problem": ["How many?"] * 5,
            "images": [[]] * 5,
            "answer": ["3"] * 5,
            "rap_id": [f"row {letter}" for letter in "abcde"],
            "rap_image_responses": [answers and said(*answers) for answers in image],
            "rap_image_rewards": [answers and [float(answer == "3") for answer in answers] for answers in image],
            "rap_text_responses": [answers and said(*"79") for answers in image],
            "rap_text_rewards": [answers and [0.0] * 2 for answers in image],
            "rap_settings": ['{"model": "small", "identity": "small@12ab"}'] * 5,
        }
    )


def test_doubts_are_listed_with_what_a_reader_needs():
    """The most doubtful first; rows that nobody answers are counted apart."""
    doubts = list_doubts(evidence(), least=0.3)
    assert (doubts.rows, doubts.judged, doubts.unanswered) == (5, 4, 1)
    assert [found.rap_id for found in doubts.doubts] == ["row a", "row e"]
    first = doubts.doubts[0].as_dict()
    assert first.pop("doubt") == chance(66 * (22 / 15) / 19)  # 10 of 10 with the image, 1 of 2 on the text alone
    assert first == {
        "rap_id": "row a",
        "row": 0,
        "gold": "3",
        "answer": "7",
        "image_attempts": 10,
        "image_gold": 0,
        "image_answer": 10,
        "text_attempts": 2,
        "text_gold": 0,
        "text_answer": 1,
        "question": "How many?",
        "model": "small@12ab",
    }
    assert "with the image 10 of 10 say so and 0 the gold; on the text alone 1 of 2 and 0" in str(doubts)


def test_a_layout_with_fields_and_with_dots_in_names():
    """A gold in a struct, and the same after `Dataset.flatten`; the columns of pictures come along."""
    nested = evidence().rename_column("answer", "ground_truth")
    golds = [{"ground_truth": gold} for gold in nested["ground_truth"]]
    nested = nested.remove_columns("ground_truth").add_column("reward_model", golds)
    score = GoldDoubtScore(layout=Layout(question="problem", images="images", answer="reward_model.ground_truth"))
    straight = add_scores(evidence(), gold_doubt_score)["rap_gold_doubt"][:]
    assert add_scores(nested, score)["rap_gold_doubt"][:] == straight
    assert add_scores(nested.flatten(), score)["rap_gold_doubt"][:] == straight
    assert len(list_doubts(nested.flatten(), layout=score.layout).doubts) == len(list_doubts(evidence()).doubts)


def test_the_list_and_the_score_are_of_one_number():
    """What `add_scores` writes is what the list says."""
    scored = add_scores(evidence(), gold_doubt_score)["rap_gold_doubt"]
    listed = {found.row: found.doubt for found in list_doubts(evidence(), least=0).doubts}
    assert listed == {row: value for row, value in enumerate(scored) if value is not None}
