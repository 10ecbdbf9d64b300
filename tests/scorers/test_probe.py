"""`fit_probe` on rows whose pass rates are known to follow from their states, or not to."""

import json
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value

from hf_rap import fit_probe
from hf_rap.errors import LayoutError, MissingColumnError, SettingError
from hf_rap.scorers.probe import ProbeReport, fit_labelled, fold_of, folds_of_ids, foretell
from hf_rap.stats.counts import Counts

pytest.importorskip("sklearn", reason="pip install hf-rap[probe]")

FEATURES = Features(
    {
        "source": Value("string"),
        "rap_image_states": List(Value("float16")),
        "rap_text_states": List(Value("float16")),
        "rap_states_settings": Value("string"),
        "rap_image_rewards": List(Value("float64")),
        "rap_text_rewards": List(Value("float64")),
    }
)
SETTINGS = json.dumps({"identity": "m@1", "depths": [1.0], "batch_size": 4, "not_counted": ["batch_size"]})


def rows(count, *, seed=0, attempts=8, turned=(), noise=False, settings=SETTINGS):
    """Rows whose pass rate with the image follows the first number of its states, and on the text those of the text.

    Of sources in `turned` it follows the number turned round; with noise it follows nothing.
    """
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        source = "ababac"[number % 6]
        states = rng.normal(size=(2, 6))
        shift = (-1 if source in turned else 1) * states[:, 0]
        rates = rng.random(2) if noise else 1 / (1 + np.exp(-3 * shift))
        rewards = (rng.random((2, attempts)) < rates[:, None]).astype(float)
        made.append(
            {
                "source": source,
                "rap_image_states": states[0].tolist(),
                "rap_text_states": states[1].tolist(),
                "rap_states_settings": settings,
                "rap_image_rewards": rewards[0].tolist(),
                "rap_text_rewards": rewards[1].tolist(),
            }
        )
    return Dataset.from_list(made, features=FEATURES)


@pytest.fixture(scope="module")
def probe():
    """Of 150 rows."""
    return fit_probe(rows(150))


def test_it_foretells_rows_that_it_has_not_seen(probe):
    """In order, and about as high as what comes: 400 other rows."""
    others = rows(400, seed=1, attempts=200)
    foretold = others.map(probe, batched=True, batch_size=64)
    for column, rewards in (("rap_probe_image_rate", "rap_image_rewards"), ("rap_probe_text_rate", "rap_text_rewards")):
        came = np.array([np.mean(each) for each in others[rewards]])
        values = np.array(foretold[column][:])
        assert np.corrcoef(values, came)[0, 1] > 0.95
        assert abs(values.mean() - came.mean()) < 0.03
        assert (values >= 0).all()
        assert (values <= 1).all()
    came = np.array(
        [np.mean(a) - np.mean(b) for a, b in zip(others["rap_image_rewards"], others["rap_text_rewards"], strict=True)]
    )
    assert np.corrcoef(foretold["rap_probe_cde"][:], came)[0, 1] > 0.93


def test_the_report_is_of_rows_held_out(probe):
    """Its AUC is about that on other rows, and its fifths rise."""
    report = probe.report
    assert report.rows == 150
    assert report.auc > 0.9
    came = [each.came for each in report.reliability]
    assert came == sorted(came)
    assert sum(each.rows for each in report.reliability) == 150
    assert report.left_out[0.99] <= report.left_out[0.95] <= report.left_out[0.9]
    assert report.left_out[0.99] < 1 - report.above
    assert len(str(report).splitlines()) <= 15
    assert "AUC on rows held out    0.9" in repr(probe)


def test_what_cannot_be_foretold_is_refused():
    """Noise has an AUC of about one half: refused, with the number."""
    with pytest.raises(
        SettingError, match=r"foretells too little: on held-out rows its AUC is 0\.\d+, and min_auc asks 0.75"
    ):
        fit_probe(rows(150, noise=True))


