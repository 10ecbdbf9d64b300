"""ACE by hand: psi of small matrices, and what counts."""

import json
import math

import pytest
from datasets import Dataset

from hf_rap import ACEScore, ace_score, add_scores
from hf_rap.columns import ATTENTION, IMAGE_REWARDS, features_of, struct_fields
from hf_rap.errors import MissingColumnError, SettingError
from hf_rap.evidence.psi import highest, log_psis

# A = [[0.5, 0, 0, 0], [0.4, 0.1, 0, 0], [0.8, 0.1, 0.1, 0], [0.6, 0.2, 0.1, 0.9]], a prompt takes the rest.
COLUMNS = [[0.5, 0.4, 0.8, 0.6], [0.1, 0.1, 0.2], [0.1, 0.1], [0.9]]


def attempt(columns=COLUMNS, window=2, **more):
    """An entry of rap_attention for these columns, the same for both poolings unless told otherwise."""
    products = [sum(map(math.log, column)) for column in columns]
    windows = [sum(map(math.log, column[:window])) / len(column[:window]) for column in columns]
    entry = dict.fromkeys(struct_fields(ATTENTION))
    entry |= {f"product_{heads}": products for heads in ("max", "mean")}
    entry |= {f"window_{heads}": windows for heads in ("max", "mean")}
    return {**entry, **more}


def failed():
    return {**dict.fromkeys(struct_fields(ATTENTION)), "error": "reply_empty: the reply has no text"}


def ace(*rows, rewards=None, **options):
    batch = {ATTENTION.name: list(rows)}
    if rewards is not None:
        batch[IMAGE_REWARDS.name] = rewards
    return ACEScore(**options)(batch)["rap_ace"]


def test_literal_psi_is_the_largest_product():
    """2^4 * 0.5 * 0.4 * 0.8 * 0.6 = 1.536 for the first token, 2 * 0.9 = 1.8 for the last."""
    assert ace([attempt()], form="literal") == [pytest.approx(1.8)]
    assert ace([attempt()], form="literal", min_column=2) == [pytest.approx(1.536)]


def test_windowed_psi_is_a_geometric_mean():
    """2 * sqrt(0.5 * 0.4) = 0.894 over a window of two rows, and 1.8 where one row is enough."""
    assert ace([attempt()], min_column=2) == [pytest.approx(2 * math.sqrt(0.2))]
    assert ace([attempt()], min_column=1) == [pytest.approx(1.8)]


def test_sigma_counts_once_per_row():
    """Sigma 1: 0.096 for the whole first column; sigma 3 lifts long columns more than short ones."""
    assert ace([attempt()], form="literal", sigma=1.0, min_column=4) == [pytest.approx(0.096)]
    assert ace([attempt()], form="literal", sigma=3.0) == [pytest.approx(3**4 * 0.096)]


def test_heads_choose_the_pooling():
    """Both poolings are in the evidence."""
    both = attempt(window_mean=[math.log(0.05)] * 4)
    assert ace([both], heads="mean", min_column=1) == [pytest.approx(0.1)]
    assert ace([both], heads="max", min_column=1) == [pytest.approx(1.8)]


def in_parts(thinking, **more):
    """COLUMNS of a reply whose first tokens are thinking, with the columns of these by themselves."""
    cut = [column[: thinking - place] for place, column in enumerate(COLUMNS[:thinking])]
    own = {name: values for name, values in attempt(cut).items() if values is not None}
    return attempt(thinking_tokens=thinking, **{f"thinking_{name}": values for name, values in own.items()}, **more)


def test_the_answer_is_what_follows_the_thinking():
    """Columns of the last two tokens: 2 * 0.9 = 1.8 for the last, 2^2 * 0.1 * 0.1 = 0.04 for the one before."""
    assert ace([in_parts(2)], part="answer", form="literal") == [pytest.approx(1.8)]
    assert ace([in_parts(2)], part="answer", form="literal", min_column=2) == [pytest.approx(0.04)]
    assert ace([in_parts(2)], part="answer", min_column=2) == [pytest.approx(2 * 0.1)]
    assert ace([in_parts(2)], part="answer", min_column=3) == [None]


