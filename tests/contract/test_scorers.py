"""What every scorer keeps to. A new scorer is covered by being in `SCORERS`."""

import copy
import pickle
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from datasets import Dataset, Features
from datasets.fingerprint import Hasher

from hf_rap.columns import (
    ATTENTION,
    ATTENTION_EVIDENCE,
    ERROR,
    EVIDENCE,
    GOLD_TOKENS,
    IMAGE_GOLD_LOGPROBS,
    IMAGE_REWARDS,
    LIKELIHOOD_EVIDENCE,
    REPLY_EVIDENCE,
    REPLY_LOGPROBS,
    STEPS,
    TEXT_GOLD_LOGPROBS,
    TEXT_REWARDS,
    features_of,
    struct_fields,
)
from hf_rap.scorers import SCORERS, CDEScore, DifficultyScore
from hf_rap.stats.counts import Counts
from hf_rap.stats.posterior import fit_counts

# The first rows are null, so that the first batch of one or three says nothing about the type.
IMAGE = [None, [], [None, None], [1.0, 0.0, None], [1.0, 1.0], [0.0], [0.5, 0.25], None]
TEXT = [None, [], [None], [0.0, 0.0, 1.0], [1.0], [1.0, None], [0.0, 0.5], [1.0, 0.0]]
# Replies that name their grade: those of other grades are other answers.
REPLIES = {
    name: [grades and [None if grade is None else rf"\boxed{{{grade}}}" for grade in grades] for grades in arm]
    for name, arm in (("rap_image_responses", IMAGE), ("rap_text_responses", TEXT))
}
STEP_SCORES = [None, [], None, [1.0, 0.0, 0.5], [1.0, 0.25], [0.0], [0.5, 0.25], [0.75, 0.0]]
ERRORS = ["gold_unreadable: ?", None, None, None, None, None, None, "no_image: none"]
N_NULL = 3
# Two spellings in some rows, one of which is known in one arm only.
IMAGE_GOLD = [None, [None], [], [-0.5], [-1.0, -2.0], [-3.0], [-0.25, None], [-4.0]]
TEXT_GOLD = [None, [-1.0], [], [-2.5], [-1.5, -1.5], [-3.5], [-0.5, -1.0], None]
TOKENS = [None, [1], [], [2], [1, 3], [1], [2, 2], [1]]


def attention(*weights):
    """An attempt whose reply has five tokens; every column holds one of these weights."""
    entry = dict.fromkeys(struct_fields(ATTENTION))
    return {
        **entry,
        **{f"{kind}_{heads}": list(weights) for kind in ("product", "window") for heads in ("max", "mean")},
    }


UNREAD = {**dict.fromkeys(struct_fields(ATTENTION)), "error": "reply_empty: the reply has no text"}
A, B = attention(-9.0, -2.5, -1.0, -0.5, -0.5), attention(-9.0, -3.5, -1.0, -0.5, -0.5)
READ = {
    "error": None,
    "tokens": ["a", "b"],
    "image": [-0.5, -0.25],
    "text": [-1.5, -2.0],
    "blank": None,
    "shuffled": None,
}
TOO_LONG = {**dict.fromkeys(READ), "error": "too_long: the prompt has 9 tokens"}
READINGS = [
    None,
    [],
    [None, TOO_LONG],
    [READ, None],
    [READ, TOO_LONG],
    [{**READ, "text": [-0.5, -0.25]}],
    [READ] * 2,
    None,
]
ATTENTIONS = [None, [], [None, UNREAD], [A, B, None], [B], [UNREAD, A], [A, A], None]

RANDOM = np.random.default_rng(0)
PRIOR = fit_counts(*(Counts(RANDOM.binomial(4, RANDOM.random(50)).astype(float), np.full(50, 4)) for _ in range(2)))
WITH_OPTIONS = {
    **SCORERS,
    "cde with interval": CDEScore(prior=PRIOR),
    "difficulty with interval": DifficultyScore(prior=PRIOR, confidence=0.95),
}
each_scorer = pytest.mark.parametrize("scorer", WITH_OPTIONS.values(), ids=WITH_OPTIONS)