def test_a_source_on_which_it_fails_gets_nulls():
    """Where one source is the other way round, a fit to the others foretells it worse than chance."""
    probe = fit_probe(rows(300, turned=("c",)), by="source", min_auc=0.6)
    sources = probe.report.sources
    assert sources["c"] < 0.4 < 0.6 < min(sources["a"], sources["b"])
    foretold = rows(30, seed=2).map(probe, batched=True)
    assert {row["source"] for row in foretold if row["rap_probe_cde"] is None} == {"c"}
    new = rows(3, seed=3).map(lambda row: {"source": "new"})
    assert new.map(probe, batched=True)["rap_probe_cde"][:] == [None] * 3


def test_rows_without_attempts_or_states_are_left_out():
    """They are what is to be foretold, or cannot be."""
    ds = rows(150).to_list()
    for row in ds[100:]:
        row["rap_image_rewards"] = None
    for name in ("rap_image_states", "rap_text_states", "rap_states_settings"):
        ds[0][name] = None
    ds = Dataset.from_list(ds, features=FEATURES)
    probe = fit_probe(ds)
    assert probe.report.rows == 99
    foretold = ds.map(probe, batched=True)["rap_probe_cde"]
    assert [row for row, value in enumerate(foretold) if value is None] == [0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"min_auc": 1.5}, "min_auc"),
        ({"min_cde": 2}, "min_cde"),
        ({"by": ""}, "by"),
        ({"min_cde": 1}, "All 60 labelled rows are not above min_cde=1"),
    ],
)
def test_options(options, sentence):
    """Out of their range, or such that nothing can be learned."""
    with pytest.raises(SettingError, match=sentence):
        fit_probe(rows(60), **options)


def test_too_few_rows():
    """With how many there are."""
    with pytest.raises(
        SettingError, match="39 rows have states and judged attempts of both arms, and a probe takes 40"
    ):
        fit_probe(rows(39))


def test_states_of_another_model_are_refused(probe):
    """Batch size is no other model, a commit is."""
    alike = json.dumps({**json.loads(SETTINGS), "batch_size": 64})
    assert rows(3, settings=alike).map(probe, batched=True)["rap_probe_cde"][0] is not None
    other = json.dumps({**json.loads(SETTINGS), "identity": "m@2"})
    with pytest.raises(LayoutError, match="another model, prompt or depth"):
        rows(3, settings=other).map(probe, batched=True)
    mixed = Dataset.from_list([*rows(40).to_list(), *rows(40, settings=other).to_list()], features=FEATURES)
    with pytest.raises(LayoutError, match="of several models, prompts or depths"):
        fit_probe(mixed)
    shorter = rows(60).to_list()
    shorter[3]["rap_image_states"] = [0.5] * 5
    with pytest.raises(LayoutError, match="'rap_image_states' has lists of different lengths"):
        fit_probe(Dataset.from_list(shorter, features=FEATURES))


def test_without_states():
    """The error says what makes them."""
    with pytest.raises(MissingColumnError, match="PromptStates"):
        fit_probe(rows(60).remove_columns("rap_image_states"))


def test_a_report_of_one_kind_is_unknown():
    """It prints all the same."""
    assert "unknown" in str(replace(ProbeReport(9, 0.0, 0.5, None, (), {}, {}), rows=8))


def test_folds_by_id_do_not_move_with_the_last_bits_of_states():
    """Rows that are read in other company have states that differ there: by id they are foretold by the same fits, nearly alike."""
    rng = np.random.default_rng(3)
    states = rng.normal(size=(120, 6)).astype(np.float16)
    nudged = np.nextafter(states, np.float16(9))
    arms = [
        Counts(rng.binomial(8, 1 / (1 + np.exp(-3 * states[:, arm].astype(float)))).astype(float), np.full(120, 8))
        for arm in (0, 1)
    ]
    assert np.mean(fold_of(states) != fold_of(nudged)) > 0.5
    folds = folds_of_ids(f"row {number}" for number in range(120))
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}
    one, other = (
        foretell(
            fit_labelled(part.astype(float), arms, states="", min_cde=0.5, min_auc=0.0, folds=folds).fits,
            part.astype(float),
            folds,
        )
        for part in (states, nudged)
    )
    assert one == pytest.approx(other, abs=0.002)