def test_thinking_is_read_by_itself():
    """Rows and columns of the first two tokens: 2^2 * 0.5 * 0.4 = 0.8, and 2 * 0.1 = 0.2; a window of two holds both."""
    assert ace([in_parts(2)], part="thinking", form="literal") == [pytest.approx(0.8)]
    assert ace([in_parts(2)], part="thinking", min_column=2) == [pytest.approx(2 * math.sqrt(0.2))]
    assert ace([in_parts(2)], part="thinking") == [None]  # no column of four rows
    assert ace([in_parts(2)], form="literal") == ace([attempt()], form="literal")


def test_a_reply_of_one_part_has_no_other():
    """Without a thought all is answer; a thought that is never closed is all. Neither needs columns of its own."""
    whole = ace([attempt()], form="literal")
    without, never_closed = attempt(thinking_tokens=0), attempt(thinking_tokens=4)
    assert ace([without], part="answer", form="literal") == whole
    assert ace([never_closed], part="thinking", form="literal") == whole
    assert ace([without], part="thinking", form="literal") == [None]
    assert ace([never_closed], part="answer", form="literal") == [None]
    assert ace([without, in_parts(2)], part="thinking", form="literal") == [pytest.approx(0.8)]  # of those that have it


def test_rows_are_divided_by_the_sum_over_the_reply():
    """The other reading has columns of its own, in both parts and forms."""
    reply = {"product_max_reply": [math.log(0.3)] * 4, "window_max_reply": [math.log(0.4)] * 4}
    reply |= {"thinking_product_max_reply": [math.log(0.05)] * 2, "thinking_window_max_reply": [math.log(0.15)] * 2}
    both = in_parts(2, **reply)
    options = {"normalise": "reply", "min_column": 1}
    assert ace([both], form="literal", **options) == [pytest.approx(2**4 * 0.3)]
    assert ace([both], **options) == [pytest.approx(2 * 0.4)]
    assert ace([both], form="literal", part="thinking", **options) == [pytest.approx(2**2 * 0.05)]
    assert ace([both], part="thinking", **options) == [pytest.approx(2 * 0.15)]
    assert ace([both], part="answer", **options) == [pytest.approx(2 * 0.4)]


def old(**more):
    """An attempt as earlier releases stored it."""
    new = {name for name in struct_fields(ATTENTION) if name.startswith("thinking") or name.endswith("_reply")}
    return {name: value for name, value in attempt(**more).items() if name not in new}


@pytest.mark.parametrize("nulls", [False, True])
def test_evidence_of_an_earlier_release_gives_the_default_and_says_what_it_lacks(nulls):
    """As a file of then, and as nulls where it was joined to newer rows."""
    row = [attempt() if nulls else old()]
    assert ace(row, form="literal") == [pytest.approx(1.8)]
    assert ace(row, min_column=2) == [pytest.approx(2 * math.sqrt(0.2))]
    for options, name in (
        ({"normalise": "reply"}, "window_max_reply"),
        ({"normalise": "reply", "form": "literal", "heads": "mean"}, "product_mean_reply"),
        ({"part": "answer"}, "thinking_tokens"),
        ({"part": "thinking"}, "thinking_tokens"),
    ):
        with pytest.raises(SettingError, match=rf"ACEScore\(.*\) takes '{name}' of rap_attention, which this evidence"):
            ace(row, **options)


def test_attempts_that_count():
    """All, the correct ones, or the first; psi is their mean."""
    low, high = attempt([[0.1], [0.1]]), attempt([[0.4], [0.4]])
    row, rewards = [low, high, high], [[1.0, 0.0, None]]
    options = {"rewards": rewards, "min_column": 1}
    assert ace(row, **options) == [pytest.approx((0.2 + 0.8 + 0.8) / 3)]
    assert ace(row, attempts="correct", **options) == [pytest.approx(0.2)]
    assert ace(row, attempts="first", **options) == [pytest.approx(0.2)]
    assert ace([high, low], attempts="correct", rewards=[[0.0, 0.0]], min_column=1) == [None]
    assert ace([high, low], attempts="correct", rewards=[None], min_column=1) == [None]


