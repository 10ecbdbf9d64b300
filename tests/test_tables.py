"""What functions of a whole dataset take: everything that stands for one table of rows; else what to pass."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

import hf_rap
from hf_rap.errors import SettingError
from hf_rap.tables import whole_dataset, whole_or_stream

ds = Dataset.from_dict({"rap_cde": [0.9, 0.1]})
stream = ds.to_iterable_dataset()


@dataclass
class Selected:
    """As a selection looks."""

    scored: Dataset
    selected: Dataset


def test_one_table_of_rows_is_taken():
    """Itself, or the only split there is."""
    assert whole_dataset("f", ds) is ds
    assert whole_dataset("f", DatasetDict(train=ds)) is ds
    assert whole_or_stream("f", ds) is ds
    assert whole_or_stream("f", stream) is stream
    assert whole_or_stream("f", IterableDatasetDict(train=stream)) is stream
    selection = Selected(ds, ds.select([0]))
    assert whole_dataset("f", selection, selection=True) is ds


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            DatasetDict(train=ds, test=ds),
            r"f takes one split of a DatasetDict, such as ds\['train'\] \(it has: train, test\)",
        ),
        (DatasetDict(), r"such as ds\['train'\] \(it has: none\)"),
        (stream, r"f looks at all rows, so it takes a Dataset, not a stream: load it without streaming=True"),
        (IterableDatasetDict(train=stream), "not a stream"),
        (Selected(ds, ds), r"f takes rows, not a Selection: pass selection\.selected, .* or selection\.scored"),
        ([{"a": 1}], r"f takes a Dataset, not a list\. Make one: Dataset\.from_list\(rows\)\."),
        ({"a": [1]}, r"not a dict\. Make one: Dataset\.from_dict"),
        (pd.DataFrame({"a": [1]}), r"not a DataFrame\. Make one: Dataset\.from_pandas"),
        (pa.table({"a": [1]}), r"not a Table\. Make one: Dataset\(table\)"),
        ("a/b", r"not a str\. Make one: hf_rap\.load_source\(source\)"),
        (Path("b"), r"Make one: hf_rap\.load_source\(source\)"),
        (None, r"f takes a Dataset, not a NoneType\."),
        (3, r"f takes a Dataset, not a int\."),
    ],
)
def test_anything_else_is_refused_with_what_to_pass(given, message):
    """In one line."""
    with pytest.raises(SettingError, match=message) as told:
        whole_dataset("f", given)
    assert "\n" not in str(told.value)


def evidence():
    rewards = {"rap_image_rewards": [[1.0, 1.0], [1.0, 0.0]], "rap_text_rewards": [[0.0, 0.0], [1.0, 0.0]]}
    return Dataset.from_dict({"rap_id": ["a", "b"], **rewards})


def test_a_selection_can_be_selected_from_again():
    """From all of its rows, its decisions replaced; and compared, and looked at for how stable it is."""
    selection = hf_rap.select_cognitive(
        hf_rap.add_scores(evidence(), hf_rap.cde_score, hf_rap.difficulty_score), min_cde=1
    )
    assert len(selection.selected) == 0
    again = hf_rap.select_cognitive(selection, min_cde=0.5, replace_easy=False)
    assert again.selected["rap_id"][:] == ["a"]
    assert hf_rap.select_difficulty(selection).reasons == {"moderate": 1, "too_easy": 1}
    assert hf_rap.select_top(selection, by="rap_cde", count=1, per=None).selected["rap_id"][:] == ["a"]
    assert hf_rap.compare_methods(selection, ["rap", "difficulty"]).rows == 2
    assert hf_rap.fit_prior(again) == hf_rap.fit_prior(evidence())


def test_splits_are_taken_everywhere():
    """A scorer and a selection on what `load_dataset` gives without `split=`."""
    scored = hf_rap.add_scores(DatasetDict(train=evidence()), hf_rap.cde_score, hf_rap.difficulty_score)
    assert isinstance(scored, Dataset)
    assert len(hf_rap.select_cognitive(DatasetDict(train=scored), min_cde=0.5, replace_easy=False).selected) == 1
    streamed = hf_rap.add_scores(IterableDatasetDict(train=evidence().to_iterable_dataset()), hf_rap.cde_score)
    assert isinstance(streamed, IterableDataset)
    assert [row["rap_cde"] for row in streamed] == scored["rap_cde"][:]


@pytest.mark.parametrize(
    "call",
    [
        lambda rows: hf_rap.add_scores(rows, hf_rap.cde_score),
        hf_rap.select_cognitive,
        hf_rap.select_difficulty,
        hf_rap.split_stages,
        hf_rap.select_top,
        hf_rap.fit_prior,
        hf_rap.regrade,
        hf_rap.inspect_dataset,
        hf_rap.load_process_rewards,
        lambda rows: hf_rap.compare_methods(rows, ["rap"]),
        lambda rows: hf_rap.stability(rows, {}),
        lambda rows: hf_rap.collect_evidence(rows, None),
        lambda rows: hf_rap.collect_in_run(rows, None, "nowhere"),
        lambda rows: hf_rap.collect_adaptive(rows, None, "exact"),
        lambda rows: hf_rap.estimate(rows, None, rows=1),
        lambda rows: hf_rap.annotate_steps(rows, None),
        lambda rows: hf_rap.export(rows, "nowhere"),
        hf_rap.check_export,
    ],
)
@pytest.mark.parametrize("given", [DatasetDict(a=ds, b=ds), [{"rap_cde": 1.0}]])
def test_all_say_it_the_same_way(call, given):
    """Before anything else is looked at."""
    with pytest.raises(SettingError, match=r"takes one split of a DatasetDict|takes a Dataset, not a list\. Make one"):
        call(given)


def test_publishing_says_what_it_takes(tmp_path):
    """A selection; rows alone are exported, or pushed by datasets itself."""
    for publish in (hf_rap.publish_to_folder, hf_rap.publish):
        with pytest.raises(SettingError, match=r"it takes what select_cognitive\(ds\) returns; for rows as they are"):
            publish(ds, str(tmp_path / "v"), version="1.0.0")
