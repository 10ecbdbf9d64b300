"""What a new release of datasets has moved, of the parts that are not public."""

import pickle
import sys

import pyarrow as pa
import pytest
from datasets import Dataset, DatasetInfo, Features, Image, List, SplitDict, SplitInfo, Value, load_dataset
from datasets.fingerprint import Hasher
from huggingface_hub import DatasetCardData

from hf_rap.rows import compat

FILES = Features({"id": Value("string"), "images": List(Image())})


@pytest.fixture
def datasets_part(part_of):
    return lambda part: part_of("datasets", part, room="rows")


def seen_by_map(ds, look, **options):
    """What `look` returns for the first thing that `Dataset.map` hands out."""
    seen = []
    ds.map(lambda batch: seen.append(look(batch)), **options)
    return seen[0]


def rows_with_a_broken_image():
    return Dataset.from_dict({"id": ["a", "b"], "images": [[{"bytes": b"no picture", "path": None}], []]}, FILES)


def test_a_batch_of_map_can_be_read_undecoded(datasets_part):
    """The bytes as stored, though nothing could decode them."""
    with datasets_part("LazyBatch.keys_to_format and LazyBatch.pa_table"):
        stored = seen_by_map(
            rows_with_a_broken_image(), lambda batch: compat.stored_column(batch, "images"), batched=True
        )
        assert stored is not None, "the batch is none of those that are decoded when they are read"
        assert stored.to_pylist() == [[{"bytes": b"no picture", "path": None}], []]


def test_a_column_that_was_replaced_in_a_batch_is_not_stored(datasets_part):
    """What stands in the batch goes before what Arrow holds."""

    def replaced(batch):
        batch["id"] = ["x", "y"]
        return compat.stored_column(batch, "id")

    with datasets_part("LazyBatch.keys_to_format"):
        assert seen_by_map(rows_with_a_broken_image(), replaced, batched=True) is None


def test_a_plain_batch_is_not_stored():
    """A dictionary, as `IterableDataset.map` and tests hand out."""
    assert compat.stored_column({"id": ["a"]}, "id") is None


def test_a_batch_of_map_knows_its_types(datasets_part):
    """A batch hands out the numbers of classes, and only the types know their names; a dictionary has none."""
    rows = rows_with_a_broken_image()
    with datasets_part("LazyBatch.formatter.features"):
        assert seen_by_map(rows, compat.features_of_batch, batched=True) == FILES
    assert compat.features_of_batch({"id": ["a"]}) is None


def test_a_batch_and_a_single_row_of_map_are_known(datasets_part):
    """With and without `batched=True`; a dictionary is neither."""
    rows = rows_with_a_broken_image()
    with datasets_part("LazyBatch and LazyRow, what map hands out with and without batched=True"):
        assert seen_by_map(rows, compat.is_batch_of_map) is False
        assert seen_by_map(rows, compat.is_batch_of_map, batched=True) is True
    assert compat.is_batch_of_map({"id": ["a"]}) is None


def test_the_shards_of_a_stream_are_its_files(datasets_part, tmp_path):
    """Of Parquet and of JSON; what was made of a stream, or is a single piece of code, has none."""
    ds = Dataset.from_dict({"n": list(range(6))})
    for kind, ending, write in (("parquet", "parquet", ds.to_parquet), ("json", "jsonl", ds.to_json)):
        names = [str(tmp_path / f"{number}.{ending}") for number in range(3)]
        for name in names:
            write(name)
        stream = load_dataset(kind, data_files=names, split="train", streaming=True)
        with datasets_part("IterableDataset._ex_iterable and the arguments of what makes its tables"):
            assert compat.shard_files(stream) == names
        made = (stream.map(dict), stream.filter(bool), stream.skip(1), stream.take(1), stream.shuffle(seed=1))
        assert [compat.shard_files(each) for each in made] == [None] * 5
    assert compat.shard_files(ds.to_iterable_dataset(num_shards=2)) is None


def test_columns_are_added_without_writing_the_others_again(datasets_part):
    """In a table, a slice, a filtered and a shuffled one, with split, description and format; empty ones too."""
    features = Features({"n": Value("int64")})
    ds = Dataset.from_dict({"id": list("abcd"), "bytes": [b"1", b"2", b"3", b"4"]}, split="test")
    ds.info.description = "letters"
    stored = ds.data.column("bytes").chunk(0).buffers()[2].address
    ways = {"as it is": range(4), "slice": range(1, 3), "shuffled": [2, 0, 3], "twice": [1, 1], "none": []}
    with datasets_part("Dataset._indices and Dataset._fingerprint"):
        for way, places in ways.items():
            some = ds.select(places)
            added = compat.with_columns(some, {"n": pa.array([10 * place for place in places], pa.int64())}, features)
            assert added["id"][:] == ["abcd"[place] for place in places], way
            assert added["n"][:] == [10 * place for place in places], way
            assert added.features == Features({**ds.features, **features}), way
            assert (added.split, added.info.description) == ("test", "letters"), way
            if way not in ("twice", "none"):
                assert added.data.column("bytes").chunk(0).buffers()[2].address == stored, way
        numbers = pa.array(range(4))
        first, second = (
            compat.with_columns(ds, {"n": column}, features) for column in (numbers, numbers.take(numbers))
        )
        assert compat.with_columns(ds.with_format("numpy"), {"n": numbers}, features).format["type"] == "numpy"
        only = ds.with_format("numpy", columns=["id"])
        assert compat.with_columns(only, {"n": numbers}, features).format["columns"] == ["id", "n"]
        other = compat.with_columns(ds, {"n": pa.array([0, 0, 0, 0])}, features)
        fingerprints = [each._fingerprint for each in (ds, first, second, other)]
        assert len({*fingerprints}) == 3, "what map has cached is found by the content"