def test_failed_attempts_are_left_out():
    """An attempt with an error, or none at all, is not a zero."""
    assert ace([failed(), attempt(), None], form="literal") == [pytest.approx(1.8)]
    assert ace([failed()], [None], [], None) == [None] * 4
    assert ace([failed(), attempt()], attempts="first", form="literal") == [None]


def test_a_reply_shorter_than_the_least_column_has_no_score():
    """Four tokens, and columns of five rows are asked for."""
    assert ace([attempt()], min_column=5) == [None]
    assert ace([attempt()], min_column=4, form="literal") == [pytest.approx(1.536)]


def test_weights_outside_the_models_window_make_the_product_zero():
    """A sliding window cuts a column off: its product is 0, the log minus infinity, and another column wins."""
    cut = attempt(product_max=[-math.inf, -math.inf, -3.0, -1.0])
    assert ace([cut], form="literal") == [pytest.approx(2 * math.exp(-1))]
    assert ace([attempt(product_max=[-math.inf] * 4)], form="literal") == [0.0]


def test_products_of_long_replies_do_not_underflow_on_the_way():
    """400 rows of 0.6: 2^400 alone is 1e120; the product is 1.2^400 = 4.7e31."""
    long = attempt([[0.6] * (400 - place) for place in range(400)])
    assert ace([long], form="literal", min_column=400)[0] == pytest.approx(1.2**400, rel=1e-6)


def test_settings_say_how_it_was_computed():
    """What was left open is filled in; a row without a score has none."""
    told = ace_score({ATTENTION.name: [[attempt()], None]})["rap_ace_settings"]
    assert json.loads(told[0]) == {
        "attempts": "all",
        "form": "windowed",
        "heads": "max",
        "min_column": 4,
        "normalise": "all",
        "part": "all",
        "sigma": 2.0,
        "version": "2",
    }
    assert list(json.loads(told[0])) == sorted(json.loads(told[0])), "equal settings are equal texts"
    assert told[1] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "other"}, "form is 'other': it takes one of literal, windowed"),
        ({"heads": "median"}, "heads is 'median': it takes one of max, mean"),
        ({"attempts": "wrong"}, "attempts is 'wrong': it takes one of all, correct, first"),
        ({"normalise": "prompt"}, "normalise is 'prompt': it takes one of all, reply"),
        ({"part": "middle"}, "part is 'middle': it takes one of all, thinking, answer"),
        ({"sigma": 0.0}, "sigma is 0.0: it takes a number above 0"),
        ({"sigma": math.nan}, "sigma is nan"),
        ({"min_column": 0}, "min_column is 0: it takes a whole number of 1 or more"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    """Each says what it takes."""
    with pytest.raises(SettingError, match=message):
        ace([attempt()], **options)


def test_missing_evidence_says_how_to_get_it():
    """Before any row is read."""
    with pytest.raises(MissingColumnError, match=r"ACEScore reads column 'rap_attention'.*hf-rap attention"):
        add_scores(Dataset.from_dict({"q": ["x"]}), ace_score)


def test_a_dataset_keeps_the_evidence_and_its_score():
    """Through Arrow: structs of lists in, float64 out."""
    ds = Dataset.from_dict({ATTENTION.name: [None, [failed(), attempt()]]}, features=features_of((ATTENTION,)))
    scored = ds.map(ACEScore(min_column=2), batched=True)
    assert scored["rap_ace"][:] == [None, pytest.approx(2 * math.sqrt(0.2))]
    assert scored.features["rap_ace"].dtype == "float64"


def test_the_offending_token_is_the_first_of_equals():
    """Ties go to the earlier token, whose column is longer."""
    assert highest([0.5, 0.5, 0.1], 1) == (0.5, 0)
    assert highest([], 1) is None
    assert log_psis(attempt(), form="windowed", heads="max", sigma=1.0)[2] == pytest.approx(math.log(0.1))