def evidence():
    """Eight rows with every evidence column and step scores; those that no score needs are null."""
    known = (*EVIDENCE, *ATTENTION_EVIDENCE, *LIKELIHOOD_EVIDENCE, *REPLY_EVIDENCE, STEPS)
    columns = {column.name: [None] * len(IMAGE) for column in known}
    columns |= {IMAGE_REWARDS.name: IMAGE, TEXT_REWARDS.name: TEXT, ERROR.name: ERRORS, ATTENTION.name: ATTENTIONS}
    columns |= {**REPLIES, REPLY_LOGPROBS.name: READINGS}
    columns |= {IMAGE_GOLD_LOGPROBS.name: IMAGE_GOLD, TEXT_GOLD_LOGPROBS.name: TEXT_GOLD, GOLD_TOKENS.name: TOKENS}
    columns[STEPS.name] = [scores and [{"score": score} for score in scores] for scores in STEP_SCORES]
    return Dataset.from_dict(columns, features=features_of(known))


def scores(scorer, ds):
    return ds.select_columns([column.name for column in scorer.writes]).to_list()


@each_scorer
@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_a_plain_map_gives_the_same_for_every_batch_size(scorer, batch_size):
    """Also when the first batch is all null, and with the declared types."""
    ds = evidence()
    scored = ds.map(scorer, batched=True, batch_size=batch_size, writer_batch_size=1)
    assert scored.features == Features({**ds.features, **scorer.features})
    assert scores(scorer, scored) == scores(scorer, ds.map(scorer, batched=True))


@each_scorer
def test_scores_follow_their_rows(scorer):
    """Reversed rows have reversed scores, and not all the same."""
    forward, backward = evidence(), evidence().select(range(len(IMAGE))[::-1])
    straight = scores(scorer, forward.map(scorer, batched=True))
    assert scores(scorer, backward.map(scorer, batched=True)) == straight[::-1]
    assert straight != straight[::-1]


@each_scorer
def test_nulls_in_are_nulls_out(scorer):
    """A row that was not judged has no score; a judged one has."""
    rows = scores(scorer, evidence().map(scorer, batched=True))
    assert rows[:N_NULL] == [dict.fromkeys(rows[0])] * N_NULL
    assert all(value is not None for row in rows[N_NULL:-1] for value in row.values())


@each_scorer
def test_the_batch_stays_untouched_and_only_new_columns_come_out(scorer):
    """Writing to the batch would leak into the dataset."""
    batch = evidence()[:]
    before = copy.deepcopy(batch)
    out = scorer(batch)
    assert batch == before
    assert list(out) == list(scorer.features) == [column.name for column in scorer.writes]
    assert not set(out) & set(batch)


@each_scorer
def test_a_stream_gets_the_same_scores(scorer):
    """`IterableDataset.map` gives what `Dataset.map` gives."""
    ds = evidence()
    streamed = list(ds.to_iterable_dataset().map(scorer, batched=True, batch_size=3))
    scored = ds.map(scorer, batched=True)
    assert streamed == scored.to_list()


@each_scorer
def test_a_scorer_pickles(scorer):
    """As `num_proc` and the cache of `Dataset.map` need it."""
    assert pickle.loads(pickle.dumps(scorer)) == scorer


@each_scorer
def test_every_field_is_part_of_the_cache_key(scorer):
    """A changed option, or a raised version, must not find old scores in the cache."""
    assert "version" in {field.name for field in fields(scorer)}
    for field in fields(scorer):
        changed = copy.copy(scorer)
        object.__setattr__(changed, field.name, "another")  # past the checks of __init__
        assert Hasher.hash(changed) != Hasher.hash(scorer)


@pytest.mark.slow
def test_the_cache_key_is_the_same_in_another_process():
    """Otherwise nothing would ever be found in the cache."""
    code = (
        "from datasets.fingerprint import Hasher; from hf_rap.scorers import SCORERS\n"
        "print({name: Hasher.hash(scorer) for name, scorer in SCORERS.items()})"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str({name: Hasher.hash(scorer) for name, scorer in SCORERS.items()})


@each_scorer
def test_a_scorer_tells_what_it_measures(scorer):
    """Docstrings follow one template, with an example that runs (see test_examples)."""
    doc = type(scorer).__doc__ or ""
    assert [
        section for section in ("Reads:", "Writes:", "Raises:", "Source:", "Examples:", ">>> ") if section not in doc
    ] == []