def test_types_and_row_counts_reach_the_metadata_of_a_card(datasets_part):
    """As `push_to_hub` writes them, and `load_dataset` and the viewer read them."""
    info = DatasetInfo(
        features=Features({"id": Value("string")}),
        splits=SplitDict({"train": SplitInfo("train", num_bytes=7, num_examples=2)}),
        download_size=3,
        dataset_size=7,
    )
    card = DatasetCardData()
    with datasets_part("DatasetInfosDict.to_dataset_card_data"):
        compat.add_dataset_info(card, {"selected": info})
        assert card.to_dict()["dataset_info"] == {
            "config_name": "selected",
            "features": [{"name": "id", "dtype": "string"}],
            "splits": [{"name": "train", "num_bytes": 7, "num_examples": 2}],
            "download_size": 3,
            "dataset_size": 7,
        }


def test_the_switch_of_datasets_turns_bars_off(datasets_part):
    """`disable_progress_bars` is what users know."""
    import datasets

    with datasets_part("datasets.utils.tqdm"):
        assert not compat.progress_bar("rows", unit=" rows", total=3, leave=False).disable
        datasets.disable_progress_bars()
        try:
            assert compat.progress_bar("rows", unit=" rows").disable
            assert compat.engine_bar("rollouts", 3).disable
        finally:
            datasets.enable_progress_bars()


def test_a_hub_that_cannot_be_reached_is_an_error_of_its_http_library(part_of):
    """Nothing listens on port 9 of this machine; answers with an error status are of the same kind."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    with part_of("huggingface_hub", "errors.HTTPError", room="rows"):
        error = compat.hub_http_error()
        assert issubclass(HfHubHTTPError, error)
        assert not issubclass(error, OSError), "it is an OSError now: every place that catches both can leave it out"
        assert issubclass(error, Exception)
        with pytest.raises(error):
            refused(HfApi(endpoint="http://127.0.0.1:9"))


def test_http_library(part_of):
    """The library of that error has the client that servers of models are asked by."""
    with part_of("huggingface_hub", "errors.HTTPError", room="rows"):
        library = compat.http_library()
        assert issubclass(library.ConnectError, library.HTTPError)
        assert not library.AsyncClient(limits=library.Limits(max_connections=1)).follow_redirects


def refused(api):
    """A call that goes out even in tests, which are offline."""
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        api.whoami(token="hf_none")


class Sealed:
    """What another pickler takes in full."""

    def __init__(self, value):
        self.value = value


def test_the_hash_of_map_sees_what_it_is_shown(datasets_part):
    """A stand-in counts, what it stands for does not; a worker gets the value itself."""
    with datasets_part("the table of datasets.utils._dill.Pickler"):
        assert compat.show_to_hash(Sealed, lambda sealed: len(sealed.value)), "the table is not there"
        assert Hasher.hash(Sealed("abc")) == Hasher.hash(Sealed("xyz")) != Hasher.hash(Sealed("ab"))
    assert pickle.loads(pickle.dumps(Sealed("abc"))).value == "abc"


def test_rows_after_a_step_are_called_by_the_step(datasets_part, tmp_path):
    """The same rows and step in another process, or in a copy, and no others."""
    rows = Dataset.from_dict({"id": ["a", "b"]})
    rows.to_parquet(tmp_path / "rows.parquet")
    read, read_again = (Dataset.from_parquet(str(tmp_path / "rows.parquet")) for _ in range(2))
    with datasets_part("Dataset._fingerprint and datasets.fingerprint.Hasher"):
        assert compat.hash_of(len) == compat.hash_of(len) != compat.hash_of(max)
        assert compat.fingerprint_after(read, len) == compat.fingerprint_after(read_again, len)
        assert compat.fingerprint_after(read, len) != compat.fingerprint_after(read, max)
        assert compat.fingerprint_after(read, len) != compat.fingerprint_after(read.select([0]), len)


def test_a_step_that_cannot_be_hashed_has_no_name():
    """`map` then warns and caches nothing."""
    assert compat.fingerprint_after(Dataset.from_dict({"id": ["a"]}), (row for row in "ab")) is None


def test_without_its_table_datasets_hashes_the_value(monkeypatch):
    """The caller is told, and puts what counts into the value."""
    monkeypatch.setitem(sys.modules, "datasets.utils._dill", None)
    assert compat.show_to_hash(Sealed, lambda sealed: len(sealed.value)) is False
